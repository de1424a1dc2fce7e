// Training by itself: off until the user wants it.

const SCHEDULE_BEGIN = { turns: 100, days: 0 };

// One change after the other, each upon what the one before it left.
let scheduleKept = Promise.resolve();
function keepSchedule(change) {
  const one = async () => {
    const { turns, days } = { ...TR.state.schedule, ...change };
    const kept = await attempt(() => call("train_schedule", { turns, days }));
    if (kept) TR.state.schedule = kept;
    drawSchedule();
  };
  scheduleKept = scheduleKept.catch(() => {}).then(one);
}

// Who is typing keeps the field; the rest shows what is kept.
function paintSchedule(s) {
  for (const name of ["turns", "days"]) {
    const box = $(`jv-schedule-${name}`);
    if (box !== document.activeElement) box.value = s[name] ? String(s[name]) : "";
  }
  $("jv-schedule-on").checked = Boolean(s.turns || s.days);
}

function drawSchedule() {
  const host = $("jv-train-schedule");
  if (!host) return undefined;
  const s = TR.state.schedule;
  const typing = document.activeElement;
  if (typing.type === "text" && host.contains(typing)) return paintSchedule(s);
  const on = Boolean(s.turns || s.days);
  const count = (name) => {
    const value = (e) => (e.target.value.trim() === "" ? 0 : Number(e.target.value.replace(/,/g, "")));
    const box = el("input", { type: "text", class: "jv-field", inputmode: "numeric", id: `jv-schedule-${name}`, placeholder: t("schedule.never"), onchange: (e) => keepSchedule({ [name]: value(e) }) });
    box.value = s[name] ? String(s[name]) : "";
    return el("label", { class: "jv-label" }, t(`schedule.${name}`), box);
  };
  return swap(
    host,
    card(
      "schedule.title",
      el("label", { class: "jv-toggle" }, el("input", { type: "checkbox", role: "switch", class: "jv-onoff", id: "jv-schedule-on", checked: on, onchange: (e) => keepSchedule(e.target.checked ? SCHEDULE_BEGIN : { turns: 0, days: 0 }) }), el("span", {}, el("strong", {}, t("schedule.on")), el("span", {}, t("schedule.hint")))),
      on ? el("div", { class: "jv-form-row" }, count("turns"), count("days")) : "",
      on ? el("p", { class: "jv-hint" }, t("schedule.so_far", { turns: number(s.new_turns), days: number(s.passed_days, 1) })) : "",
    ),
  );
}
