// A small question every few seconds: is there a new version, did another go live, does a run go
// on? So the page learns of it without a reload.

const PULSE_MS = 4000;
const STAYS_MS = 2 ** 31 - 1;
const pulse = { timer: 0, known: null, lost: null };

function startPulse() {
  document.addEventListener("visibilitychange", () => !document.hidden && beat());
  beat();
}

async function beat() {
  clearTimeout(pulse.timer);
  try {
    // Gradio does not get over a call that found nobody, so another door is tried first.
    const door = await knock("health");
    sayLost(door === 0);
    if (door === 200) takePulse(await call("pulse", {}, PULSE_MS));
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
  }
  clearTimeout(pulse.timer);
  if (!document.hidden) pulse.timer = setTimeout(beat, PULSE_MS);
}

// In the chat the composer says it, where an answer waits; elsewhere a toast does, until JAVIS is
// back. Gradio's own word for it is English and covers the tabs, so it is hidden (style.css).
function sayLost(gone) {
  const wanted = gone && V.tab !== "chat";
  if (wanted && !pulse.lost?.isConnected) pulse.lost = toast(t("lost"), null, STAYS_MS);
  else if (!wanted) pulse.lost?.remove();
}

function takePulse(found) {
  const key = JSON.stringify([found.current, found.versions]);
  const changed = pulse.known !== null && pulse.known.key !== key;
  pulse.known = { ...found, key };
  if (changed) relabel(keptVersion());
  drawBanner();
  drawRunChip();
}

// "v1.1 is live since 14:02 · undo", above the conversation, until it is put away.
function drawBanner() {
  const host = bannerHost();
  const live = pulse.known?.live;
  if (pulse.known?.paused) {
    // Drawn once: a screen reader would say it again at every beat.
    if (host.dataset.key === `paused${lang}`) return undefined;
    host.dataset.key = `paused${lang}`;
    return host.replaceChildren(el("div", { class: "jv-banner", role: "status" }, icon("stop"), el("span", {}, t("banner.paused"))));
  }
  const show = live && remembered.get("banner") !== live.at;
  if (!show) {
    delete host.dataset.key;
    return host.replaceChildren();
  }
  const day = new Date(live.at);
  const today = day.toDateString() === new Date().toDateString();
  const at = day.toLocaleString(lang, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
  const key = `${live.at}${lang}`;
  if (host.dataset.key === key && host.firstChild) return undefined;
  host.dataset.key = key;
  return host.replaceChildren(
    el(
      "div",
      { class: "jv-banner", role: "status" },
      icon("check"),
      el("span", {}, ofVersion(live.version, "banner.live_base", "banner.live", { at })),
      S.admin && live.can_undo ? el("button", { class: "jv-link", "data-act": "undo-live", onclick: rollBack }, t("undo")) : "",
      iconButton("close", t("close"), () => (remembered.set("banner", live.at), drawBanner())),
    ),
  );
}

function bannerHost() {
  return $("jv-banner") || place("jv-thread").insertBefore(el("div", { id: "jv-banner" }), place("jv-thread").firstChild);
}

// A run that goes on is named at the sidebar's foot, wherever the admin is.
function drawRunChip() {
  const host = $("jv-run");
  if (!host) return;
  const going = pulse.known?.run;
  if (!going) return host.replaceChildren();
  const percent = going.total ? Math.floor((100 * going.step) / going.total) : 0;
  const words = t("live.chip", { percent: number(percent) });
  // The same button as long as the run goes on: who stands on it with the keyboard stays there.
  if (host.firstChild) host.firstChild.lastChild.textContent = words;
  else host.replaceChildren(el("button", { class: "jv-run-chip", onclick: () => (closeDrawer(), showTab("admin", "train")) }, el("i", {}), words));
}

function drawLearning() {
  drawReview();
  if (V.tab === "compare") openCompare();
  if (V.tab === "admin") openAdmin();
  if (pulse.known) {
    drawBanner();
    drawRunChip();
  }
}
