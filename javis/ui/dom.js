// Small helpers. Nothing here ever parses HTML: all text goes through text nodes.

const $ = (id) => document.getElementById(id);
const place = (id) => document.querySelector(`#${id} .jv-place`);

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

const ICONS = {
  menu: "M4 7h16M4 12h16M4 17h10",
  plus: "M12 5v14M5 12h14",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM20 20l-4-4",
  send: "M12 19V6M6 11l6-6 6 6",
  stop: "M8 8h8v8H8z",
  copy: "M9 9h10v11H9zM5 15V4h10",
  check: "M5 13l4 4L19 7",
  up: "M7 11v9H4v-9zM7 11l4-8c1.7 0 2.6 1.3 2.3 3L12.700 9.500H18a2 2 0 0 1 2 2.300l-1.100 6.500a2 2 0 0 1-2 1.700H7",
  down: "M17 13V4h3v9zM17 13l-4 8c-1.700 0-2.600-1.300-2.300-3l.6-3.500H6a2 2 0 0 1-2-2.300l1.100-6.500a2 2 0 0 1 2-1.700H17",
  again: "M20 11a8 8 0 1 0-2.300 6.300M20 4v7h-7",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  branch: "M7 4v16M7 14c0-4 10-2 10-8M17 6a2 2 0 1 0 0-4 2 2 0 0 0 0 4",
  info: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 11v5M12 8v.01",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  out: "M12 4v11M8 11l4 4 4-4M5 20h14",
  in: "M12 15V4M8 8l4-4 4 4M5 20h14",
  close: "M6 6l12 12M18 6L6 18",
  tune: "M4 7h9M17 7h3M4 17h3M11 17h9M13 5v4M7 15v4",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M4.900 4.900l1.400 1.400M17.700 17.700l1.400 1.400M2 12h2M20 12h2M4.900 19.100l1.400-1.400M17.700 6.300l1.400-1.400",
  moon: "M20 14.500A8 8 0 0 1 9.500 4 8 8 0 1 0 20 14.500z",
  auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  exit: "M10 4H5v16h5M14 8l4 4-4 4M9 12h9",
  end: "M12 5v13M6 12l6 6 6-6",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z",
  code: "M9 8l-5 4 5 4M15 8l5 4-5 4",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6v1",
  star: "M12 4l2.500 5.200 5.700.8-4.100 4 1 5.700L12 17l-5.100 2.700 1-5.700-4.100-4 5.700-.8z",
  warn: "M12 4l9 16H3zM12 10v5M12 17.500v.01",
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "jv-icon");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function iconButton(name, label, onclick, extra = {}) {
  return el(
    "button",
    { "aria-label": label, title: label, onclick, ...extra, class: `jv-ib ${extra.class || ""}` },
    icon(name),
  );
}

// Remembered in this browser: choices and ids, never what was written.
const remembered = {
  get(name) {
    try {
      return localStorage.getItem(`javis.${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      if (value === null) localStorage.removeItem(`javis.${name}`);
      else localStorage.setItem(`javis.${name}`, value);
    } catch {
      /* A browser that keeps nothing still chats. */
    }
  },
};

let lang =
  remembered.get("lang") in TEXTS
    ? remembered.get("lang")
    : (navigator.languages || [navigator.language || "en"]).some((l) => l.toLowerCase().startsWith("ko"))
      ? "ko"
      : "en";

function t(key, values = {}) {
  const text = TEXTS[lang][key] ?? TEXTS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const number = (n, digits = 0) => new Intl.NumberFormat(lang, { maximumFractionDigits: digits }).format(n);

// Questions to the server. Replies come back through a component's value, and two at once could
// overwrite each other before either was seen: on each wire, one question at a time. Ends wait for
// nothing else, and nothing else waits for what takes long.
const WIRES = { stop: "stops", compare_stop: "stops", eval_cancel: "stops", train_cancel: "stops", admin_backup: "slow", bring_in: "slow", compare_report: "slow", review_take_in: "slow" };
const lines = {};
const waiting = new Map();
let calls = 0;
const REPLY_MS = 20000;
const SILENT_MS = 1500;

class CallError extends Error {
  constructor(error) {
    super(error.message);
    Object.assign(this, error);
  }
}

const unreachable = () => new CallError({ code: "unreachable", message: t("unreachable") });

// A session that is gone, or a server, tells Gradio only; whoever hears nothing asks at another
// door, and again, as long as nothing is heard.
function askWhySilent(id) {
  setTimeout(async () => {
    if (!waiting.has(id)) return;
    const status = await knock("api/readiness");
    const asked = waiting.get(id);
    if (!asked) return;
    if (status !== 401 && status !== 0) return askWhySilent(id);
    waiting.delete(id);
    clearTimeout(asked.timer);
    asked.reject(new CallError(status ? { code: "not_logged_in", message: t("logged_out_short") } : { code: "unreachable", message: t("unreachable") }));
  }, SILENT_MS);
}

// `patience`: how long this question may hold up the next ones on its wire, in milliseconds.
function call(kind, data = {}, patience = REPLY_MS) {
  const wire = WIRES[kind] || "calls";
  const one = () =>
    new Promise((resolve, reject) => {
      const id = `c${++calls}`;
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(unreachable());
      }, patience);
      waiting.set(id, { resolve, reject, timer });
      jvWires[wire].trigger("call", { ...data, kind, call: id, lang });
      askWhySilent(id);
    });
  const mine = (lines[wire] || Promise.resolve()).then(one);
  lines[wire] = mine.catch(() => {});
  return mine;
}

function onReply(reply) {
  if (reply?.call === "form") return onForm(reply);
  const asked = reply && waiting.get(reply.call);
  if (!asked) return undefined;
  waiting.delete(reply.call);
  clearTimeout(asked.timer);
  return reply.error ? asked.reject(new CallError(reply.error)) : asked.resolve(reply.ok);
}

// Quiet confirmations, with an undo where there is one. What can be undone stays its time, whatever
// is said next; only another offer `about` the same thing takes its place.
function toast(text, action = null, ms = action ? 9000 : 3500) {
  const host = $("jv-toasts") || document.body.appendChild(el("div", { id: "jv-toasts", role: "status", "aria-live": "polite" }));
  const card = el("div", { class: "jv-toast" }, el("span", {}, text));
  const close = () => card.remove();
  if (action?.href) card.append(el("a", { class: "jv-link", href: action.href, target: "_blank", rel: "noopener" }, action.label));
  else if (action) {
    card.append(el("button", { class: "jv-link", onclick: () => (close(), action.run()) }, action.label));
  }
  for (const old of [...host.children]) if (!old.jvUndo || (action?.about && old.jvUndo === action.about)) old.remove();
  card.jvUndo = action?.run && (action.about || card);
  host.append(card);
  setTimeout(close, ms);
  return card;
}

// A file to a route of the server. No answer, or one that is no JSON (a proxy's page), is said too.
async function upload(path, type, body) {
  let answer;
  let said;
  try {
    answer = await fetch(path, { method: "POST", headers: { "Content-Type": type }, body });
    said = await answer.json();
  } catch {
    throw unreachable();
  }
  if (!answer.ok) throw new CallError({ code: said?.error?.code, message: said?.error?.message || t("unreachable") });
  return said;
}

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    notice(error.message, error.code === "not_logged_in" ? { label: t("login"), href: "login" } : null);
    return undefined;
  }
}
