// Figures of our own: columns and lines over days, and values with their intervals. Each can be
// read with the pointer, with the arrow keys and as a table.

const FIGURE = { left: 46, right: 14, top: 12, bottom: 26 };

const percentOf = (share, digits = 0) => (share === null || share === undefined ? "" : new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: digits }).format(share));
const shortDay = (date, how = { month: "short", day: "numeric" }) => new Date(`${date}T00:00:00`).toLocaleDateString(lang, how);
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

const rangeWords = (low, high) => t("figure.range", { low, high });

// How wide one of a pair is (`.jv-two`): half of the room, or all of it where they are stacked.
const PAIR_GAP = 24;
const columnWidth = (room) => (room < 2 * 270 + PAIR_GAP ? room : (room - PAIR_GAP) / 2);

// What is drawn for a width is drawn anew for another: a turned phone, a hidden sidebar. The few
// pixels of a scroll bar change nothing.
const drawnFor = new WeakMap();
const widths = new ResizeObserver((found) => {
  for (const { target, contentRect } of found) {
    const drawn = drawnFor.get(target);
    if (!contentRect.width || Math.abs(contentRect.width - drawn.width) < 20) continue;
    const first = !drawn.width;
    drawn.width = contentRect.width;
    clearTimeout(drawn.timer);
    if (!first) drawn.timer = setTimeout(() => target.isConnected && drawn.draw(), 150);
  }
});

function followWidth(host, draw) {
  drawnFor.set(host, { draw, width: 0, timer: 0 });
  widths.observe(host);
}

// A table that scrolls by itself fades at the edge behind which it goes on.
const paintEdge = (box) => box.classList.toggle("is-cut", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
const edges = new ResizeObserver((found) => found.forEach(({ target }) => paintEdge(target)));

function wideTable(props, table) {
  const box = el("div", { class: "jv-data jv-wide", tabindex: "0", onscroll: (e) => paintEdge(e.target), ...props }, table);
  edges.observe(box);
  return box;
}

// The numbers of a picture as a table, made when it is unfolded.
function figureTable(head, rows) {
  const box = el("details", { class: "jv-fold", "data-fold": `table ${head.join(" ")}` }, el("summary", {}, t("curve.data")));
  box.addEventListener("toggle", () => {
    box.querySelector("div")?.remove();
    if (!box.open) return;
    const cell = (value, at) => el(at ? "td" : "th", at ? {} : { scope: "row" }, value);
    box.append(el("div", { class: "jv-data", tabindex: "0" }, el("table", {}, el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col" }, h)))), el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell)))))));
  });
  return box;
}

const legendOf = (series) => (series.length > 1 ? series.map((s) => el("span", { class: `jv-key ${s.look}` }, s.name)) : []);

// `series`: [{name, look, values: [number or null, …]}], a value for each of `labels`.
function dayFigure(title, labels, series, { width = 640, height = 180, line = false, digits = 0, unit = "" } = {}) {
  const say = (at) => `${labels[at]}: ${series.map((s) => `${series.length > 1 ? `${s.name} ` : ""}${known(s.values[at]) ? `${number(s.values[at], digits)}${unit}` : "–"}`).join(" · ")}`;
  const read = el("output", { class: "jv-read", "aria-live": "polite" });
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "jv-figure-picture", role: "img", tabindex: "0", "aria-label": `${title}. ${t("figure.arrows")}` });
  drawDays(picture, labels, series, { width, height, line, digits });
  reading(picture, labels.length, { width }, (at) => {
    read.textContent = at === null ? "" : say(at);
  });
  const rows = labels.map((label, at) => [label, ...series.map((s) => (known(s.values[at]) ? `${number(s.values[at], digits)}${unit}` : ""))]);
  return el("figure", { class: "jv-figure" }, el("figcaption", {}, el("strong", {}, title), legendOf(series), read), picture, figureTable([t("figure.day"), ...series.map((s) => s.name)], rows));
}

function drawDays(picture, labels, series, { width, height, line, digits }) {
  const sums = labels.map((_, at) => series.reduce((sum, s) => sum + (s.values[at] || 0), 0));
  const highest = Math.max(line ? Math.max(0, ...series.flatMap((s) => s.values.filter(known))) : Math.max(...sums), digits ? 0.1 : 4) * 1.06;
  const slot = (width - FIGURE.left - FIGURE.right) / labels.length;
  const x = (at) => FIGURE.left + slot * (at + 0.5);
  const y = (value) => height - FIGURE.bottom - ((height - FIGURE.top - FIGURE.bottom) * value) / highest;
  for (const value of ticks(0, highest, 3)) picture.append(svg("line", { class: "is-grid", x1: FIGURE.left, x2: width - FIGURE.right, y1: y(value), y2: y(value) }), tick(number(value, digits), FIGURE.left - 8, y(value) + 4, "end"));
  const every = Math.ceil(labels.length / Math.max(2, Math.floor(width / 90)));
  labels.forEach((label, at) => (labels.length - 1 - at) % every === 0 && picture.append(tick(label, Math.min(x(at), width - 26), height - 6, "middle")));
  picture.append(svg("rect", { class: "is-marker", y: FIGURE.top, height: height - FIGURE.top - FIGURE.bottom, width: slot, x: -999 }));
  if (line) return series.forEach((s) => dayLine(picture, s, x, y));
  const bar = Math.max(1.5, Math.min(26, slot * 0.68));
  return labels.forEach((_, at) => {
    let base = 0;
    for (const s of series) {
      const value = s.values[at] || 0;
      if (value) picture.append(svg("rect", { class: s.look, x: x(at) - bar / 2, width: bar, y: y(base + value), height: Math.max(1, y(base) - y(base + value)), rx: Math.min(2, bar / 4) }));
      base += value;
    }
  });
}

const tick = (text, x, y, anchor) => svg("text", { class: "is-tick", x, y, "text-anchor": anchor }, document.createTextNode(text));

// A line with a dot for each day that has a value; days without one leave a gap.
function dayLine(picture, s, x, y) {
  let pen = "M";
  let path = "";
  s.values.forEach((value, at) => {
    if (!known(value)) return void (pen = "M");
    path += `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
  });
  picture.append(svg("path", { class: s.look, d: path }));
  s.values.forEach((value, at) => known(value) && picture.append(svg("circle", { class: s.look, cx: x(at), cy: y(value), r: 3 })));
}

// Which of `count` slots the pointer or the arrow keys are on.
function reading(picture, count, { width }, show) {
  let at = null;
  const slot = (width - FIGURE.left - FIGURE.right) / count;
  const go = (to) => {
    at = to === null ? null : Math.max(0, Math.min(count - 1, to));
    picture.querySelector(".is-marker")?.setAttribute("x", at === null ? -999 : FIGURE.left + slot * at);
    show(at);
  };
  picture.addEventListener("pointermove", (e) => {
    const box = picture.getBoundingClientRect();
    go(Math.floor((((e.clientX - box.left) * width) / box.width - FIGURE.left) / slot));
  });
  picture.addEventListener("pointerleave", () => go(null));
  picture.addEventListener("blur", () => go(null));
  picture.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (!step) return;
    e.preventDefault();
    e.stopPropagation();
    go(at === null ? count - 1 : at + step);
  });
}

// `rows`: [{name, look, value, low, high, words}]: a dot in a band, all on one scale.
function intervalFigure(title, rows, { low = 0, high = 1, format = percentOf, head = "" } = {}) {
  const at = (value) => `${((100 * (Math.max(low, Math.min(high, value)) - low)) / (high - low || 1)).toFixed(2)}%`;
  const lines = rows.map((r) =>
    el(
      "div",
      { class: "jv-measure" },
      el("span", { class: "jv-measure-name" }, r.name),
      known(r.value) ? el("span", { class: `jv-track ${r.look || "is-a"}`, role: "img", "aria-label": `${r.name}: ${r.words}` }, known(r.low) ? el("i", { class: "is-band", style: `left:${at(r.low)};right:calc(100% - ${at(r.high)})` }) : "", el("i", { class: "is-rate", style: `left:${at(r.value)}` })) : el("span", { class: "jv-track is-empty" }),
      el("span", { class: "jv-measure-words" }, r.words),
    ),
  );
  const cells = rows.map((r) => [r.name, known(r.value) ? format(r.value, 1) : "", known(r.low) ? rangeWords(format(r.low, 1), format(r.high, 1)) : ""]);
  return el("figure", { class: "jv-figure" }, title ? el("figcaption", {}, el("strong", {}, title)) : "", el("div", { class: "jv-measures" }, lines), figureTable([head || t("controls.version"), t("figure.value"), t("figure.interval")], cells));
}

// One colour for each version, the same in every figure of a page.
const LOOKS = ["is-a", "is-b", "is-c", "is-d", "is-e", "is-f"];
const lookOf = (names, name) => LOOKS[Math.max(0, names.indexOf(name)) % LOOKS.length];
