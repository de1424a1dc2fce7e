// Which view is shown. The address says it after its "#", so that a reload stays where it was and
// the browser's "back" goes where it should.

const VIEWS = { chat: [], review: ["cards", "list"], compare: ["table", "answers", "votes"], admin: ["train", "evaluate", "versions", "dashboard", "system"] };
const V = { tab: "chat", section: "" };

const isThere = (tab) => tab === "chat" || S.admin;

function viewOf(hash) {
  const [tab, section] = hash.replace(/^#/, "").split("/");
  if (!(tab in VIEWS) || !isThere(tab)) return { tab: "chat", section: "" };
  const sections = VIEWS[tab];
  return { tab, section: sections.includes(section) ? section : sections[0] || "" };
}

const hashOf = (tab, section) => (tab === "chat" ? "" : `#${tab}${section ? `/${section}` : ""}`);

function showTab(tab, section = null, { record = true } = {}) {
  const wanted = viewOf(hashOf(tab, section ?? (tab === V.tab ? V.section : V[`last_${tab}`])));
  Object.assign(V, wanted, { [`last_${wanted.tab}`]: wanted.section });
  Object.assign(document.body.dataset, { tab: V.tab, section: V.section });
  if (record && location.hash !== hashOf(V.tab, V.section)) {
    const url = new URL(location.href);
    url.hash = hashOf(V.tab, V.section);
    history.pushState(null, "", url);
  }
  paintTabs();
  if (V.tab === "review") openReview();
  else if (V.tab === "compare") openCompare();
  else if (V.tab === "admin") openAdmin();
}

function paintTabs() {
  for (const tab of document.querySelectorAll("#jv-top [role=tab]")) {
    const on = tab.id === `jv-tab-${V.tab}`;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
  }
}

const followAddress = () => {
  const { tab, section } = viewOf(location.hash);
  showTab(tab, section, { record: false });
};

function tabList() {
  const names = Object.keys(VIEWS).filter(isThere);
  if (names.length < 2) return null;
  return el(
    "div",
    { role: "tablist", "aria-label": t("tabs.label"), onkeydown: arrowsMove },
    names.map((name) => el("button", { role: "tab", id: `jv-tab-${name}`, "aria-controls": `jv-${name}`, onclick: () => showTab(name) }, t(`tabs.${name}`))),
  );
}

// Left and right move along a row of tabs, as people who use a keyboard expect.
function arrowsMove(e) {
  const all = [...e.currentTarget.querySelectorAll("[role=tab]")];
  const at = all.indexOf(document.activeElement);
  const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
  if (!step || at < 0) return;
  e.preventDefault();
  e.stopPropagation();
  const next = all[(at + step + all.length) % all.length];
  next.click();
  $(next.id)?.focus();
}
