// Answers side by side: a prompt of one's own, asked of all chosen versions at once, or what they
// said to the items of a suite.

const CA = {
  source: "own", // or the name of a suite
  prompt: "",
  asked: null, // {call, prompt, versions, texts, ended, done, problem}
  page: null, // {rows, total, page} of the suite
  failure: "",
  offset: 0,
  different: false, // only those where the answers differ
  diff: false, // show what is not as in the first column
  seq: 0,
};
const SILENT_ASK_MS = 60000;

function drawAnswers() {
  const host = $("jv-compare-body");
  if (!host || V.section !== "answers") return;
  const usable = CP.chosen.filter((name) => CP.state.usable.includes(name));
  const suites = CP.state.suites.filter((s) => s.items);
  const source = select(t("compare.source"), CA.source, [["own", t("compare.own")], ...suites.map((s) => [s.name, suiteName(s.name)])], chooseSource);
  const toggle = (key, label) => el("label", { class: "jv-choice is-inline" }, el("input", { type: "checkbox", class: "jv-check", checked: CA[key], "data-toggle": key, onchange: (e) => switchAnswers(key, e.target.checked) }), el("span", {}, label));
  host.replaceChildren(
    el(
      "section",
      { class: "jv-card" },
      el("div", { class: "jv-form-row jv-answer-bar" }, el("label", { class: "jv-label" }, t("compare.source"), source), toggle("diff", t("compare.diff")), CA.source === "own" ? "" : toggle("different", t("compare.only_different"))),
      CA.source === "own" ? askForm(usable) : "",
    ),
    el("div", { id: "jv-answer-rows" }),
  );
  drawAnswerRows();
  if (CA.source !== "own" && !CA.page) loadAnswers();
}

function chooseSource(name) {
  Object.assign(CA, { source: name, page: null, offset: 0, failure: "" });
  drawAnswers();
}

function switchAnswers(key, on) {
  CA[key] = on;
  if (key === "different") Object.assign(CA, { page: null, offset: 0 });
  drawAnswers();
  document.querySelector(`#jv-compare-body [data-toggle="${key}"]`)?.focus();
}

// A prompt of one's own ----------------------------------------------------------------------

function askForm(usable) {
  const going = CA.asked && !CA.asked.done;
  const field = el("textarea", { class: "jv-field", id: "jv-ask-text", rows: "2", maxlength: "20000", "aria-label": t("compare.prompt"), placeholder: t("compare.prompt_hint"), oninput: (e) => (CA.prompt = e.target.value), onkeydown: (e) => sendOnEnter(e, usable) });
  field.value = CA.prompt;
  const missing = CP.chosen.filter((name) => !usable.includes(name));
  return [
    field,
    missing.length ? el("p", { class: "jv-hint" }, t("compare.cannot_answer", { versions: missing.map(nameOf).join(", ") })) : "",
    el(
      "div",
      { class: "jv-row" },
      going ? el("button", { class: "jv-second", id: "jv-ask-stop", onclick: stopAsking }, icon("stop"), t("composer.stop")) : el("button", { class: "jv-primary", id: "jv-ask-go", disabled: !usable.length, onclick: () => askAll(usable) }, t("compare.ask", { count: number(usable.length) })),
    ),
  ];
}

function sendOnEnter(e, usable) {
  if (e.key !== "Enter" || e.shiftKey || composing(e)) return;
  e.preventDefault();
  if (usable.length && (!CA.asked || CA.asked.done)) askAll(usable);
}

function askAll(versions) {
  const prompt = CA.prompt.trim();
  if (!prompt) return void $("jv-ask-text").focus();
  const id = `a${++calls}`;
  CA.asked = { call: id, prompt, versions, texts: {}, ended: {}, done: false, problem: "" };
  jvWires.ask.trigger(jvWires.ask.send, { call: id, versions, text: prompt, lang });
  waitForAnswers(id);
  drawAnswers();
  $("jv-ask-stop")?.focus();
}

// A server that is gone says nothing; neither does Gradio.
function waitForAnswers(id) {
  clearTimeout(CA.timer);
  CA.timer = setTimeout(() => CA.asked?.call === id && !CA.asked.done && endAsked({ message: t("unreachable") }), SILENT_ASK_MS);
}

const stopAsking = () => attempt(() => call("compare_stop", { asking: CA.asked.call }));

function endAsked(error) {
  Object.assign(CA.asked, { done: true, problem: error?.message || "" });
  if (V.tab !== "compare" || V.section !== "answers") return;
  const focused = document.activeElement?.id === "jv-ask-stop" || document.activeElement === document.body;
  drawAnswers();
  if (focused) $("jv-ask-text")?.focus();
}

function onAsked(frame) {
  if (!frame || frame.call !== CA.asked?.call || CA.asked.done) return;
  if (frame.texts) Object.assign(CA.asked, { texts: frame.texts, ended: frame.ended });
  if (frame.error || frame.done) return void (clearTimeout(CA.timer), endAsked(frame.error));
  waitForAnswers(frame.call);
  if (V.tab === "compare" && V.section === "answers") drawAnswerRows();
}

// What a suite's items were answered ---------------------------------------------------------

async function loadAnswers() {
  const seq = ++CA.seq;
  if (!CP.chosen.length) return;
  try {
    const page = await call("compare_answers", { versions: CP.chosen, suite: CA.source, offset: CA.offset, only_different: CA.different });
    if (seq !== CA.seq) return;
    Object.assign(CA, { page, failure: "" });
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (seq !== CA.seq) return;
    CA.failure = error.message;
  }
  drawAnswerRows();
}

function drawAnswerRows() {
  const host = $("jv-answer-rows");
  if (!host) return;
  if (!CP.chosen.length) return void host.replaceChildren(el("p", { class: "jv-card" }, t("compare.choose_some")));
  if (CA.source === "own") return void host.replaceChildren(CA.asked ? ownRow() : "");
  if (!CA.page) return void host.replaceChildren(CA.failure ? failed(CA.failure, loadAnswers) : skeleton());
  const { rows, total, page } = CA.page;
  if (!total) return void host.replaceChildren(el("div", { class: "jv-card jv-empty-line" }, el("p", {}, t(CA.different ? "compare.none_different" : "compare.no_answers")), el("button", { class: "jv-second", onclick: () => showTab("admin", "evaluate") }, t("sections.evaluate"))));
  const step = (by) => {
    CA.offset = Math.max(0, CA.offset + by);
    CA.page = null;
    drawAnswerRows();
    loadAnswers();
    $("jv-compare-body").scrollTo({ top: 0 });
  };
  const pager = el(
    "div",
    { class: "jv-row jv-pages" },
    iconButton("left", t("review.previous"), () => step(-page), { disabled: CA.offset === 0 }),
    el("span", {}, t("review.range", { from: number(CA.offset + 1), to: number(CA.offset + rows.length), total: number(total) })),
    iconButton("right", t("review.next"), () => step(page), { disabled: CA.offset + page >= total }),
  );
  return void host.replaceChildren(...rows.map((row) => answerRow(row, CP.chosen.filter((name) => row.answers[name]))), pager);
}

function ownRow() {
  const a = CA.asked;
  const answers = Object.fromEntries(a.versions.map((name) => [name, { text: a.texts[name] || "", score: null, ended: a.ended[name], going: !a.done && !a.ended[name] }]));
  return el("div", {}, a.problem ? el("p", { class: "jv-alarm", role: "alert" }, a.problem) : "", answerRow({ prompt: a.prompt, answers }, a.versions));
}

function answerRow(row, versions) {
  const first = row.answers[versions[0]]?.text ?? "";
  const settled = versions.every((name) => !row.answers[name].going);
  const facts = [row.group ? groupName(row.group) : "", row.language ? languageName(row.language) : "", row.same ? t("compare.same") : ""].filter(Boolean);
  return el(
    "article",
    { class: "jv-card jv-asked", "data-item": row.item || "" },
    el("p", { class: "jv-asked-prompt" }, row.prompt),
    facts.length ? el("p", { class: "jv-hint" }, facts.join(" · ")) : "",
    el("div", { class: "jv-columns", style: `--columns:${versions.length}` }, versions.map((name, at) => answerColumn(name, row.answers[name], at && CA.diff && settled ? first : null))),
  );
}

function answerColumn(name, answer, before) {
  const done = answer.ended;
  const foot = done ? [done.speed ? t("live.speed", { speed: number(done.speed) }) : "", done.finish === "length" ? t("finish.length") : ""].filter(Boolean).join(" · ") : "";
  const text = before === null ? el("div", { class: "jv-said-text" }, answer.text || (answer.going ? "…" : t("compare.empty"))) : diffNode(before, answer.text);
  return el(
    "div",
    { class: "jv-column", "data-version": name, "aria-busy": String(Boolean(answer.going)) },
    el("h3", {}, el("span", { class: `jv-key ${lookOf(CP.state.names, name)}` }, nameOf(name)), known(answer.score) ? el("span", { class: `jv-tag ${answer.score >= 0.5 ? "is-approved" : "is-pending"}` }, t("figure.points", { points: points(answer.score) })) : ""),
    text,
    foot ? el("p", { class: "jv-hint" }, foot) : "",
  );
}
