// What a card says beside the answer: flags, personal data, similar answers, what would be learned.

const FLAG_ICONS = { conflict: "branch", duplicate: "copy", personal: "lock", control: "code", repetition: "again", cut: "end", context: "left", flood: "more" };

function flagsNode(whole) {
  if (!whole.flags.length) return "";
  return el(
    "div",
    { class: "jv-flags", role: "group", "aria-label": t("review.flags") },
    whole.flags.map((flag) =>
      el(
        "section",
        { class: "jv-flag" },
        el("span", { class: "jv-tag is-flag" }, icon(FLAG_ICONS[flag.kind]), t(`flag.${flag.kind}`)),
        el("p", {}, flagSentence(flag)),
        flag.others.length ? el("ul", {}, flag.others.map((other) => el("li", {}, el("button", { class: "jv-link", onclick: () => visit(other) }, icon(other.rating === "bad" ? "down" : "up"), el("span", {}, `${other.message} → ${other.answer}`))))) : "",
        flag.kind === "personal" ? el("button", { class: "jv-second", "data-act": "mask", onclick: () => previewMask(whole) }, t("review.mask")) : "",
      ),
    ),
  );
}

function flagSentence(flag) {
  if (flag.kind === "cut") return t("flag.why_cut");
  const found = flag.kind === "personal" ? flag.detail.split(/[,\s]+/).filter(Boolean).map(personalWord).join(", ") : flag.detail;
  const sentence = t(`flag.why_${flag.kind}`);
  return found ? `${sentence} (${found})` : sentence;
}

const personalWord = (kind) => (`personal.${kind}` in TEXTS.en ? t(`personal.${kind}`) : kind);

// Another turn that a flag names: shown where it is, or alone when it is on no page of this list.
async function visit(other) {
  if (R.rows.some((r) => r.id === other.id)) return goToRow(other.id);
  R.rows.splice(R.at + 1, 0, other);
  R.total += 1;
  return step(1);
}

async function previewMask(whole) {
  const masked = await attempt(() => call("review_mask", { turn: whole.id }));
  if (!masked) return;
  const pair = (key, before, after) => (before === after ? "" : el("section", {}, el("h3", {}, t(key)), diffNode(before, after)));
  const nothing = masked.user === masked.before.user && masked.target === masked.before.target;
  const accept = async () => {
    box.close();
    await saveEdit(whole, { user: masked.user, ...(masked.target === null ? {} : { target: masked.target }) });
  };
  const box = dialog(
    t("review.mask"),
    [
      el("p", {}, nothing ? t(masked.found.length ? "review.mask_earlier" : "review.mask_nothing") : t("review.mask_found", { kinds: masked.found.map(personalWord).join(", ") })),
      pair("review.edit_message", masked.before.user, masked.user),
      masked.target === null ? "" : pair("review.edit_answer", masked.before.target, masked.target),
    ],
    [el("button", { class: "jv-plain", onclick: () => box.close() }, t("cancel")), nothing ? "" : el("button", { class: "jv-primary", onclick: accept }, t("review.mask_accept"))],
    { wide: true },
  );
}

// Where the reviewer fixed one answer, the same fix may suit answers to near-same messages.
async function askSimilar(whole, card) {
  if (!(whole.edited || whole.correction)) return;
  let found;
  try {
    found = await call("review_similar", { turn: whole.id });
  } catch (error) {
    if (error instanceof CallError) return;
    throw error;
  }
  if (!found.rows.length || !card.isConnected) return;
  card.querySelector(".jv-similar").replaceChildren(el("button", { class: "jv-second", "data-act": "similar", onclick: () => pickSimilar(whole, found.rows) }, t("review.similar", { count: number(found.rows.length) })));
}

function pickSimilar(whole, rows) {
  const chosen = new Set(rows.map((r) => r.id));
  const line = (r) =>
    el(
      "label",
      { class: "jv-pick" },
      el("input", { type: "checkbox", class: "jv-check", checked: true, onchange: (e) => (e.target.checked ? chosen.add(r.id) : chosen.delete(r.id)) }),
      el("span", {}, el("strong", {}, r.message), el("span", {}, r.answer)),
    );
  const apply = async () => {
    box.close();
    const done = await attempt(() => call("review_apply", { turn: whole.id, turns: [...chosen] }));
    if (!done) return;
    toast(t("review.applied", { count: number(done.count) }));
    await loadReview({ keep: true });
  };
  const box = dialog(t("review.similar", { count: number(rows.length) }), [el("p", {}, t("review.similar_hint")), el("blockquote", {}, whole.target ?? ""), rows.map(line)], [el("button", { class: "jv-plain", onclick: () => box.close() }, t("cancel")), el("button", { class: "jv-primary", onclick: apply }, t("review.apply"))], { wide: true });
}

// The exact text, as the template renders it, with what is trained on tinted.
function learnedNode(whole) {
  // A bad answer without a better one is learned from only as what not to say.
  const avoided = whole.target === null;
  const title = t(avoided ? "review.avoided" : "review.learned");
  const kind = avoided ? "jv-trained jv-avoided" : "jv-trained";
  const text = el("pre", { class: "jv-learned", tabindex: "0", "aria-label": title });
  const box = el("details", { class: "jv-learn", "data-act": "learned" }, el("summary", {}, title), el("p", { class: "jv-hint" }, el("mark", { class: kind }, t(avoided ? "review.avoided_tint" : "review.learned_tint")), " ", t(avoided ? "review.avoided_hint" : "review.learned_hint")), text);
  const open = async () => {
    if (!box.open || text.firstChild) return;
    R.learnedOpen = true;
    try {
      const { pieces } = await call("review_text", { turn: whole.id });
      text.replaceChildren(...pieces.map(([words, trained]) => (trained ? el("mark", { class: kind }, words) : el("span", {}, words))));
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      text.textContent = error.message;
    }
  };
  box.addEventListener("toggle", () => {
    R.learnedOpen = box.open;
    open();
  });
  if (R.learnedOpen) box.open = true;
  return box;
}
