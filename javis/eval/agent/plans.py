"""Plans, played through: any plan that works is right, not only the one we thought of.

Each check takes the answer and the world it was told about. None raises for any answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from javis.eval.agent.conclusion import conclusion, letters

_STEP = {"U": (-1, 0), "D": (1, 0), "L": (0, -1), "R": (0, 1)}
_WORDS = {
    **{"up": "U", "down": "D", "left": "L", "right": "R"},
    **{"위": "U", "아래": "D", "왼쪽": "L", "오른쪽": "R"},
}
_MOVE = re.compile(
    r"(?<![A-Za-z])(?:[UDLR](?![A-Za-z])|(?:up|down|left|right)\b)|위|아래|왼쪽|오른쪽", re.I
)


def order(answer: str, *, steps: Sequence[str], before: Sequence[Sequence[str]]) -> bool:
    """All steps, each once, every first of a pair in `before` ahead of its second."""
    found = letters(answer, steps)
    return sorted(found) == sorted(steps) and all(
        found.index(first) < found.index(second) for first, second in before
    )


def pick(
    answer: str,
    *,
    sizes: Mapping[str, float],
    at_most: float,
    at_least: float = 0.0,
    worth: Mapping[str, float] | None = None,
    worth_at_least: float = 0.0,
    with_: Sequence[str] = (),
    without: Sequence[str] = (),
) -> bool:
    """Things whose sizes sum up within the bounds, with what is needed and worth enough."""
    found = letters(answer, list(sizes))
    chosen = set(found)
    return (
        0 < len(found) == len(chosen)
        and at_least <= sum(sizes[name] for name in chosen) <= at_most
        and sum((worth or {}).get(name, 0.0) for name in chosen) >= worth_at_least
        and chosen >= set(with_)
        and not chosen & set(without)
    )


def path(
    answer: str,
    *,
    roads: Sequence[Sequence[str | float]],
    start: str,
    goal: str,
    at_most: float,
    through: Sequence[str] = (),
    avoid: Sequence[str] = (),
) -> bool:
    """A way from start to goal along roads `[from, to, length]`, both ways, not too long."""
    lengths: dict[frozenset[str], float] = {
        frozenset((str(one), str(other))): float(length) for one, other, length in roads
    }
    places = sorted(set().union(*lengths))
    found = letters(answer, places)
    legs = [frozenset(leg) for leg in pairwise(found)]
    return (
        len(found) > 1
        and (found[0], found[-1]) == (start, goal)
        and all(leg in lengths for leg in legs)
        and sum(lengths[leg] for leg in legs) <= at_most
        and set(found) >= set(through)
        and not set(found) & set(avoid)
    )


def moves(answer: str, *, grid: Sequence[str], at_most: int) -> bool:
    """Moves from `S` to `G` that stay on the grid and off its walls `#`."""
    cells = {(row, at): cell for row, line in enumerate(grid) for at, cell in enumerate(line)}
    place = next(spot for spot, cell in cells.items() if cell == "S")
    found = _moves_of(conclusion(answer)[0])
    for move in found:
        place = (place[0] + _STEP[move][0], place[1] + _STEP[move][1])
        if cells.get(place, "#") == "#":
            return False
    return cells[place] == "G" and 0 < len(found) <= at_most


def _moves_of(line: str) -> list[str]:
    bare = line.strip(" .")
    if re.fullmatch(r"[UDLR]{2,}", bare):
        return list(bare)
    return [_WORDS.get(move.lower(), move.upper()) for move in _MOVE.findall(line)]
