// Evaluate: which suites to ask of which versions, how long it takes, how far it is, what came out.

const EV = {
  state: null,
  failure: "",
  versions: null, // chosen, or null before the first look
  suites: null,
  sample: 50, // items of each suite; null: all of them
  timer: 0,
};
const SAMPLES = [20, 50, 100, null];
const EVAL_MS = 1000;

const suiteKey = (name) => name.replaceAll("-", "_");
const suiteName = (name) => t(`suite.${suiteKey(name)}`);
const onEvaluate = () => V.tab === "admin" && V.section === "evaluate";
const goingRun = () => EV.state?.runs.find((r) => r.state === "running");

async function openEvaluate() {
  const host = place("jv-evaluate");
  if (!host.firstChild || host.jvLang !== lang) {
    host.jvLang = lang;
    host.replaceChildren(el("div", { class: "jv-learnpage", id: "jv-evaluate-page" }, ["run", "form", "results"].map((name) => el("div", { id: `jv-eval-${name}` }))));
    $("jv-eval-form").replaceChildren(skeleton());
    if (EV.state) drawEvaluate();
  }
  await loadEvaluate();
}

async function loadEvaluate() {
  try {
    EV.state = await call("eval_state");
    EV.failure = "";
    const names = EV.state.versions.map((v) => v.name);
    EV.versions = (EV.versions || [...new Set(["base", EV.state.current])]).filter((name) => names.includes(name));
    EV.suites ||= EV.state.suites.map((s) => s.name);
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    EV.failure = error.message;
  }
  drawEvaluate();
  watchEvaluation();
}

function drawEvaluate() {
  if (!$("jv-eval-form")) return;
  if (!EV.state) {
    $("jv-eval-form").replaceChildren(failed(EV.failure, loadEvaluate));
    return;
  }
  drawEvalRun();
  drawEvalForm();
  drawEvalResults();
}

// What is going on ---------------------------------------------------------------------------

function watchEvaluation() {
  clearTimeout(EV.timer);
  if (onEvaluate() && goingRun()) EV.timer = setTimeout(askEvaluation, EVAL_MS);
}

async function askEvaluation() {
  const going = goingRun();
  if (!going || !onEvaluate()) return;
  try {
    const run = await call("eval_run", { run: going.id }, 5 * EVAL_MS);
    Object.assign(going, run);
    if (run.state !== "running") return void (await loadEvaluate());
    drawEvalRun();
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (error.code === "no_evaluation") return void (await loadEvaluate());
  }
  watchEvaluation();
}

function drawEvalRun() {
  const host = $("jv-eval-run");
  const run = EV.state.runs[0];
  if (!run || remembered.get("evaluated") === run.id) return host.replaceChildren();
  const share = run.total ? run.done / run.total : 0;
  const going = run.state === "running";
  const facts = [
    t("eval.done", { done: number(run.done), total: number(run.total) }),
    going && run.version ? `${nameOf(run.version)}, ${suiteName(run.suite)}` : "",
    going && known(run.eta_s) ? t("live.eta", { time: roughTime(run.eta_s) }) : "",
  ].filter(Boolean);
  const act = going ? el("button", { class: "jv-second", id: "jv-eval-cancel", onclick: () => cancelEvaluation(run) }, t("cancel")) : iconButton("close", t("decide.put_away"), () => (remembered.set("evaluated", run.id), drawEvalRun()));
  return swap(
    host,
    el(
      "section",
      { class: `jv-card${going ? " jv-live" : ""}`, "data-run": run.id },
      el("div", { class: "jv-card-head" }, el("h2", {}, t("eval.run")), el("span", { class: `jv-tag is-${going ? "on" : run.state}` }, t(`state.${run.state}`)), act),
      el("div", { class: "jv-meter is-big", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(100 * share)), "aria-label": t("eval.run") }, el("i", { style: `width:${(100 * share).toFixed(1)}%` })),
      el("p", { class: "jv-live-facts" }, facts.join(" · ")),
      run.problem ? el("p", { class: "jv-alarm" }, run.problem) : "",
      going ? el("p", { class: "jv-hint" }, t("eval.leave")) : "",
    ),
  );
}

async function cancelEvaluation(run) {
  $("jv-eval-cancel").disabled = true;
  if (await attempt(() => call("eval_cancel", { run: run.id }))) watchEvaluation();
}

// What to ask --------------------------------------------------------------------------------

const evalCount = (suite) => (EV.sample === null ? suite.items : Math.min(EV.sample, suite.items));

function drawEvalForm() {
  const { suites, versions } = EV.state;
  const toggle = (list, name, on) => (on ? [...list, name] : list.filter((n) => n !== name));
  const pick = (kind, name, label, note) =>
    el(
      "label",
      { class: "jv-choice" },
      el("input", { type: "checkbox", class: "jv-check", checked: EV[kind].includes(name), "data-pick": name, onchange: (e) => ((EV[kind] = toggle(EV[kind], name, e.target.checked)), drawEvalStart()) }),
      el("span", {}, el("strong", {}, label), note ? el("span", { class: "jv-hint" }, note) : ""),
    );
  const fields = (key, rows) => el("fieldset", { class: "jv-choices" }, el("legend", {}, t(key)), rows);
  const sample = el("div", { class: "jv-switch", role: "group", "aria-label": t("eval.sample") }, SAMPLES.map((n) => el("button", { "aria-pressed": String(EV.sample === n), onclick: () => ((EV.sample = n), drawEvalForm()) }, n === null ? t("eval.all") : number(n))));
  const was = focusIn($("jv-eval-form"));
  $("jv-eval-form").replaceChildren(
    card(
      "eval.title",
      el("p", { class: "jv-why" }, t("eval.why")),
      fields("eval.versions", versions.map((v) => pick("versions", v.name, v.name === EV.state.current ? t("controls.live", { name: nameOf(v.name) }) : nameOf(v.name)))),
      fields("eval.suites", suites.map((s) => pick("suites", s.name, suiteName(s.name), t(`eval.why_${suiteKey(s.name)}`) + (s.items ? ` · ${t("eval.items", { count: number(s.items) })}` : ` · ${t("eval.none_yet")}`)))),
      el("div", { class: "jv-label jv-sample-size" }, t("eval.sample"), sample),
      el("div", { id: "jv-eval-start-row" }),
    ),
  );
  drawEvalStart();
  focusAgain($("jv-eval-form"), was);
}

function drawEvalStart() {
  const chosen = EV.state.suites.filter((s) => EV.suites.includes(s.name));
  const each = chosen.reduce((sum, s) => sum + evalCount(s), 0);
  const known_ = chosen.filter((s) => known(s.seconds_per_item));
  const seconds = chosen.reduce((sum, s) => sum + evalCount(s) * (s.seconds_per_item || 0), 0) * EV.versions.length;
  const fresh = chosen.some((s) => evalCount(s) && !known(s.seconds_per_item));
  const size = t("eval.size", { items: number(each * EV.versions.length) });
  const time = !each ? "" : known_.length ? t(fresh ? "eval.at_least" : "eval.takes", { time: roughTime(seconds) }) : t("eval.unknown");
  const busy = Boolean(goingRun());
  swap(
    $("jv-eval-start-row"),
    el("p", { class: "jv-hint", "aria-live": "polite" }, [size, time, t("eval.kept")].filter(Boolean).join(" · ")),
    el("div", { class: "jv-row jv-start" }, el("button", { class: "jv-primary", id: "jv-eval-start", disabled: busy || !each || !EV.versions.length, onclick: startEvaluation }, t("eval.start")), busy ? el("span", { class: "jv-hint" }, t("eval.busy")) : ""),
  );
}

async function startEvaluation() {
  const run = await attempt(() => call("eval_start", { versions: EV.versions, suites: EV.suites, sample: EV.sample }));
  if (!run) return;
  remembered.set("evaluated", null);
  EV.state.runs.unshift(run);
  drawEvaluate();
  watchEvaluation();
  $("jv-eval-run").scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
}

// What came out ------------------------------------------------------------------------------

function drawEvalResults() {
  const host = $("jv-eval-results");
  const { suites, reports } = EV.state;
  const folds = openFolds(host);
  const shown = suites.map((s) => [s, reports.filter((r) => r.suite === s.name)]).filter(([, rows]) => rows.length);
  const found = EV.state.harness.length > 0;
  const body = shown.length || found ? shown.map(([suite, rows]) => suiteResult(suite, rows)) : [el("p", { class: "jv-hint" }, t("eval.nothing"))];
  host.replaceChildren(el("section", { class: "jv-card" }, el("div", { class: "jv-card-head" }, el("h2", {}, t("eval.results")), el("button", { class: "jv-second", onclick: () => showTab("compare") }, t("tabs.compare"))), shown.length ? el("p", { class: "jv-hint" }, t("eval.scale")) : "", body, found ? harnessResult(EV.state.harness) : ""));
  closeFolds(host, folds);
}

function suiteResult(suite, rows) {
  const names = EV.state.versions.map((v) => v.name);
  const scored = rows.filter((r) => r.score);
  const line = (r) => ({
    name: nameOf(r.version),
    look: lookOf(names, r.version),
    value: r.score.value,
    low: r.score.low,
    high: r.score.high,
    words: scoreWords(r.score),
  });
  return el(
    "div",
    { class: "jv-suite", "data-suite": suite.name },
    el("h3", {}, suiteName(suite.name)),
    scored.length ? intervalFigure("", scored.map(line)) : "",
    lossesOf(rows),
    el("ul", { class: "jv-hint jv-enough" }, rows.map((r) => el("li", {}, `${nameOf(r.version)}: ${enoughWords(r, suite)}`))),
    scored.length ? groupsFold(suite, scored) : "",
  );
}

// What `javis eval --harness` kept: a row for each number, a column for each version.
function harnessResult(rows) {
  const how = (r) => [r.metric, r.chat ? t("eval.harness_chat") : "", r.limit ? t("eval.harness_limit", { count: number(r.limit) }) : ""].filter(Boolean).join(" · ");
  const place = (r) => `${r.task} ${how(r)}`;
  const names = EV.state.versions.map((v) => v.name).filter((name) => rows.some((r) => r.version === name));
  const lines = [...new Map(rows.map((r) => [place(r), r])).values()];
  const cell = (r) => (r ? (known(r.error) ? t("eval.harness_value", { value: number(r.value, 3), error: number(r.error, 3) }) : number(r.value, 3)) : "–");
  const found = (line, name) => rows.find((r) => r.version === name && place(r) === place(line));
  return el(
    "div",
    { class: "jv-suite", "data-suite": "harness" },
    el("h3", {}, "lm-evaluation-harness"),
    el("p", { class: "jv-hint" }, t("eval.harness")),
    wideTable({}, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("eval.harness_task")), names.map((n) => el("th", { scope: "col" }, nameOf(n))))), el("tbody", {}, lines.map((line) => el("tr", {}, el("th", { scope: "row" }, line.task, el("span", { class: "jv-hint" }, ` ${how(line)}`)), names.map((n) => el("td", {}, cell(found(line, n))))))))),
  );
}

const points = (share, digits = 0) => number(100 * share, digits);
const scoreWords = (e) => t("eval.score", { score: points(e.value, 1), low: points(e.low), high: points(e.high) });

function enoughWords(report, suite) {
  const asked = t("eval.asked", { done: number(report.done), items: number(suite.items) });
  if (!known(report.detects)) return asked;
  const found = t("eval.detects", { points: points(report.detects, 1) });
  const needed = report.items_for_5_points;
  return needed <= report.done ? `${asked} · ${found}` : `${asked} · ${found} · ${t("eval.needs", { items: number(needed), points: number(5) })}`;
}

// Numbers of the suite beside its score, a column for each version.
function lossesOf(rows) {
  const names = [...new Set(rows.flatMap((r) => Object.keys(r.figures)))].filter((name) => `measure.${name}` in TEXTS.en);
  if (!names.length) return "";
  const share = (name) => /^(distinct_|.*_rate$|.*_share$)/.test(name);
  const cell = (r, name) => (known(r.figures[name]) ? (share(name) ? percentOf(r.figures[name], 1) : number(r.figures[name], Math.abs(r.figures[name]) < 10 ? 3 : 1)) : "–");
  return wideTable({}, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("controls.version")), names.map((n) => el("th", { scope: "col" }, t(`measure.${n}`))))), el("tbody", {}, rows.map((r) => el("tr", {}, el("th", { scope: "row" }, nameOf(r.version)), names.map((n) => el("td", {}, cell(r, n))))))));
}

function groupsFold(suite, rows) {
  const groups = [...new Set(rows.flatMap((r) => [...Object.keys(r.languages).map((l) => `lang ${l}`), ...Object.keys(r.groups).map((g) => `group ${g}`)]))];
  if (!groups.length) return "";
  const find = (r, name) => (name.startsWith("lang ") ? r.languages[name.slice(5)] : r.groups[name.slice(6)]);
  const label = (name) => (name.startsWith("lang ") ? languageName(name.slice(5)) : groupName(name.slice(6)));
  const body = groups.map((name) => el("tr", {}, el("th", { scope: "row" }, label(name)), rows.map((r) => el("td", {}, find(r, name) ? scoreWords(find(r, name)) : "–"))));
  return el("details", { class: "jv-fold", "data-fold": `groups ${suite.name}` }, el("summary", {}, t("eval.groups")), wideTable({}, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("eval.group")), rows.map((r) => el("th", { scope: "col" }, nameOf(r.version))))), el("tbody", {}, body))));
}

// Groups are named by the suites; those with words of ours are shown by them.
const groupName = (group) => (`group.${suiteKey(group)}` in TEXTS.en ? t(`group.${suiteKey(group)}`) : group.replaceAll(/[_-]/g, " "));
