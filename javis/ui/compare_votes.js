// What the blind comparisons in the chat say: strengths with intervals, or that it is too early.

const CV = { view: null, failure: "" };

async function openVotes() {
  drawVotes();
  try {
    CV.view = await call("compare_votes");
    CV.failure = "";
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    CV.failure = error.message;
  }
  drawVotes();
}

function drawVotes() {
  const host = $("jv-compare-body");
  if (!host || V.section !== "votes") return;
  if (!CV.view) return void host.replaceChildren(CV.failure ? failed(CV.failure, openVotes) : skeleton());
  const folds = openFolds(host);
  const v = CV.view;
  host.replaceChildren(
    el(
      "section",
      { class: "jv-card" },
      el("div", { class: "jv-card-head" }, el("h2", {}, t("votes.title")), el("button", { class: "jv-second", onclick: () => showTab("admin", "system") }, t("votes.settings"))),
      el("p", { class: "jv-why" }, v.plan.on ? t("votes.on", { share: percentOf(v.plan.share) }) : t("votes.off")),
      el("p", { class: "jv-verdict" }, votesSentence(v)),
      v.rows.length ? strengths(v) : "",
      v.rows.length ? votesTable(v) : "",
    ),
    v.pairings.length ? el("section", { class: "jv-card" }, el("h2", {}, t("votes.pairs")), pairsTable(v)) : "",
  );
  closeFolds(host, folds);
}

function votesSentence(v) {
  if (!v.votes) return t("votes.none");
  const sure = v.rows.filter((r) => r.strength);
  if (!v.enough || sure.length < 2) return t("votes.too_few", { votes: number(v.votes), count: number(v.min_votes) });
  const [best, ...others] = sure;
  // Strengths and their intervals are against the reference, so only that pair can be told apart.
  const beaten = best.version !== v.reference ? [v.reference] : others.map((r) => r.version);
  const clear = best.version !== v.reference ? best.strength.low > 0 : others.every((r) => r.strength.high < 0);
  return clear ? t("votes.clear", { version: nameOf(best.version), others: beaten.map(nameOf).join(", "), votes: number(v.votes) }) : t("votes.unclear", { votes: number(v.votes) });
}

function strengths(v) {
  const rows = v.rows
    .filter((r) => r.beats)
    .map((r) => ({
      name: nameOf(r.version),
      look: lookOf(CP.state.names, r.version),
      value: r.beats.value,
      low: r.beats.low,
      high: r.beats.high,
      words: r.version === v.reference ? t("votes.reference") : `${percentOf(r.beats.value)} (${rangeWords(percentOf(r.beats.low), percentOf(r.beats.high))})`,
    }));
  return rows.length ? intervalFigure(t("votes.share", { version: nameOf(v.reference) }), rows) : "";
}

function votesTable(v) {
  const keys = ["controls.version", "votes.votes", "votes.wins", "votes.losses", "votes.ties", "votes.both_bad", "votes.missing"];
  const row = (r) => [nameOf(r.version), number(r.votes), number(r.wins), number(r.losses), number(r.ties), number(r.both_bad), r.missing ? number(r.missing) : r.connected ? "–" : t("votes.apart")];
  return wideTable({}, el("table", {}, el("thead", {}, el("tr", {}, keys.map((key) => el("th", { scope: "col" }, t(key))))), el("tbody", {}, v.rows.map((r) => el("tr", { "data-version": r.version }, row(r).map((cell, at) => el(at ? "td" : "th", at ? {} : { scope: "row" }, cell)))))));
}

// Each pair as one bar: wins of the one, ties, wins of the other.
function pairsTable(v) {
  return el(
    "div",
    { class: "jv-pairs" },
    v.pairings.map((p) => {
      const draws = p.ties + p.both_bad;
      const total = p.first_wins + p.second_wins + draws || 1;
      const part = (count, look) => (count ? el("i", { class: look, style: `flex:${count / total}` }) : "");
      const words = t("votes.pair", { first: nameOf(p.first), second: nameOf(p.second), first_wins: number(p.first_wins), second_wins: number(p.second_wins), draws: number(draws) });
      return el("div", {}, el("div", { class: "jv-versus", role: "img", "aria-label": words }, part(p.first_wins, lookOf(CP.state.names, p.first)), part(draws, "is-draw"), part(p.second_wins, lookOf(CP.state.names, p.second))), el("p", { class: "jv-hint" }, words));
    }),
  );
}
