"""How large a difference so many questions would show, and how many a difference would need.

Two versions are asked the same questions, so what counts is the spread of their differences item
by item. Before there is a second version it is not known; until then the scores of the two are
taken to correlate by one half, which makes that spread the spread of the scores themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, stdev

POWER = 0.8
"""How often a difference of that size would be seen."""
CONFIDENCE = 0.95
"""How sure it must be that there is one at all."""


def detectable(spread: float, items: int) -> float:
    """The smallest mean difference that `items` questions show, in the unit of `spread`.

    `spread` is the standard deviation of the differences (or, see above, of the scores).
    """
    if items < 1:
        raise ValueError("no items")
    return _factor() * spread / math.sqrt(items)


def items_needed(spread: float, difference: float) -> int:
    """How many questions show a mean difference of that size."""
    if not difference > 0:
        raise ValueError("no difference")
    return max(1, math.ceil((_factor() * spread / difference) ** 2))


def spread_of(scores: Sequence[float]) -> float:
    """Standard deviation of scores from 0 to 1, never 0: that twenty answers were all right does
    not mean that the next ones are. One more right and one more wrong answer are assumed."""
    return stdev([*scores, 0.0, 1.0]) if scores else 0.5


def _factor() -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - (1 - CONFIDENCE) / 2) + normal.inv_cdf(POWER)
