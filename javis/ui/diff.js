// What changed between two texts, word by word.

const MAX_CELLS = 4e6;

// Pieces in reading order: ["same" | "gone" | "new", text].
function diffWords(before, after) {
  const a = before.match(/\s+|[^\s]+/g) || [];
  const b = after.match(/\s+|[^\s]+/g) || [];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const middle = between(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const pieces = [["same", a.slice(0, start).join("")], ...middle, ["same", a.slice(a.length - end).join("")]];
  return joined(pieces);
}

// The longest common subsequence; too long a text is shown as wholly replaced.
function between(a, b) {
  if (!a.length || !b.length || a.length * b.length > MAX_CELLS) return [["gone", a.join("")], ["new", b.join("")]];
  const width = b.length + 1;
  const best = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      best[i * width + j] = a[i] === b[j] ? best[(i + 1) * width + j + 1] + 1 : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
    }
  }
  const pieces = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) pieces.push(["same", a[i]]), i++, j++;
    else if (j >= b.length || (i < a.length && best[(i + 1) * width + j] >= best[i * width + j + 1])) pieces.push(["gone", a[i++]]);
    else pieces.push(["new", b[j++]]);
  }
  return pieces;
}

// Neighbours of one kind become one piece; a lone space between two changes belongs to both.
function joined(pieces) {
  const runs = [];
  let gone = "";
  let fresh = "";
  const flush = () => {
    if (gone) runs.push(["gone", gone]);
    if (fresh) runs.push(["new", fresh]);
    gone = fresh = "";
  };
  pieces.forEach(([kind, text], at) => {
    if (!text) return;
    const next = pieces[at + 1]?.[0];
    if (kind === "gone") gone += text;
    else if (kind === "new") fresh += text;
    else if ((gone || fresh) && !text.trim() && next && next !== "same") {
      gone += text;
      fresh += text;
    } else {
      flush();
      const last = runs.at(-1);
      if (last?.[0] === "same") last[1] += text;
      else runs.push(["same", text]);
    }
  });
  flush();
  return runs;
}

function diffNode(before, after) {
  const tags = { same: "span", gone: "del", new: "ins" };
  return el("div", { class: "jv-diff" }, diffWords(before, after).map(([kind, text]) => el(tags[kind], {}, text)));
}
