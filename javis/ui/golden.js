// The golden set: one click on the star below an answer, in the chat and in Review.

const GOLDEN = new Set();

async function loadGolden() {
  const found = await attempt(() => call("golden_ids"));
  if (!found) return;
  GOLDEN.clear();
  for (const id of found.ids) GOLDEN.add(id);
  drawThread();
  paintStars();
}

function goldenButton(id, extra = {}) {
  const on = GOLDEN.has(id);
  return iconButton("star", t("golden.mark"), () => toggleGolden(id), {
    "data-act": "golden",
    "data-golden": id,
    "aria-pressed": String(on),
    ...extra,
    class: on ? "is-on" : "",
  });
}

async function toggleGolden(id) {
  const kept = await attempt(() => call("golden_mark", { turn: id, on: !GOLDEN.has(id) }));
  if (!kept) return;
  if (kept.on) GOLDEN.add(id);
  else GOLDEN.delete(id);
  drawThread();
  paintStars();
  if (!kept.on) toast(t("golden.removed"));
  else toast(t(kept.wanted ? "golden.added" : "golden.added_open"));
}

// Cards of Review are not drawn anew for a star: an edit in them would be lost.
function paintStars() {
  for (const button of document.querySelectorAll("#jv-review [data-golden], dialog [data-golden]")) {
    const on = GOLDEN.has(button.dataset.golden);
    button.setAttribute("aria-pressed", String(on));
    button.classList.toggle("is-on", on);
  }
}

// The whole set, in the dialog of Review.
function goldenSection() {
  const host = el("div", { id: "jv-golden" });
  listGolden(host);
  return el("section", {}, el("h3", {}, t("golden.title")), el("p", {}, t("golden.hint")), host);
}

async function listGolden(host) {
  const found = await attempt(() => call("golden_rows"));
  if (!found) return;
  const none = el("p", { class: "jv-hint" }, t("golden.none"));
  const rows = found.rows.map((r) =>
    el(
      "li",
      {},
      goldenButton(r.id),
      el("div", {}, el("p", {}, el("strong", {}, r.message)), el("p", { class: r.wanted === null ? "jv-hint" : "" }, r.wanted ?? t("golden.open")), el("p", { class: "jv-hint" }, [new Date(r.at).toLocaleDateString(lang), r.earlier ? t(r.earlier === 1 ? "golden.earlier_one" : "golden.earlier", { count: number(r.earlier) }) : ""].filter(Boolean).join(" · "))),
    ),
  );
  const fold = el("details", {}, el("summary", {}, t("golden.count", { count: number(found.total) })), el("ul", { class: "jv-golden-rows" }, rows));
  host.replaceChildren(found.total ? fold : none);
}
