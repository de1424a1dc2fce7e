// The list: many at once. Only one page of rows is ever in the document.

function drawRows() {
  const body = $("jv-review-body");
  const top = body.scrollTop;
  swap(body, el("div", { class: "jv-rows", role: "table", "aria-label": t("tabs.review"), "aria-rowcount": String(R.total) }, rowsHead(), R.rows.map(rowLine)));
  body.scrollTop = top;
  drawBulk();
}

function rowsHead() {
  const all = R.rows.length > 0 && R.rows.every((r) => R.allMatching || R.chosen.has(r.id));
  const box = el("input", {
    type: "checkbox",
    class: "jv-check",
    checked: all,
    "aria-label": t("review.choose_page"),
    onchange: (e) => {
      R.allMatching = false;
      for (const r of R.rows) e.target.checked ? R.chosen.add(r.id) : R.chosen.delete(r.id);
      drawRows();
    },
  });
  const words = R.allMatching
    ? t("review.all_chosen", { count: number(R.total) })
    : R.chosen.size
      ? t("review.chosen", { count: number(R.chosen.size) })
      : t("review.range", { from: number(R.offset + 1), to: number(R.offset + R.rows.length), total: number(R.total) });
  const rest = all && !R.allMatching && R.total > R.rows.length;
  return el(
    "div",
    { class: "jv-rows-head" },
    box,
    el("span", {}, words),
    rest ? el("button", { class: "jv-link", "data-act": "all-matching", onclick: () => ((R.allMatching = true), drawRows()) }, t("review.choose_all", { count: number(R.total) })) : "",
    R.allMatching || R.chosen.size ? el("button", { class: "jv-link", onclick: unchoose }, t("review.choose_none")) : "",
  );
}

function unchoose() {
  R.allMatching = false;
  R.chosen.clear();
  drawRows();
}

function rowLine(r) {
  const box = el("input", {
    type: "checkbox",
    class: "jv-check",
    checked: R.allMatching || R.chosen.has(r.id),
    "aria-label": t("review.choose_row", { message: r.message.slice(0, 60) }),
    onchange: (e) => {
      if (R.allMatching) for (const other of R.rows) R.chosen.add(other.id);
      R.allMatching = false;
      e.target.checked ? R.chosen.add(r.id) : R.chosen.delete(r.id);
      drawRows();
      $("jv-review-body").querySelector(`[data-turn-id="${CSS.escape(r.id)}"] input`)?.focus();
    },
  });
  return el(
    "div",
    { class: `jv-line${R.allMatching || R.chosen.has(r.id) ? " is-chosen" : ""}`, role: "row", "data-turn-id": r.id },
    el("span", { role: "cell" }, box),
    el("button", { role: "cell", class: "jv-line-text", onclick: () => openCard(r.id) }, el("strong", {}, r.message), el("span", {}, r.answer)),
    el("span", { role: "cell", class: "jv-line-facts" }, r.flags.map((kind) => el("span", { class: "jv-tag is-flag", role: "img", title: t(`flag.${kind}`), "aria-label": t(`flag.${kind}`) }, icon(FLAG_ICONS[kind]))), ratingTag(r), R.filters.status ? "" : statusTag(r), el("span", { class: "jv-hint" }, new Date(r.at).toLocaleDateString(lang, { month: "short", day: "numeric" }))),
  );
}

function openCard(id) {
  R.at = R.rows.findIndex((r) => r.id === id);
  showTab("review", "cards");
}

function drawBulk() {
  const count = R.allMatching ? R.total : R.chosen.size;
  const off = !count;
  const act = (action, key, extra = "jv-second") => el("button", { class: extra, disabled: off, "data-act": `bulk-${action}`, onclick: () => bulk(action) }, t(key));
  const last = R.offset + R.rows.length >= R.total;
  swap(
    $("jv-review-foot"),
    el(
      "div",
      { class: "jv-decisions", role: "toolbar", "aria-label": t("review.decide") },
      iconButton("left", t("review.page_before"), () => turnPage(R.offset - PAGE_ROWS), { disabled: !R.offset, "data-act": "page-before" }),
      el("span", { class: "jv-position" }, t("review.page", { at: number(Math.floor(R.offset / PAGE_ROWS) + 1), total: number(Math.max(1, Math.ceil(R.total / PAGE_ROWS))) })),
      iconButton("right", t("review.page_after"), () => turnPage(R.offset + PAGE_ROWS), { disabled: last, "data-act": "page-after" }),
      el("span", { class: "jv-gap" }),
      act("reset", "review.bulk_reset", "jv-plain"),
      act("exclude", "review.exclude"),
      act("approve", "review.approve", "jv-primary"),
    ),
  );
}

async function bulk(action) {
  const ids = [...R.chosen];
  const memories = R.allMatching ? null : R.rows.filter((r) => R.chosen.has(r.id)).map((r) => ({ id: r.id, action: r.decided ? (r.status === "excluded" ? "exclude" : "approve") : "reset" }));
  const what = R.allMatching ? { filters: R.filters } : { turns: ids };
  const done = await attempt(() => call("review_bulk", { action, ...what }));
  if (!done) return;
  R.chosen.clear();
  R.allMatching = false;
  paintReadiness(done.readiness);
  const undo = memories && memories.length === ids.length ? { label: t("undo"), run: () => undoBulk(memories) } : null;
  toast(t(`review.bulk_${action}_done`, { count: number(done.count) }), undo);
  if (R.filters.status) R.offset = 0;
  await loadReview({ keep: true });
  // Nothing is chosen now, so the buttons are off: the keyboard goes on at the rows.
  if (document.activeElement === document.body) $("jv-review-body").focus();
}

async function undoBulk(memories) {
  for (const action of ["reset", "approve", "exclude"]) {
    const turns = memories.filter((m) => m.action === action).map((m) => m.id);
    if (turns.length && !(await attempt(() => call("review_bulk", { action, turns })))) return;
  }
  await loadReview({ keep: true });
  loadReadiness();
}
