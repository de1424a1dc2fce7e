// Versions as a timeline: where each came from, how it was judged, what its users think of it.

const VS = { state: null, failure: "" };

async function openVersions() {
  const host = place("jv-versions");
  if (!host.firstChild || host.jvLang !== lang) {
    host.jvLang = lang;
    host.replaceChildren(el("div", { class: "jv-learnpage", id: "jv-versions-page" }, skeleton()));
    if (VS.state) drawVersions();
  }
  await loadVersions();
}

async function loadVersions() {
  try {
    takeVersions(await call("versions_state"));
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    VS.failure = error.message;
    if (!VS.state) $("jv-versions-page")?.replaceChildren(failed(error.message, loadVersions));
  }
}

function takeVersions(state) {
  VS.state = state;
  VS.failure = "";
  drawVersions();
}

const nameOf = (version) => (version === "base" ? t("controls.base") : version);
// Korean calls a trained one "v1.0 버전", and the base by its name alone.
const ofVersion = (name, base, other, more = {}) => (name === "base" ? t(base, more) : t(other, { version: name, ...more }));
const whenOf = (at) => (at ? new Date(at).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" }) : "");

function drawVersions() {
  const host = $("jv-versions-page");
  if (!host) return;
  const s = VS.state;
  const folds = openFolds(host);
  const file = el("input", { type: "file", id: "jv-version-file", class: "jv-offscreen", accept: ".zip,application/zip", "aria-label": t("versions.import"), onchange: importVersion });
  const newest = s.versions.slice().reverse();
  host.replaceChildren(
    s.pinned ? el("p", { class: "jv-alarm" }, t("versions.pinned")) : "",
    s.notice ? el("p", { class: "jv-alarm" }, s.notice) : "",
    s.drop ? dropNode(s.drop) : "",
    el(
      "section",
      { class: "jv-card" },
      el(
        "div",
        { class: "jv-card-head" },
        el("h2", {}, t("admin.versions")),
        s.before && !s.pinned ? el("button", { class: "jv-second", id: "jv-rollback", onclick: rollBack }, icon("undo"), ofVersion(s.before, "versions.rollback_base", "versions.rollback")) : "",
        el("button", { class: "jv-plain", onclick: () => file.click() }, icon("in"), t("versions.import")),
        el("button", { class: "jv-plain", onclick: refreshVersions, title: t("admin.refresh"), "aria-label": t("admin.refresh") }, icon("again")),
        file,
      ),
      el("ol", { class: "jv-timeline" }, newest.map(versionNode)),
      newest.length === 1 ? el("p", { class: "jv-hint" }, t("versions.none")) : "",
    ),
    s.history.length ? el("section", { class: "jv-card" }, el("details", { class: "jv-fold", "data-fold": "history" }, el("summary", {}, t("versions.history")), el("ul", { class: "jv-history" }, s.history.map((e) => el("li", {}, el("time", {}, whenOf(e.at)), " ", t(e.reason === "rolled_back" && (e.to || e.from || "base") === "base" ? "history.rolled_back_base" : `history.${e.reason}`, { before: nameOf(e.from || "base"), after: nameOf(e.to || e.from || "base") }), el("span", { class: "jv-hint" }, ` ${e.by}${e.note ? ` · ${e.note}` : ""}`)))))) : "",
  );
  closeFolds(host, folds);
}

function dropNode(d) {
  const percent = (thumbs) => number(100 * thumbs.rate, 0);
  return el(
    "div",
    { class: "jv-notice jv-drop", role: "status" },
    el("p", {}, t("versions.drop", { version: nameOf(d.version), before: nameOf(d.before), now: percent(d.now), then: percent(d.then), count: number(d.now.good + d.now.bad) })),
    el("button", { class: "jv-primary", onclick: rollBack }, ofVersion(d.before, "versions.rollback_base", "versions.rollback")),
  );
}

function versionNode(v) {
  const promotable = v.usable && !v.current && !VS.state.pinned;
  return el(
    "li",
    { class: `jv-version${v.current ? " is-current" : ""}${v.refused ? " is-refused" : ""}`, "data-version": v.name },
    el(
      "div",
      { class: "jv-version-head" },
      el("strong", {}, nameOf(v.name)),
      v.current ? el("span", { class: "jv-tag is-on" }, t("admin.live")) : "",
      v.refused ? el("span", { class: "jv-tag is-bad" }, t("admin.refused")) : "",
      v.verdict ? el("span", { class: `jv-tag ${v.verdict.passed ? "is-approved" : "is-pending"}` }, t(v.verdict.passed ? "versions.gate_passed" : "versions.gate_overridden")) : "",
      el("span", { class: "jv-gap" }),
      promotable ? el("button", { class: "jv-second", "data-act": "promote", onclick: () => promote(v.name) }, t("versions.promote")) : "",
      v.name === "base" ? "" : iconButton("more", t("versions.menu", { version: v.name }), (e) => versionMenu(v, e.currentTarget), { "aria-haspopup": "menu" }),
    ),
    v.refused ? el("p", { class: "jv-alarm" }, v.refused) : "",
    el("p", { class: "jv-version-line" }, versionLine(v)),
    thumbsNode(v.thumbs, v.name),
    v.sha256 ? versionFold(v) : "",
  );
}

// The method as the form calls it; an imported adapter's may be of another name.
function methodWords(method) {
  const key = `method.${(method || "").replace("-", "_")}`;
  return key in TEXTS.en ? t(key) : method;
}

const turnsOf = ({ total_turns: count }) => (count ? t(count === 1 ? "versions.turns_one" : "versions.turns", { count: number(count) }) : "");

function versionLine(v) {
  if (v.name === "base") return [v.base_model, t("versions.engine", { engine: VS.state.engine })].join(" · ");
  const data = v.training_data || {};
  return [
    v.parent ? t("versions.after", { parent: v.parent }) : "",
    methodWords(v.method),
    turnsOf(data),
    v.promoted_at ? t("versions.live_since", { at: whenOf(v.promoted_at) }) : v.created_at ? t("versions.made", { at: whenOf(v.created_at) }) : "",
    v.usable ? t("versions.engine", { engine: VS.state.engine }) : "",
    v.notes,
  ]
    .filter(Boolean)
    .join(" · ");
}

// Thumbs as a share with its interval: a wide band says "not enough votes yet".
function thumbsNode(thumbs, name) {
  const votes = thumbs.good + thumbs.bad;
  if (!votes) return el("p", { class: "jv-hint jv-thumbs" }, t("versions.no_thumbs"));
  const percent = (n) => `${(100 * n).toFixed(1)}%`;
  const words = t("versions.thumbs", { good: number(thumbs.good), bad: number(thumbs.bad), rate: number(100 * thumbs.rate), low: number(100 * thumbs.low), high: number(100 * thumbs.high) });
  return el("div", { class: "jv-thumbs" }, el("div", { class: "jv-interval", role: "img", "aria-label": `${nameOf(name)}: ${words}` }, el("i", { class: "is-band", style: `left:${percent(thumbs.low)};width:${percent(thumbs.high - thumbs.low)}` }), el("i", { class: "is-rate", style: `left:${percent(thumbs.rate)}` })), el("span", {}, words));
}

function versionFold(v) {
  const points = (key, ...names) => (v.curve || []).map((row) => [row.step, names.map((n) => row[n]).find(Number.isFinite)]).filter(([step, value]) => Number.isFinite(step) && Number.isFinite(value));
  const config = Object.entries(flat(v.training_config)).filter(([name, value]) => `hyper.${name}` in TEXTS.en && (!ONLY_FOR[name] || ONLY_FOR[name].test(v.method)) && value !== null && value !== "" && value !== false);
  const data = v.training_data || {};
  const dates = Array.isArray(data.date_range) ? data.date_range.filter(Boolean).map((at) => new Date(at).toLocaleDateString(lang)) : [];
  const series = [
    { name: t("curve.loss"), kind: "loss", points: points("loss", "loss") },
    { name: t("curve.eval"), kind: "eval", points: points("eval", "eval", "eval_loss") },
  ];
  return el(
    "details",
    { class: "jv-fold", "data-fold": `version ${v.name}` },
    el("summary", {}, t("msg.details")),
    facts([
      ["versions.parent", v.parent ? v.parent : t("controls.base")],
      ["versions.data", [data.total_conversations ? t(data.total_conversations === 1 ? "versions.conversations_one" : "versions.conversations", { count: number(data.total_conversations) }) : "", turnsOf(data), dates.join(" – ")].filter(Boolean).join(" · ")],
      ["versions.method", methodWords(v.method)],
      ["versions.config", config.map(([name, value]) => `${t(`hyper.${name}`)} ${settingWords(name, value)}`).join(" · ")],
      ["versions.base", v.base_model],
      ["versions.made_at", whenOf(v.created_at)],
      ["versions.promoted", v.promoted_at ? `${whenOf(v.promoted_at)} · ${v.promoted_by}` : ""],
      ["versions.overridden", v.overridden_by],
      ["versions.sha", v.sha256],
    ]),
    v.verdict?.checks ? gateTable(v.verdict, true) : "",
    series.some((s) => s.points.length > 1) ? curveNode(series, { width: 560 }) : "",
    v.samples?.length ? samplesNode(v.samples, "decide.samples") : "",
  );
}

function settingWords(name, value) {
  if (typeof value === "number") return plainNumber(value);
  if (value === true) return t("versions.on");
  return name === "scheduler" && `hyper.choice_${value}` in TEXTS.en ? t(`hyper.choice_${value}`) : value;
}

// Some settings matter to some methods only.
const LORA = /^(?!.*(ia3|prompt))/;
const ONLY_FOR = { rank: LORA, alpha: LORA, dropout: LORA, target_modules: LORA, keep: /sft/, beta: /dpo|kto/, replay: /dpo/, desirable_weight: /kto/, undesirable_weight: /kto/, virtual_tokens: /prompt/ };

// The configuration without nesting, as name and value.
function flat(config) {
  const found = {};
  for (const [name, value] of Object.entries(config || {})) {
    if (value && typeof value === "object" && !Array.isArray(value)) Object.assign(found, flat(value));
    else found[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return found;
}

function versionMenu(v, button) {
  menu(button, [
    { icon: "copy", label: t("versions.copy_sha"), run: () => copyText(v.sha256 || "", button) },
    v.can_delete ? { icon: "trash", label: t("side.delete"), run: () => deleteVersion(v) } : { icon: "info", label: t("versions.kept"), run: () => toast(v.kept || t("versions.kept")) },
  ]);
}

// Switching ----------------------------------------------------------------------------------

// After a switch: the list, the dropdown of the chat and the run that led here.
async function afterSwitch() {
  remembered.set("version", null);
  await beat();
  if (V.section === "versions") await loadVersions();
  else if (onTrain()) await loadTrain();
}

// One switch at a time: the second half of a double click would go back one version more.
let switching = false;
async function switchAlone(work) {
  if (switching) return;
  switching = true;
  try {
    await work();
  } finally {
    switching = false;
  }
}

const promote = (name) => switchAlone(() => promoteNow(name));
const rollBack = () => switchAlone(rollBackNow);

async function promoteNow(name) {
  const before = VS.state?.current ?? TR.state?.current;
  if (!(await attempt(() => call("version_promote", { version: name })))) return;
  await afterSwitch();
  toast(ofVersion(name, "versions.now_live_base", "versions.now_live"), before && before !== name ? { label: t("undo"), run: rollBack, about: "version" } : null);
}

async function rollBackNow() {
  const done = await attempt(() => call("version_rollback"));
  if (!done) return;
  await afterSwitch();
  toast(ofVersion(done.version, "versions.now_live_base", "versions.now_live"), { label: t("undo"), run: () => promote(done.before), about: "version" });
}

function deleteVersion(v) {
  confirmTyped(t("versions.delete_title", { version: v.name }), t("versions.delete_hint"), v.name, t("side.delete"), async () => {
    const state = await attempt(() => call("version_delete", { version: v.name }));
    if (!state) return;
    takeVersions(state);
    beat();
    toast(t("versions.deleted", { version: v.name }));
  });
}

async function importVersion(event) {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file) return;
  toast(t("versions.importing"));
  const failed = ({ code, message }) => {
    throw new CallError({ code, message: t("versions.import_failed", { why: message }) });
  };
  const done = await attempt(() => upload("api/versions/import", "application/zip", file).catch(failed));
  if (!done) return;
  await loadVersions();
  beat();
  toast(t("versions.imported", { version: done.name || done.version || "" }));
}

async function refreshVersions() {
  const state = await attempt(() => call("versions_refresh"));
  if (!state) return;
  takeVersions(state);
  await beat();
  toast(t("admin.refreshed"));
}
