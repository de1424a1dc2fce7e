// Review: which rated answers may be learned from. This file holds what is looked at and the frame
// around it; cards and list are files of their own.

const NO_FILTERS = { status: "", rating: "", flag: "", version: "", since: "", until: "", text: "" };
const PAGE_ROWS = 50;

const R = {
  filters: { ...NO_FILTERS },
  rows: [], // short rows in the order of the server
  total: 0,
  counts: null,
  versions: [],
  everything: false,
  at: 0, // the card that is shown
  offset: 0, // the first row of the list that is shown
  full: new Map(), // whole rows by turn
  chosen: new Set(),
  allMatching: false,
  undo: [],
  filtersOpen: {}, // by mode, once the user folded or unfolded them
  sent: null, // the decision that is being stored
  editing: false,
  drafts: new Map(), // by turn, what was written in a card before something else was shown
  state: "new", // new, loading, ready or failed
  failure: "",
  seq: 0, // counts loads, so that a late answer of an earlier one is dropped
};

const reviewMode = () => (V.section === "list" ? "list" : "cards");
const filterCount = () => Object.values(R.filters).filter(Boolean).length;

async function openReview() {
  drawReview();
  if (R.state === "new") {
    // What needs a look comes first; without any, everything is shown.
    await filterReview({ status: "pending" });
    if (R.state === "ready" && !R.counts.pending) await filterReview({ status: "" });
  } else if (R.state !== "loading" && !R.editing) await loadReview({ keep: true });
}

async function filterReview(change) {
  keepEdit();
  Object.assign(R.filters, change);
  R.chosen.clear();
  R.allMatching = false;
  await loadReview();
}

// `keep` stays at the same card and page; otherwise both begin anew.
async function loadReview({ keep = false } = {}) {
  const seq = ++R.seq;
  // An answer that is half written is where the reviewer is.
  const here = keep ? R.rows[R.at]?.id : [...R.drafts.keys()].at(-1);
  if (!keep) Object.assign(R, { at: 0, offset: 0, editing: false, state: "loading" });
  drawReview();
  try {
    const page = await call("review_page", { filters: R.filters, offset: R.offset, limit: PAGE_ROWS });
    if (seq !== R.seq) return;
    takePage(page);
    R.full.clear();
    const again = R.rows.findIndex((row) => row.id === here);
    R.at = again < 0 ? Math.min(R.at, Math.max(0, R.rows.length - 1)) : again;
    R.state = "ready";
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (seq !== R.seq) return;
    Object.assign(R, { state: "failed", failure: error.message });
  }
  drawReview();
}

function takePage(page) {
  Object.assign(R, { rows: page.rows, total: page.total, counts: page.counts, versions: page.versions, everything: page.everything, offset: page.offset });
}

async function turnPage(offset) {
  R.offset = Math.max(0, offset);
  R.chosen.clear();
  await loadReview({ keep: true });
  $("jv-review-body")?.scrollTo(0, 0);
}

// Whole rows, kept while they are near.
async function wholeRow(id) {
  if (!R.full.has(id)) {
    const row = await call("review_row", { turn: id });
    if (R.full.size > 200) R.full.clear();
    R.full.set(id, row);
  }
  return R.full.get(id);
}

// A row as the server has it now, wherever it is shown.
function takeRow(kept) {
  R.full.set(kept.row.id, kept.row);
  R.counts = kept.counts;
  const at = R.rows.findIndex((row) => row.id === kept.row.id);
  if (at >= 0) R.rows[at] = { ...R.rows[at], ...kept.short };
  paintReadiness(kept.readiness);
}

// The frame ----------------------------------------------------------------------------------

function drawReview() {
  const host = place("jv-review");
  if (!host || V.tab !== "review") return;
  if (!$("jv-review-body") || host.jvLang !== lang) {
    host.jvLang = lang;
    keepEdit();
    host.replaceChildren(
      el(
        "div",
        { class: "jv-review" },
        el("header", { id: "jv-review-head", class: "jv-review-head" }),
        el("div", { id: "jv-review-filters" }),
        el("div", { id: "jv-review-body", tabindex: "-1" }),
        el("div", { id: "jv-review-foot" }),
        el("div", { id: "jv-review-say", class: "jv-offscreen", "aria-live": "polite" }),
      ),
    );
    drawFilters();
  }
  drawReviewHead();
  paintFilters();
  const body = $("jv-review-body");
  const foot = $("jv-review-foot");
  body.classList.toggle("is-list", reviewMode() === "list");
  // What was shown stays, paler, until the next is there; a skeleton is for the first time only.
  const busy = R.state === "loading" || R.state === "new";
  body.classList.toggle("is-busy", busy);
  if (busy) return body.firstChild ? undefined : body.replaceChildren(skeleton());
  if (R.state === "failed") return body.replaceChildren(failed(R.failure, () => loadReview())), foot.replaceChildren();
  if (!R.rows.length) return body.replaceChildren(nothingToReview()), foot.replaceChildren();
  if (reviewMode() === "list") return drawRows();
  return drawCard();
}

const skeleton = () => el("div", { class: "jv-skeleton", role: "status", "aria-label": t("loading") }, [70, 92, 84, 40].map((w) => el("i", { style: `width:${w}%` })));

const failed = (why, again) => el("div", { class: "jv-nothing" }, el("p", {}, why), el("button", { class: "jv-second", onclick: again }, t("retry")));

function nothingToReview() {
  if (!R.counts?.rated) {
    return el("div", { class: "jv-nothing" }, el("h2", {}, t("review.none_title")), el("p", {}, t("review.none")), el("button", { class: "jv-primary", onclick: () => showTab("chat") }, t("review.to_chat")));
  }
  const looked = R.filters.status === "pending" && filterCount() === 1;
  return el("div", { class: "jv-nothing" }, el("h2", {}, t(looked ? "review.all_looked" : "review.nothing_found")), el("p", {}, looked ? t("review.all_looked_hint") : ""), el("button", { class: "jv-second", onclick: () => filterReview({ ...NO_FILTERS }) }, t("review.show_all")));
}

function drawReviewHead() {
  const c = R.counts || { rated: 0, approved: 0, pending: 0, excluded: 0 };
  const share = (n) => `width:${c.rated ? (100 * n) / c.rated : 0}%`;
  const modes = [
    ["cards", "review.cards"],
    ["list", "review.list"],
  ];
  swap(
    $("jv-review-head"),
    el(
      "div",
      { class: "jv-review-title" },
      el("h1", {}, t("tabs.review")),
      el("div", { class: "jv-switch", role: "group", "aria-label": t("review.modes") }, modes.map(([name, key]) => el("button", { "aria-pressed": String(reviewMode() === name), onclick: () => switchMode(name) }, t(key)))),
      el("button", { class: "jv-plain", id: "jv-review-more", "aria-haspopup": "dialog", onclick: reviewMore }, icon("out"), el("span", {}, t("review.more"))),
    ),
    R.counts
      ? el(
          "div",
          { class: "jv-progress" },
          el("div", { class: "jv-stack", role: "img", "aria-label": t("review.progress", { approved: number(c.approved), pending: number(c.pending), excluded: number(c.excluded) }) }, el("i", { class: "is-approved", style: share(c.approved) }), el("i", { class: "is-pending", style: share(c.pending) }), el("i", { class: "is-excluded", style: share(c.excluded) })),
          el(
            "div",
            { class: "jv-legend" },
            ["approved", "pending", "excluded"].map((status) => el("button", { class: `is-${status}`, "aria-pressed": String(R.filters.status === status), onclick: () => filterReview({ status: R.filters.status === status ? "" : status }) }, t(`status.count_${status}`, { count: number(c[status]) }))),
          ),
        )
      : "",
  );
}

function switchMode(name) {
  keepEdit();
  showTab("review", name);
}

// Filters ------------------------------------------------------------------------------------

// A day is the reader's own, as the cards show it; the filters hold its first or last moment.
function edgeOf(day, end) {
  const at = new Date(`${day}T00:00`);
  if (end) at.setDate(at.getDate() + 1);
  return day && new Date(at.getTime() - (end ? 1 : 0)).toISOString();
}

function dayOfEdge(moment) {
  const at = new Date(moment);
  const two = (n) => String(n).padStart(2, "0");
  return moment && `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

function select(label, value, options, onchange) {
  const box = el("select", { class: "jv-select", "aria-label": label, title: label, onchange: (e) => onchange(e.target.value) }, options.map(([v, words]) => el("option", { value: v }, words)));
  box.value = value;
  return box;
}

function drawFilters() {
  const change = (name) => (value) => filterReview({ [name]: value });
  let timer = 0;
  const words = el("input", {
    type: "search",
    class: "jv-field",
    id: "jv-review-text",
    placeholder: t("review.search"),
    "aria-label": t("review.search"),
    maxlength: "200",
    oninput: (e) => {
      clearTimeout(timer);
      const text = e.target.value;
      timer = setTimeout(() => filterReview({ text: text.trim() }), 220);
    },
  });
  words.value = R.filters.text;
  const day = (name, label) => {
    const box = el("input", { type: "date", class: "jv-field", max: "9999-12-31", "aria-label": t(label), title: t(label), onchange: (e) => filterReview({ [name]: edgeOf(e.target.value, name === "until") }) });
    box.value = dayOfEdge(R.filters[name]);
    return box;
  };
  const some = (name, values) => [["", t(`review.any_${name}`)], ...values.map((v) => [v, t(`${name}.${v}`)])];
  const versions = [["", t("review.any_version")], ...R.versions.map((v) => [v, v === "base" ? t("controls.base") : v])];
  $("jv-review-filters").replaceChildren(
    el(
      "details",
      { class: "jv-filters" },
      el("summary", { onclick: (e) => (R.filtersOpen[reviewMode()] = !e.currentTarget.parentNode.open) }, icon("tune"), el("span", {}, t("review.filters")), el("b", { id: "jv-filter-count" })),
      el(
        "div",
        { class: "jv-filter-row" },
        words,
        select(t("review.status"), R.filters.status, some("status", ["pending", "approved", "excluded"]), change("status")),
        select(t("review.rating"), R.filters.rating, some("rating", ["good", "bad", "corrected"]), change("rating")),
        select(t("review.flag"), R.filters.flag, some("flag", ["any", "conflict", "duplicate", "personal", "control", "repetition", "cut", "context", "flood"]), change("flag")),
        select(t("review.version"), R.filters.version, versions, change("version")),
        el("span", { class: "jv-days" }, day("since", "review.since"), "–", day("until", "review.until")),
        el("button", { class: "jv-link", id: "jv-filter-reset", onclick: () => (filterReview({ ...NO_FILTERS }), drawFilters()) }, t("review.reset_filters")),
      ),
    ),
  );
  $("jv-review-filters").jvVersions = R.versions.join();
}

function paintFilters() {
  const host = $("jv-review-filters");
  if (host.jvVersions !== R.versions.join() && !host.contains(document.activeElement)) drawFilters();
  host.hidden = !R.counts?.rated;
  const mode = reviewMode();
  host.querySelector("details").open = R.filtersOpen[mode] ?? ((mode === "list" && !narrow()) || filterCount() > (R.filters.status ? 1 : 0));
  const [status] = host.querySelectorAll("select");
  status.value = R.filters.status;
  $("jv-filter-count").textContent = filterCount() ? number(filterCount()) : "";
  $("jv-filter-reset").hidden = !filterCount();
}
