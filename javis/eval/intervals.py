"""How sure a number is: Wilson for shares, Newcombe for differences, a bootstrap for losses, and
a randomization test for falls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, mean, variance
from typing import NamedTuple

_BLOCK = 1_000_000
"""Numbers drawn at once, so that many conversations need no more memory than few."""

FEW = 13
"""Up to so many differences all signs can be tried: 8192. A bootstrap needs about as many."""
_MANY = 30
"""From here on Student's t is near enough to the normal distribution for an expansion."""


class Interval(NamedTuple):
    """A value and where the true one lies with the confidence asked for."""

    value: float
    low: float
    high: float


def wilson(good: float, total: int, confidence: float = 0.95) -> Interval:
    """The share `good / total` with Wilson's interval; (0.5, 0, 1) when there is nothing yet.

    Unlike the textbook one it is never empty and never leaves 0 to 1, also for 3 of 3.
    """
    if not 0 <= good <= total:
        raise ValueError(f"{good} of {total}")
    if total == 0:
        return Interval(0.5, 0.0, 1.0)
    z = _z(confidence)
    share = good / total
    scale = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def share_difference(
    good: int, total: int, good_before: int, total_before: int, confidence: float = 0.95
) -> Interval:
    """`good / total - good_before / total_before` with Newcombe's interval (method 10)."""
    now = wilson(good, total, confidence)
    before = wilson(good_before, total_before, confidence)
    value = now.value - before.value
    low = value - math.hypot(now.value - now.low, before.high - before.value)
    high = value + math.hypot(now.high - now.value, before.value - before.low)
    return Interval(value, max(-1.0, low), min(1.0, high))


def bootstrap_ratio(
    sums: Sequence[float],
    weights: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """`sum(sums) / sum(weights)` with an interval from drawing whole groups again and again.

    One number of each list per group (a conversation), so that answers of one conversation, which
    resemble each other, count as one. The percentiles are spread as Hesterberg advises ("What
    teachers should know about the bootstrap", 2015, section 5.3.2): the plain ones are too narrow
    for few groups. The same seed gives the same interval.
    """
    import numpy as np  # heavy

    top, bottom = np.asarray(sums, float), np.asarray(weights, float)
    groups = len(top)
    if groups == 0 or len(bottom) != groups or not bottom.sum() > 0:
        raise ValueError("nothing to draw from")
    value = float(top.sum() / bottom.sum())
    if groups == 1:
        return Interval(value, -math.inf, math.inf)
    rng = np.random.default_rng(seed)
    drawn = []
    left = resamples
    while left > 0:
        rows = min(left, max(1, _BLOCK // groups))
        index = rng.integers(0, groups, (rows, groups))
        drawn.append(top[index].sum(1) / bottom[index].sum(1))
        left -= rows
    t = student(1 - (1 - confidence) / 2, groups - 1)
    tail = NormalDist().cdf(-t * math.sqrt(groups / (groups - 1)))
    low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def mean_difference(
    ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.95
) -> Interval:
    """The mean of one sample less that of another, with an interval of Student's t.

    The degrees of freedom are those of the smaller sample, fewer than Welch's: with three or four
    values in it, his interval misses more often than it says when the larger one spreads less, and
    a bootstrap, which knows no other spread than that of those few, misses more often still.
    """
    value = mean(ours) - mean(theirs)
    fewest = min(len(ours), len(theirs))
    if fewest < 2:
        return Interval(value, -math.inf, math.inf)
    error = math.sqrt(variance(ours) / len(ours) + variance(theirs) / len(theirs))
    half = student(1 - (1 - confidence) / 2, fewest - 1) * error
    return Interval(value, value - half, value + half)


def chance_of_fall(differences: Sequence[float]) -> float:
    """How often so low a sum comes about where a fair coin gives each difference its sign.

    The one-sided randomization test of pairs (Fisher, 1935): exact for few of them, where a
    bootstrap, which cannot reach past its data, takes three falls of three for certain. It is
    never below 2 to the power of minus n. All signs are tried, so it is for `FEW` at most.
    """
    import numpy as np  # heavy

    values = np.asarray(differences, float)
    count = len(values)
    if count > FEW:
        raise ValueError(f"{count} are too many to try all signs")
    flipped = np.arange(2**count)[:, None] >> np.arange(count) & 1
    # Sums in another order differ in their last digits.
    limit = values.sum() + 1e-9 * np.abs(values).sum()
    return float(np.mean((1 - 2 * flipped) @ values <= limit))


def student(probability: float, degrees: int) -> float:
    """The quantile of Student's t: exact below 30 degrees (Abramowitz and Stegun 26.7.3 and 4),
    then by their expansion 26.7.5."""
    if degrees < _MANY:
        low, high = -math.pi / 2, math.pi / 2
        for _ in range(60):  # halves the angle's range to the last bit
            angle = (low + high) / 2
            if (1 + _between(angle, degrees)) / 2 < probability:
                low = angle
            else:
                high = angle
        return math.sqrt(degrees) * math.tan((low + high) / 2)
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def _between(angle: float, degrees: int) -> float:
    """How likely t lies between -x and x, where the angle's tangent is x over the root of the
    degrees; below zero for a negative one."""
    odd = degrees % 2
    term = total = math.cos(angle) if odd else 1.0
    for n in range(2 + odd, degrees - 1, 2):
        term *= (n - 1) / n * math.cos(angle) ** 2
        total += term
    if not odd:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + (math.sin(angle) * total if degrees > 1 else 0.0))


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf(1 - (1 - confidence) / 2)
