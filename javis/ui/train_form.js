// The folded part of the form: every hyper-parameter with its explanation, and the prices.

function hyperparameterFields() {
  return el("details", { class: "jv-fold", open: TR.formOpen, ontoggle: (e) => (TR.formOpen = e.target.open) }, el("summary", {}, t("train.hyperparameters")), el("div", { class: "jv-fields" }, TR.form.fields.map(hyperparameterField)));
}

function hyperparameterField(field) {
  const value = field.name in TR.changed ? TR.changed[field.name] : field.value;
  const set = (v) => {
    if (v === undefined) delete TR.changed[field.name];
    else TR.changed[field.name] = v;
    estimateSoon();
  };
  const id = `jv-h-${field.name}`;
  let box;
  if (field.kind === "flag") {
    box = el("input", { type: "checkbox", role: "switch", class: "jv-onoff", id, checked: Boolean(value), onchange: (e) => set(e.target.checked) });
  } else if (field.kind === "choice") {
    box = select(t(`hyper.${field.name}`), String(value), field.choices.map((c) => [c, t(`hyper.choice_${c}`)]), set);
    box.id = id;
  } else {
    box = el("input", { type: "text", class: "jv-field", id, inputmode: field.kind === "modules" ? "text" : "decimal", autocomplete: "off", onchange: (e) => set(fieldValue(field, e.target.value)) });
    box.value = value === null ? "" : Array.isArray(value) ? value.join(", ") : String(value);
    box.placeholder = field.optional ? t("hyper.auto") : "";
  }
  const range = !["whole", "number"].includes(field.kind) ? "" : t("hyper.range", { low: plainNumber(field.low), high: withUnit(field.name, plainNumber(field.high)) });
  return el("div", { class: "jv-hyper" }, el("label", { for: id }, t(`hyper.${field.name}`)), box, el("p", { class: "jv-hint" }, t(`hyper.why_${field.name}`), range ? ` ${range}` : ""));
}

const COUNTED_IN = { max_length: "hyper.tokens", save_steps: "hyper.steps", max_steps: "hyper.steps" };
const withUnit = (name, count) => (COUNTED_IN[name] ? t(COUNTED_IN[name], { count }) : count);

const plainNumber = (n) => (Math.abs(n) >= 1e-3 || n === 0 ? number(n, 4) : n.toExponential(0));

// What was typed, as the server expects it; it says itself what is out of range.
function fieldValue(field, typed) {
  const text = typed.trim();
  if (!text) return field.optional ? null : undefined;
  if (field.kind === "modules") return text === "all-linear" ? text : text.split(/[\s,]+/).filter(Boolean);
  const found = Number(text.replace(/,/g, ""));
  return Number.isFinite(found) ? found : text;
}

function priceFields() {
  const { prices } = TR.state;
  const names = Object.keys(prices);
  if (!names.length) return "";
  const save = async (name, input) => {
    const amount = Number(input.value.replace(",", "."));
    const kept = await attempt(() => call("train_prices", { prices: { [name]: Number.isFinite(amount) ? amount : input.value } }));
    if (!kept) {
      input.value = String(TR.state.prices[name]);
      return;
    }
    TR.state.prices = kept.prices;
    await estimateNow();
  };
  return el(
    "details",
    { class: "jv-fold", id: "jv-prices", open: TR.pricesOpen, ontoggle: (e) => (TR.pricesOpen = e.target.open) },
    el("summary", {}, t("estimate.prices")),
    el(
      "div",
      { class: "jv-fields" },
      names.map((name) => {
        const input = el("input", { type: "text", class: "jv-field", id: `jv-p-${name}`, inputmode: "decimal", autocomplete: "off", onchange: (e) => save(name, e.target) });
        input.value = String(prices[name]);
        return el("div", { class: "jv-hyper" }, el("label", { for: input.id }, t(`price.${name}`)), input);
      }),
    ),
  );
}
