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

// What a tab opens, said to who cannot see it.
function paintPanels() {
  for (const name of Object.keys(VIEWS)) {
    $(`jv-${name}`)?.setAttribute("role", "tabpanel");
    $(`jv-${name}`)?.setAttribute("aria-labelledby", `jv-tab-${name}`);
  }
}

function paintTabs() {
  if ($("jv-tab-chat")) paintPanels();
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

// The keyboard's place over a drawing: on what came where it was ------------------------------

const reachable = (host) => [...host.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")];
const alike = (one, other) => one.tagName === other.tagName && one.id === other.id && one.dataset.act === other.dataset.act && one.name === other.name;

// What in `host` has the focus, and its place there; null when nothing has.
function focusIn(host) {
  const had = document.activeElement;
  if (had === host || !host.contains(had)) return null;
  const all = reachable(host);
  const typed = had.matches("textarea, input[type=text], input[type=search]") ? { value: had.value, from: had.selectionStart, to: had.selectionEnd } : null;
  return { had, at: all.indexOf(had), peer: all.filter((n) => alike(n, had)).indexOf(had), typed };
}

function focusAgain(host, was) {
  if (!was || was.had === document.activeElement) return;
  if (was.had.isConnected) return void was.had.focus({ preventScroll: true });
  const all = reachable(host);
  const peers = all.filter((n) => alike(n, was.had));
  const next = peers[Math.min(was.peer, peers.length - 1)];
  // What cannot be pressed any more gives its place to its neighbour.
  const near = [next, ...all.slice(was.at), ...all.slice(0, Math.max(0, was.at)).reverse()];
  const found = near.find((n) => n && !n.disabled && n.offsetParent);
  found?.focus({ preventScroll: true });
  if (!was.typed || found !== next || found.value === undefined) return;
  found.value = was.typed.value;
  found.setSelectionRange(was.typed.from, was.typed.to);
}

function swap(host, ...children) {
  const was = focusIn(host);
  host.replaceChildren(...children);
  focusAgain(host, was);
}
