// Two answers side by side, and a vote. Nothing here knows who wrote which: the server tells it
// in reply to the vote. `turn.blind` are two answers that wait for a vote, `turn.duel` says how a
// comparison ended.

const VOTES = [
  ["left", "arena.left"],
  ["right", "arena.right"],
  ["tie", "arena.tie"],
  ["both_bad", "arena.both_bad"],
];
const LETTERS = ["A", "B"];
const voting = new Set(); // comparisons whose vote is on its way

// What the server keeps of the two answers, or what this page's own stream has heard since.
const blindOf = (duel, live) => (live?.sides && live.duel === duel.id ? { id: duel.id, sides: live.sides } : duel);

// Of a frame: whether it is to be drawn. Frames from before a vote may still come after it.
function takeSides(stream, frame) {
  if (frame.sides && stream.voted) {
    if (frame.done || frame.error) endStream(stream, frame);
    return false;
  }
  if (frame.sides && !stream.duel && isShown(stream)) $("jv-say").textContent = t("arena.began");
  stream.duel = frame.duel;
  stream.sides = frame.sides;
  if (frame.turn !== stream.turn) followTurn(stream, frame.turn);
  return true;
}

// The conversation goes on with the other one of two answers.
function followTurn(stream, id) {
  const turn = turnOf(stream.turn);
  const node = nodeOf(stream.turn);
  if (turn) turn.id = id;
  if (node) node.dataset.turnId = id;
  stream.turn = id;
}

// Draws the two answers; false when there is nothing to choose between.
function paintBlind(node, turn) {
  let host = node.querySelector(":scope > .jv-blind");
  node.classList.toggle("is-blind", Boolean(turn.blind));
  if (!turn.blind) {
    host?.remove();
    return false;
  }
  if (!host || host.jvLang !== lang || host.jvDuel !== turn.blind.id) {
    host?.remove();
    host = blindNode(turn.blind.id);
    node.append(host);
  }
  turn.blind.sides.forEach((side, n) => paintSide(host.querySelectorAll(".jv-side")[n], side));
  paintVotes(host, turn.blind);
  return true;
}

function blindNode(id) {
  const vote = ([value, key], n) => el("button", { class: "jv-second", "data-vote": value, "aria-keyshortcuts": String(n + 1), onclick: () => castVote(id, value) }, t(key));
  const host = el(
    "section",
    { class: "jv-blind", "aria-label": t("arena.title"), onkeydown: voteByKey },
    el("div", { class: "jv-sides", tabindex: "0", role: "group", onscroll: markFlip, "aria-label": LETTERS.map((letter) => t("arena.side", { letter })).join(" · ") }, LETTERS.map(sideNode)),
    el("div", { class: "jv-flip", role: "group", "aria-label": t("arena.flip") }, LETTERS.map((letter, n) => el("button", { class: "jv-chip", "aria-pressed": String(!n), onclick: (e) => flipTo(e.currentTarget.closest(".jv-blind"), n) }, t("arena.side", { letter })))),
    el("div", { class: "jv-ask" }, el("strong", {}, t("arena.title")), el("span", {}, t("arena.blind"))),
    el("div", { class: "jv-votes", role: "group", "aria-label": t("arena.votes") }, VOTES.map(vote)),
    el("div", { class: "jv-voteline" }, el("span", { class: "jv-hint" }), el("button", { class: "jv-link", "data-vote": "skipped", onclick: () => castVote(id, "skipped") }, t("arena.skip"))),
  );
  host.jvLang = lang;
  host.jvDuel = id;
  return host;
}

// On a phone one answer is in view at a time; swiping and these two buttons change it.
function flipTo(host, n) {
  const sides = host.querySelectorAll(".jv-side");
  sides[n].scrollIntoView({ behavior: calm() ? "auto" : "smooth", block: "nearest", inline: "start" });
}

function markFlip(e) {
  const box = e.currentTarget;
  const at = box.scrollLeft * 2 > box.scrollWidth - box.clientWidth ? 1 : 0;
  box.parentElement.querySelectorAll(".jv-flip button").forEach((b, n) => b.setAttribute("aria-pressed", String(n === at)));
}

function sideNode(letter) {
  return el("div", { class: "jv-side", role: "group", "aria-label": t("arena.side", { letter }) }, el("div", { class: "jv-letter", "aria-hidden": "true" }, letter), el("div", { class: "jv-md" }), el("p", { class: "jv-note" }));
}

function paintSide(node, side) {
  paintReply(node, { reply: side.text, finish: side.finish });
  const words = { error: t("arena.side_failed"), cancelled: t("finish.cancelled"), interrupted: t("finish.interrupted"), length: t("finish.length"), stop: side.text.trim() ? "" : t("arena.side_empty") }[side.finish] || "";
  const note = node.querySelector(".jv-note");
  if (note.textContent !== words) note.textContent = words;
}

const hasBegun = (side) => side.text.trim() !== "" || ["stop", "length"].includes(side.finish);

function paintVotes(host, blind) {
  const failed = blind.sides.some((side) => side.finish === "error");
  const ready = !failed && blind.sides.every(hasBegun);
  const over = blind.sides.every((side) => side.finish !== null);
  for (const button of host.querySelectorAll("[data-vote]")) {
    button.disabled = voting.has(blind.id) || (button.dataset.vote !== "skipped" && !ready);
  }
  const words = failed ? "" : t(!ready && !over ? "arena.wait" : over ? "arena.done" : "arena.early");
  const hint = host.querySelector(".jv-hint");
  if (hint.textContent !== words) hint.textContent = words;
}

// 1 to 4, where nothing is being typed.
function voteByKey(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || composing(e)) return;
  const button = e.currentTarget.querySelector(`[aria-keyshortcuts="${CSS.escape(e.key)}"]`);
  if (!button || button.disabled) return;
  e.preventDefault();
  button.click();
}

async function castVote(id, vote) {
  if (voting.has(id)) return false;
  voting.add(id);
  repaintBlind(id);
  const had = document.activeElement?.closest(".jv-blind");
  const done = await attempt(() => call("arena_vote", { duel: id, vote, turns: S.window }));
  voting.delete(id);
  if (!done) {
    repaintBlind(id);
    return false;
  }
  takeEnd(id, done);
  const words = t(done.end === "skipped" ? "arena.skipped" : "arena.counted", { a: nameOf(done.left), b: nameOf(done.right) });
  if (done.end !== "failed") toast(words, done.end === "skipped" ? null : { label: t("undo"), run: () => castVote(id, "skipped") });
  if (done.end !== "skipped") loadReadiness();
  // Whoever touches a screen wants no keyboard to come up.
  if (had && matchMedia("(hover: hover)").matches) focusComposer();
  return true;
}

function takeEnd(id, done) {
  const stream = [...S.streams.values()].find((s) => s.duel === id);
  const shown = done.view.turns.at(-1);
  if (stream && !stream.voted) {
    const side = stream.sides?.find((s) => s.turn === shown.id);
    followTurn(stream, shown.id);
    Object.assign(stream, { voted: true, text: side ? side.text : stream.text, sides: null });
  }
  if (S.id !== done.view.id) return;
  takeView(done.view);
  drawThread();
}

function repaintBlind(id) {
  const turn = S.turns.find((x) => x.blind?.id === id);
  const node = turn && nodeOf(turn.id);
  if (node) paintBlind(node, turn);
}

// Whoever writes on without a vote goes on with the answer of the version in use.
const openBlind = () => S.turns.at(-1)?.blind;
const passOver = (blind) => castVote(blind.id, "skipped");

const DUEL_ENDS = { tie: "arena.end_tie", both_bad: "arena.end_both_bad", skipped: "arena.end_skipped", failed: "arena.end_failed", same: "arena.end_same" };

function duelWords(duel) {
  const key = DUEL_ENDS[duel.end] || (duel.won ? "arena.end_won" : "arena.end_lost");
  return t(key, { version: nameOf(duel.version), other: nameOf(duel.other) });
}
