// A line chart of our own: a few lines of SVG, its numbers one click away as a table.

const SVG = "http://www.w3.org/2000/svg";
const MAX_POINTS = 400;

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// About `count` round numbers that cover [low, high].
function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

function thinned(points) {
  const every = Math.ceil(points.length / MAX_POINTS);
  return points.filter((_, at) => at % every === 0 || at === points.length - 1);
}

// A running mean, so that the eye finds the trend in the noise; the longer, the more points.
function smoothed(points) {
  const keep = Math.min(0.85, points.length / (points.length + 25));
  let mean = points[0]?.[1];
  return points.map(([x, y]) => [x, (mean = keep * mean + (1 - keep) * y)]);
}

// `series`: [{name, kind: "loss" | "eval", points: [[step, value], …]}]
function curveNode(series, { width = 640, height = 210, total = 0 } = {}) {
  const drawn = series.map((s) => ({ ...s, points: thinned(s.points.filter(([, y]) => Number.isFinite(y))) })).filter((s) => s.points.length);
  const all = drawn.flatMap((s) => s.points);
  if (all.length < 2) return el("p", { class: "jv-hint" }, t("curve.soon"));
  const pad = { left: 46, right: 12, top: 10, bottom: 26 };
  const right = Math.max(total, ...all.map(([x]) => x));
  const ys = all.map(([, y]) => y);
  const low = Math.min(...ys);
  const high = Math.max(...ys);
  const spread = high - low || Math.abs(high) || 1;
  const [bottom, top] = [Math.max(low >= 0 ? 0 : -Infinity, low - spread * 0.08), high + spread * 0.08];
  const x = (v) => pad.left + ((width - pad.left - pad.right) * v) / (right || 1);
  const y = (v) => pad.top + ((height - pad.top - pad.bottom) * (top - v)) / (top - bottom);
  const path = (points) => points.map(([px, py], at) => `${at ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
  const label = (text, at) => svg("text", at, document.createTextNode(text));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "jv-curve-picture", role: "img", "aria-label": series.map((s) => curveWords(s)).filter(Boolean).join(". ") });
  for (const value of ticks(bottom, top, 4)) {
    picture.append(svg("line", { class: "is-grid", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }), label(number(value, 3), { class: "is-tick", x: pad.left - 8, y: y(value) + 4, "text-anchor": "end" }));
  }
  for (const value of ticks(0, right, 5)) picture.append(label(number(value), { class: "is-tick", x: x(value), y: height - 6, "text-anchor": "middle" }));
  for (const s of drawn) {
    if (s.kind === "loss" && s.points.length > 12) picture.append(svg("path", { class: "is-loss is-raw", d: path(s.points) }), svg("path", { class: "is-loss", d: path(smoothed(s.points)) }));
    else picture.append(svg("path", { class: `is-${s.kind}`, d: path(s.points) }));
    if (s.kind === "eval" || s.points.length === 1) for (const [px, py] of s.points) picture.append(svg("circle", { class: `is-${s.kind}`, cx: x(px), cy: y(py), r: 3.5 }));
  }
  return el("figure", { class: "jv-curve" }, el("figcaption", {}, drawn.map((s) => el("span", { class: `is-${s.kind}` }, s.name)), el("span", { class: "jv-hint" }, t("curve.step"))), picture, dataTable(series));
}

function curveWords({ name, points }) {
  if (!points.length) return "";
  return t("curve.words", { name, first: number(points[0][1], 3), last: number(points.at(-1)[1], 3), steps: number(points.at(-1)[0]) });
}

function dataTable(series) {
  const box = el("details", { class: "jv-fold" }, el("summary", {}, t("curve.data")));
  box.addEventListener("toggle", () => {
    box.querySelector("div")?.remove();
    if (!box.open) return;
    const steps = [...new Set(series.flatMap((s) => s.points.map(([at]) => at)))].sort((a, b) => a - b);
    const values = series.map((s) => new Map(s.points));
    const head = el("tr", {}, el("th", { scope: "col" }, t("curve.step")), series.map((s) => el("th", { scope: "col" }, s.name)));
    const rows = steps.map((at) => el("tr", {}, el("th", { scope: "row" }, number(at)), values.map((m) => el("td", {}, m.has(at) ? number(m.get(at), 4) : ""))));
    box.append(el("div", { class: "jv-data" }, el("table", {}, el("thead", {}, head), el("tbody", {}, rows))));
  });
  return box;
}
