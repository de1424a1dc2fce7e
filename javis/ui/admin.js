// The admin's view of the running program: facts in plain words, as text.

function megabytes(bytes) {
  return bytes > 2 ** 30 ? `${number(bytes / 2 ** 30, 1)} GB` : `${number(bytes / 2 ** 20, 1)} MB`;
}

function openAdmin() {
  drawSections();
  if (V.section === "train") return openTrain();
  if (V.section === "versions") return openVersions();
  if (V.section === "evaluate") return openEvaluate();
  if (V.section === "dashboard") return openDashboard();
  return openSystem();
}

function drawSections() {
  swap(
    place("jv-sections"),
    el(
      "div",
      { class: "jv-switch jv-sections", role: "group", "aria-label": t("sections.label") },
      VIEWS.admin.map((name) => el("button", { id: `jv-section-${name}`, "aria-pressed": String(V.section === name), onclick: () => showTab("admin", name) }, t(`sections.${name}`))),
    ),
  );
}

// What was changed and is not stored yet is not filled over.
let formChanged = false;
for (const kind of ["input", "change"]) addEventListener(kind, (e) => e.target.closest?.("#jv-defaults") && (formChanged = true));

// The stored values come a moment later. Who could type before would see that moment take it back.
function fillForm() {
  if (formChanged) return;
  $("jv-defaults").classList.add("is-waiting");
  jvWires.calls.trigger("admin_open", { lang });
}

const formFilled = () => $("jv-defaults").classList.remove("is-waiting");

async function openSystem() {
  fillForm();
  const state = await attempt(() => call("admin_state"));
  if (state) paintAdmin(state);
}

function facts(rows) {
  return el("dl", { class: "jv-details" }, rows.filter(([, v]) => v !== "" && v != null).map(([k, v]) => el("div", {}, el("dt", {}, t(k)), el("dd", {}, v))));
}

function card(key, ...children) {
  return el("section", { class: "jv-card" }, el("h2", {}, t(key)), children);
}

// Of a file that shows as 0 MB nothing is worth tidying up.
const LITTLE_BYTES = 2 ** 20 / 20;

function paintAdmin(s) {
  const m = S.model;
  const rows = s.store.rows || {};
  place("jv-state").replaceChildren(
    card(
      "admin.model",
      facts([
        ["about.model", `${m.title} (${m.model})`],
        ["about.engine", `${m.engine} · ${m.device}`],
        ["about.quantization", m.quantization],
        ["about.context", t("about.context_value", { tokens: number(m.context_tokens) })],
        ["admin.parallel", number(m.parallel)],
        ["about.licence", m.licence],
        ["admin.memory", megabytes(s.memory)],
        ["admin.uptime", duration(s.health.uptime_s)],
        ["admin.app", s.health.app_version],
      ]),
      s.why.length ? el("details", {}, el("summary", {}, t("admin.why")), el("ul", {}, s.why.map((w) => el("li", {}, w)))) : "",
    ),
    card(
      "admin.store",
      facts([
        ["admin.conversations", number(rows.conversations || 0)],
        ["admin.turns", number(rows.turns || 0)],
        ["admin.votes", number(rows.feedback || 0)],
        ["admin.size", megabytes(s.store.bytes)],
        ["admin.dead", s.store.bytes < LITTLE_BYTES ? "" : percentOf(s.store.dead_ratio)],
        ["admin.file", s.store.path],
        ["admin.last_backup", whenOf(s.store.last_backup?.at ?? s.store.last_backup) || t("admin.never")],
      ]),
      s.store.private === false ? el("p", { class: "jv-alarm" }, t("admin.not_private")) : "",
      s.store.torn_files?.length ? el("p", { class: "jv-alarm" }, t("admin.torn", { files: s.store.torn_files.join(", ") })) : "",
      el("div", { class: "jv-row" }, el("button", { class: "jv-second", onclick: backUp }, t("admin.backup"))),
    ),
    arenaCard(),
    el("h2", { class: "jv-over" }, t("admin.defaults")),
  );
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return t("admin.just_now");
  return minutes < 60 ? t("admin.uptime_minutes", { minutes: number(minutes) }) : t("admin.uptime_value", { hours: number(Math.floor(minutes / 60)), minutes: number(minutes % 60) });
}

// A path takes a while to read, or to copy.
const PATH_MS = 12000;

async function backUp() {
  const done = await attempt(() => call("admin_backup"));
  if (!done) return;
  paintAdmin(done.state);
  toast(t("admin.backed_up", { path: done.path }), null, PATH_MS);
}

// Replies to Gradio's own buttons.
function onForm(reply) {
  if (reply.error) return notice(reply.error.message);
  toast(t(`saved.${reply.ok.saved}`));
  if (reply.ok.saved === "defaults") {
    formChanged = false;
    // The controls show the new defaults, also after a reload.
    forgetSampling();
    S.prompt = reply.ok.prompt;
    if (!S.id && !S.turns.length) showPrompt();
    loadReadiness();
  }
  return undefined;
}
