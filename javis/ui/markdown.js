// Markdown to DOM nodes. Built from elements and text nodes only, so that no text of a model or
// a user can become markup; links only to http(s) and mailto; images are never loaded.

const SAFE_LINK = /^(https?:\/\/|mailto:)/i;

function safeLink(url) {
  const clean = url.replace(/[\u0000-\u0020\u007f-\u009f]/g, "");
  return SAFE_LINK.test(clean) ? clean : null;
}

function link(url, children) {
  const safe = safeLink(url);
  if (!safe) return el("span", {}, children);
  return el("a", { href: safe, target: "_blank", rel: "noopener noreferrer nofollow" }, children);
}

// Formulas. A bracket around a mark or a number, or around a link's words, is only escaped.
const DISPLAYED = /^\$\$(?!\s*\$)([\s\S]+?)(?<!\$)\$\$(?!\$)|^\\\[(?![\s\d,xX]*\\\])((?:(?!\\\])[\s\S])+)\\\](?!\()/;
// As pandoc has it, and a little stricter: "$5 and $10" is money, "$HOME/$USER" a path.
const INLINED = /^\\\((?!\s*\\\))([\s\S]+?)\\\)|^\$(?=[^\s$])((?:\\[^\n]|[^$\n`\\])*?)(?<!\s)\$(?![$\d]|(?!(?:th|st|nd|rd|s)\b)\w)/;
const AFTER_DOLLAR = /\$$/;
// One that is not closed yet, or is too long: from here on all stays source.
const OPENED = /^(?:\\\((?!\s*\\\))|\\\[(?![\s\d,xX]*\\\])|\$\$(?=\n|[^\s$]))/;
const CLOSES = { "\\(": "\\)", "\\[": "\\]", $$: "$$" };
const isUnclosed = (text) => OPENED.test(text) && !text.includes(CLOSES[text.slice(0, 2)], 2);

// Also Hangul is a word: no "_" inside one begins or ends anything.
const IN_WORD = /[\p{L}\p{N}_]$/u;

// A bare address ends where Korean or Chinese goes on without a space: "https://a.kr에서" is a.kr.
// A host of such letters ("https://한글.한국") has labels that are wholly so, at most one before.
const CJK = "\\p{sc=Hangul}\\p{sc=Han}\\p{sc=Hira}\\p{sc=Kana}ー";
const CJK_HOST = `(?:[a-z0-9-]+\\.)?[${CJK}][${CJK}0-9-]*(?:\\.(?:[${CJK}][${CJK}0-9-]*|[a-z0-9-]+))*(?::\\d+)?`;
const HOST = `(?:(?![${CJK}])[\\p{L}\\p{M}\\p{N}_.:@%~+-])*(?![${CJK}])[\\p{L}\\p{M}\\p{N}_-]`;
// In a path they may stand, in brackets, too; but a particle after ASCII at the very end is text.
const IN_PATH = "[^\\s<>\"'`()[\\]]";
const AT_END = "[^\\s<>\"'`()[\\].,;:!?]";
const PARTICLE = `(?:(?:에서|으로|에|로)[는도]?|[을를은는이가와과의도])(?!${AT_END})`;
const NO_PARTICLE = `(?!(?<=[a-z0-9)])${PARTICLE})`;
const IN_BRACKETS = "\\([^\\s<>\"'`()]*\\)";
const PATH = `[/?#](?!${PARTICLE})(?:${IN_BRACKETS}|${NO_PARTICLE}${IN_PATH})*(?:${IN_BRACKETS}|${NO_PARTICLE}${AT_END})`;
const BARE = new RegExp(`^https?://(?:${CJK_HOST}|${HOST})(?:${PATH}|/)?`, "iu");

// Tried in order at each place; each gives [node, length] or null.
const INLINE = [
  [DISPLAYED, (m) => formula(m[0], m[1] ?? m[2], true), AFTER_DOLLAR],
  [INLINED, (m) => formula(m[0], m[1] ?? m[2], false), AFTER_DOLLAR],
  [/^\\([\\`*_{}[\]()#+\-.!|~>$])/, (m) => document.createTextNode(m[1])],
  [/^(`+)([\s\S]*?[^`])\1(?!`)/, (m) => el("code", {}, m[2].replace(/^ (.+) $/, "$1"))],
  [
    /^!\[([^\]]*)\]\(\s*<?([^\s)>]*)>?(?:\s+"[^"]*")?\s*\)/,
    (m) => link(m[2], [el("span", { class: "jv-noimage" }, t("msg.image", { alt: m[1] || m[2].slice(0, 80) }))]),
  ],
  [/^\[((?:[^[\]]|\[[^\]]*\])*)\]\(\s*<?([^\s)>]*)>?(?:\s+"[^"]*")?\s*\)/, (m, d) => link(m[2], inline(m[1], d + 1))],
  [/^<((?:https?:\/\/|mailto:)[^\s<>]+)>/i, (m) => link(m[1], [m[1]])],
  [BARE, (m) => link(m[0], [m[0]])],
  [/^\*\*\*(?=\S)([\s\S]*?\S)\*\*\*/, (m, d) => el("strong", {}, el("em", {}, inline(m[1], d + 1)))],
  [/^\*\*(?=\S)([\s\S]*?\S)\*\*(?!\*)/, (m, d) => el("strong", {}, inline(m[1], d + 1))],
  [/^__(?=\S)([\s\S]*?\S)__(?![\p{L}\p{N}_])/u, (m, d) => el("strong", {}, inline(m[1], d + 1)), IN_WORD],
  [/^\*(?=[^\s*])([\s\S]*?[^\s*])\*(?!\*)/, (m, d) => el("em", {}, inline(m[1], d + 1))],
  [/^_(?=[^\s_])([\s\S]*?[^\s_])_(?![\p{L}\p{N}_])/u, (m, d) => el("em", {}, inline(m[1], d + 1)), IN_WORD],
  [/^~~(?=\S)([\s\S]*?\S)~~/, (m, d) => el("del", {}, inline(m[1], d + 1))],
  [/^ *\n/, () => el("br")],
];
const SPECIAL = /[\\`*_~[!<$\n]|https?:\/\//i;
const DEEPEST = 8;
// A rule with "up to a closing mark" looks this far, so that no text costs quadratic time.
const REACH = 4000;

function inline(text, depth = 0) {
  if (depth > DEEPEST) return [text];
  const nodes = [];
  let plain = "";
  let rest = text;
  const flush = () => {
    if (plain) nodes.push(document.createTextNode(plain));
    plain = "";
  };
  while (rest) {
    const at = rest.search(SPECIAL);
    if (at < 0) {
      plain += rest;
      break;
    }
    plain += rest.slice(0, at);
    rest = rest.slice(at);
    const near = rest.length > REACH ? rest.slice(0, REACH) : rest;
    if (isUnclosed(near) && !AFTER_DOLLAR.test(plain)) {
      plain += rest;
      break;
    }
    let hit = null;
    for (const [pattern, build, notAfter] of INLINE) {
      if (notAfter && notAfter.test(plain)) continue;
      const match = pattern.exec(near);
      if (match) {
        hit = [build(match, depth), match[0].length];
        break;
      }
    }
    if (hit) {
      flush();
      nodes.push(hit[0]);
      rest = rest.slice(hit[1]);
    } else {
      plain += rest[0];
      rest = rest.slice(1);
    }
  }
  flush();
  return nodes;
}

// Top-level blocks as pieces of source, so that a growing answer redraws only its last one.
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:\s+|$)/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$/;
const FORMULA = /^\s*(?:\$\$(?!\$)|\\\[(?![\s\d,xX]*\\\]))/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

function blocks(source) {
  const lines = source.split("\n");
  const found = [];
  let i = 0;
  const take = (kind, from) => found.push({ kind, text: lines.slice(from, i).join("\n") });
  while (i < lines.length) {
    const from = i;
    const row = lines[i];
    const fence = FENCE.exec(row);
    if (!row.trim()) {
      i++;
    } else if (fence) {
      i++;
      const close = new RegExp(`^ {0,3}${fence[1][0]}{${fence[1].length},}\\s*$`);
      while (i < lines.length && !close.test(lines[i])) i++;
      i = Math.min(i + 1, lines.length);
      take("code", from);
    } else if (FORMULA.test(row)) {
      const close = row.trim().startsWith("$$") ? "$$" : "\\]";
      const whole = row.trim().slice(2);
      if (!whole.includes(close)) while (++i < lines.length && !lines[i].includes(close) && lines[i].trim());
      i = Math.min(i + 1, lines.length);
      take("text", from);
    } else if (HEADING.test(row)) {
      i++;
      take("heading", from);
    } else if (RULE.test(row)) {
      i++;
      take("rule", from);
    } else if (/^ {0,3}>/.test(row)) {
      while (i < lines.length && lines[i].trim() && (/^ {0,3}>/.test(lines[i]) || !starts(lines[i]))) i++;
      take("quote", from);
    } else if (ITEM.test(row)) {
      i++;
      while (i < lines.length) {
        const next = lines[i];
        const blank = !next.trim();
        const goesOn = ITEM.test(next) || /^\s{2,}\S/.test(next);
        if (blank && !(i + 1 < lines.length && (ITEM.test(lines[i + 1]) || /^\s{2,}\S/.test(lines[i + 1])))) break;
        if (!blank && !goesOn && starts(next)) break;
        if (!blank && !goesOn && !lines[i - 1].trim()) break;
        i++;
      }
      take("list", from);
    } else if (row.includes("|") && i + 1 < lines.length && lines[i + 1].includes("-") && TABLE_RULE.test(lines[i + 1])) {
      i += 2;
      while (i < lines.length && lines[i].includes("|") && lines[i].trim()) i++;
      take("table", from);
    } else {
      i++;
      while (i < lines.length && lines[i].trim() && !starts(lines[i])) i++;
      take("text", from);
    }
  }
  return found;
}

const starts = (row) => FENCE.test(row) || HEADING.test(row) || /^ {0,3}>/.test(row) || ITEM.test(row) || RULE.test(row) || FORMULA.test(row);

function cells(row) {
  return row.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((c) => c.trim().replace(/\\\|/g, "|"));
}

function table(text) {
  const [head, rule, ...rows] = text.split("\n");
  const sides = cells(rule).map((c) => (/^:-+:$/.test(c) ? "center" : /-:$/.test(c) ? "right" : "left"));
  const cell = (tag, c, n) => el(tag, { style: `text-align:${sides[n] || "left"}` }, inline(c));
  return el(
    "div",
    { class: "jv-table", tabindex: "0", role: "region", "aria-label": t("msg.table") },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, cells(head).map((c, n) => cell("th", c, n)))),
      el("tbody", {}, rows.map((r) => el("tr", {}, cells(r).slice(0, sides.length).map((c, n) => cell("td", c, n))))),
    ),
  );
}

function list(text, depth) {
  const lines = text.split("\n");
  const first = ITEM.exec(lines[0]);
  const base = first[1].length;
  const ordered = /\d/.test(first[2]);
  const items = [];
  for (const row of lines) {
    const m = ITEM.exec(row);
    if (m && m[1].length <= base + 1) items.push([row.slice(m[0].length)]);
    else items[items.length - 1].push(row);
  }
  const indent = (rows) => {
    const widths = rows.filter((r) => r.trim()).map((r) => /^ */.exec(r)[0].length);
    const cut = widths.length ? Math.min(...widths) : 0;
    return rows.map((r) => r.slice(cut));
  };
  const loose = /\n\s*\n/.test(text.trim());
  const nodes = items.map(([head, ...rest]) => {
    const task = /^\[([ xX])\]\s+/.exec(head);
    const words = task ? head.slice(task[0].length) : head;
    const inner = blocks([words, ...indent(rest)].join("\n")).map((b) => block(b, depth + 1, !loose));
    const mark = task ? el("input", { type: "checkbox", disabled: true, checked: task[1] !== " " }) : null;
    return el("li", { class: task ? "jv-task" : null }, mark, inner);
  });
  return el(ordered ? "ol" : "ul", ordered ? { start: String(parseInt(first[2], 10)) } : {}, nodes);
}

function block({ kind, text }, depth = 0, tight = false) {
  if (depth > DEEPEST) return el("p", {}, text);
  if (kind === "heading") {
    const m = HEADING.exec(text);
    return el(`h${Math.min(6, m[1].length + 1)}`, {}, inline(m[2]));
  }
  if (kind === "rule") return el("hr");
  if (kind === "quote") {
    const inner = text.replace(/^ {0,3}> ?/gm, "");
    return el("blockquote", {}, blocks(inner).map((b) => block(b, depth + 1)));
  }
  if (kind === "list") return list(text, depth);
  if (kind === "table") return table(text);
  if (kind === "code") return code(text);
  const words = inline(text.replace(/^\s+/, "").trimEnd());
  return tight ? el("span", { class: "jv-tight" }, words) : el("p", {}, words);
}

// Draws `source` into `host`, leaving blocks that did not change alone (a selection survives).
function drawMarkdown(host, source) {
  const before = host.jvBlocks || [];
  const now = blocks(source);
  let same = 0;
  while (same < before.length && same < now.length && before[same] === now[same].kind + now[same].text) same++;
  while (host.childNodes.length > same) host.lastChild.remove();
  for (const b of now.slice(same)) host.append(block(b));
  host.jvBlocks = now.map((b) => b.kind + b.text);
}
