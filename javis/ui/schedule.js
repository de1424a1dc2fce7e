// Training by itself: off until the user wants it.

function drawSchedule() {
  const host = $("jv-train-schedule");
  const s = TR.state.schedule;
  if (!s) return host.replaceChildren();
  const keep = async (change) => {
    const kept = await attempt(() => call("train_schedule", { schedule: { ...TR.state.schedule, ...change } }));
    if (kept) TR.state.schedule = kept.schedule;
    drawSchedule();
  };
  const count = (name) => {
    const box = el("input", { type: "text", class: "jv-field", inputmode: "numeric", "aria-label": t(`schedule.${name}`), onchange: (e) => keep({ [name]: e.target.value.trim() === "" ? null : Number(e.target.value) }) });
    box.value = s[name] === null || s[name] === undefined ? "" : String(s[name]);
    return el("label", { class: "jv-label" }, t(`schedule.${name}`), box);
  };
  return host.replaceChildren(
    card(
      "schedule.title",
      el("label", { class: "jv-toggle" }, el("input", { type: "checkbox", role: "switch", id: "jv-schedule-on", checked: s.on, onchange: (e) => keep({ on: e.target.checked }) }), el("span", {}, el("strong", {}, t("schedule.on")), el("span", {}, t("schedule.hint")))),
      s.on ? el("div", { class: "jv-form-row" }, count("every_turns"), count("every_days")) : "",
      s.on && s.next ? el("p", { class: "jv-hint" }, s.next) : "",
    ),
  );
}
