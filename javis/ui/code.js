// Code blocks with a quiet highlighter.

const WORDS = new Set(
  ("and as assert async await break case catch class const continue def default del do elif else enum except export extends " +
    "finally fn for from func function global if impl import in interface is lambda let match mut new not of or package pass " +
    "private public raise return select self static struct super switch this throw trait try type use var void where while with yield " +
    "True False None true false null undefined int str float bool string number").split(" "),
);
const TOKENS =
  /(\/\*[\s\S]*?\*\/|(?:\/\/|#(?![0-9a-fA-F]{3,8}\b))[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\b(0x[\da-fA-F]+|\d[\d_.]*(?:e[+-]?\d+)?)\b|([A-Za-z_$][\w$]*)/g;
const HIGHLIGHT_CHARS = 20000;

function highlighted(source) {
  if (source.length > HIGHLIGHT_CHARS) return [source];
  const nodes = [];
  let from = 0;
  for (const m of source.matchAll(TOKENS)) {
    const kind = m[1] ? "comment" : m[2] ? "string" : m[3] ? "number" : WORDS.has(m[4]) ? "word" : null;
    if (!kind) continue;
    nodes.push(source.slice(from, m.index), el("span", { class: `jv-c-${kind}` }, m[0]));
    from = m.index + m[0].length;
  }
  nodes.push(source.slice(from));
  return nodes;
}

function code(text) {
  const lines = text.split("\n");
  const fence = FENCE.exec(lines[0]);
  const closed = lines.length > 1 && new RegExp(`^ {0,3}${fence[1][0]}{${fence[1].length},}\\s*$`).test(lines.at(-1));
  const source = lines.slice(1, closed ? -1 : undefined).join("\n");
  const name = fence[2].trim().split(/\s+/)[0].slice(0, 30);
  return el(
    "figure",
    { class: "jv-code" },
    el(
      "figcaption",
      {},
      el("span", {}, name || t("msg.code")),
      el("button", { class: "jv-copy", onclick: (e) => copyText(source, e.currentTarget) }, icon("copy"), el("span", {}, t("msg.copy"))),
    ),
    el("pre", { tabindex: "0" }, el("code", {}, ["text", "txt", "plain", "markdown"].includes(name) ? source : highlighted(source))),
  );
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(el("textarea", { class: "jv-offscreen" }));
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.classList.add("is-done");
  button.querySelector(".jv-icon").replaceWith(icon("check"));
  toast(t("msg.copied"));
  setTimeout(() => {
    button.classList.remove("is-done");
    button.querySelector(".jv-icon")?.replaceWith(icon("copy"));
  }, 1600);
}
