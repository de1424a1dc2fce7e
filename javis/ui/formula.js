// Formulas as MathML, which the browser draws by itself. What reads LaTeX is big, so it is asked for
// when the first formula is to be seen, and it works apart from the page, in a worker: a formula made
// to take forever ends with its worker. Until it is drawn, and wherever it cannot be, a formula is
// its source.

const FORMULA_CHARS = 4000;
const FORMULA_MS = 2000;
const MOST_LATE = 3; // formulas that took too long; after them this page draws no more
const DRAWN_KEPT = 300;
const SHORT_CHARS = 20; // fit into any line
const ASK_AGAIN_MS = 10000;

// Runs in the worker. Answers with the formula as plain data, or with null.
const READER = `
  const LIMITS = { nodes: 3000, depth: 50 };
  const OPTIONS = { trust: false, throwOnError: true, maxExpand: 500, maxSize: [20, 300] };
  // An answer defines no commands: a few characters could become very many.
  const DEFINES = /\\\\(?:[egx]?def|let|futurelet|global|long|(?:re)?newcommand|providecommand)(?![a-zA-Z])/;
  let left;
  function plain(node, depth) {
    if (--left < 0 || depth > LIMITS.depth) throw new Error("too big");
    if (typeof node.text === "string") return node.text;
    if (node.href) throw new Error("leads somewhere");
    const children = node.children.flatMap((child) => plain(child, depth + 1));
    if (!node.type) return children;
    return [{ name: node.type, attributes: node.attributes, classes: node.classes, style: node.style, children }];
  }
  onmessage = ({ data }) => {
    try {
      if (DEFINES.test(data.source)) throw new Error("defines");
      const how = { displayMode: data.display, wrap: data.display ? "none" : "tex" };
      const tree = temml.__renderToMathMLTree(data.source, { ...OPTIONS, ...how });
      left = LIMITS.nodes;
      postMessage(plain(tree, 0)[0]);
    } catch {
      postMessage(null);
    }
  };
  postMessage("ready");
`;

// What a drawn formula may consist of: nothing that runs, leads anywhere, or has a name of its own.
const words = (text) => new Set(text.split(" "));
const MATHML = "http://www.w3.org/1998/Math/MathML";
const MATH_TAGS = words(
  "math menclose mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms mspace msqrt mstyle msub " +
    "msubsup msup mtable mtd mtext mtr munder munderover none",
);
const MATH_ATTRIBUTES = words(
  "accent accentunder columnalign columnspan depth display displaystyle fence form height largeop linethickness lspace " +
    "mathbackground mathcolor mathsize mathvariant maxsize minsize movablelimits notation rowspacing rspace scriptlevel " +
    "separator stretchy symmetric voffset width",
);
const MATH_STYLE =
  /^(?:border|color|display|fontFamily|font-family|font-style|font-weight|fontWeight|height|justifyContent|margin|math-?depth|padding|textAlign|transform|width)/i;

// The reader bounds lengths that go up, but not those that go down.
const LENGTHS = /([\d.]+)(e[mx]|p[txc]|[cm]m|in)/g;
const isTooFar = (value) => [...String(value).matchAll(LENGTHS)].some(([, n, unit]) => n > (/^p[tx]$/.test(unit) ? 600 : 40));

const drawnFormulas = new Map(); // what a formula looks like, to copy; null where its source stays
const wantedFormulas = new Map(); // where those not drawn yet are to stand
let formulaReader = null;
let readerParts = null;
let isReading = false;
let lateFormulas = 0;

// `whole` is the source with the marks around it.
function formula(whole, source, display) {
  const node = el(display ? "div" : "span", { class: display ? "jv-math jv-math-block" : "jv-math" }, whole.trim());
  const key = `${display} ${source.trim()}`;
  if (drawnFormulas.has(key)) showFormula(node, drawnFormulas.get(key));
  else if (source.length <= FORMULA_CHARS && lateFormulas < MOST_LATE) {
    const wanted = wantedFormulas.get(key) ?? { source: source.trim(), display, nodes: [] };
    wanted.nodes.push(node);
    wantedFormulas.set(key, wanted);
    readFormulas();
  }
  return node;
}

function showFormula(node, math) {
  if (!math) return;
  node.classList.add("is-drawn");
  node.replaceChildren(math.cloneNode(true));
  // A long one is scrolled, by the keyboard, too.
  if (node.localName === "div") node.tabIndex = 0;
  else if (math.textContent.length > SHORT_CHARS) requestAnimationFrame(() => fitFormula(node));
}

// One in a line breaks after its operators; a piece that is still too wide gets a line to scroll in.
function fitFormula(node) {
  node.classList.remove("is-long");
  const room = node.parentNode?.clientWidth || node.closest("p, li, td, th, .jv-tight")?.clientWidth;
  if (!room || node.firstChild.getBoundingClientRect().width <= room) return;
  node.classList.add("is-long");
  node.tabIndex = 0;
}
addEventListener("resize", () => document.querySelectorAll("span.jv-math.is-drawn").forEach(fitFormula));

async function readFormulas() {
  if (isReading) return;
  isReading = true;
  try {
    while (wantedFormulas.size && lateFormulas < MOST_LATE) {
      const [key, wanted] = wantedFormulas.entries().next().value;
      const tree = await readFormula(wanted);
      const math = tree && mathNode(tree);
      math?.setAttribute("alttext", wanted.source);
      if (drawnFormulas.size >= DRAWN_KEPT) drawnFormulas.delete(drawnFormulas.keys().next().value);
      drawnFormulas.set(key, math);
      wantedFormulas.delete(key);
      const stay = atEnd();
      for (const node of wanted.nodes) showFormula(node, math);
      if (stay) toEnd();
    }
    isReading = false;
  } catch {
    // It could not be fetched or started; whoever draws a formula later asks again.
    readerParts = null;
    setTimeout(() => (isReading = false), ASK_AGAIN_MS);
  }
  if (lateFormulas >= MOST_LATE || readerParts === null) wantedFormulas.clear();
}

async function readFormula({ source, display }) {
  formulaReader ??= await newReader();
  return new Promise((resolve) => {
    const late = setTimeout(() => {
      formulaReader.terminate();
      formulaReader = null;
      lateFormulas++;
      resolve(null);
    }, FORMULA_MS);
    formulaReader.onmessage = ({ data }) => {
      clearTimeout(late);
      resolve(data);
    };
    formulaReader.postMessage({ source, display });
  });
}

async function newReader() {
  if (!readerParts) {
    readerParts = await call("formulas");
    document.head.append(el("style", {}, readerParts.style));
  }
  const address = URL.createObjectURL(new Blob([readerParts.script, READER], { type: "text/javascript" }));
  const worker = new Worker(address);
  try {
    await new Promise((resolve, reject) => Object.assign(worker, { onmessage: resolve, onerror: reject }));
  } finally {
    URL.revokeObjectURL(address);
  }
  return worker;
}

function mathNode(part) {
  if (typeof part === "string") return document.createTextNode(part);
  const node = document.createElementNS(MATHML, MATH_TAGS.has(part.name) ? part.name : "mrow");
  for (const [name, value] of Object.entries(part.attributes)) {
    if (MATH_ATTRIBUTES.has(name) && !isTooFar(value)) node.setAttribute(name, value);
  }
  if (part.classes.length) node.setAttribute("class", part.classes.join(" "));
  for (const [name, value] of Object.entries(part.style)) {
    if (MATH_STYLE.test(name) && !/url/i.test(value) && !isTooFar(value)) node.style[name] = value;
  }
  node.append(...part.children.map(mathNode));
  return node;
}
