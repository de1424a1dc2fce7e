// Compare: versions side by side. Here the frame, the choice of versions, the table and the report;
// figures, answers and votes are in files of their own.

const CP = {
  state: null,
  failure: "",
  making: false, // a report
  chosen: null, // names, in the order they are shown
  table: null, // of the chosen, or null until it came
  sort: { key: "", down: false },
  seq: 0,
};

async function openCompare() {
  const host = place("jv-compare");
  if (!host.firstChild || host.jvLang !== lang) {
    host.jvLang = lang;
    host.replaceChildren(el("div", { class: "jv-compare" }, ["head", "body"].map((name) => el("div", { id: `jv-compare-${name}` }))));
    $("jv-compare-body").replaceChildren(skeleton());
    followWidth($("jv-compare-body"), () => CP.state && drawTable());
  }
  if (CP.state) drawCompare();
  await loadCompare();
}

async function loadCompare() {
  try {
    CP.state = await call("compare_state");
    CP.failure = "";
    const { names } = CP.state;
    CP.chosen = (CP.chosen || firstChoice()).filter((name) => names.includes(name));
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    CP.failure = error.message;
    if (!CP.state) $("jv-compare-body")?.replaceChildren(failed(error.message, loadCompare));
    return;
  }
  drawCompare();
  await loadTable();
}

// The one that answers now, the one before it or else the newest, and the base.
function firstChoice() {
  const { names, current, before } = CP.state;
  const other = before && before !== current ? before : names.at(-1);
  return names.filter((name) => [current, other, "base"].includes(name));
}

function drawCompare() {
  if (!$("jv-compare-head")) return;
  drawCompareHead();
  if (V.section === "answers") showAnswers();
  else if (V.section === "votes") openVotes();
  else drawTable();
}

// Who writes a prompt goes on writing: its form is drawn anew only where something else is asked.
function showAnswers() {
  const { names, usable, suites } = CP.state;
  const key = JSON.stringify([lang, CP.chosen, names, usable, suites]);
  const same = $("jv-ask-text") && CP.answersKey === key;
  CP.answersKey = key;
  if (same) drawAnswerRows();
  else drawAnswers();
}

function drawCompareHead() {
  const { names, current } = CP.state;
  const chip = (name) => el("button", { class: `jv-pill ${CP.chosen.includes(name) ? lookOf(names, name) : ""}`, "aria-pressed": String(CP.chosen.includes(name)), "data-version": name, onclick: () => chooseVersion(name) }, el("i", {}), name === current ? t("controls.live", { name: nameOf(name) }) : nameOf(name));
  swap(
    $("jv-compare-head"),
    el(
      "div",
      { class: "jv-compare-title" },
      el("h1", {}, t("tabs.compare")),
      el("div", { class: "jv-switch", role: "group", "aria-label": t("compare.views") }, VIEWS.compare.map((name) => el("button", { id: `jv-compare-view-${name}`, "aria-pressed": String(V.section === name), onclick: () => showTab("compare", name) }, t(`compare.${name}`)))),
      el("button", { class: "jv-plain", id: "jv-compare-report", onclick: reportDialog }, icon("out"), t("compare.report")),
    ),
    V.section === "votes" ? "" : el("div", { class: "jv-pills", role: "group", "aria-label": t("compare.choose") }, names.map(chip)),
  );
}

async function chooseVersion(name) {
  const on = !CP.chosen.includes(name);
  CP.chosen = CP.state.names.filter((n) => (n === name ? on : CP.chosen.includes(n)));
  CP.table = null;
  CA.page = null;
  drawCompare();
  document.querySelector(`#jv-compare-head [data-version="${CSS.escape(name)}"]`)?.focus();
  await loadTable();
}

async function loadTable() {
  const seq = ++CP.seq;
  if (!CP.chosen.length) return void drawCompare();
  try {
    const table = await call("compare_table", { versions: CP.chosen });
    if (seq !== CP.seq) return;
    CP.table = table;
    CP.failure = "";
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (seq !== CP.seq) return;
    CP.failure = error.message;
  }
  if (V.tab === "compare" && V.section === "table") drawTable();
}

// The table --------------------------------------------------------------------------------

const whole = (value) => number(value);
const signedPercent = (share) => new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero" }).format(share);
// Only what is measured exactly has a best one. Losses and scores are means over some questions:
// whether they differ beyond chance says the difference to the reference.
const COLUMNS = [
  { key: "method", title: "versions.method", text: (r) => methodName(r.method), of: (r) => r.method },
  { key: "eval_loss", of: (r) => r.eval_loss, text: (r) => number(r.eval_loss, 3), better: -1 },
  { key: "loss_change", of: (r) => r.loss_change, text: (r) => signedPercent(r.loss_change), better: -1 },
  { key: "perplexity", of: (r) => r.perplexity, text: (r) => number(r.perplexity, 2), better: -1 },
  { key: "mean_score", of: (r) => r.mean_score, text: (r) => points(r.mean_score, 1), better: 1 },
  { key: "trainable_parameters", of: (r) => r.trainable_parameters, text: (r) => whole(r.trainable_parameters), better: -1, exact: true },
  { key: "seconds", of: (r) => r.seconds, text: (r) => roughTime(r.seconds), better: -1, exact: true },
  { key: "size_bytes", of: (r) => r.size_bytes, text: (r) => megabytes(r.size_bytes), better: -1, exact: true },
  { key: "peak_memory_bytes", of: (r) => r.peak_memory_bytes, text: (r) => megabytes(r.peak_memory_bytes), better: -1, exact: true },
  { key: "cost", of: (r) => r.cost?.local, text: (r) => money(r.cost.local), better: -1, exact: true },
];

function methodName(method) {
  const key = `report.method_${(method || "").replace("-", "_")}`;
  return key in TEXTS.en ? t(key) : method || "–";
}

// The columns that have something to say, the suites after the means.
function columnsOf(table) {
  const suites = table.suites.map((name) => ({ key: `suite ${name}`, words: suiteName(name), of: (r) => r.scores[name]?.estimate?.value, text: (r) => scoreCell(r.scores[name]), better: 1 }));
  const at = COLUMNS.findIndex((c) => c.key === "trainable_parameters");
  return [...COLUMNS.slice(0, at), ...suites, ...COLUMNS.slice(at)].filter((c) => table.rows.some((r) => known(c.of(r)) || (c.key === "method" && r.method)));
}

function scoreCell(score) {
  const d = score.difference;
  const sure = d && (d.low > 0 || d.high < 0);
  const size = d && points(Math.abs(d.value), 1);
  const change = d ? size !== points(0) && el("span", { class: `jv-change${sure ? (d.value > 0 ? " is-up" : " is-down") : ""}`, title: t("compare.difference", { low: points(d.low, 1), high: points(d.high, 1), count: number(score.common) }) }, `${d.value >= 0 ? "+" : "−"}${size}`) : score.common ? el("span", { class: "jv-change", title: t("compare.common", { count: number(score.common) }) }, t("report.too_few")) : "";
  return [points(score.estimate.value, 1), el("small", {}, ` (${rangeWords(points(score.estimate.low), points(score.estimate.high))}) `), change];
}

const columnTitle = (c) => c.words || t(c.title || `report.${c.key}`);

function sortedRows(table, columns) {
  const column = columns.find((c) => c.key === CP.sort.key);
  if (!column) return table.rows;
  const side = CP.sort.down ? -1 : 1;
  // What is not known stays at the end, whichever way.
  const order = (a, b) => (a === b ? 0 : a > b ? side : -side);
  const has = table.rows.filter((r) => column.of(r) !== null && column.of(r) !== undefined);
  return [...has.sort((a, b) => order(column.of(a), column.of(b))), ...table.rows.filter((r) => !has.includes(r))];
}

function sortBy(column) {
  const same = CP.sort.key === column.key;
  CP.sort = { key: column.key, down: same ? !CP.sort.down : column.better === 1 };
  drawTable();
  document.querySelector(`#jv-compare-table [data-sort="${CSS.escape(column.key)}"]`)?.focus();
}

function bestOf(table, column) {
  const values = table.rows.map(column.of).filter(known);
  if (!column.exact || values.length < 2 || new Set(values).size < 2) return null;
  return Math.min(...values);
}

function drawTable() {
  const host = $("jv-compare-body");
  if (!host || V.section !== "table") return;
  if (!CP.chosen.length) return void host.replaceChildren(el("p", { class: "jv-card" }, t("compare.choose_some")));
  if (!CP.table) return void host.replaceChildren(CP.failure ? failed(CP.failure, loadTable) : skeleton());
  const folds = openFolds(host);
  const columns = columnsOf(CP.table);
  const evaluated = CP.table.suites.length > 0;
  host.replaceChildren(
    el(
      "section",
      { class: "jv-card" },
      tableNode(CP.table, columns),
      CP.table.notes.map((note) => noteNode(note)),
      evaluated ? el("p", { class: "jv-hint" }, t("compare.scale", { version: nameOf(CP.table.reference) })) : el("div", { class: "jv-empty-line" }, el("p", {}, t("compare.not_evaluated")), el("button", { class: "jv-second", onclick: () => showTab("admin", "evaluate") }, t("sections.evaluate"))),
    ),
    ...figureCards(CP.table, CP.state.names),
  );
  closeFolds(host, folds);
}

function tableNode(table, columns) {
  const head = (c) => {
    const on = CP.sort.key === c.key;
    return el("th", { scope: "col", "aria-sort": on ? (CP.sort.down ? "descending" : "ascending") : "none" }, el("button", { class: "jv-sort", "data-sort": c.key, onclick: () => sortBy(c) }, columnTitle(c), el("span", { "aria-hidden": "true" }, on ? (CP.sort.down ? " ↓" : " ↑") : "")));
  };
  const best = new Map(columns.map((c) => [c.key, bestOf(table, c)]));
  const cell = (r, c) => {
    const value = c.of(r);
    if (value === null || value === undefined) return el("td", { class: "is-unknown" }, "–");
    return el("td", { class: best.get(c.key) === value ? "is-best" : "" }, c.text(r));
  };
  const name = (r) => el("th", { scope: "row" }, el("span", { class: `jv-key ${lookOf(CP.state.names, r.version)}` }, r.version === CP.state.current ? t("controls.live", { name: nameOf(r.version) }) : nameOf(r.version)));
  return wideTable({ id: "jv-compare-table", role: "region", "aria-label": t("compare.table") }, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("controls.version")), columns.map(head))), el("tbody", {}, sortedRows(table, columns).map((r) => el("tr", { "data-version": r.version }, name(r), columns.map((c) => cell(r, c)))))));
}

// What a reader of the table must know; the values are numbers, versions or a suite.
function noteNode(note) {
  if (note.code === "no_suites") return "";
  const say = (name, value) => (name === "suite" ? suiteName(value) : name === "column" ? reportWord(value) : Array.isArray(value) ? value.map(nameOf).join(", ") : typeof value === "number" ? number(value) : value);
  const values = Object.entries(note.values || {}).map(([name, value]) => [name, say(name, value)]);
  return el("p", { class: "jv-hint" }, t(`report.note_${note.code}`, Object.fromEntries(values)));
}

// A report to keep ---------------------------------------------------------------------------

function reportDialog() {
  const make = el("button", { class: "jv-primary", id: "jv-make-report", onclick: makeReport });
  dialog(t("compare.report"), [el("p", {}, t("compare.report_hint", { versions: (CP.chosen || []).map(nameOf).join(", ") })), el("div", { class: "jv-row" }, make), el("ul", { class: "jv-reports" })], [], { wide: true, onclose: () => $("jv-compare-report")?.focus() });
  paintReports();
}

// The dialog may have been closed, and opened again, while a report is written.
function paintReports() {
  const make = $("jv-make-report");
  if (!make) return;
  make.disabled = CP.making || !CP.chosen?.length;
  make.textContent = t(CP.making ? "compare.making" : "compare.make");
  document.querySelector(".jv-reports").replaceChildren(...CP.state.reports.map(reportLine));
}

async function makeReport() {
  CP.making = true;
  paintReports();
  const done = await attempt(() => call("compare_report", { versions: CP.chosen }, 60000));
  CP.making = false;
  if (done) CP.state.reports = done.reports;
  paintReports();
}

function reportLine(report) {
  const at = (name) => `api/compare/reports/${report.id}${name}`;
  const remove = async () => {
    const done = await attempt(() => call("compare_delete", { report: report.id }));
    if (!done) return;
    CP.state.reports = done.reports;
    paintReports();
  };
  const link = (name, label) => (report.files.includes(name) ? el("a", { class: "jv-link", href: at(`/${name}`), download: "" }, label) : "");
  return el("li", { "data-report": report.id }, el("span", {}, el("strong", {}, whenOf(report.at)), " ", el("span", { class: "jv-hint" }, report.versions.map(nameOf).join(", "))), el("span", { class: "jv-row" }, el("a", { class: "jv-link", href: at(".zip"), download: "" }, t("compare.zip")), link("report.html", "HTML"), link("comparison_summary.csv", "CSV"), iconButton("trash", t("side.delete"), remove)));
}
