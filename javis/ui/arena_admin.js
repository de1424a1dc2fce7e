// The admin's switch for blind comparison: off until it is wanted.

function arenaCard() {
  const host = card("arena.card", el("div", { id: "jv-arena" }, skeleton()));
  loadArena();
  return host;
}

async function loadArena() {
  const plan = await attempt(() => call("arena_plan"));
  if (plan) drawArena(plan);
}

async function keepArena(plan, change) {
  const { on, share, versions } = { ...plan, ...change };
  const kept = await attempt(() => call("arena_set", { on, share, versions }));
  drawArena(kept || plan);
  if (kept) toast(t("arena.saved"));
}

function drawArena(plan) {
  const host = $("jv-arena");
  if (!host) return;
  const focused = host.contains(document.activeElement) ? document.activeElement.id : "";
  const why = plan.pinned ? "arena.pinned" : plan.contestants.length < 2 ? "arena.alone" : "";
  host.replaceChildren(
    el(
      "label",
      { class: "jv-toggle" },
      el("input", { type: "checkbox", role: "switch", class: "jv-onoff", id: "jv-arena-on", checked: plan.on, onchange: (e) => keepArena(plan, { on: e.target.checked }) }),
      el("span", {}, el("strong", {}, t("arena.on")), el("span", {}, t("arena.on_hint"))),
    ),
    why ? el("p", { class: "jv-hint" }, t(why)) : "",
    plan.on ? arenaShare(plan) : "",
    plan.on && plan.contestants.length > 2 ? arenaAgainst(plan) : "",
    plan.votes ? el("p", { class: "jv-hint" }, t("arena.so_far", { count: number(plan.votes) })) : "",
  );
  if (focused) $(focused)?.focus();
}

function arenaShare(plan) {
  const box = el("input", { type: "number", class: "jv-field", id: "jv-arena-share", min: "1", max: "100", step: "1", inputmode: "numeric", onchange: (e) => keepArena(plan, { share: Number(e.target.value) / 100 }) });
  box.value = String(Math.round(plan.share * 100));
  return el("div", { class: "jv-form-row" }, el("label", { class: "jv-label" }, t("arena.share"), box));
}

// All of them until some are picked; an empty list says so.
function arenaAgainst(plan) {
  const chosen = new Set(plan.versions.length ? plan.versions : plan.contestants);
  const pick = (name, on) => {
    on ? chosen.add(name) : chosen.delete(name);
    const versions = plan.contestants.filter((n) => chosen.has(n));
    keepArena(plan, { versions: versions.length === plan.contestants.length ? [] : versions });
  };
  const box = (name) =>
    el("label", { class: "jv-pick" }, el("input", { type: "checkbox", id: `jv-arena-${name}`, checked: chosen.has(name), onchange: (e) => pick(name, e.target.checked) }), el("span", {}, nameOf(name)));
  return el("fieldset", { class: "jv-against" }, el("legend", {}, t("arena.against")), plan.contestants.map(box));
}
