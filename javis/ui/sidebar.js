// The list of conversations, its search, and how far the ratings are from a first training.

const L = { rows: [], total: 0, query: "", seq: 0 };

function buildSidebar() {
  const search = el("input", {
    type: "search",
    id: "jv-search",
    placeholder: t("side.search"),
    "aria-label": t("side.search"),
    autocomplete: "off",
    maxlength: "200",
    oninput: searchSoon,
  });
  search.value = L.query;
  const file = el("input", { type: "file", id: "jv-file", accept: ".json,.md,application/json,text/markdown", class: "jv-offscreen", tabindex: "-1", "aria-label": t("side.import"), onchange: importFile });
  place("jv-side").replaceChildren(
    el(
      "nav",
      { id: "jv-nav", "aria-label": t("side.label") },
      el("div", { class: "jv-brand" }, logo(), el("strong", {}, "JAVIS"), iconButton("menu", t("side.hide"), toggleSidebar, { id: "jv-hide" })),
      el("button", { id: "jv-new", onclick: () => newChat() }, icon("plus"), el("span", {}, t("side.new"))),
      el("label", { class: "jv-search" }, icon("search"), search),
      el("div", { id: "jv-list", tabindex: "-1" }),
      el("div", { id: "jv-foot" }, el("div", { id: "jv-run" }), el("div", { id: "jv-ready" }), el("div", { class: "jv-row jv-files" }, el("button", { class: "jv-plain", onclick: () => file.click() }, icon("in"), t("side.import")), el("a", { class: "jv-plain", href: "api/conversations/export", download: "" }, icon("out"), t("side.export")), file)),
    ),
    el("div", { id: "jv-shade", onclick: closeDrawer }),
  );
  drawList();
  if (L.readiness) paintReadiness(L.readiness);
}

function logo() {
  const image = el("span", { class: "jv-logo", "aria-hidden": "true" });
  image.append("J");
  return image;
}

let searchTimer = 0;
function searchSoon(event) {
  L.query = event.target.value;
  clearTimeout(searchTimer);
  searchTimer = setTimeout(loadList, 180);
}

async function loadList(more = false) {
  const seq = ++L.seq;
  const offset = more ? L.rows.length : 0;
  const found = await attempt(() => call("list", { query: L.query, offset }));
  if (!found || seq !== L.seq) return;
  L.rows = more ? [...L.rows, ...found.rows] : found.rows;
  L.total = found.total;
  drawList();
}

function dayOf(at) {
  const day = (d) => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
  const then = new Date(at);
  const days = Math.round((day(new Date()) - day(then)) / 86400000);
  if (days <= 0) return t("side.today");
  if (days === 1) return t("side.yesterday");
  if (days < 7) return t("side.week");
  if (days < 30) return t("side.month");
  return then.toLocaleDateString(lang, { year: "numeric", month: "long" });
}

function drawList() {
  const host = $("jv-list");
  // Who types a new title keeps the field; the list is drawn after it.
  if (!host || renaming) return;
  const parts = [];
  let group = null;
  for (const row of L.rows) {
    const day = L.query ? t("side.found", { count: number(L.total) }) : dayOf(row.at);
    if (day !== group) parts.push(el("h2", {}, (group = day)));
    parts.push(rowNode(row));
  }
  if (!L.rows.length) parts.push(el("p", { class: "jv-none" }, t(L.query ? "side.nothing" : "side.empty")));
  if (L.rows.length < L.total) parts.push(el("button", { class: "jv-link", onclick: () => loadList(true) }, t("side.more")));
  host.replaceChildren(...parts);
}

function rowNode(row) {
  const here = row.id === S.id;
  return el(
    "div",
    { class: `jv-item${here ? " is-here" : ""}`, "data-conversation-id": row.id },
    el("button", { class: "jv-open", "aria-current": here ? "true" : null, title: row.title, onclick: () => openConversation(row.id) }, row.title || t("side.untitled")),
    iconButton("more", t("side.menu", { title: row.title }), (e) => rowMenu(row, e.currentTarget), { "aria-haspopup": "menu" }),
  );
}

// A small menu under a button: arrow keys, Escape, a click elsewhere.
function menu(button, items) {
  document.querySelector(".jv-menu")?.remove();
  const box = el(
    "div",
    { class: "jv-menu", role: "menu" },
    items.map((item) =>
      item.href
        ? el("a", { role: "menuitem", href: item.href, download: "", onclick: () => close() }, icon(item.icon), item.label)
        : el("button", { role: "menuitem", "aria-checked": item.on === undefined ? null : String(item.on), onclick: () => (close(), item.run()) }, item.icon ? icon(item.icon) : "", item.label, item.on ? icon("check") : ""),
    ),
  );
  const close = () => {
    box.remove();
    removeEventListener("pointerdown", outside, true);
  };
  const outside = (e) => {
    if (!box.contains(e.target)) close();
  };
  box.addEventListener("keydown", (e) => {
    const all = [...box.children];
    const at = all.indexOf(document.activeElement);
    if (e.key === "Escape") {
      e.stopPropagation();
      close();
      button.focus();
    } else if (e.key === "ArrowDown") all[(at + 1) % all.length].focus();
    else if (e.key === "ArrowUp") all[(at - 1 + all.length) % all.length].focus();
    else if (e.key === "Tab") close();
    else return;
    if (e.key !== "Tab") e.preventDefault();
  });
  document.body.append(box);
  const at = button.getBoundingClientRect();
  box.style.left = `${Math.max(8, Math.min(at.left, innerWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${at.bottom + box.offsetHeight + 8 > innerHeight ? at.top - box.offsetHeight - 4 : at.bottom + 4}px`;
  setTimeout(() => addEventListener("pointerdown", outside, true));
  box.firstElementChild.focus();
}

function rowMenu(row, button) {
  const path = `api/conversations/${encodeURIComponent(row.id)}/export?format=`;
  menu(button, [
    { icon: "edit", label: t("side.rename"), run: () => renameRow(row) },
    { icon: "out", label: t("side.export_markdown"), href: `${path}markdown` },
    { icon: "out", label: t("side.export_json"), href: `${path}json` },
    { icon: "trash", label: t("side.delete"), run: () => deleteRow(row) },
  ]);
}

let renaming = false;

function renameRow(row) {
  const node = document.querySelector(`[data-conversation-id="${CSS.escape(row.id)}"]`);
  const input = el("input", { type: "text", class: "jv-rename", "aria-label": t("side.rename"), maxlength: "200" });
  input.value = row.title;
  let over = false;
  const end = async (keep) => {
    if (over) return;
    over = true;
    renaming = false;
    const title = input.value.trim();
    if (keep && title && title !== row.title) {
      const kept = await attempt(() => call("rename", { conversation: row.id, title }));
      if (kept && S.id === row.id) {
        S.title = kept.title;
        paintTitle();
      }
    }
    await loadList();
  };
  input.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && !composing(e)) end(true);
    else if (e.key === "Escape" && !composing(e)) {
      e.stopPropagation();
      end(false);
    }
  });
  input.addEventListener("blur", () => end(true));
  node.replaceChildren(input);
  renaming = true;
  input.focus();
  input.select();
}

async function deleteRow(row) {
  if (!(await attempt(() => call("delete", { conversation: row.id })))) return;
  const wasHere = S.id === row.id;
  if (wasHere) newChat();
  await loadList();
  loadReadiness();
  toast(t("side.deleted", { title: row.title }), {
    label: t("undo"),
    run: async () => {
      if (!(await attempt(() => call("restore", { conversation: row.id })))) return;
      await loadList();
      loadReadiness();
      if (wasHere) await openConversation(row.id);
    },
  });
}

async function importFile(event) {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file) return;
  const done = await attempt(async () => bringIn(await file.text(), /\.(md|markdown)$/i.test(file.name)));
  if (!done) return;
  await loadList();
  loadReadiness();
  await openConversation(done.first);
  toast(t("side.imported", { count: number(done.count) }));
}

const EVENT_CHARS = 2000000;

// A page's event may be 8 MiB; a whole library goes through the route that takes more.
async function bringIn(text, markdown) {
  if (text.length < EVENT_CHARS) return call("bring_in", { text, markdown });
  const said = await upload("api/conversations/import", markdown ? "text/markdown" : "application/json", text);
  return { count: said.imported, first: said.conversations[0].id };
}

// Readiness --------------------------------------------------------------------------------

async function loadReadiness() {
  const found = await attempt(() => call("readiness"));
  if (found) paintReadiness(found);
}

function paintReadiness(r) {
  L.readiness = r;
  const host = $("jv-ready");
  if (!host) return;
  const done = r.usable >= r.goal;
  const words = done ? t(r.first ? "ready.done" : "ready.done_next") : t("ready.count", { usable: number(r.usable), goal: number(r.goal) });
  const look = r.need_a_look ? ` · ${t("ready.look", { count: number(r.need_a_look) })}` : "";
  const bar = el("div", { class: "jv-meter", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": String(r.goal), "aria-valuenow": String(Math.min(r.usable, r.goal)), "aria-label": t("ready.label") }, el("i", { style: `width:${(100 * r.share).toFixed(1)}%` }));
  const line = el("span", { class: "jv-ready-words" }, words + look);
  if (isThere("review")) return host.replaceChildren(el("button", { class: `jv-ready-open${done ? " is-done" : ""}`, title: t("ready.open"), onclick: () => openFromMeter(done && !r.need_a_look) }, bar, line));
  const counts = [
    ["ready.good", r.good],
    ["ready.bad", r.bad],
    ["ready.corrected", r.corrected],
    ["ready.conflicts", r.conflicts],
    ["ready.personal", r.personal],
  ];
  const open = host.querySelector("details")?.open || false;
  return host.replaceChildren(el("details", { open }, el("summary", {}, bar, line), el("p", {}, t("ready.what")), el("dl", {}, counts.map(([key, value]) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, number(value)))))));
}

function openFromMeter(ready) {
  closeDrawer();
  if (ready) showTab("admin", "train");
  else showTab("review");
}
