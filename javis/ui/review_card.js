// One card at a time: look, decide by a key, go on.

const row = () => R.rows[R.at];

function drawCard() {
  const short = row();
  if (!short) return drawQueueEnd();
  const body = $("jv-review-body");
  if (R.editing && body.querySelector(".jv-edit-card")?.dataset.turnId === short.id && body.jvLang === lang) return undefined;
  const whole = R.full.get(short.id);
  if (!whole) {
    const before = body.querySelector(".jv-card-review");
    if (before) before.classList.add("is-leaving");
    else body.replaceChildren(skeleton());
    drawCardBar();
    fetchCard(short.id);
    return undefined;
  }
  body.jvLang = lang;
  const card = cardNode(whole);
  body.replaceChildren(card);
  body.scrollTop = 0;
  drawCardBar();
  $("jv-review-say").textContent = t("review.position", { at: number(R.offset + R.at + 1), total: number(R.total) });
  askSimilar(whole, card);
  const next = R.rows[R.at + 1];
  if (next && !R.full.has(next.id)) wholeRow(next.id).catch(() => {});
  return R.drafts.has(short.id) ? editCard() : undefined;
}

async function fetchCard(id) {
  try {
    await wholeRow(id);
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    if (row()?.id === id) $("jv-review-body").replaceChildren(failed(error.message, drawCard));
    return;
  }
  if (row()?.id === id && V.tab === "review" && reviewMode() === "cards") drawCard();
}

function cardNode(whole) {
  const message = whole.prompt.at(-1)?.content ?? "";
  const earlier = whole.prompt.slice(0, -1);
  return el(
    "article",
    { class: "jv-card-review", "data-turn-id": whole.id, "aria-label": t("review.card") },
    el(
      "div",
      { class: "jv-facts" },
      ratingTag(whole),
      statusTag(whole),
      whole.edited ? el("span", { class: "jv-tag" }, t("review.edited")) : "",
      goldenButton(whole.id, { "aria-keyshortcuts": "G" }),
      el("span", { class: "jv-hint" }, [whole.version === "base" ? t("controls.base") : whole.version, whole.several ? whole.owner : "", new Date(whole.at).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" })].filter(Boolean).join(" · ")),
    ),
    earlier.length ? contextNode(earlier) : "",
    el("div", { class: "jv-user" }, el("div", { class: "jv-bubble" }, message)),
    answerNode(whole),
    whole.reasons.length || whole.comment
      ? el("div", { class: "jv-said" }, whole.reasons.length ? el("div", { class: "jv-chips" }, whole.reasons.map((r) => el("span", { class: "jv-tag" }, t(`reason.${r}`)))) : "", whole.comment ? el("p", {}, t("review.comment", { comment: whole.comment })) : "")
      : "",
    flagsNode(whole),
    el("div", { class: "jv-similar" }),
    learnedNode(whole),
  );
}

const ratingKind = (r) => (r.correction ? "corrected" : r.rating || "none");

function ratingTag(r) {
  const kind = ratingKind(r);
  const name = { good: "up", bad: "down", corrected: "edit", none: "info" }[kind];
  return el("span", { class: `jv-tag is-${kind}` }, icon(name), t(`rating.${kind}`));
}

const statusTag = (r) => el("span", { class: `jv-tag is-${r.status}` }, t(`status.${r.status}`));

function contextNode(earlier) {
  const role = (m) => t(`role.${m.role}`);
  return el("details", { class: "jv-context" }, el("summary", {}, t(earlier.length === 1 ? "review.earlier_one" : "review.earlier", { count: number(earlier.length) })), el("div", {}, earlier.map((m) => el("p", { class: `is-${m.role}` }, el("strong", {}, role(m)), m.content))));
}

// The answer as it was, and where it was changed, what was changed.
function answerNode(whole) {
  const target = whole.target;
  if (target === null || target === whole.reply) {
    const shown = el("div", { class: "jv-md" });
    drawMarkdown(shown, whole.reply);
    return el("div", { class: "jv-answer-card" }, shown, target === null ? el("p", { class: "jv-hint" }, t("review.no_target")) : "");
  }
  const plain = el("div", { class: "jv-md" });
  drawMarkdown(plain, target);
  const diff = diffNode(whole.reply, target);
  plain.hidden = true;
  const pick = (e, showPlain) => {
    plain.hidden = !showPlain;
    diff.hidden = showPlain;
    for (const button of e.currentTarget.parentNode.children) button.setAttribute("aria-pressed", String(button === e.currentTarget));
  };
  return el(
    "div",
    { class: "jv-answer-card" },
    el("div", { class: "jv-switch", role: "group", "aria-label": t("review.answer_view") }, el("button", { "aria-pressed": "true", onclick: (e) => pick(e, false) }, t("review.changes")), el("button", { "aria-pressed": "false", onclick: (e) => pick(e, true) }, t("review.wanted"))),
    diff,
    plain,
  );
}

// Deciding -----------------------------------------------------------------------------------

function drawCardBar() {
  const button = (act, name, key, run, extra = {}) => el("button", { "data-act": act, "aria-keyshortcuts": key.toUpperCase(), onclick: run, ...extra, class: `jv-decide ${extra.class || ""}` }, icon(name), el("span", {}, t(`review.${act}`)), el("kbd", { "aria-hidden": "true" }, key));
  swap(
    $("jv-review-foot"),
    el(
      "div",
      { class: "jv-decisions", role: "toolbar", "aria-label": t("review.decide") },
      iconButton("left", t("review.previous"), () => step(-1), { "data-act": "previous", "aria-keyshortcuts": "ArrowLeft", disabled: R.offset + R.at === 0 }),
      el("span", { class: "jv-position" }, t("review.position", { at: number(R.offset + R.at + 1), total: number(Math.max(R.total, R.offset + R.rows.length)) })),
      iconButton("right", t("review.next"), () => step(1), { "data-act": "next", "aria-keyshortcuts": "ArrowRight" }),
      iconButton("undo", t("review.undo"), undoDecision, { "data-act": "undo", "aria-keyshortcuts": "U", disabled: !R.undo.length }),
      el("span", { class: "jv-gap" }),
      button("exclude", "close", "X", () => decide("exclude")),
      button("edit", "edit", "E", editCard),
      button("approve", "check", "A", () => decide("approve"), { class: "is-main" }),
    ),
  );
}

async function step(by) {
  const to = R.at + by;
  R.editing = false;
  if (to < 0) {
    if (!R.offset) return;
    await turnPage(R.offset - PAGE_ROWS);
    R.at = R.rows.length - 1;
    return drawReview();
  }
  R.at = to;
  if (to >= R.rows.length && R.offset + R.rows.length < R.total) return nextRows();
  return drawReview();
}

// With a status filter, what was decided meanwhile has left the server's list: so the next page
// begins that much earlier.
async function nextRows() {
  await R.sent;
  const gone = R.filters.status ? R.rows.filter((r) => r.status !== R.filters.status).length : 0;
  const offset = R.offset + R.rows.length - gone;
  const page = await attempt(() => call("review_page", { filters: R.filters, offset, limit: PAGE_ROWS }));
  if (page) {
    takePage(page);
    R.at = 0;
  }
  drawReview();
}

function drawQueueEnd() {
  const again = R.counts.pending && R.filters.status !== "pending";
  $("jv-review-body").replaceChildren(
    el(
      "div",
      { class: "jv-nothing" },
      el("h2", {}, t("review.end")),
      el("p", {}, t("review.progress", { approved: number(R.counts.approved), pending: number(R.counts.pending), excluded: number(R.counts.excluded) })),
      el("div", { class: "jv-row" }, el("button", { class: "jv-second", onclick: () => (again ? filterReview({ ...NO_FILTERS, status: "pending" }) : loadReview()) }, t(again ? "review.see_pending" : "review.from_start")), el("button", { class: "jv-primary", onclick: () => showTab("admin", "train") }, t("review.to_train"))),
    ),
  );
  swap($("jv-review-foot"), el("div", { class: "jv-decisions" }, iconButton("left", t("review.previous"), () => step(-1), { "data-act": "previous" }), el("span", { class: "jv-gap" }), iconButton("undo", t("review.undo"), undoDecision, { "data-act": "undo", disabled: !R.undo.length })));
}

// What is needed to put a row back as it was.
const memoryOf = (whole) => ({ id: whole.id, decided: whole.decided, status: whole.status, edited: whole.edited, user: whole.prompt.at(-1)?.content, target: whole.target });

// The next card comes at once; the decision is stored behind it, in order.
async function decide(action) {
  const whole = R.full.get(row()?.id);
  if (!whole) return;
  const memory = memoryOf(whole);
  R.undo.push(memory);
  $("jv-review-say").textContent = t(`review.done_${action}`);
  const sent = call("review_decide", { turn: whole.id, action });
  R.sent = sent.catch(() => {});
  step(1);
  const kept = await attempt(() => sent);
  if (kept) {
    takeRow(kept);
    forgetNeighbours(kept.row.id);
    drawReviewHead();
    return;
  }
  R.undo = R.undo.filter((m) => m !== memory);
  goToRow(whole.id);
}

// A decision can settle the conflicts of others: what was fetched of them before is old.
function forgetNeighbours(decided) {
  const shown = R.full.get(row()?.id);
  const concerned = shown?.flags.some((flag) => flag.others.some((other) => other.id === decided));
  for (const id of [...R.full.keys()]) if (id !== decided && (concerned || id !== shown?.id)) R.full.delete(id);
  if (concerned && !R.editing) drawReview();
}

function goToRow(id) {
  const at = R.rows.findIndex((r) => r.id === id);
  if (at < 0) return;
  R.at = at;
  drawReview();
}

async function undoDecision() {
  const memory = R.undo.pop();
  if (!memory) return;
  await R.sent;
  const send = (action, change = {}) => call("review_decide", { turn: memory.id, action, ...change });
  const kept = await attempt(async () => {
    let now = await send("reset");
    if (memory.edited) now = await send("edit", { user: memory.user, target: memory.target });
    if (memory.decided && !(memory.edited && memory.status === "approved")) now = await send(memory.status === "excluded" ? "exclude" : "approve");
    return now;
  });
  if (!kept) return;
  takeRow(kept);
  R.editing = false;
  const at = R.rows.findIndex((r) => r.id === memory.id);
  if (at >= 0) R.at = at;
  else {
    R.rows.splice(Math.min(R.at, R.rows.length), 0, kept.short);
    R.at = Math.min(R.at, R.rows.length - 1);
  }
  toast(t("review.undone"));
  drawReview();
}

// Keys ---------------------------------------------------------------------------------------

// The letter on the key, also while Hangul is switched on.
const letter = (e) => (/^[a-z]$/i.test(e.key) ? e.key.toLowerCase() : e.code?.startsWith("Key") ? e.code.slice(3).toLowerCase() : e.key);

function onReviewKey(e) {
  if (V.tab !== "review" || reviewMode() !== "cards" || R.state !== "ready" || R.editing) return;
  if (composing(e) || e.ctrlKey || e.metaKey || e.altKey || dialogOpen()) return;
  if (e.target.closest?.("input, textarea, select, [contenteditable], [role=tablist]")) return;
  const run = {
    a: () => $("jv-review-foot").querySelector('[data-act="approve"]:not(:disabled)') && decide("approve"),
    e: editCard,
    x: () => row() && decide("exclude"),
    u: undoDecision,
    g: () => row() && toggleGolden(row().id),
    ArrowLeft: () => step(-1),
    ArrowRight: () => row() && step(1),
  }[letter(e)];
  if (!run) return;
  e.preventDefault();
  if (!e.repeat || letter(e).startsWith("Arrow")) run();
}
addEventListener("keydown", onReviewKey);
