// How a run ended: the gate's verdict in one sentence, its table, before and after, and what to do.

function drawOutcome(host, job, events) {
  const folds = openFolds(host);
  host.replaceChildren(
    el(
      "section",
      { class: `jv-card jv-outcome is-${job.state}`, "data-job-id": job.id },
      el("div", { class: "jv-card-head" }, el("h2", {}, outcomeTitle(job)), el("span", { class: `jv-tag is-${job.state}` }, t(`state.${job.state}`)), iconButton("close", t("decide.put_away"), () => putAway(job))),
      outcomeParts(job, events, run.log, curveWidth(host)),
      el("div", { class: "jv-row jv-start" }, outcomeActions(job)),
    ),
  );
  closeFolds(host, folds);
}

function outcomeTitle(job) {
  if (job.dry_run && job.state === "succeeded") return t("decide.dry_title");
  if (job.state === "succeeded") return t(job.live ? "decide.live_title" : "decide.passed_title", { version: job.version });
  return t(`decide.${job.state}_title`);
}

function outcomeParts(job, events, log, width) {
  const samples = stepsOf(events, "sample");
  const rejected = job.state === "rejected";
  return [
    el("p", { class: "jv-verdict" }, outcomeSentence(job)),
    ...warningsNode(events),
    job.verdict ? gateTable(job.verdict, rejected) : "",
    samplesNode(samples, "decide.samples"),
    events.length ? el("details", { class: "jv-fold", "data-fold": "curve", open: !rejected && !samples.length }, el("summary", {}, t("curve.title")), curveNode(curveOf(events), { width })) : "",
    tookNode(job),
    logNode(log),
  ];
}

function outcomeSentence(job) {
  if (job.dry_run && job.state === "succeeded") return t("decide.dry");
  if (job.overridden_by && job.version) return t("decide.overridden", { version: job.version || "", by: job.overridden_by });
  if (job.reason_text) return job.reason_text;
  if (job.state === "rejected") return gateSentence({ name: job.reason, passed: false, values: job.reason_values });
  if (job.state === "succeeded" && job.verdict) return verdictSentence(job.verdict, job.version);
  return t(`decide.${job.state}`);
}

function verdictSentence(verdict, version) {
  const l = verdict.losses || {};
  const against = l.current === undefined ? "base" : "current";
  if (l.candidate === undefined || l[against] === undefined) return t("decide.passed", { version });
  const percent = Math.abs((100 * (l.candidate - l[against])) / l[against]);
  return t(`decide.passed_${against}`, { version, percent: number(percent, 1), rows: number(verdict.rows) });
}

function gateSentence(check) {
  const key = check.name + (check.passed ? "" : "_no");
  const values = Object.fromEntries(Object.entries(check.values || {}).map(([k, v]) => [k, typeof v === "number" ? number(v, k === "percent" ? 1 : 3) : v]));
  if (values.suite) values.suite = t(`suite.${values.suite.replace("-", "_")}`);
  return t(key, values);
}

function gateTable(verdict, open) {
  const interval = (v) => (typeof v.low === "number" && typeof v.high === "number" ? t("gate.interval", { low: signed(v.low), high: signed(v.high), confidence: number(100 * (v.confidence || 0.95)) }) : "");
  return el(
    "details",
    { class: "jv-fold", "data-fold": "gate", open },
    el("summary", {}, t("gate.title")),
    el(
      "div",
      { class: "jv-data" },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("gate.check")), el("th", { scope: "col" }, t("gate.result")), el("th", { scope: "col" }, t("gate.range")))),
        el("tbody", {}, verdict.checks.map((c) => el("tr", { class: c.passed ? "is-passed" : "is-failed" }, el("td", {}, gateSentence(c)), el("td", {}, el("span", { class: "jv-pass" }, icon(c.passed ? "check" : "close"), t(c.passed ? "gate.passed" : "gate.failed"))), el("td", {}, interval(c.values))))),
      ),
    ),
    lossBars(verdict),
  );
}

const signed = (n) => `${n > 0 ? "+" : ""}${number(n, 3)}`;

// Held-out losses as bars; shorter is better.
function lossBars(verdict) {
  const losses = ["base", "current", "candidate"].filter((name) => Number.isFinite(verdict.losses?.[name]));
  if (losses.length < 2) return "";
  const most = Math.max(...losses.map((n) => verdict.losses[n]));
  return el("div", { class: "jv-bars" }, el("p", { class: "jv-hint" }, t("gate.losses")), losses.map((name) => el("div", { class: `is-${name}` }, el("span", {}, t(`gate.${name}`)), el("i", { style: `width:${(62 * verdict.losses[name]) / most}%` }), el("b", {}, number(verdict.losses[name], 3)))));
}

function tookNode(job) {
  const took = job.took || {};
  const parts = [
    took.seconds ? t("took.time", { time: roughTime(took.total_seconds || took.seconds) }) : "",
    took.steps ? t(took.steps === 1 ? "took.steps_one" : "took.steps", { steps: number(took.steps) }) : "",
    took.peak_memory_bytes ? t("took.memory", { memory: megabytes(took.peak_memory_bytes) }) : "",
    took.cost ? t("took.cost", { cost: money(took.cost) }) : "",
  ].filter(Boolean);
  return parts.length ? el("p", { class: "jv-hint" }, parts.join(" · ")) : "";
}

// What can be done now -----------------------------------------------------------------------

function outcomeActions(job) {
  const now = TR.state.current;
  const keep = el("button", { class: "jv-second", "data-act": "keep", onclick: () => putAway(job) }, now === "base" ? t("decide.keep_base") : t("decide.keep", { version: now }));
  if (job.dry_run) return [el("button", { class: "jv-primary", onclick: () => putAway(job) }, t("decide.ok"))];
  switch (job.state) {
    case "succeeded":
      if (job.live) return [el("button", { class: "jv-second", onclick: () => showTab("admin", "versions") }, t("decide.to_versions")), el("button", { class: "jv-plain", "data-act": "undo", onclick: rollBack }, icon("undo"), t("undo"))];
      return job.version ? [el("button", { class: "jv-primary", "data-act": "promote", onclick: () => promote(job.version) }, t("decide.promote", { version: job.version })), keep] : [];
    case "rejected":
      return [keep, job.can_override ? el("button", { class: "jv-plain", "data-act": "override", onclick: () => override(job) }, t("decide.override")) : "", el("button", { class: "jv-plain", onclick: () => discard(job) }, t("decide.discard"))];
    default:
      return [job.resumable ? el("button", { class: "jv-primary", "data-act": "resume", onclick: () => resumeRun(job) }, t("decide.resume")) : "", el("button", { class: "jv-plain", onclick: () => putAway(job) }, t("decide.put_away"))];
  }
}

function putAway(job) {
  remembered.set("outcome", job.id);
  drawLive();
}

function override(job) {
  const word = t("decide.override_word");
  confirmTyped(t("decide.override_title"), t("decide.override_hint"), word, t("decide.override_go"), async () => {
    if (!(await attempt(() => call("train_override", { job: job.id })))) return;
    await afterSwitch();
    await loadTrain();
  });
}

async function discard(job) {
  if (!(await attempt(() => call("train_discard", { job: job.id })))) return;
  putAway(job);
  await loadTrain();
}
