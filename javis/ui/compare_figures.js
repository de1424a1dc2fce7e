// The figures of a comparison, drawn from the same plain data as the PNGs of a report.

const UNITS = {
  nats: (v) => number(v, 3),
  score: (v) => points(v, 1),
  change: (v) => signedPercent(v),
  s: (v) => roughTime(v),
  parameters: (v) => compact(v),
  bytes: (v) => megabytes(v),
  dollars: (v) => money(v),
  turns: (v) => number(v),
  steps: (v) => number(v),
  "": (v) => number(v, 2),
};
const unitOf = (unit) => UNITS[unit] || UNITS[""];
const compact = (value) => new Intl.NumberFormat(lang, { notation: "compact", maximumSignificantDigits: 3 }).format(value);
const SHOWN = ["benchmark", "model_comparison", "efficiency", "trade_off", "training_curves", "filter_statistics"];

const reportWord = (key) => (`report.${key}` in TEXTS.en ? t(`report.${key}`) : key);
const seriesName = (panel, name) => (panel.title === "cost" ? t(`report.cost_${name.replace("cost_", "")}`) : reportWord(name));

function figureCards(table, names) {
  const host = $("jv-compare-body");
  return SHOWN.map((name) => table.figures[name]).filter((f) => f && !f.empty).map((f) => figureCard(f, names, host));
}

function figureCard(figure, names, host) {
  const filled = figure.panels.filter((p) => p.series.some((s) => s.values.some(known)));
  const wide = panelWidth(host, filled.length);
  return el("section", { class: "jv-card", "data-figure": figure.name }, el("h2", {}, t(`report.figure_${figure.name}`)), el("p", { class: "jv-hint" }, t(`report.why_${figure.name}`)), el("div", { class: filled.length > 1 ? "jv-two" : "" }, filled.map((p) => panelNode(p, names, wide))));
}

// One panel fills the card; several stand beside each other where there is room.
function panelWidth(host, count) {
  const room = Math.max(280, host.clientWidth - 96);
  return count === 1 ? Math.min(940, room) : Math.min(460, columnWidth(room));
}

function panelNode(panel, names, width) {
  if (panel.kind === "lines") return linesPanel(panel, names, width);
  if (panel.kind === "points") return pointsPanel(panel, names, width);
  return barsPanel(panel, names);
}

const panelTitle = (panel) => el("figcaption", {}, el("strong", {}, reportWord(panel.title)), panel.better ? el("span", { class: "jv-hint" }, t(`compare.${panel.better}`)) : "");

function categoryName(panel, name) {
  if (panel.named === "suite") return suiteName(name);
  if (panel.named === "status") return t(`status.${name}`);
  if (panel.named === "flag") return t(`flag.${name}`);
  return nameOf(name);
}

// Bars lie, so that names of any length and screens of any width are fine.
function barsPanel(panel, names) {
  const say = unitOf(panel.y_unit);
  const values = panel.series.flatMap((s) => [...s.values, ...(s.high || [])]).filter(known).map(Math.abs);
  const top = panel.y_unit === "score" ? 1 : Math.max(...values, 1e-12);
  const many = panel.series.length > 1 || panel.named === "suite";
  const ofVersions = !panel.named;
  const bar = (s, at, label, look) => {
    const value = s.values[at];
    if (!known(value)) return "";
    const [low, high] = [s.low?.[at], s.high?.[at]];
    const percent = (v) => `${((100 * Math.abs(v)) / top).toFixed(2)}%`;
    const words = known(low) ? `${say(value)} (${rangeWords(say(low), say(high))})` : say(value);
    const whisker = known(low) ? el("i", { class: "is-range", style: `left:${percent(low)};right:calc(100% - ${percent(high)})` }) : "";
    return el("div", { class: "jv-level" }, el("span", { class: "jv-measure-name" }, label), el("span", { class: `jv-level-track ${look}`, role: "img", "aria-label": `${label}: ${words}` }, el("i", { class: "is-bar", style: `width:${percent(value)}` }), whisker), el("span", { class: "jv-measure-words" }, words));
  };
  const rows = panel.categories.map((name, at) => {
    const title = categoryName(panel, name);
    if (!many) return bar(panel.series[0], at, title, ofVersions ? lookOf(names, name) : "is-a");
    const label = (s) => (ofVersions ? seriesName(panel, s.name) : nameOf(s.name));
    const bars = panel.series.map((s, n) => bar(s, at, label(s), ofVersions ? LOOKS[n % LOOKS.length] : lookOf(names, s.name)));
    return bars.some(Boolean) ? el("div", { class: "jv-level-group" }, el("h3", {}, title), bars) : "";
  });
  const head = [t("compare.what"), ...panel.series.map((s) => (names.includes(s.name) ? nameOf(s.name) : seriesName(panel, s.name)))];
  const cells = panel.categories.map((name, at) => [categoryName(panel, name), ...panel.series.map((s) => (known(s.values[at]) ? say(s.values[at]) : "–"))]);
  return el("figure", { class: "jv-figure" }, panelTitle(panel), el("div", { class: "jv-levellist" }, rows), figureTable(head, cells));
}

// The ends of an axis with a little air, never below zero for what cannot be.
function spanOf(values, zero = false) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const air = (high - low || Math.abs(high) || 1) * 0.1;
  return [zero && low >= 0 ? 0 : low >= 0 ? Math.max(0, low - air) : low - air, high + air];
}

function axes(panel, xs, ys, { width, height }) {
  const pad = { left: 58, right: 18, top: 12, bottom: 40 };
  const [left, right] = spanOf(xs, true);
  const [bottom, top] = spanOf(ys);
  const x = (v) => pad.left + ((width - pad.left - pad.right) * (v - left)) / (right - left || 1);
  const y = (v) => pad.top + ((height - pad.top - pad.bottom) * (top - v)) / (top - bottom || 1);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "jv-figure-picture", role: "img", tabindex: "0" });
  for (const v of ticks(bottom, top, 4)) picture.append(svg("line", { class: "is-grid", x1: pad.left, x2: width - pad.right, y1: y(v), y2: y(v) }), tick(unitOf(panel.y_unit)(v), pad.left - 8, y(v) + 4, "end"));
  for (const v of ticks(left, right, 4)) picture.append(tick(panel.x_unit === "s" ? number(v) : compact(v), x(v), height - 22, "middle"));
  picture.append(tick(reportWord(panel.x_title), (pad.left + width - pad.right) / 2, height - 4, "middle"));
  return { picture, x, y };
}

function linesPanel(panel, names, width) {
  const height = 240;
  const drawn = panel.series.filter((s) => s.values.some(known));
  const { picture, x, y } = axes(panel, drawn.flatMap((s) => s.x), drawn.flatMap((s) => s.values.filter(known)), { width, height });
  for (const s of drawn) {
    const path = thinned(s.x.map((px, at) => [px, s.values[at]]).filter(([, py]) => known(py)));
    const line = path.map(([px, py], at) => `${at ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
    picture.append(svg("path", { class: lookOf(names, s.name), d: line }));
    if (path.length < 30) for (const [px, py] of path) picture.append(svg("circle", { class: lookOf(names, s.name), cx: x(px), cy: y(py), r: 3 }));
  }
  picture.setAttribute("aria-label", `${reportWord(panel.title)}. ${drawn.map((s) => curveWords({ name: nameOf(s.name), points: s.x.map((px, at) => [px, s.values[at]]) })).join(". ")}`);
  const legend = drawn.map((s) => el("span", { class: `jv-key ${lookOf(names, s.name)}` }, nameOf(s.name)));
  const steps = [...new Set(drawn.flatMap((s) => s.x))].sort((a, b) => a - b);
  const cells = steps.map((step) => [number(step), ...drawn.map((s) => (s.x.includes(step) ? number(s.values[s.x.indexOf(step)], 4) : ""))]);
  const caption = panelTitle(panel);
  caption.append(...legend);
  return el("figure", { class: "jv-figure" }, caption, picture, figureTable([t("curve.step"), ...drawn.map((s) => nameOf(s.name))], cells));
}

function pointsPanel(panel, names, width) {
  const height = 260;
  const drawn = panel.series.filter((s) => known(s.values[0]) && known(s.x[0]));
  const { picture, x, y } = axes(panel, drawn.map((s) => s.x[0]), drawn.map((s) => s.values[0]), { width, height });
  const say = (s) => `${nameOf(s.name)}: ${reportWord(panel.title)} ${unitOf(panel.y_unit)(s.values[0])}, ${reportWord(panel.x_title)} ${unitOf(panel.x_unit)(s.x[0])}`;
  for (const s of drawn) {
    const right = x(s.x[0]) > width * 0.75;
    const dot = svg("circle", { class: lookOf(names, s.name), cx: x(s.x[0]), cy: y(s.values[0]), r: 6 });
    dot.append(svg("title", {}, document.createTextNode(say(s))));
    picture.append(dot, svg("text", { class: "is-label", x: x(s.x[0]) + (right ? -10 : 10), y: y(s.values[0]) - 8, "text-anchor": right ? "end" : "start" }, document.createTextNode(nameOf(s.name))));
  }
  picture.setAttribute("aria-label", drawn.map(say).join(". "));
  const cells = drawn.map((s) => [nameOf(s.name), unitOf(panel.x_unit)(s.x[0]), unitOf(panel.y_unit)(s.values[0])]);
  return el("figure", { class: "jv-figure" }, panelTitle(panel), picture, figureTable([t("controls.version"), reportWord(panel.x_title), reportWord(panel.title)], cells));
}
