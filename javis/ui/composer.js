// The composer: it never loses a word. What is typed stays per conversation until it is stored, over
// a reload as well, and goes with the tab.

const drafts = new Map(keptTyped("jv-drafts"));
const area = () => $("jv-text");
// A conversation that was clicked has the composer at once, before it is there.
const draftKey = () => S.opening ?? S.id;

function keptTyped(name) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(name) || "[]");
    sessionStorage.removeItem(name);
    return kept;
  } catch {
    return [];
  }
}

function leaveDrafts() {
  keepDraft();
  try {
    for (const [name, typed] of [["jv-drafts", drafts], ["jv-prompts", prompts]]) if (typed.size) sessionStorage.setItem(name, JSON.stringify([...typed]));
  } catch {
    // A browser that keeps nothing.
  }
}

// An answer being corrected, a thumb being explained: of that a reload would leave nothing.
function warnOfLoss(e) {
  keepUnsaved();
  if (unsaved.size) e.preventDefault();
}

// True while an input method composes a syllable: that Enter ends the syllable, not the message.
const composing = (e) => e.isComposing || e.keyCode === 229;

function buildComposer() {
  const text = area()?.value ?? drafts.get(draftKey()) ?? "";
  const box = el("textarea", { id: "jv-text", rows: "1", placeholder: t("composer.placeholder"), "aria-label": t("composer.label"), enterkeyhint: "send", oninput: grow, onkeydown: onKey });
  place("jv-input").replaceChildren(el("div", { id: "jv-notice", role: "alert" }), box);
  box.value = text;
  place("jv-buttons").replaceChildren(
    iconButton("tune", t("composer.advanced"), toggleAdvanced, { id: "jv-tune", "aria-expanded": String(document.body.classList.contains("jv-advanced-open")), "aria-controls": "jv-advanced" }),
    el("button", { id: "jv-send", onclick: () => (S.answering && !S.opening ? stopAnswer() : send(area().value, true)) }),
  );
  grow();
  paintComposer();
}

function grow() {
  const box = area();
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, 6 * 26 + 8)}px`;
  paintComposer();
}

function paintComposer() {
  const button = $("jv-send");
  if (!button) return;
  const stops = S.answering && !S.opening;
  const state = stops ? "stop" : "send";
  if (button.dataset.state !== state + lang) {
    button.dataset.state = state + lang;
    button.classList.toggle("is-stop", stops);
    button.setAttribute("aria-label", t(`composer.${state}`));
    button.title = t(`composer.${state}`);
    button.replaceChildren(icon(state));
  }
  button.disabled = !stops && !area().value.trim();
  // An edited message is sent from its own place; one answer at a time holds there, too.
  for (const other of document.querySelectorAll(".jv-user .jv-editor .jv-primary")) other.disabled = S.answering;
}

function onKey(e) {
  if (e.key === "Enter" && !e.shiftKey && !composing(e)) {
    e.preventDefault();
    if (!S.answering || S.opening) send(area().value, true);
  } else if (e.key === "ArrowUp" && !area().value && !composing(e)) {
    const last = latest();
    if (!last?.about) return;
    e.preventDefault();
    editMessage(last.id);
  }
}

function focusComposer() {
  if (V.tab === "chat") area()?.focus({ preventScroll: true });
}

// At once where nothing stands open: a click that follows must find the message on its way.
async function send(text, typed = false, drop = 0) {
  if (!text.trim()) return;
  if (S.opening) S.sendWhenOpen = typed;
  if (S.opening || S.answering) return;
  const blind = openBlind();
  if (blind) {
    const asked = S.open;
    if (!(await passOver(blind)) || asked !== S.open || S.answering) return;
  }
  hideNotice();
  // What was typed while the server was asked is another message.
  if (typed && (!blind || area().value === text)) {
    area().value = "";
    drafts.delete(S.id);
    grow();
  }
  // What is continued is what stands here: another tab may have gone another way meanwhile.
  const data = { text, conversation: S.id, after: S.turns.at(-1)?.id };
  if (drop) data.drop = drop;
  ask("reply", data, text);
}

// The server refused the message: nothing is stored, so the words go back to where they were.
function giveBack(stream, error) {
  const here = stream.opened === S.open;
  if (stream.op === "reply") {
    const key = stream.data.conversation;
    const typed = key === draftKey() ? area().value : drafts.get(key) || "";
    const whole = typed.trim() ? `${stream.data.text}\n${typed}` : stream.data.text;
    drafts.set(key, whole);
    if (key === draftKey()) area().value = whole;
  } else if (stream.op === "edit" && here) {
    editMessage(stream.data.turn);
    const box = nodeOf(stream.data.turn)?.querySelector(".jv-user textarea");
    if (box) box.value = stream.data.text;
  }
  grow();
  if (!here) return;
  const action = error.drop
    ? {
        label: t(error.drop === 1 ? "composer.drop_one" : "composer.drop", { count: number(error.drop) }),
        run: () => {
          hideNotice();
          if (stream.op === "reply") {
            const text = area().value || stream.data.text;
            send(text, true, error.drop);
          } else ask(stream.op, { ...stream.data, drop: error.drop }, stream.shownText, stream.data.turn);
        },
      }
    : null;
  notice(error.message, error.code === "not_logged_in" ? { label: t("login"), href: "login" } : action);
  if (stream.op === "reply") focusComposer();
}

const keepDraft = () => area() && (area().value.trim() ? drafts.set(draftKey(), area().value) : drafts.delete(draftKey()));

function giveDraft() {
  if (!area()) return;
  area().value = drafts.get(draftKey()) || "";
  grow();
}

// What went wrong, above the composer: what happened, what was kept, what to do.
function notice(text, action = null) {
  const host = $("jv-notice");
  if (!host || V.tab !== "chat") return toast(text, action, 9000);
  return host.replaceChildren(
    el(
      "div",
      { class: "jv-notice" },
      el("p", {}, text),
      action?.href ? el("a", { class: "jv-primary", href: action.href, target: "_blank", rel: "noopener" }, action.label) : "",
      action?.run ? el("button", { class: "jv-primary", onclick: action.run }, action.label) : "",
      iconButton("close", t("close"), hideNotice),
    ),
  );
}

const hideNotice = () => $("jv-notice")?.replaceChildren();

function toggleAdvanced() {
  const open = document.body.classList.toggle("jv-advanced-open");
  $("jv-tune").setAttribute("aria-expanded", String(open));
  if (open) $("jv-advanced").querySelector("input, textarea, button")?.focus({ preventScroll: true });
  else focusComposer();
}
