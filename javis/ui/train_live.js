// A run while it goes on, and the history of runs. All of it comes from the server again after a
// reload: leaving and coming back changes nothing.

const RUN_MS = 1000;
const MAX_SAMPLES = 4;
const run = { id: null, events: [], last: 0, job: null, timer: 0, asking: false };

const stepsOf = (events, kind) => events.filter((e) => e.kind === kind).map((e) => e.values);
const curveOf = (events) => [
  { name: t("curve.loss"), kind: "loss", points: stepsOf(events, "step").filter((v) => Number.isFinite(v.loss)).map((v) => [v.step, v.loss]) },
  { name: t("curve.eval"), kind: "eval", points: stepsOf(events, "eval").filter((v) => Number.isFinite(v.loss)).map((v) => [v.step, v.loss]) },
];

// The run that is shown at the top: the active one, else the newest until it was put away.
function shownJob() {
  const active = activeJob();
  if (active) return active;
  const [newest] = TR.state.jobs;
  return newest && remembered.get("outcome") !== newest.id ? newest : null;
}

function watchRun() {
  clearTimeout(run.timer);
  const job = shownJob();
  if (!job) return;
  if (run.id !== job.id) Object.assign(run, { id: job.id, events: [], last: 0, job });
  if (!run.asking) askRun();
}

async function askRun() {
  clearTimeout(run.timer);
  if (!onTrain() || !run.id) return;
  const id = run.id;
  run.asking = true;
  let ended = false;
  try {
    const found = await call("train_job", { job: id, after: run.last }, 5 * RUN_MS);
    if (id === run.id) {
      const wasEnded = run.job?.ended;
      run.job = found.job;
      run.events.push(...found.events);
      run.last = found.last;
      run.log = found.log;
      ended = found.job.ended;
      const at = TR.state.jobs.findIndex((j) => j.id === id);
      if (at >= 0) TR.state.jobs[at] = found.job;
      if (ended && wasEnded === false) {
        loadReadiness();
        beat();
        TR.state = (await call("train_state")) || TR.state;
        drawTrain();
      } else drawLive();
    }
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (id === run.id) $("jv-live-problem")?.replaceChildren(error.message);
  }
  run.asking = false;
  if (!ended && onTrain()) run.timer = setTimeout(askRun, RUN_MS);
}

function drawLive() {
  const host = $("jv-train-live");
  const job = TR.state && shownJob();
  if (!host) return;
  if (!job) return host.replaceChildren();
  const known = run.id === job.id;
  const events = known ? run.events : [];
  const shown = { ...job, ...(known ? run.job : {}) };
  if (shown.ended) return drawOutcome(host, shown, events);
  const folds = openFolds(host);
  const p = shown.progress || {};
  const asking = shown.phase === "evaluating" && p.questions;
  const share = asking ? p.asked / p.questions : p.total ? Math.min(1, p.step / p.total) : 0;
  const facts = [
    asking ? t("live.asked", { done: number(p.asked), total: number(p.questions) }) : "",
    p.total && !asking ? t("live.step", { step: number(p.step), total: number(p.total) }) : "",
    Number.isFinite(p.eta_s) && share < 1 ? t("live.eta", { time: roughTime(p.eta_s) }) : "",
    Number.isFinite(p.loss) ? t("live.loss", { loss: number(p.loss, 3) }) : "",
    Number.isFinite(p.learning_rate) ? t("live.rate", { rate: p.learning_rate.toExponential(1) }) : "",
    p.tokens_per_s ? t("live.speed", { speed: number(p.tokens_per_s) }) : "",
    p.memory_bytes ? megabytes(p.memory_bytes) : "",
  ].filter(Boolean);
  host.replaceChildren(
    el(
      "section",
      { class: "jv-card jv-live", "data-job-id": job.id },
      el("div", { class: "jv-card-head" }, el("h2", {}, t(shown.dry_run ? "live.dry" : "live.title", { method: t(`method.${job.method.replace("-", "_")}`) })), el("span", { class: "jv-tag is-on" }, t(`phase.${shown.phase || "queued"}`)), el("button", { class: "jv-second", id: "jv-train-cancel", disabled: shown.phase === "cancelling", onclick: () => cancelRun(job) }, t("cancel"))),
      el("div", { class: "jv-meter is-big", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(100 * share)), "aria-label": t("live.progress") }, el("i", { style: `width:${(100 * share).toFixed(1)}%` })),
      el("p", { class: "jv-live-facts" }, facts.join(" · ") || t("live.soon")),
      warningsNode(events),
      curveNode(curveOf(events), { width: curveWidth(host), total: p.total || 0 }),
      samplesNode(stepsOf(events, "sample")),
      logNode(known ? run.log : ""),
      el("p", { class: "jv-hint" }, t("live.leave")),
      el("p", { id: "jv-live-problem", role: "status" }),
    ),
  );
  closeFolds(host, folds);
}

const curveWidth = (host) => Math.max(280, Math.min(760, (host.clientWidth || 640) - 46));

// What the reader unfolded stays so over the next drawing, and so does the keyboard's place.
const openFolds = (host) => ({ open: new Set([...host.querySelectorAll("details[open]")].map((d) => d.dataset.fold || d.className)), focus: focusIn(host) });
const closeFolds = (host, { open, focus }) => {
  for (const fold of host.querySelectorAll("details")) fold.open = fold.open || open.has(fold.dataset.fold || fold.className);
  focusAgain(host, focus);
};

// What it says now to each prompt, beside what the version in use says. The trainer tells the two
// at different times.
function samplesNode(samples, title = "live.samples") {
  const known = new Map();
  for (const s of samples) {
    const before = known.get(s.prompt);
    known.set(s.prompt, { before: s.before || before?.before || "", after: s.after || before?.after || "" });
  }
  if (!known.size) return "";
  const answer = (key, text) => el("div", {}, el("span", {}, t(key)), el("p", text ? {} : { class: "jv-hint" }, text || t("live.not_yet")));
  return el(
    "div",
    { class: "jv-samples" },
    el("h3", {}, t(title)),
    [...known].slice(-MAX_SAMPLES).map(([prompt, s]) => el("div", { class: "jv-sample" }, el("p", { class: "jv-sample-prompt" }, prompt), answer("live.before", s.before), answer("live.after", s.after))),
  );
}

// What the trainer did otherwise than asked; a resumed run says it again, and it is shown once.
function warningsNode(events) {
  const said = stepsOf(events, "warning").map((v) =>
    v.code === "rows_too_long" ? t("live.rows_too_long", { rows: number(v.rows), limit: number(v.limit) }) : t("live.current_unread", { why: v.message || v.code }),
  );
  return [...new Set(said)].map((sentence) => el("p", { class: "jv-alarm" }, sentence));
}

function logNode(log) {
  return log ? el("details", { class: "jv-fold", "data-fold": "log" }, el("summary", {}, t("live.log")), el("pre", { class: "jv-learned", tabindex: "0" }, log)) : "";
}

async function cancelRun(job) {
  if (await attempt(() => call("train_cancel", { job: job.id }))) await loadTrain();
}

async function resumeRun(job) {
  if (!(await attempt(() => call("train_resume", { job: job.id })))) return;
  run.id = null;
  await loadTrain();
}

// History ------------------------------------------------------------------------------------

function drawRuns() {
  const jobs = TR.state.jobs;
  const host = $("jv-train-history");
  if (!jobs.length) return host.replaceChildren();
  const line = (j) =>
    el(
      "li",
      {},
      el("div", {}, el("strong", {}, j.version || t(`method.${j.method.replace("-", "_")}`)), el("span", { class: `jv-tag is-${j.state}` }, t(`state.${j.state}`)), j.dry_run ? el("span", { class: "jv-tag" }, t("train.dry_tag")) : "", el("span", { class: "jv-hint" }, [j.version ? t(`method.${j.method.replace("-", "_")}`) : "", new Date(j.created_at).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" }), j.took?.seconds ? roughTime(j.took.total_seconds || j.took.seconds) : ""].filter(Boolean).join(" · "))),
      j.reason_text ? el("p", { class: "jv-hint" }, j.reason_text) : "",
      j.ended ? el("button", { class: "jv-link", onclick: () => showRun(j) }, t("train.show")) : "",
    );
  return swap(host, card("train.history", el("ul", { class: "jv-versions jv-runs" }, jobs.map(line))));
}

// Any earlier run in full, in front of the page.
async function showRun(job) {
  const found = await attempt(() => call("train_job", { job: job.id, after: 0 }));
  if (!found) return;
  const body = el("div", { class: "jv-run-body" });
  dialog(t("train.run", { at: whenOf(job.created_at) }), body, [], { wide: true });
  body.replaceChildren(...outcomeParts(found.job, found.events, found.log, 590));
}
