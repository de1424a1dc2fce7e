// Taking the data out and back in, and how strict the review is.

const FORMATS = ["messages", "sharegpt", "alpaca", "preference", "kto", "csv"];
const MAX_TAKE_IN_CHARS = 2000000;

function reviewMore() {
  const wanted = { format: "messages", feedback_filter: "all" };
  const link = el("a", { class: "jv-primary", "data-act": "export", download: "" }, icon("out"), t("export.download"));
  const explain = el("p", { class: "jv-hint" });
  const paint = () => {
    link.href = `api/export-training?${new URLSearchParams(wanted)}`;
    explain.textContent = t(`format.why_${wanted.format}`);
  };
  const format = select(t("export.format"), wanted.format, FORMATS.map((f) => [f, t(`format.${f}`)]), (v) => ((wanted.format = v), paint()));
  const which = select(t("export.which"), wanted.feedback_filter, ["all", "good", "bad"].map((f) => [f, t(`export.${f}`)]), (v) => ((wanted.feedback_filter = v), paint()));
  paint();
  const report = el("div", { class: "jv-report", "aria-live": "polite" });
  const file = el("input", { type: "file", id: "jv-take-in", class: "jv-offscreen", accept: ".jsonl,.json,application/jsonl", "aria-label": t("takein.label"), onchange: (e) => takeIn(e.target, report) });
  const files = el("div", { id: "jv-taken" });
  const strict = el("input", { type: "checkbox", role: "switch", class: "jv-onoff", checked: R.everything, id: "jv-everything", onchange: (e) => setEverything(e.target) });
  dialog(
    t("review.more"),
    [
      el("section", {}, el("h3", {}, t("export.title")), el("p", {}, t("export.hint")), el("div", { class: "jv-form-row" }, el("label", { class: "jv-label" }, t("export.format"), format), el("label", { class: "jv-label" }, t("export.which"), which)), explain, el("div", { class: "jv-row" }, link)),
      el("section", {}, el("h3", {}, t("takein.title")), el("p", {}, t("takein.hint")), el("div", { class: "jv-row" }, el("button", { class: "jv-second", onclick: () => file.click() }, icon("in"), t("takein.choose")), file), report, files),
      goldenSection(),
      el("section", {}, el("label", { class: "jv-toggle" }, strict, el("span", {}, el("strong", {}, t("review.everything")), el("span", {}, t("review.everything_hint"))))),
    ],
    [],
    { wide: true, onclose: () => $("jv-review-more")?.focus() },
  );
  listTaken();
}

// The files that were taken in before, each with its rows to look at and a way back.
async function listTaken() {
  const found = await attempt(() => call("review_batches"));
  const host = $("jv-taken");
  if (!found || !host) return;
  host.replaceChildren(
    found.files.length ? el("h4", {}, t("takein.earlier")) : "",
    ...found.files.map((file) => {
      const at = new Date(file.at).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" });
      const rows = el("ul", { class: "jv-taken-rows" });
      const fold = el("details", { ontoggle: () => fold.open && !rows.firstChild && showTaken(file.name, rows) }, el("summary", {}, t("takein.file", { at, count: number(file.rows) })), rows, el("button", { class: "jv-link", onclick: () => forget(file.name, host) }, t("takein.back")));
      return fold;
    }),
  );
}

async function showTaken(batch, host) {
  const found = await attempt(() => call("review_batch", { batch }));
  if (!found) return;
  const line = (key, text) => (text === null ? "" : el("p", {}, el("strong", {}, t(key)), " ", text));
  host.replaceChildren(
    ...found.rows.map((row) => el("li", {}, line("takein.asked", row.prompt), line(row.label === false ? "takein.rejected" : "takein.learned", row.answer), line("takein.rejected", row.rejected))),
    found.total > found.rows.length ? el("li", { class: "jv-hint" }, t("takein.more", { count: number(found.total - found.rows.length) })) : "",
  );
}

async function setEverything(box) {
  const kept = await attempt(() => call("review_everything", { on: box.checked }));
  if (!kept) {
    box.checked = !box.checked;
    return;
  }
  R.everything = kept.on;
  loadReadiness();
  await loadReview({ keep: true });
}

async function takeIn(input, report) {
  const [file] = input.files;
  input.value = "";
  if (!file) return;
  report.replaceChildren(el("p", {}, t("loading")));
  const done = await attempt(async () => sendJsonl(await file.text()));
  if (!done) return report.replaceChildren();
  report.replaceChildren(
    el("p", {}, el("strong", {}, t("takein.accepted", { count: number(done.accepted) })), done.total_bad ? ` ${t("takein.bad", { count: number(done.total_bad) })}` : ""),
    done.bad.length ? el("ul", {}, done.bad.map((b) => el("li", {}, t("takein.line", { line: number(b.line), why: b.message })))) : "",
    done.flagged ? el("p", { class: "jv-hint" }, t("takein.flagged", { count: number(done.flagged) })) : "",
    done.accepted && done.batch ? el("button", { class: "jv-link", onclick: () => forget(done.batch, report) }, t("undo")) : "",
    done.total_bad > done.bad.length ? el("p", { class: "jv-hint" }, t("takein.more", { count: number(done.total_bad - done.bad.length) })) : "",
  );
  if (done.accepted) {
    listTaken();
    loadReadiness();
    await loadReview({ keep: true });
  }
}

async function forget(batch, report) {
  const gone = await attempt(() => call("review_forget", { batch }));
  if (!gone) return;
  report.replaceChildren(el("p", {}, t("takein.forgotten", { count: number(gone.removed) })));
  if (report.id !== "jv-taken") listTaken();
  loadReadiness();
  await loadReview({ keep: true });
}

// A page's event may be 8 MiB; a larger file goes through the route.
async function sendJsonl(text) {
  if (text.length < MAX_TAKE_IN_CHARS) return call("review_take_in", { text });
  const said = await upload("api/export-training/take-in", "application/jsonl", text);
  return { accepted: said.accepted, bad: said.bad.slice(0, 50), total_bad: said.bad_rows, flagged: said.flagged_rows, batch: said.batch };
}
