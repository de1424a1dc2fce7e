// The frame of the page: top bar, tabs, language, light and dark, keys; and its start.

function buildTop() {
  place("jv-top").replaceChildren(
    iconButton("menu", t("side.show"), toggleSidebar, { id: "jv-show" }),
    el("div", { id: "jv-title" }),
    el("button", { id: "jv-model", "aria-haspopup": "dialog", onclick: (e) => aboutModel(e.currentTarget) }),
    el(
      "div",
      { class: "jv-tabs" },
      tabList(),
      el("button", { id: "jv-lang", class: "jv-ib", lang: lang === "ko" ? "en" : "ko", "aria-label": t("top.language"), title: t("top.language"), onclick: switchLanguage }, lang === "ko" ? "EN" : "한"),
      iconButton({ light: "sun", dark: "moon", auto: "auto" }[themeChoice()], t("top.theme"), (e) => themeMenu(e.currentTarget), { id: "jv-theme", "aria-haspopup": "menu" }),
      S.login ? iconButton("exit", t("top.logout"), logOut, { id: "jv-logout" }) : null,
    ),
  );
  paintTitle();
  paintTabs();
}

function paintTitle() {
  const title = $("jv-title");
  if (!title) return;
  title.textContent = S.id ? S.title : "";
  document.title = S.id && S.title ? `${S.title} · JAVIS` : "JAVIS";
  if (S.model) $("jv-model").textContent = modelLine();
}

function modelLine() {
  const m = S.model;
  return [m.title, t("top.here"), m.languages.map(languageName).join(", ")].join(" · ");
}

function aboutModel(button) {
  document.querySelector(".jv-pop")?.remove();
  const m = S.model;
  const rows = [
    ["about.model", m.model],
    ["about.engine", `${m.engine} · ${m.device}`],
    ["about.quantization", m.quantization],
    ["about.context", t("about.context_value", { tokens: number(m.context_tokens) })],
    ["about.licence", m.licence],
  ].filter(([, v]) => v);
  const box = el("div", { class: "jv-pop", role: "dialog", "aria-label": t("about.title"), tabindex: "-1" }, el("dl", { class: "jv-details" }, rows.map(([k, v]) => el("div", {}, el("dt", {}, t(k)), el("dd", {}, v)))), el("p", {}, t("about.bigger"), el("code", { tabindex: "0" }, "python launch.py --model Qwen2.5-1.5B-Instruct")));
  const close = (e) => {
    if (e.type === "keydown" ? e.key === "Escape" : !box.contains(e.target)) {
      if (e.type === "keydown") e.stopPropagation();
      box.remove();
      removeEventListener("pointerdown", close, true);
      removeEventListener("keydown", close, true);
      button.focus();
    }
  };
  document.body.append(box);
  const at = button.getBoundingClientRect();
  box.style.left = `${Math.max(8, Math.min(at.left, innerWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${at.bottom + 6}px`;
  setTimeout(() => addEventListener("pointerdown", close, true));
  addEventListener("keydown", close, true);
  box.focus();
}

function logOut() {
  // Of another user's words nothing stays in the tab.
  drafts.clear();
  prompts.clear();
  area().value = "";
  const form = document.body.appendChild(el("form", { method: "post", action: "logout" }));
  form.submit();
}

// Sidebar ----------------------------------------------------------------------------------

const narrow = () => matchMedia("(max-width: 767px)").matches;

function toggleSidebar() {
  if (narrow()) return document.body.classList.toggle("jv-drawer");
  const hidden = document.body.classList.toggle("jv-side-hidden");
  remembered.set("sidebar", hidden ? "hidden" : null);
  return hidden;
}

const closeDrawer = () => document.body.classList.remove("jv-drawer");

// Language and theme -----------------------------------------------------------------------

function switchLanguage() {
  keepDraft();
  lang = lang === "ko" ? "en" : "ko";
  remembered.set("lang", lang);
  speak();
  $("jv-lang").focus();
}

// What the controls show: words in this language and, if asked, the values this browser chose.
function relabel(values = {}) {
  jvWires.calls.trigger("relabel", { lang, ...values });
}

const keptVersion = () => ({ values: true, version: remembered.get("version") });

const SAMPLING = ["temperature", "top_p", "max_tokens", "repetition_penalty"];

function keptSampling() {
  const kept = SAMPLING.map((name) => [name, Number.parseFloat(remembered.get(name) ?? "")]);
  return Object.fromEntries(kept.map(([name, value]) => [name, Number.isFinite(value) ? value : null]));
}

const forgetSampling = () => SAMPLING.forEach((name) => remembered.set(name, null));

// Whoever chose the version that is live follows it to the next one.
function keepChoice(name, value) {
  if (SAMPLING.includes(name)) remembered.set(name, String(value));
  else if (name === "version") remembered.set(name, value === pulse.known?.current ? null : value);
}

function speak() {
  document.documentElement.lang = lang;
  buildSidebar();
  buildTop();
  buildComposer();
  const end = $("jv-to-end");
  end.title = t("chat.to_end");
  end.setAttribute("aria-label", t("chat.to_end"));
  drawThread();
  drawLearning();
  relabel();
}

const themeChoice = () => (["light", "dark"].includes(remembered.get("theme")) ? remembered.get("theme") : "auto");
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

function paintTheme() {
  const choice = themeChoice();
  const dark = choice === "dark" || (choice === "auto" && darkSystem.matches);
  document.body.classList.toggle("dark", dark);
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
}

function themeMenu(button) {
  const set = (choice) => {
    remembered.set("theme", choice === "auto" ? null : choice);
    paintTheme();
    buildTop();
    $("jv-theme").focus();
  };
  const item = (choice, name) => ({ icon: name, label: t(`theme.${choice}`), on: themeChoice() === choice, run: () => set(choice) });
  menu(button, [item("auto", "auto"), item("light", "sun"), item("dark", "moon")]);
}

// Start ------------------------------------------------------------------------------------

// Whether a list of Gradio's was open when a key went down: Escape is the list's then.
let listOpen = false;

function noteList() {
  listOpen = Boolean(document.querySelector("[role=listbox]"));
}

// Gradio's list stays open when the Tab key leaves its field, and lies over what is typed next.
function closeLeftList({ target }) {
  if (!target.matches?.("[role=combobox]")) return;
  setTimeout(() => {
    if (target !== document.activeElement && target.getAttribute("aria-expanded") === "true") target.dispatchEvent(new FocusEvent("blur"));
  }, 100);
}

function onPageKey(e) {
  if (e.key === "Escape" && listOpen) return;
  if (e.key === "Escape" && !composing(e)) {
    if (document.body.classList.contains("jv-drawer")) closeDrawer();
    else if (document.body.classList.contains("jv-advanced-open")) toggleAdvanced();
    else if (S.answering && V.tab === "chat" && !dialogOpen() && !e.target.closest("#jv-side, #jv-tools, dialog")) stopAnswer();
  } else if (letter(e) === "o" && e.shiftKey && (e.ctrlKey || e.metaKey)) {
    e.preventDefault();
    newChat();
  } else if (letter(e) === "k" && (e.ctrlKey || e.metaKey)) {
    e.preventDefault();
    if (narrow()) document.body.classList.add("jv-drawer");
    else document.body.classList.remove("jv-side-hidden");
    $("jv-search").focus();
  }
}

// While Gradio still sets its parts up, a reply can be lost: whoever hears nothing asks again.
async function boot() {
  for (let tries = 4; tries > 1; tries--) {
    try {
      return await call("boot", {}, 6000);
    } catch (error) {
      if (error.code !== "unreachable") throw error;
    }
  }
  return call("boot");
}

async function start() {
  paintTheme();
  darkSystem.addEventListener("change", paintTheme);
  Object.assign(document.body.dataset, { tab: "chat", section: "" });
  document.body.classList.toggle("jv-side-hidden", remembered.get("sidebar") === "hidden");
  addEventListener("keydown", noteList, true);
  addEventListener("focusout", closeLeftList);
  addEventListener("keydown", onPageKey);
  addEventListener("pagehide", leaveDrafts);
  addEventListener("beforeunload", warnOfLoss);
  buildThread();
  jvWires.draw = drawMarkdown;
  for (const wire of [jvWires.calls, jvWires.stops, jvWires.slow]) wire.watch("value", () => onReply(wire.props.value));
  jvWires.live.watch("value", () => onFrame(jvWires.live.props.value));
  jvWires.ask.watch("value", () => onAsked(jvWires.ask.props.value));
  jvWires.keep = keepChoice;
  jvWires.prompted = keepPrompt;
  jvWires.formFilled = formFilled;
  speak();
  relabel({ ...keptVersion(), ...keptSampling() });
  focusComposer();
  document.body.classList.add("jv-ready");
  window.jvRest();
  const first = await attempt(boot);
  if (!first) return;
  Object.assign(S, { model: first.model, admin: first.admin, login: first.login, prompt: first.prompt });
  L.rows = first.list.rows;
  L.total = first.list.total;
  buildTop();
  drawList();
  paintReadiness(first.readiness);
  followAddress();
  addEventListener("popstate", followAddress);
  const wanted = new URL(location.href).searchParams.get("c") || remembered.get("conversation");
  showPrompt();
  // Who has sent a message already stays with it.
  if (wanted && !S.streams.size && !S.id) await openConversation(wanted, { quiet: true, typed: true });
  else drawThread();
  focusComposer();
  startPulse();
  if (S.admin) loadGolden();
  document.body.classList.add("jv-booted");
}

// Gradio sets its parts up one after the other; all places must be there.
(function whenReady() {
  const places = ["jv-side", "jv-top", "jv-thread", "jv-input", "jv-buttons", "jv-review", "jv-compare", "jv-train", "jv-versions", "jv-evaluate", "jv-dashboard", "jv-sections"];
  if (["live", "ask", "stops", "slow"].every((name) => window.jvWires?.[name]) && places.every((id) => place(id))) start();
  else setTimeout(whenReady, 20);
})();
