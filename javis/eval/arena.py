"""How strong versions are, from votes between pairs of them: Bradley-Terry with ties.

The model is Davidson's ("On extending the Bradley-Terry model to accommodate ties", 1970): with
strengths s and t and a readiness to tie n, the three ends of a vote have weights s, t and
n * sqrt(s * t). In logarithms these are linear, so the likelihood is concave and Newton's method
finds its one optimum. "Both bad" says that neither is preferred, so it counts as a tie.

A weak prior keeps a version that won every vote from being infinitely strong. Intervals come from
drawing whole groups of votes again and again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from statistics import NormalDist
from typing import Any

from javis.core.arena import MIN_VOTES, Match, Pairing, Standing, Standings
from javis.core.evaluation import Estimate
from javis.eval.intervals import student

PRIOR = 0.1
"""Precision of the prior on logarithms: about a tenth of a vote."""
RESAMPLES = 2_000
CONFIDENCE = 0.95
_STEPS = 60
_MAX_STEP = 1.5
_PRECISION = 1e-9
_RESULTS = {"first": 0, "second": 1, "tie": 2, "both_bad": 2}

Array = Any
"""A numpy array; numpy is loaded only when there are votes."""


class Votes:
    """Votes as numbers: for each group and each pair that met, wins of both and ties.

    Neither the order of the votes nor which version stood on which side makes a difference.
    """

    def __init__(self, matches: Iterable[Match]) -> None:
        import numpy as np  # heavy

        counted: dict[str, dict[tuple[str, str], list[float]]] = defaultdict(dict)
        for match in matches:
            pair, place = _place(match)
            row = counted[match.group or f"\0{len(counted)}"].setdefault(pair, [0.0, 0.0, 0.0])
            row[place] += 1
        self.pairs = sorted({pair for group in counted.values() for pair in group})
        self.names = sorted({name for pair in self.pairs for name in pair})
        place_of = {pair: n for n, pair in enumerate(self.pairs)}
        table = np.zeros((len(counted), len(self.pairs), 3))
        for n, group in enumerate(counted.values()):
            for pair, row in group.items():
                table[n, place_of[pair]] = row
        # In an order of their own, so that the same votes always give the same intervals.
        self.groups: Array = np.array(sorted(table.tolist())).reshape(table.shape)
        self.totals: Array = self.groups.sum(0)

    def design(self) -> Array:
        """For each pair and end, what the logarithm of its weight is made of: strengths and n."""
        import numpy as np

        made = np.zeros((len(self.pairs), 3, len(self.names) + 1))
        for n, (first, second) in enumerate(self.pairs):
            one, two = self.names.index(first), self.names.index(second)
            made[n, 0, one] = made[n, 1, two] = made[n, 2, -1] = 1
            made[n, 2, one] = made[n, 2, two] = 0.5
        return made


def fit(counts: Array, design: Array, prior: float = PRIOR) -> Array:
    """Log-strengths and, last, the logarithm of the readiness to tie.

    `counts` has the shape (…, pairs, 3); every leading index is fitted by itself.
    """
    import numpy as np

    shape = counts.shape[:-2]
    counts = counts.reshape(-1, *counts.shape[-2:])
    size = design.shape[-1]
    found = np.zeros((len(counts), size))
    sums = counts.sum(-1)
    for _ in range(_STEPS):
        scores = np.einsum("pcs,rs->rpc", design, found)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        chances = weights / weights.sum(-1, keepdims=True)
        expected = np.einsum("rpc,pcs->rps", chances, design)
        slope = np.einsum("rpc,pcs->rs", counts - sums[..., None] * chances, design)
        slope -= prior * found
        spread = np.einsum("rp,rpc,pcs,pct->rst", sums, chances, design, design, optimize=True)
        spread -= np.einsum("rp,rps,rpt->rst", sums, expected, expected)
        # Without a prior only differences are known; any tiny one picks one of the equals.
        spread += max(prior, 1e-9) * np.eye(size)
        step = np.linalg.solve(spread, slope[..., None])[..., 0]
        # Far from the optimum a whole step leads too far.
        step *= np.minimum(1, _MAX_STEP / np.maximum(np.abs(step).max(-1, keepdims=True), 1e-12))
        found += step
        if np.abs(step).max() < _PRECISION:
            break
    found[:, :-1] -= found[:, :-1].mean(-1, keepdims=True)
    return found.reshape(*shape, size)


def standings(
    matches: Sequence[Match],
    reference: str,
    *,
    min_votes: int = MIN_VOTES,
    skipped: int = 0,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Standings:
    """What the votes say, against `reference` (the version in use)."""
    needed = {f"{share}": votes_for(share / 100) for share in (60, 70, 80)}
    if not matches:
        return Standings(reference, 0, min_votes=min_votes, skipped=skipped, needed=needed)
    reference = _known_reference(matches, reference)
    linked = _linked(matches, reference)
    inside = [match for match in matches if match.first in linked]
    estimates = _estimates(Votes(inside), reference, resamples, seed) if inside else {}
    rows = []
    for name in sorted({n for match in matches for n in (match.first, match.second)}):
        row = _tally(name, matches, min_votes)
        if name in linked and not row["missing"] and _votes_of(reference, matches) >= min_votes:
            row["strength"], row["beats"] = estimates[name]
        rows.append(Standing(connected=name in linked, **row))
    rows.sort(
        key=lambda r: (r.strength is None, -(r.strength.value if r.strength else 0), -r.votes)
    )
    return Standings(
        reference,
        len(matches),
        tuple(rows),
        tuple(_pairings(matches)),
        enough=sum(row.strength is not None for row in rows) > 1,
        min_votes=min_votes,
        skipped=skipped,
        needed=needed,
    )


@cache
def votes_for(share: float, power: float = 0.8) -> int:
    """How many votes show, in `power` of all cases, that a version preferred in `share` of them
    is the better one; so does every larger number, up to twice of it.

    Chances of whole votes, as the usual formula for shares is off by some of a hundred cases here.
    """
    normal = NormalDist()
    roughly = normal.inv_cdf(0.5 + CONFIDENCE / 2) * 0.5
    roughly += normal.inv_cdf(power) * math.sqrt(share * (1 - share))
    size = math.ceil((roughly / (share - 0.5)) ** 2)
    too_few = (n for n in range(2 * size + 20, 1, -1) if _power(n, share) < power)
    return next(too_few, 1) + 1


def _power(votes: int, share: float) -> float:
    """How often so many votes show it: the chance of as many wins as that takes."""
    return sum(
        math.comb(votes, wins) * share**wins * (1 - share) ** (votes - wins)
        for wins in range(_wins_needed(votes), votes + 1)
    )


def _wins_needed(votes: int) -> int:
    """The fewest wins whose interval, with the pseudo-votes and the widening of `_estimates`,
    lies above one half."""
    count = votes + 2
    wide = student(0.5 + CONFIDENCE / 2, count - 1) * math.sqrt(count / (count - 1))
    for wins in range(votes // 2, votes + 1):
        share = (wins + 1) / count
        if share - 0.5 > wide * math.sqrt(share * (1 - share) / count):
            return wins
    return votes + 1


# Inside ------------------------------------------------------------------------------------


def _estimates(
    votes: Votes, reference: str, resamples: int, seed: int
) -> dict[str, tuple[Estimate, Estimate]]:
    """Strength and share against the reference, each with its interval."""
    import numpy as np

    design = votes.design()
    groups = np.concatenate([votes.groups, _pseudo_votes(len(votes.pairs))])
    count = len(groups)
    drawn = np.random.default_rng(seed).multinomial(count, [1 / count] * count, resamples)
    samples = fit(np.einsum("rg,gpc->rpc", drawn, groups), design)
    best = fit(votes.totals, design)
    # Widened for few groups, as in `bootstrap_ratio`.
    tail = 1 - (1 - CONFIDENCE) / 2
    low = NormalDist().cdf(-student(tail, count - 1) * math.sqrt(count / (count - 1)))
    zero = votes.names.index(reference)
    found = {}
    for n, name in enumerate(votes.names):
        strengths = samples[:, n] - samples[:, zero]
        ties = samples[:, -1]
        value = float(best[n] - best[zero])
        share = _share(value, float(best[-1]))
        shares = _share(strengths, ties)
        found[name] = (
            _estimate(value, np.quantile(strengths, [low, 1 - low])),
            _estimate(share, np.quantile(shares, [low, 1 - low])),
        )
    return found


def _pseudo_votes(pairs: int) -> Array:
    """A win of each side for each pair, drawn with the real votes.

    Twenty wins of twenty are twenty equal numbers: drawn alone they never vary, and the interval
    would have no width at all. It is the "plus four" of Agresti and Coull for intervals of shares.
    """
    import numpy as np

    made = np.zeros((2 * pairs, pairs, 3))
    for n in range(pairs):
        made[2 * n, n, 0] = made[2 * n + 1, n, 1] = 1
    return made


def _share(strength: Any, log_tie: Any) -> Any:
    """Chance to win plus half the chance to tie, against the reference."""
    import numpy as np

    half = np.exp(log_tie + strength / 2)
    won = np.exp(strength)
    return (won + half / 2) / (won + 1 + half)


def _estimate(value: float, ends: Any) -> Estimate:
    low, high = (float(end) for end in ends)
    # The drawn votes hold the pseudo-votes, the value does not: it must not fall out of its range.
    return Estimate(float(value), min(low, float(value)), max(high, float(value)))


def _place(match: Match) -> tuple[tuple[str, str], int]:
    """The pair in a fixed order, and which of its three counters goes up."""
    place = _RESULTS[match.result]
    if match.first < match.second:
        return (match.first, match.second), place
    return (match.second, match.first), {0: 1, 1: 0, 2: 2}[place]


def _known_reference(matches: Sequence[Match], wanted: str) -> str:
    """The version in use, or the one with the most votes while that one has none."""
    names = sorted({name for match in matches for name in (match.first, match.second)})
    return wanted if wanted in names else max(names, key=lambda name: _votes_of(name, matches))


def _votes_of(name: str, matches: Sequence[Match]) -> int:
    return sum(name in (match.first, match.second) for match in matches)


def _linked(matches: Sequence[Match], start: str) -> set[str]:
    """The versions that votes connect with `start`: others cannot be compared with it."""
    near: dict[str, set[str]] = defaultdict(set)
    for match in matches:
        near[match.first].add(match.second)
        near[match.second].add(match.first)
    reached, todo = {start}, [start]
    while todo:
        new = near[todo.pop()] - reached
        reached |= new
        todo += new
    return reached


def _tally(name: str, matches: Sequence[Match], min_votes: int) -> dict[str, Any]:
    mine = [match for match in matches if name in (match.first, match.second)]
    won = sum(m.result == ("first" if m.first == name else "second") for m in mine)
    ties = sum(m.result == "tie" for m in mine)
    bad = sum(m.result == "both_bad" for m in mine)
    return {
        "version": name,
        "votes": len(mine),
        "wins": won,
        "losses": len(mine) - won - ties - bad,
        "ties": ties,
        "both_bad": bad,
        "strength": None,
        "beats": None,
        "missing": max(0, min_votes - len(mine)),
    }


def _pairings(matches: Sequence[Match]) -> list[Pairing]:
    found: dict[tuple[str, str], list[int]] = {}
    for match in matches:
        pair, place = _place(match)
        row = found.setdefault(pair, [0, 0, 0, 0])
        row[3 if match.result == "both_bad" else place] += 1
    return [Pairing(*pair, *row) for pair, row in sorted(found.items())]
