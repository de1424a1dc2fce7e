// A question in front of the page. The browser's own <dialog> keeps the focus inside and gives it
// back; Escape closes.

function dialog(title, body, actions = [], { wide = false, onclose = null } = {}) {
  document.querySelector("dialog.jv-dialog")?.close();
  const head = el("header", {}, el("h2", { id: "jv-dialog-title" }, title), iconButton("close", t("close"), () => box.close()));
  const foot = actions.length ? el("footer", { class: "jv-row" }, actions) : "";
  const box = el("dialog", { class: `jv-dialog${wide ? " is-wide" : ""}`, "aria-labelledby": "jv-dialog-title" }, head, el("div", { class: "jv-dialog-body" }, body), foot);
  box.addEventListener("close", () => {
    box.remove();
    onclose?.();
  });
  // A click on what is behind it closes it, too.
  box.addEventListener("pointerdown", (e) => e.target === box && box.close());
  document.body.append(box);
  box.showModal();
  return box;
}

const dialogOpen = () => Boolean(document.querySelector("dialog[open], .jv-menu, .jv-pop"));

// Asks for a word to be typed before something that cannot be taken back.
function confirmTyped(title, sentence, word, label, run) {
  const field = el("input", { type: "text", class: "jv-field", autocomplete: "off", "aria-label": t("confirm.type", { word }) });
  const go = el("button", { class: "jv-primary", disabled: true, onclick: () => (box.close(), run()) }, label);
  field.addEventListener("input", () => {
    go.disabled = field.value.trim() !== word;
  });
  field.addEventListener("keydown", (e) => e.key === "Enter" && !composing(e) && !go.disabled && go.click());
  const box = dialog(title, [el("p", {}, sentence), el("label", { class: "jv-label" }, t("confirm.type", { word }), field)], [el("button", { class: "jv-plain", onclick: () => box.close() }, t("cancel")), go]);
  field.focus();
}
