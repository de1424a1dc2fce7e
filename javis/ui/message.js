// One turn: the message, its answer, and quietly below them what can be done with each.

function turnNode(id) {
  return el(
    "article",
    { class: "jv-turn", "data-turn-id": id },
    el("div", { class: "jv-user" }),
    el("div", { class: "jv-answer" }, el("div", { class: "jv-md" }), el("div", { class: "jv-note" }), el("div", { class: "jv-bar" }), el("div", { class: "jv-slot" })),
  );
}

function paintTurn(node, turn) {
  const seen = JSON.stringify([turn.id, turn.user, turn.edits, turn.finish, turn.error, turn.answers, turn.feedback, turn.example_at, turn.duel, Boolean(turn.blind), GOLDEN.has(turn.id), S.admin, lang, S.answering, latest() === turn]);
  if (node.jvSeen !== seen) {
    const focused = node.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    node.jvSeen = seen;
    if (!node.querySelector(".jv-user .jv-editor")) paintUser(node, turn);
    paintNote(node, turn);
    paintBar(node, turn);
    if (focused) node.querySelector(`[data-act="${focused}"]`)?.focus();
  }
  if (!paintBlind(node, turn)) paintReply(node, turn);
}

function paintReply(node, turn) {
  const host = node.querySelector(".jv-md");
  if (host.querySelector(":scope > .jv-editor")) return;
  const writing = turn.finish === null;
  host.classList.toggle("is-writing", writing && turn.reply !== "");
  host.classList.toggle("is-waiting", writing && turn.reply === "");
  host.setAttribute("aria-busy", String(writing));
  // Whether a dollar ends a formula is known by what comes after it.
  const text = writing ? turn.reply.replace(/\$+$/, "") : turn.reply;
  if (host.jvText === text && host.jvLang === lang) return;
  if (host.jvLang !== lang) host.jvBlocks = [];
  host.jvText = text;
  host.jvLang = lang;
  drawMarkdown(host, text);
}

function paintUser(node, turn) {
  const host = node.querySelector(".jv-user");
  host.replaceChildren(
    el("div", { class: "jv-bubble" }, turn.user),
    el(
      "div",
      { class: "jv-bar" },
      turn.about
        ? [
            pager(turn.edits, turn.id, "msg.wordings"),
            iconButton("edit", t("msg.edit"), () => editMessage(turn.id), { "data-act": "edit-user", disabled: S.answering }),
            iconButton("copy", t("msg.copy"), (e) => copyText(turn.user, e.currentTarget), { "data-act": "copy-user" }),
          ]
        : [],
    ),
  );
}

function paintNote(node, turn) {
  const host = node.querySelector(".jv-note");
  if (turn.blind) return host.replaceChildren();
  const kind = turn.finish;
  const parts = [];
  if (kind === null && turn.about && ![...S.streams.values()].some((s) => s.turn === turn.id)) parts.push(t("finish.elsewhere"));
  else if (kind === "error") parts.push(t("finish.error", { why: turn.error || "" }));
  else if (["cancelled", "length", "interrupted", "edited"].includes(kind)) parts.push(t(`finish.${kind}`));
  const nothing = kind === "stop" && !turn.reply.trim();
  if (nothing) parts.push(t("finish.nothing"));
  const dropped = turn.about?.dropped;
  if (dropped) parts.push(t(dropped === 1 ? "msg.dropped_one" : "msg.dropped", { count: number(dropped) }));
  if (turn.feedback?.correction) parts.push(t("thumb.corrected"));
  if (turn.duel) parts.push(duelWords(turn.duel));
  const shown = typeof turn.example_at === "string";
  if (shown) parts.push(turn.example_at ? t("recall.used", { date: new Date(turn.example_at).toLocaleDateString(lang) }) : t("recall.used_gone"));
  const offer = (nothing || ["error", "interrupted", "cancelled"].includes(kind)) && latest() === turn;
  return host.replaceChildren(
    ...parts.map((p) => el("span", {}, p)),
    ...(offer ? [el("button", { class: "jv-link", onclick: () => regenerate(turn.id) }, t("msg.again"))] : []),
    ...(shown ? [el("button", { class: "jv-link", "data-act": "without", disabled: S.answering, onclick: () => regenerate(turn.id, { examples: false }) }, t("recall.without"))] : []),
  );
}

function paintBar(node, turn) {
  const host = node.querySelector(".jv-answer > .jv-bar");
  if (turn.finish === null || !turn.about || turn.blind) return host.replaceChildren();
  const rating = turn.feedback?.rating;
  const thumb = (name, value) =>
    iconButton(name, t(`thumb.${value}`), () => rate(turn.id, value), {
      "data-act": value,
      "aria-pressed": String(rating === value),
      class: rating === value ? "is-on" : "",
    });
  return host.replaceChildren(
    iconButton("copy", t("msg.copy"), (e) => copyText(turn.reply, e.currentTarget), { "data-act": "copy" }),
    thumb("up", "good"),
    thumb("down", "bad"),
    turn.feedback ? el("button", { class: "jv-link", "data-act": "note", onclick: () => openPanel(turn.id) }, t("thumb.more")) : "",
    iconButton("again", t("msg.again"), () => regenerate(turn.id), { "data-act": "again", disabled: S.answering }),
    pager(turn.answers, turn.id, "msg.answers"),
    iconButton("edit", t("msg.edit_reply"), () => editReply(turn.id), { "data-act": "edit-reply", disabled: S.answering }),
    S.admin && turn.reply.trim() ? goldenButton(turn.id) : "",
    iconButton("branch", t("msg.branch"), () => branch(turn.id), { "data-act": "branch" }),
    iconButton("info", t("msg.details"), (e) => toggleDetails(turn.id, e.currentTarget), { "data-act": "details", "aria-expanded": String(Boolean(node.querySelector(".jv-details"))) }),
  );
}

function pager(ids, shown, key) {
  if (ids.length < 2) return "";
  const at = ids.indexOf(shown);
  const step = (to, name, label) =>
    iconButton(name, t(label), () => selectTurn(ids[to]), { disabled: to < 0 || to >= ids.length || S.answering, "data-act": `${key}-${name}` });
  return el(
    "span",
    { class: "jv-pager", role: "group", "aria-label": t(key) },
    step(at - 1, "left", "msg.previous"),
    el("span", {}, `${number(at + 1)}/${number(ids.length)}`),
    step(at + 1, "right", "msg.next"),
  );
}

const turnOf = (id) => S.turns.find((x) => x.id === id);
const nodeOf = (id) => document.querySelector(`#jv-turns > [data-turn-id="${CSS.escape(id)}"]`);

async function selectTurn(id) {
  const asked = S.open;
  const view = await attempt(() => call("select", { turn: id, turns: S.window }));
  if (!view || asked !== S.open || shownStream()) return;
  keepUnsaved();
  takeView(view);
  drawThread();
  giveUnsaved();
}

function regenerate(id, more = {}) {
  if (S.answering) return;
  ask("again", { turn: id, ...more }, turnOf(id).user, id);
}

// One at a time: a double click would make two.
let branching = false;

async function branch(id) {
  if (branching) return;
  branching = true;
  const row = await attempt(() => call("branch", { turn: id }));
  branching = false;
  if (!row) return;
  await loadList();
  await openConversation(row.id);
  toast(t("msg.branched"));
}

// Editing ----------------------------------------------------------------------------------

// What was written in an editor that was left with Escape, by what it edits.
const leftWith = new Map();

function editor(text, saveKey, save, close, about) {
  const area = el("textarea", { rows: "1", "aria-label": t("msg.edit") });
  area.dataset.was = text;
  area.value = leftWith.get(about) ?? text;
  leftWith.delete(about);
  const grow = () => {
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight * 0.5)}px`;
  };
  const done = () => area.value.trim() && save(area.value);
  area.addEventListener("input", grow);
  area.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && !composing(e)) {
      e.stopPropagation();
      if (area.value.trim() !== text.trim()) leftWith.set(about, area.value);
      close();
    } else if (e.key === "Enter" && (e.ctrlKey || e.metaKey) && !composing(e)) {
      e.preventDefault();
      done();
    }
  });
  const box = el(
    "div",
    { class: "jv-editor" },
    area,
    el("div", { class: "jv-row" }, el("button", { class: "jv-plain", onclick: close }, t("cancel")), el("button", { class: "jv-primary", onclick: done }, t(saveKey))),
  );
  setTimeout(() => {
    grow();
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  });
  return box;
}

// What is being written in a turn, by its id, while that turn is not shown.
const unsaved = new Map();

function keepUnsaved(turns = S.turns) {
  for (const node of turns.map((turn) => nodeOf(turn.id)).filter(Boolean)) {
    const boxes = [...node.querySelectorAll(".jv-editor textarea")];
    const panel = node.querySelector(".jv-panel");
    const kept = {};
    for (const box of boxes) if (box.value.trim() !== box.dataset.was.trim()) kept[box.closest(".jv-user") ? "message" : "reply"] = box.value;
    if (panel?.jvUnsaved()) kept.panel = panel.jvTyped();
    if (Object.keys(kept).length) unsaved.set(node.dataset.turnId, kept);
    else if (boxes.length || panel) unsaved.delete(node.dataset.turnId);
  }
}

function giveUnsaved() {
  if (S.answering) return;
  for (const { id } of S.turns) {
    const node = nodeOf(id);
    if (!node || !unsaved.has(id)) continue;
    const { message, reply, panel } = unsaved.get(id);
    unsaved.delete(id);
    // What is still open may say more by now.
    const closed = (where) => !node.querySelector(where);
    const write = (where, text) => (node.querySelector(`${where} .jv-editor textarea`).value = text);
    if (message && closed(".jv-user .jv-editor")) editMessage(id), write(".jv-user", message);
    if (reply && closed(".jv-md .jv-editor")) editReply(id), write(".jv-md", reply);
    if (panel && closed(".jv-panel")) openPanel(id, panel);
  }
}

function editMessage(id) {
  const turn = turnOf(id);
  const node = nodeOf(id);
  if (!turn || !node || S.answering) return;
  const close = () => {
    node.querySelector(".jv-user .jv-editor")?.remove();
    paintUser(node, turnOf(id) || turn);
    focusComposer();
  };
  const save = (text) => {
    if (S.answering) return;
    close();
    ask("edit", { turn: id, text }, text, id);
  };
  node.querySelector(".jv-user").replaceChildren(editor(turn.user, "msg.send", save, close, `${id} message`));
}

function editReply(id) {
  const turn = turnOf(id);
  const node = nodeOf(id);
  if (!turn || !node || S.answering) return;
  const host = node.querySelector(".jv-md");
  const close = () => {
    host.replaceChildren();
    host.jvText = null;
    host.jvBlocks = [];
    paintReply(node, turnOf(id) || turn);
  };
  const save = async (text) => {
    if (!(await attempt(() => call("edit_reply", { turn: id, text })))) return;
    close();
    await refresh();
    toast(t("msg.reply_saved"));
  };
  host.replaceChildren(editor(turn.reply, "save", save, close, `${id} reply`));
}

// Details ----------------------------------------------------------------------------------

function toggleDetails(id, button) {
  const slot = nodeOf(id).querySelector(".jv-slot");
  const old = slot.querySelector(".jv-details");
  button.setAttribute("aria-expanded", String(!old));
  if (old) return old.remove();
  const a = turnOf(id).about;
  const rows = [
    ["details.version", a.version === "base" ? t("versions.base") : a.version],
    ["details.model", [a.model, a.quantization, a.engine].filter(Boolean).join(" · ")],
    ["details.speed", a.speed ? t("details.speed_value", { speed: number(a.speed, 1), first: number(a.first_ms) }) : ""],
    ["details.tokens", a.tokens_out ? t("details.tokens_value", { in: number(a.tokens_in), out: number(a.tokens_out), cached: number(a.tokens_cached) }) : ""],
    ["details.sampling", t("details.sampling_value", { temperature: a.temperature, top_p: a.top_p, penalty: a.penalty, max: number(a.max_tokens) })],
    ["details.seed", a.seed === null ? "" : String(a.seed)],
    ["details.finish", t(`finish.name_${turnOf(id).finish}`)],
    ["details.dropped", a.dropped ? number(a.dropped) : ""],
    ["details.system_prompt", a.system_prompt],
    ["details.at", new Date(a.at).toLocaleString(lang)],
  ].filter(([, value]) => value);
  return slot.prepend(el("dl", { class: "jv-details" }, rows.map(([key, value]) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, value)))));
}
