// The dashboard: what happened lately, in pictures.

const DB = { days: 30, view: null, seq: 0 };
const DAYS = [7, 30, 90];

async function openDashboard() {
  const host = place("jv-dashboard");
  if (!host.firstChild || host.jvLang !== lang) {
    host.jvLang = lang;
    host.replaceChildren(el("div", { class: "jv-learnpage", id: "jv-dashboard-page" }, skeleton()));
    if (DB.view) drawDashboard();
    followWidth($("jv-dashboard-page"), () => DB.view && drawDashboard());
  }
  await loadDashboard();
}

async function loadDashboard() {
  const seq = ++DB.seq;
  try {
    const view = await call("dashboard", { days: DB.days, zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
    if (seq !== DB.seq) return;
    DB.view = view;
    drawDashboard();
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (!DB.view) $("jv-dashboard-page")?.replaceChildren(failed(error.message, loadDashboard));
    else notice(error.message);
  }
}

function drawDashboard() {
  const host = $("jv-dashboard-page");
  if (!host) return;
  const folds = openFolds(host);
  host.replaceChildren(useCard(host), thumbsCard(host), speedCard(host), readyCard(), runsCard());
  closeFolds(host, folds);
}

const bigNumber = (value, key) => el("div", {}, el("strong", {}, value), el("span", {}, t(key)));
const dayLabels = () => DB.view.days.map((d) => shortDay(d.date));

function useCard(host) {
  const v = DB.view;
  const choose = (days) => {
    DB.days = days;
    drawDashboard();
    loadDashboard();
  };
  const liked = v.thumbs.good + v.thumbs.bad;
  return el(
    "section",
    { class: "jv-card" },
    el("div", { class: "jv-card-head" }, el("h2", {}, t("dash.use")), el("div", { class: "jv-switch", role: "group", "aria-label": t("dash.period") }, DAYS.map((days) => el("button", { "aria-pressed": String(DB.days === days), "data-days": String(days), onclick: () => choose(days) }, t("dash.days", { count: number(days) }))))),
    el("div", { class: "jv-numbers" }, bigNumber(number(v.answers), "dash.answers"), bigNumber(number(v.conversations), "dash.conversations"), bigNumber(number(liked), "dash.thumbs"), liked ? bigNumber(percentOf(v.thumbs.rate), "dash.liked") : ""),
    v.answers ? dayFigure(t("dash.per_day"), dayLabels(), [{ name: t("dash.answers"), look: "is-a", values: v.days.map((d) => d.answers) }], { width: curveWidth(host) }) : el("p", { class: "jv-hint" }, t("dash.no_use")),
  );
}

function thumbsCard(host) {
  const v = DB.view;
  const rows = v.versions.map((s) => {
    const votes = s.good + s.bad;
    const words = votes ? t("versions.thumbs", { good: number(s.good), bad: number(s.bad), rate: number(100 * s.rate), low: number(100 * s.low), high: number(100 * s.high) }) : t("versions.no_thumbs");
    return { name: s.version === v.current ? t("controls.live", { name: nameOf(s.version) }) : nameOf(s.version), value: votes ? s.rate : null, low: s.low, high: s.high, words };
  });
  const any = v.thumbs.good + v.thumbs.bad;
  const series = [
    { name: t("dash.good"), look: "is-a", values: v.days.map((d) => d.good) },
    { name: t("dash.bad"), look: "is-b", values: v.days.map((d) => d.bad) },
  ];
  return el("section", { class: "jv-card", id: "jv-dash-thumbs" }, el("h2", {}, t("dash.thumbs_title")), any ? [intervalFigure("", rows), dayFigure(t("dash.thumbs_per_day"), dayLabels(), series, { width: curveWidth(host), height: 150 })] : el("p", { class: "jv-hint" }, t("dash.no_thumbs")));
}

function speedCard(host) {
  const v = DB.view;
  const seconds = (ms) => t("dash.seconds", { count: number(ms / 1000, ms < 10000 ? 2 : 1) });
  const rate = (value) => number(value, value < 10 ? 1 : 0);
  const head = ["controls.version", "dash.answers", "dash.speed", "dash.speed_slow", "dash.first", "dash.first_slow"];
  const rows = v.speeds.map((s) => [nameOf(s.version), number(s.answers), rate(s.tokens_per_s), rate(s.slow_tokens_per_s), seconds(s.first_token_ms), seconds(s.slow_first_token_ms)]);
  const days = (name, scale) => [{ name, look: "is-a", values: v.days.map((d) => (d[scale] === null ? null : scale === "first_token_ms" ? d[scale] / 1000 : d[scale])) }];
  const table = wideTable({}, el("table", {}, el("thead", {}, el("tr", {}, head.map((key) => el("th", { scope: "col" }, t(key))))), el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, at) => el(at ? "td" : "th", at ? {} : { scope: "row" }, cell)))))));
  const pair = el("div", { class: "jv-two" }, dayFigure(t("dash.speed"), dayLabels(), days(t("dash.speed"), "tokens_per_s"), { width: columnWidth(curveWidth(host)), height: 150, line: true, digits: 1 }), dayFigure(t("dash.first_s"), dayLabels(), days(t("dash.first_s"), "first_token_ms"), { width: columnWidth(curveWidth(host)), height: 150, line: true, digits: 2 }));
  return el("section", { class: "jv-card", id: "jv-dash-speed" }, el("h2", {}, t("dash.speed_title")), rows.length ? [table, el("p", { class: "jv-hint" }, t("dash.speed_hint")), pair] : el("p", { class: "jv-hint" }, t("dash.no_speed")));
}

function readyCard() {
  const r = DB.view.readiness;
  const facts = [t("dash.corrected", { count: number(r.corrected) }), r.need_a_look ? t("ready.look", { count: number(r.need_a_look) }) : ""].filter(Boolean);
  return el(
    "section",
    { class: "jv-card", id: "jv-dash-ready" },
    el("div", { class: "jv-card-head" }, el("h2", {}, t("dash.ready")), el("button", { class: "jv-second", onclick: () => showTab("review") }, t("tabs.review"))),
    el("div", { class: "jv-numbers" }, bigNumber(t("dash.of", { usable: number(r.usable), goal: number(r.goal) }), "dash.usable")),
    el("div", { class: "jv-meter is-big", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(100 * r.share)), "aria-label": t("dash.ready") }, el("i", { style: `width:${(100 * r.share).toFixed(1)}%` })),
    el("p", { class: "jv-hint" }, facts.join(" · ")),
  );
}

function runsCard() {
  const { runs } = DB.view;
  const line = (run) =>
    el(
      "li",
      {},
      el("time", {}, whenOf(run.at)),
      el("span", { class: `jv-tag is-${run.state}` }, t(`state.${run.state}`)),
      el("span", {}, [t(`method.${run.method.replace("-", "_")}`), run.version || "", run.seconds ? roughTime(run.seconds) : "", run.dry_run ? t("train.dry") : ""].filter(Boolean).join(" · ")),
    );
  return el("section", { class: "jv-card", id: "jv-dash-runs" }, el("div", { class: "jv-card-head" }, el("h2", {}, t("dash.runs")), el("button", { class: "jv-second", onclick: () => showTab("admin", "train") }, t("sections.train"))), runs.length ? el("ul", { class: "jv-runlist" }, runs.map(line)) : el("p", { class: "jv-hint" }, t("dash.no_runs")));
}
