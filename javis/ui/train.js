// Train: what will be learned, how, and what it costs. A run itself is drawn by train_live.js.

const TR = {
  state: null, // what the server says, or null before it did
  failure: "",
  method: null,
  preset: "default",
  form: null, // fields and values of the chosen method
  changed: {}, // hyper-parameters that the user changed
  ask: true, // ask before a version that passed goes live
  estimate: null,
  seq: 0,
};

async function openTrain() {
  const host = place("jv-train");
  if (!host.firstChild || host.jvLang !== lang) {
    host.jvLang = lang;
    host.replaceChildren(el("div", { class: "jv-learnpage" }, ["live", "data", "how", "schedule", "history"].map((name) => el("div", { id: `jv-train-${name}` }))));
    $("jv-train-data").replaceChildren(skeleton());
    if (TR.state) drawTrain();
    followWidth(host.firstChild, drawLive);
  }
  await loadTrain();
}

async function loadTrain() {
  try {
    TR.state = await call("train_state");
    TR.failure = "";
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    TR.failure = error.message;
  }
  drawTrain();
  if (!TR.state) return;
  watchRun();
  if (!TR.form) await chooseMethod(TR.method || TR.state.proposal.method);
}

const onTrain = () => V.tab === "admin" && V.section === "train";
const activeJob = () => TR.state?.jobs.find((j) => !j.ended);

function drawTrain() {
  if (!$("jv-train-live")) return;
  if (TR.failure && !TR.state) {
    $("jv-train-data").replaceChildren(failed(TR.failure, loadTrain));
    return;
  }
  drawLive();
  drawWhat();
  drawHow();
  drawSchedule();
  drawRuns();
}

// What will be learned -----------------------------------------------------------------------

function drawWhat() {
  const p = TR.state.proposal;
  const c = p.counts;
  const { pending } = TR.state;
  const big = (value, key) => el("div", {}, el("strong", {}, number(value)), el("span", {}, t(key)));
  const day = (at) => new Date(at).toLocaleDateString(lang, { dateStyle: "medium" });
  const facts = [
    p.languages.length ? p.languages.map(languageName).join(", ") : "",
    p.first_at ? t(day(p.first_at) === day(p.last_at) ? "train.dates_one" : "train.dates", { first: day(p.first_at), last: day(p.last_at) }) : "",
    pending ? t("ready.look", { count: number(pending) }) : "",
  ].filter(Boolean);
  swap(
    $("jv-train-data"),
    card(
      "train.what",
      c.examples + c.pairs + c.judged
        ? [el("div", { class: "jv-numbers" }, big(c.examples, "train.examples"), big(c.pairs, "train.pairs"), big(c.judged, "train.judged")), el("p", { class: "jv-hint" }, facts.join(" · "))]
        : el("p", {}, t("train.nothing")),
      el("div", { class: "jv-row" }, el("button", { class: "jv-second", onclick: () => showTab(c.examples + c.judged || pending ? "review" : "chat") }, t(c.examples + c.judged || pending ? "train.look" : "review.to_chat"))),
    ),
  );
}

// How ----------------------------------------------------------------------------------------

async function chooseMethod(method, preset = "default") {
  const seq = ++TR.seq;
  Object.assign(TR, { method, preset, changed: {}, estimate: null });
  try {
    const form = await call("train_form", { method, preset });
    if (seq !== TR.seq) return;
    TR.form = form;
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    $("jv-train-how").replaceChildren(card("train.how", el("p", { class: "jv-alarm" }, error.message)));
    return;
  }
  drawHow();
  await estimateSoon(0);
}

let estimateTimer = 0;
function estimateSoon(wait = 300) {
  clearTimeout(estimateTimer);
  return new Promise((done) => {
    estimateTimer = setTimeout(() => estimateNow().then(done), wait);
  });
}

async function estimateNow() {
  const seq = TR.seq;
  try {
    const estimate = await call("train_estimate", { method: TR.method, preset: TR.preset, changed: TR.changed });
    if (seq === TR.seq) TR.estimate = estimate;
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (seq === TR.seq) TR.estimate = { failure: error.message, field: error.field };
  }
  drawEstimate();
}

function drawHow() {
  const host = $("jv-train-how");
  if (!TR.form) return host.replaceChildren();
  const p = TR.state.proposal;
  const missing = p.missing[TR.method] || 0;
  const busy = Boolean(activeJob());
  const proposed = TR.method === p.method;
  const choice = select(t("train.method"), TR.method, TR.state.methods.map((m) => [m, `${t(`method.${m.replace("-", "_")}`)}${m === p.method ? ` · ${t("train.proposed")}` : ""}`]), (m) => chooseMethod(m));
  const presets = TR.form.presets.length > 1 ? el("div", { class: "jv-switch", role: "group", "aria-label": t("train.presets") }, TR.form.presets.map((name) => el("button", { "aria-pressed": String(TR.preset === name), onclick: () => chooseMethod(TR.method, name) }, t(`preset.${name}`)))) : "";
  const why = proposed ? t(p.why, numbersIn(p.values)) : t(`method.why_${TR.method.replace("-", "_")}`);
  swap(
    host,
    card(
      "train.how",
      el("div", { class: "jv-form-row" }, el("label", { class: "jv-label" }, t("train.method"), choice)),
      el("p", { class: "jv-why" }, why),
      presets,
      hyperparameterFields(),
      $("jv-estimate") || el("div", { id: "jv-estimate", "aria-live": "polite" }),
      missing ? el("p", { class: "jv-alarm" }, missingWords(missing)) : "",
      el("label", { class: "jv-toggle" }, el("input", { type: "checkbox", role: "switch", class: "jv-onoff", checked: !TR.ask, onchange: (e) => (TR.ask = !e.target.checked) }), el("span", {}, el("strong", {}, t("train.at_once")), el("span", {}, t("train.at_once_hint")))),
      el(
        "div",
        { class: "jv-row jv-start" },
        el("button", { class: "jv-primary", id: "jv-train-start", disabled: busy || Boolean(missing), onclick: () => startRun(false) }, t(TR.state.first ? "train.start_first" : "train.start")),
        el("button", { class: "jv-second", id: "jv-train-dry", disabled: busy || Boolean(missing), title: t("train.dry_hint"), onclick: () => startRun(true) }, t("train.dry")),
        busy ? el("span", { class: "jv-hint" }, t("train.busy")) : "",
      ),
    ),
  );
  return drawEstimate();
}

// What a method still needs, each in what it learns from.
function missingWords(missing) {
  const { liked, disliked } = TR.state.proposal.counts;
  if (TR.method === "kto") return t("train.missing_thumbs", numbersIn({ ...TR.state.thumbs, liked, disliked }));
  const count = number(missing);
  if (TR.method === "dpo") return t(missing === 1 ? "train.missing_pairs_one" : "train.missing_pairs", { count });
  return t(missing === 1 ? "train.missing_examples_one" : "train.missing_examples", { count });
}

const numbersIn = (values) => Object.fromEntries(Object.entries(values || {}).map(([k, v]) => [k, typeof v === "number" ? number(v, 3) : v]));

function drawEstimate() {
  const host = $("jv-estimate");
  const e = TR.estimate;
  if (!host) return "";
  for (const box of document.querySelectorAll(".jv-hyper [id^='jv-h-']")) box.setAttribute("aria-invalid", String(box.id === `jv-h-${e?.field}`));
  if (!e) return host.replaceChildren(el("p", { class: "jv-hint" }, t("loading"))), "";
  if (e.failure) return host.replaceChildren(el("p", { class: "jv-alarm" }, e.failure)), "";
  const fact = (key, value) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, value));
  // A price that is being typed stays as it is.
  const prices = $("jv-prices")?.contains(document.activeElement) ? $("jv-prices") : priceFields();
  for (const node of [...host.children]) if (node !== prices) node.remove();
  if (prices.parentNode !== host) host.append(prices);
  host.prepend(
    el(
      "dl",
      { class: "jv-estimate" },
      fact("estimate.time", roughTime(e.seconds)),
      fact("estimate.memory", megabytes(e.memory_bytes)),
      fact("estimate.disk", megabytes(e.disk_bytes)),
      fact("estimate.cost", Object.entries(e.cost).map(([where, amount]) => t(`estimate.${where}`, { amount: money(amount) })).join(" · ")),
    ),
    e.pauses_chat ? el("p", { class: "jv-alarm", role: "status" }, t("estimate.pauses_chat")) : "",
  );
  return "";
}

const money = (amount) => new Intl.NumberFormat(lang, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", maximumFractionDigits: amount < 1 ? 3 : 2 }).format(amount);

function roughTime(seconds) {
  if (seconds < 90) return t("time.seconds", { count: number(Math.max(1, Math.round(seconds))) });
  if (seconds < 5400) return t("time.minutes", { count: number(Math.round(seconds / 60)) });
  return t("time.hours", { count: number(seconds / 3600, 1) });
}

async function startRun(dry) {
  const started = await attempt(() => call("train_start", { method: TR.method, preset: TR.preset, changed: TR.changed, promote: TR.ask ? "never" : "gate", dry_run: dry }));
  if (!started) return;
  remembered.set("outcome", null);
  await loadTrain();
  $("jv-train-live").scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
}
