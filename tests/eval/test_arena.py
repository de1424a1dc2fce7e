"""Strengths from votes: against an independent optimum, and on voters whose taste is known."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binom

from javis.core.arena import Match
from javis.eval.arena import PRIOR, Votes, fit, standings, votes_for

RESULTS = ("first", "second", "tie")


def chances(strengths: dict[str, float], tie: float, first: str, second: str) -> list[float]:
    """Davidson's probabilities, as in the paper: on the scale of the strengths themselves."""
    one, two = np.exp(strengths[first]), np.exp(strengths[second])
    both = np.exp(tie) * np.sqrt(one * two)
    return [float(w / (one + two + both)) for w in (one, two, both)]


def voters(
    strengths: dict[str, float], votes: int, *, tie: float = -0.5, seed: int = 0
) -> list[Match]:
    """People who vote by the model, on pairs and sides at random."""
    rng = random.Random(seed)
    made = []
    for number in range(votes):
        first, second = rng.sample(sorted(strengths), 2)
        weights = chances(strengths, tie, first, second)
        made.append(Match(first, second, rng.choices(RESULTS, weights)[0], f"c{number}"))
    return made


def reference_fit(matches: list[Match], prior: float) -> dict[str, float]:
    """The same likelihood written anew, vote by vote, and handed to a general optimizer."""
    names = sorted({n for m in matches for n in (m.first, m.second)})

    def cost(x: np.ndarray) -> float:
        strengths = dict(zip(names, x[:-1], strict=True))
        total = prior / 2 * float(x @ x)
        for m in matches:
            place = RESULTS.index("tie" if m.result == "both_bad" else m.result)
            total -= np.log(chances(strengths, x[-1], m.first, m.second)[place])
        return total

    found = minimize(cost, np.zeros(len(names) + 1), method="BFGS", options={"gtol": 1e-7})
    middle = float(np.mean(found.x[:-1]))
    return {n: float(v) - middle for n, v in zip(names, found.x, strict=False)} | {
        "tie": float(found.x[-1])
    }


def fitted(matches: list[Match], prior: float) -> dict[str, float]:
    votes = Votes(matches)
    found = fit(votes.totals, votes.design(), prior)
    return dict(zip([*votes.names, "tie"], map(float, found), strict=True))


@pytest.mark.parametrize("prior", [0.0, 0.1])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_fit_is_the_optimum_that_a_general_optimizer_finds(prior: float, seed: int) -> None:
    matches = voters({"base": 0.0, "v1.0": 0.8, "v1.1": -0.6, "v2.0": 1.5}, 150, seed=seed)
    matches += [replace(m, result="both_bad") for m in matches if m.result == "tie"][:9]
    ours, theirs = fitted(matches, prior), reference_fit(matches, prior)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, abs=2e-5), name


def test_the_share_against_the_reference_is_what_the_models_paper_says() -> None:
    matches = voters({"base": 0.0, "v1.0": 0.8, "v1.1": -0.6}, 200, seed=4)
    theirs = reference_fit(matches, PRIOR)
    rows = standings(matches, "base", resamples=50).rows
    assert len(rows) == 3
    for row in rows:
        won, _, tie = chances(theirs, theirs["tie"], row.version, "base")
        assert row.beats is not None
        assert row.beats.value == pytest.approx(won + tie / 2, abs=1e-5), row.version


def test_between_two_versions_it_is_the_share_of_the_votes() -> None:
    """The likelihood's optimum gives back what was counted; the prior moves it a little."""
    counts = {"first": 18, "second": 10, "tie": 8, "both_bad": 4}
    matches = [Match("a", "b", r, f"{r}{n}") for r, c in counts.items() for n in range(c)]  # type: ignore[arg-type]
    (row,) = (r for r in standings(matches, "b").rows if r.version == "a")
    assert row.beats is not None
    assert row.beats.value == pytest.approx((18 + 12 / 2) / 40, abs=2e-3)
    assert row.beats.low < 0.5 < row.beats.high


def test_two_versions_without_ties_are_the_plain_log_odds() -> None:
    matches = [Match("a", "b", "first")] * 30 + [Match("a", "b", "second")] * 10
    found = fitted(matches, prior=1e-6)
    assert found["a"] - found["b"] == pytest.approx(np.log(3), abs=1e-3)


def test_many_votes_lead_to_the_true_strengths() -> None:
    truth = {"base": 0.0, "v1.0": 0.7, "v1.1": -0.5}
    found = standings(voters(truth, 4000, seed=3), "base", resamples=200)
    assert [row.version for row in found.rows] == ["v1.0", "base", "v1.1"]
    for row in found.rows:
        assert row.strength is not None
        assert row.strength.value == pytest.approx(truth[row.version], abs=0.15)
        assert row.strength.low <= truth[row.version] <= row.strength.high


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """95 % intervals of 200 simulated arenas; 25 to 60 votes, equal and unequal versions."""
    for gap, votes in ((0.0, 25), (0.0, 60), (1.0, 40)):
        held = 0
        for seed in range(200):
            matches = voters({"base": 0.0, "v1.0": gap}, votes, seed=seed)
            found = standings(matches, "base", resamples=300)
            row = next(r for r in found.rows if r.version == "v1.0")
            assert row.strength is not None
            held += row.strength.low <= gap <= row.strength.high
        assert 0.90 <= held / 200 <= 1.0, (gap, votes)


def test_a_version_that_won_every_vote_is_not_certain() -> None:
    found = standings([Match("v1.0", "base", "first", str(n)) for n in range(20)], "base")
    best = found.rows[0]
    assert best.version == "v1.0" and best.strength is not None and best.beats is not None
    assert best.strength.low > 0
    assert best.strength.high - best.strength.low > 1
    assert 0.6 < best.beats.low < best.beats.value <= best.beats.high < 1


def test_neither_the_order_of_votes_nor_the_sides_make_a_difference() -> None:
    matches = voters({"base": 0.0, "v1.0": 0.4, "v1.1": 0.1}, 90)
    matches = [replace(m, group=f"c{n // 3}") for n, m in enumerate(matches)]
    turned = {"first": "second", "second": "first", "tie": "tie"}
    mixed = [
        Match(m.second, m.first, turned[m.result], m.group) if n % 2 else m  # type: ignore[arg-type]
        for n, m in enumerate(matches)
    ]
    random.Random(7).shuffle(mixed)
    assert standings(mixed, "base") == standings(matches, "base")


def test_votes_of_one_conversation_count_as_less() -> None:
    """Ten times the same vote in one conversation is no ten voters."""
    alone = [Match("a", "b", "first" if n % 3 else "second", f"c{n}") for n in range(60)]
    joined = [replace(m, group=f"c{n % 6}") for n, m in enumerate(alone)]
    wide, narrow = (standings(ms, "b").rows for ms in (joined, alone))
    assert Counter(r.votes for r in wide) == Counter(r.votes for r in narrow)

    def width(rows: object) -> float:
        row = next(r for r in rows if r.version == "a")  # type: ignore[attr-defined]
        return float(row.strength.high - row.strength.low)

    joined_alike = [replace(m, group=m.result) for m in alone]
    assert width(standings(joined_alike, "b").rows) > 1.5 * width(narrow)


def test_too_few_votes_are_said_and_not_estimated() -> None:
    found = standings(voters({"base": 0.0, "v1.0": 3.0}, 12), "base")
    assert not found.enough
    assert [(r.votes, r.missing, r.strength) for r in found.rows] == [(12, 8, None)] * 2
    assert standings([], "base", skipped=3).skipped == 3


def test_a_version_that_met_nobody_of_the_others_is_not_compared() -> None:
    matches = voters({"base": 0.0, "v1.0": 1.0}, 40) + voters({"v2.0": 0.0, "v2.1": 1.0}, 40)
    found = {row.version: row for row in standings(matches, "base").rows}
    assert found["v1.0"].strength and found["v1.0"].connected
    assert found["v2.1"].strength is None and not found["v2.1"].connected


def test_both_bad_counts_like_a_tie_and_is_told_apart() -> None:
    matches = [Match("a", "b", "first", str(n)) for n in range(30)]
    ties = [Match("a", "b", "tie", f"t{n}") for n in range(10)]
    bad = [replace(m, result="both_bad") for m in ties]
    one, two = (standings([*matches, *more], "b").rows[0] for more in (ties, bad))
    assert one.strength == two.strength
    assert (one.ties, one.both_bad, two.ties, two.both_bad) == (10, 0, 0, 10)


@pytest.mark.parametrize(("share", "votes"), [(0.6, 198), (0.7, 51), (0.8, 22)])
def test_how_many_votes_a_difference_needs(share: float, votes: int) -> None:
    """Checked by the standings themselves: so many votes find the better one in 80 of 100 cases,
    and not many fewer. Of five sizes in a row, as their intervals are drawn by chance."""
    assert votes_for(share) == votes

    def power(count: int) -> float:
        wins = next(w for w in range(count // 2, count) if found(count, w))
        return float(binom.sf(wins - 1, count, share))

    def found(count: int, wins: int) -> bool:
        matches = [Match("a", "b", "first" if n < wins else "second", str(n)) for n in range(count)]
        row = next(r for r in standings(matches, "b", min_votes=1).rows if r.version == "a")
        assert row.strength
        return row.strength.low > 0

    assert np.mean([power(votes + more) for more in range(5)]) >= 0.8
    fewer = round(0.85 * votes) - 4
    assert np.mean([power(fewer + more) for more in range(5)]) < 0.8
