// Training by itself: off until the user wants it.

const SCHEDULE_BEGIN = { turns: 100, days: 0 };

function drawSchedule() {
  const host = $("jv-train-schedule");
  const s = TR.state.schedule;
  const keep = async (turns, days) => {
    const kept = await attempt(() => call("train_schedule", { turns, days }));
    if (kept) TR.state.schedule = kept;
    drawSchedule();
  };
  const on = Boolean(s.turns || s.days);
  const count = (name) => {
    const value = (e) => (e.target.value.trim() === "" ? 0 : Number(e.target.value.replace(/,/g, "")));
    const box = el("input", { type: "text", class: "jv-field", inputmode: "numeric", id: `jv-schedule-${name}`, placeholder: t("schedule.never"), onchange: (e) => keep(name === "turns" ? value(e) : s.turns, name === "days" ? value(e) : s.days) });
    box.value = s[name] ? String(s[name]) : "";
    return el("label", { class: "jv-label" }, t(`schedule.${name}`), box);
  };
  return host.replaceChildren(
    card(
      "schedule.title",
      el("label", { class: "jv-toggle" }, el("input", { type: "checkbox", role: "switch", class: "jv-onoff", id: "jv-schedule-on", checked: on, onchange: (e) => (e.target.checked ? keep(SCHEDULE_BEGIN.turns, SCHEDULE_BEGIN.days) : keep(0, 0)) }), el("span", {}, el("strong", {}, t("schedule.on")), el("span", {}, t("schedule.hint")))),
      on ? el("div", { class: "jv-form-row" }, count("turns"), count("days")) : "",
      on ? el("p", { class: "jv-hint" }, t("schedule.so_far", { turns: number(s.new_turns), days: number(s.passed_days, 1) })) : "",
    ),
  );
}
