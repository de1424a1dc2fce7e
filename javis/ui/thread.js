// The shown conversation: what the server said of it, drawn turn by turn. A turn is known by its
// id everywhere; `pending:…` stands for one that the server has not named yet.

const S = {
  id: null,
  title: "",
  turns: [],
  earlier: 0,
  window: 40,
  answering: false,
  opening: null, // the conversation that was clicked, until it is there
  sendWhenOpen: false,
  streams: new Map(), // running answers of this page, by call
  model: null,
  admin: false,
  prompt: "", // the system prompt that new chats begin with
  open: 0, // counts openings, so that a late reply of an earlier one is dropped
};

const scroller = () => $("jv-scroll");
const atEnd = () => {
  const s = scroller();
  return s.scrollHeight - s.scrollTop - s.clientHeight < 60;
};
const toEnd = () => {
  const s = scroller();
  s.scrollTop = s.scrollHeight;
  showEndButton();
};

function showEndButton() {
  const button = $("jv-to-end");
  if (button) button.hidden = atEnd();
}

function buildThread() {
  const host = place("jv-thread");
  host.replaceChildren(
    el(
      "div",
      { id: "jv-scroll", tabindex: "-1", onscroll: showEndButton },
      el("div", { id: "jv-column" }, el("div", { id: "jv-hello" }), el("div", { id: "jv-earlier" }), el("div", { id: "jv-turns", role: "log", "aria-live": "off" })),
    ),
    iconButton("end", t("chat.to_end"), toEnd, { id: "jv-to-end", hidden: true }),
    el("div", { id: "jv-say", class: "jv-offscreen", "aria-live": "polite" }),
  );
}

function drawThread({ follow = false } = {}) {
  const stay = follow || atEnd();
  const host = $("jv-turns");
  const nodes = new Map([...host.children].map((n) => [n.dataset.turnId, n]));
  let before = host.firstChild;
  for (const turn of S.turns) {
    let node = nodes.get(turn.id);
    if (node) nodes.delete(turn.id);
    else node = turnNode(turn.id);
    paintTurn(node, turn);
    if (node === before) before = before.nextSibling;
    else host.insertBefore(node, before);
  }
  for (const node of nodes.values()) node.remove();
  drawHello();
  drawEarlier();
  paintComposer();
  paintTitle();
  if (stay) toEnd();
  else showEndButton();
}

function drawEarlier() {
  $("jv-earlier").replaceChildren(
    ...(S.earlier
      ? [
          el("button", { class: "jv-link", onclick: showEarlier }, t("chat.earlier", { count: number(S.earlier) })),
        ]
      : []),
  );
}

async function showEarlier() {
  const s = scroller();
  const fromEnd = s.scrollHeight - s.scrollTop;
  S.window += 60;
  await refresh();
  s.scrollTop = s.scrollHeight - fromEnd;
}

const EXAMPLES = { en: ["hello.en1", "hello.en2", "hello.en3"], ko: ["hello.ko1", "hello.ko2", "hello.ko3"] };

function drawHello() {
  const host = $("jv-hello");
  const empty = !S.id && !S.turns.length;
  document.body.classList.toggle("jv-empty", empty);
  if (!empty || !S.model) return host.replaceChildren();
  const spoken = S.model.languages;
  const tongue = spoken.includes(lang) ? lang : spoken.includes("en") ? "en" : lang;
  const foreign = !spoken.includes(lang);
  return host.replaceChildren(
    el("h1", {}, t("hello.title")),
    el("p", { class: "jv-sub" }, foreign ? t("hello.foreign", { model: S.model.title, languages: spoken.map(languageName).join(", ") }) : t("hello.sub")),
    el(
      "div",
      { class: "jv-examples" },
      EXAMPLES[tongue].map((key) => el("button", { lang: tongue, onclick: () => send(t(key)) }, t(key))),
    ),
    el("p", { class: "jv-modelline" }, `${modelLine()} `, el("button", { class: "jv-link", onclick: (e) => aboutModel(e.currentTarget) }, t("hello.bigger"))),
  );
}

const languageName = (code) => new Intl.DisplayNames([lang], { type: "language" }).of(code);

// Taking in what the server says ---------------------------------------------------------

function takeView(view) {
  S.id = view.id;
  S.title = view.title;
  S.earlier = view.earlier;
  S.answering = view.answering;
  const live = [...S.streams.values()].find((s) => s.conversation === view.id);
  S.turns = view.turns.map((turn) => (live && live.turn === turn.id ? { ...turn, reply: live.text || turn.reply } : turn));
  if (view.duel) S.turns.at(-1).blind = blindOf(view.duel, live);
  remembered.set("conversation", view.id);
  const url = new URL(location.href);
  url.searchParams.set("c", view.id);
  history.replaceState(null, "", url);
  if (view.answering && !live) lookAgain(1000);
}

// An answer that another tab asked for, or this one before a reload, is looked at until it ends.
let looking;

function lookAgain(ms) {
  const asked = S.open;
  clearTimeout(looking);
  looking = setTimeout(() => asked === S.open && S.answering && refresh(), ms);
}

async function refresh() {
  const [asked, stream] = [S.open, shownStream()];
  if (!S.id || S.opening) return;
  const view = await attempt(() => call("view", { conversation: S.id, turns: S.window }));
  // Of before a message that was sent meanwhile: its own end asks again.
  if (asked !== S.open || (shownStream() && shownStream() !== stream)) return;
  if (!view) {
    if (!shownStream()) lookAgain(3000);
    return;
  }
  takeView(view);
  drawThread();
}

// A system prompt belongs to its chat: the control shows what was typed there and not sent yet, or
// what the chat goes on with.
const prompts = new Map(keptTyped("jv-prompts"));
const keepPrompt = (text) => prompts.set(S.id, text);
const goesOnWith = () => S.turns.at(-1)?.about?.system_prompt ?? S.prompt;

addEventListener("input", (e) => e.target.closest?.("#jv-system-prompt") && keepPrompt(e.target.value));

function showPrompt() {
  jvWires.prompt = prompts.get(S.id) ?? goesOnWith();
  jvWires.calls.trigger("prompt");
}

// `typed`: what stands in the composer was typed for this conversation, as after a reload.
async function openConversation(id, { quiet = false, typed = false } = {}) {
  const asked = ++S.open;
  if (!typed) keepDraft();
  S.opening = id;
  S.sendWhenOpen = false;
  if (!typed || !area().value.trim()) giveDraft();
  S.window = 40;
  closeDrawer();
  hideNotice();
  try {
    const view = await call("view", { conversation: id, turns: S.window });
    if (asked !== S.open) return;
    keepUnsaved();
    for (const node of [...$("jv-turns").children]) node.remove();
    S.opening = null;
    takeView(view);
    showPrompt();
    drawThread({ follow: true });
    giveUnsaved();
    drawList();
    if (!quiet) showTab("chat");
    focusComposer();
    if (S.sendWhenOpen) send(area().value, true);
  } catch (error) {
    if (asked !== S.open) return;
    if (!quiet) notice(error.message);
    newChat({ quiet, typed: true });
  }
}

function newChat({ quiet = false, typed = false } = {}) {
  S.open++;
  keepUnsaved();
  if (!typed) keepDraft();
  Object.assign(S, { id: null, opening: null, title: "", turns: [], earlier: 0, answering: false });
  remembered.set("conversation", null);
  const url = new URL(location.href);
  url.searchParams.delete("c");
  history.replaceState(null, "", url);
  hideNotice();
  showPrompt();
  if (!typed || !area().value.trim()) giveDraft();
  drawThread();
  drawList();
  closeDrawer();
  if (!quiet) showTab("chat");
  focusComposer();
}

// Answers ----------------------------------------------------------------------------------

let answers = 0;

// Whether an answer belongs to what is shown. A new chat has no id yet, and so has the next one:
// only the count of openings tells those two apart.
const isShown = (stream) => stream.opened === S.open || (stream.conversation !== null && stream.conversation === S.id);
const shownStream = () => [...S.streams.values()].find(isShown);

// `op`: reply, again or edit. The turn is drawn at once; the server's first frame names it.
function ask(op, data, shownText, cutAt = null) {
  if (S.opening) return;
  const id = `s${++answers}-${Date.now().toString(36)}`;
  const pending = { id: `pending:${id}`, user: shownText, reply: "", finish: null, answers: [], edits: [], feedback: null, about: null };
  const kept = S.turns;
  if (cutAt !== null) {
    S.turns = S.turns.slice(0, S.turns.findIndex((x) => x.id === cutAt));
    keepUnsaved(kept.slice(S.turns.length));
  }
  S.turns = [...S.turns, pending];
  S.streams.set(id, { id, op, data, shownText, kept, conversation: S.id, turn: pending.id, text: "", named: false, opened: S.open });
  S.answering = true;
  prompts.delete(S.id);
  drawThread({ follow: true });
  S.streams.get(id).at = Date.now();
  jvWires.live.trigger(jvWires.live.send, { ...data, op, call: id, lang });
  watchStream(id);
}

// A server that is gone says nothing, and one that wants a login says it to Gradio only. A model
// that thinks is quiet, too; so whoever hears nothing asks at another door.
function watchStream(id) {
  const timer = setInterval(async () => {
    const stream = S.streams.get(id);
    if (!stream) return clearInterval(timer);
    const quiet = Date.now() - stream.at;
    if (!stream.heard && quiet > 30000) return endRefused(stream, { code: "unreachable", message: t("unreachable") });
    if (stream.asking || quiet < (stream.heard ? 6000 : 3000)) return undefined;
    stream.asking = true;
    await askAround(stream);
    stream.asking = false;
    return undefined;
  }, 1000);
}

// The HTTP status of a path; 0 when nobody answers.
async function knock(path) {
  try {
    return (await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) })).status;
  } catch {
    return 0;
  }
}

async function askAround(stream) {
  if (!stream.heard && !stream.knocked) {
    const status = await knock("api/readiness");
    stream.knocked = status > 0;
    if (status === 401 && !stream.heard && S.streams.has(stream.id)) return endRefused(stream, { code: "not_logged_in", message: t("logged_out") });
  }
  if (Date.now() - stream.at < 6000) return undefined;
  const there = await knock("health");
  if (!S.streams.has(stream.id) || Date.now() - stream.at < 6000) return undefined;
  if (!there && !stream.lost) {
    stream.lost = true;
    if (isShown(stream)) notice(t("lost"));
  } else if (there && stream.lost && stream.named) return endLost(stream);
  return undefined;
}

// The server is back, but no frame of this answer will come: what it kept is shown.
async function endLost(stream) {
  S.streams.delete(stream.id);
  if (!isShown(stream)) return;
  hideNotice();
  await refresh();
}

function onFrame(frame) {
  const stream = frame && S.streams.get(frame.call);
  if (!stream) return;
  stream.heard = true;
  stream.at = Date.now();
  if (stream.lost) {
    stream.lost = false;
    if (isShown(stream)) hideNotice();
  }
  if (frame.error && !frame.turn) return endRefused(stream, frame.error);
  const shown = isShown(stream);
  if (!stream.named) nameStream(stream, frame, shown);
  if (!takeSides(stream, frame)) return;
  stream.text = frame.text;
  const turn = S.id === stream.conversation && S.turns.find((x) => x.id === stream.turn);
  if (turn) {
    const stay = atEnd();
    turn.reply = frame.text;
    turn.blind = frame.sides ? { id: frame.duel, sides: frame.sides } : null;
    const node = document.querySelector(`#jv-turns > [data-turn-id="${CSS.escape(turn.id)}"]`);
    if (node && !paintBlind(node, turn)) paintReply(node, turn);
    if (stay) toEnd();
    else showEndButton();
  }
  if (frame.done || frame.error) endStream(stream, frame);
}

function nameStream(stream, frame, shown) {
  const fresh = !stream.conversation;
  const old = stream.turn;
  Object.assign(stream, { named: true, conversation: frame.conversation, turn: frame.turn });
  if (shown) {
    if (fresh) takeNew(frame.conversation, stream.shownText);
    const turn = S.turns.find((x) => x.id === old);
    if (turn) turn.id = frame.turn;
    const node = document.querySelector(`#jv-turns > [data-turn-id="${CSS.escape(old)}"]`);
    if (node) node.dataset.turnId = frame.turn;
    else if (!S.turns.some((x) => x.id === frame.turn)) refresh();
  }
  if (S.stopWanted === stream.id) stopStream(stream);
  loadList();
}

function takeNew(conversation, text) {
  S.id = conversation;
  S.title = text.trim().split("\n")[0].slice(0, 60);
  remembered.set("conversation", conversation);
  const url = new URL(location.href);
  url.searchParams.set("c", conversation);
  history.replaceState(null, "", url);
}

async function endStream(stream, frame) {
  S.streams.delete(stream.id);
  if (S.id === stream.conversation) {
    S.answering = false;
    if (frame.error) notice(frame.error.message);
    await refresh();
    giveUnsaved();
    if (document.activeElement === document.body) focusComposer();
    $("jv-say").textContent = t("chat.done");
  }
  loadReadiness();
}

// Nothing was stored: the page goes back to what it showed, and the words to their writer.
function endRefused(stream, error) {
  S.streams.delete(stream.id);
  if (stream.opened === S.open) {
    S.turns = stream.kept;
    S.answering = Boolean(shownStream());
    drawThread();
    giveUnsaved();
  }
  giveBack(stream, error);
}

async function stopAnswer() {
  // Of a conversation that was clicked and is not there yet nobody knows.
  if (S.opening) return;
  const stream = shownStream();
  if (stream && !stream.named) S.stopWanted = stream.id;
  else if (stream) await stopStream(stream);
  else if (S.id && !S.stopping) {
    S.stopping = true;
    await attempt(() => call("stop", { conversation: S.id }));
    S.stopping = false;
    await refresh();
  }
}

// Once: a second one could reach the server when the next answer is being written.
async function stopStream(stream) {
  S.stopWanted = null;
  if (stream.stopping) return;
  stream.stopping = true;
  if (!(await attempt(() => call("stop", { conversation: stream.conversation })))) stream.stopping = false;
}

const latest = () => S.turns.at(-1);
