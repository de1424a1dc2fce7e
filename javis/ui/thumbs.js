// A thumb counts at once. The panel below it asks for more, and may be closed or ignored.

const REASONS = ["inaccurate", "inappropriate", "not_what_i_meant", "too_long", "too_short", "wrong_tone", "wrong_language", "other"];

async function storeVote(id, vote) {
  const kept = await attempt(() => call("rate", { turn: id, ...vote }));
  if (!kept) return false;
  const turn = turnOf(id);
  if (turn) turn.feedback = kept.feedback;
  paintReadiness(kept.readiness);
  drawThread();
  return true;
}

async function rate(id, value) {
  const before = turnOf(id).feedback;
  if (before?.rating === value) {
    const typed = typedIn(id);
    closePanel(id);
    // The comment and the written answer go with the thumb.
    const again = async () => {
      if ((await storeVote(id, before)) && typed && nodeOf(id)) openPanel(id, typed);
    };
    if (await storeVote(id, { rating: null })) toast(t("thumb.revoked"), { label: t("undo"), run: again, about: id });
    return;
  }
  const vote = { rating: value, reasons: [], comment: before?.comment || "", correction: before?.correction ?? null };
  if (!(await storeVote(id, vote))) return;
  $("jv-say").textContent = t("thumb.counted");
  openPanel(id);
}

function closePanel(id) {
  nodeOf(id)?.querySelector(".jv-panel")?.remove();
}

// What stands in an open panel, whether it was saved or not.
const typedIn = (id) => nodeOf(id)?.querySelector(".jv-panel")?.jvTyped();

// What was typed in a panel that was closed with Escape or its ✕; opened again, it is there.
const putAside = new Map();

function openPanel(id, typed = typedIn(id) || putAside.get(id)) {
  closePanel(id);
  putAside.delete(id);
  const turn = turnOf(id);
  const good = turn.feedback?.rating === "good";
  const { reasons = [], comment: said = "", correction = null } = turn.feedback || {};
  const kept = typed || { reasons, said, wanted: correction ?? turn.reply, open: Boolean(correction) };
  // Why an answer was bad is no word about a good one.
  const chosen = new Set(good ? [] : kept.reasons);
  const chips = REASONS.map((reason) =>
    el(
      "button",
      {
        class: "jv-chip",
        "aria-pressed": String(chosen.has(reason)),
        onclick: (e) => {
          chosen.has(reason) ? chosen.delete(reason) : chosen.add(reason);
          e.currentTarget.setAttribute("aria-pressed", String(chosen.has(reason)));
        },
      },
      t(`reason.${reason}`),
    ),
  );
  const comment = el("input", { type: "text", maxlength: "2000", placeholder: t("thumb.comment"), "aria-label": t("thumb.comment") });
  comment.value = kept.said;
  const area = el("textarea", { rows: "4", "aria-label": t("thumb.wanted") });
  area.value = kept.wanted;
  const wanted = el("details", { class: "jv-wanted", open: kept.open }, el("summary", {}, t("thumb.wanted")), area);
  wanted.addEventListener("toggle", () => {
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight * 0.45)}px`;
    if (wanted.open && panel.isConnected) panel.scrollIntoView({ block: "nearest" });
  });
  const save = async () => {
    const correction = area.value.trim() && area.value.trim() !== turn.reply.trim() ? area.value : null;
    const vote = { rating: turnOf(id).feedback?.rating ?? null, reasons: [...chosen], comment: comment.value, correction };
    if (await storeVote(id, vote)) {
      closePanel(id);
      toast(t("thumb.saved"));
      nodeOf(id)?.querySelector('[data-act="note"]')?.focus();
    }
  };
  const close = () => {
    if (panel.jvUnsaved()) putAside.set(id, panel.jvTyped());
    closePanel(id);
    nodeOf(id)?.querySelector('[data-act="note"]')?.focus();
  };
  const panel = el(
    "section",
    { class: "jv-panel", "aria-label": t("thumb.panel") },
    el("header", {}, el("strong", {}, t(good ? "thumb.thanks_good" : "thumb.thanks_bad")), iconButton("close", t("close"), close)),
    good ? null : el("div", { class: "jv-chips", role: "group", "aria-label": t("thumb.reasons") }, chips),
    comment,
    wanted,
    el("div", { class: "jv-row" }, el("span", { class: "jv-hint" }, t("thumb.optional")), el("button", { class: "jv-primary", onclick: save }, t("save"))),
  );
  panel.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && !composing(e)) {
      e.stopPropagation();
      close();
    } else if (e.key === "Enter" && e.target === comment && !composing(e)) save();
  });
  const chipsChanged = () => !good && [...chosen].sort().join() !== [...reasons].sort().join();
  panel.jvUnsaved = () => chipsChanged() || comment.value.trim() !== said.trim() || area.value.trim() !== (correction ?? turn.reply).trim();
  panel.jvTyped = () => ({ reasons: [...chosen], said: comment.value, wanted: area.value, open: wanted.open });
  nodeOf(id).querySelector(".jv-slot").append(panel);
  panel.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
}

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
