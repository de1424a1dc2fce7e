// Writing the message and the answer that are to be learned.

// What was written in a card that was left with Escape; edited again, it is there.
const leftEdits = new Map();

function editCard() {
  const whole = R.full.get(row()?.id);
  if (!whole || R.editing) return;
  R.editing = true;
  const box = (key, value) => {
    const area = el("textarea", { class: "jv-field", "aria-label": t(key) });
    area.value = value;
    area.addEventListener("input", () => fit(area));
    return area;
  };
  const message = whole.prompt.at(-1)?.content ?? "";
  const draft = R.drafts.get(whole.id) ?? leftEdits.get(whole.id);
  R.drafts.delete(whole.id);
  leftEdits.delete(whole.id);
  const user = box("review.edit_message", draft?.user ?? message);
  const target = box("review.edit_answer", draft?.target ?? whole.target ?? whole.reply);
  const close = () => {
    R.editing = false;
    drawReview();
    $("jv-review-body").focus();
  };
  const save = () => {
    if (!target.value.trim() || !user.value.trim()) return toast(t("review.edit_empty"));
    const change = { target: target.value };
    if (user.value !== message) change.user = user.value;
    return saveEdit(whole, change);
  };
  const form = el(
    "div",
    { class: "jv-edit-card", "data-turn-id": whole.id },
    el("label", { class: "jv-label" }, t("review.edit_message"), user),
    el("label", { class: "jv-label" }, t("review.edit_answer"), target),
  );
  form.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && !composing(e)) {
      e.stopPropagation();
      if (user.value !== message || target.value !== (whole.target ?? whole.reply)) leftEdits.set(whole.id, { user: user.value, target: target.value });
      close();
    } else if (e.key === "Enter" && (e.ctrlKey || e.metaKey) && !composing(e)) {
      e.preventDefault();
      save();
    }
  });
  $("jv-review-body").replaceChildren(form);
  $("jv-review-foot").replaceChildren(el("div", { class: "jv-decisions" }, el("span", { class: "jv-hint" }, t("review.edit_hint")), el("span", { class: "jv-gap" }), el("button", { class: "jv-plain", onclick: close }, t("cancel")), el("button", { class: "jv-primary", "data-act": "save", onclick: save }, t("review.save"))));
  fit(user);
  fit(target);
  target.focus();
  target.setSelectionRange(0, 0);
}

// What is being written is kept while something else is shown, or the page in the other language.
function keepEdit() {
  const form = R.editing && document.querySelector("#jv-review-body .jv-edit-card");
  R.editing = false;
  if (!form) return;
  const [user, target] = [...form.querySelectorAll("textarea")].map((area) => area.value);
  R.drafts.set(form.dataset.turnId, { user, target });
}

function fit(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight * 0.5)}px`;
}

// What was written stays in its fields until it is stored.
async function saveEdit(whole, change) {
  const kept = await attempt(() => call("review_decide", { turn: whole.id, action: "edit", ...change }));
  if (!kept) return;
  R.undo.push(memoryOf(whole));
  takeRow(kept);
  R.editing = false;
  $("jv-review-say").textContent = t("review.done_edit");
  drawReview();
  $("jv-review-body").focus();
}
