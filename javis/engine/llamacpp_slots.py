"""Which of the native server's places a request is given.

Each place (llama.cpp: slot) keeps the keys and values of what it read last, and a request that goes
on from there reads only what is new. The server's own choice takes any place whose text begins
alike, so a new conversation with the usual system prompt would throw a long one away while other
places lie empty. It also copies conversations out to a store and back in without asking which
adapter they were read with: a version would go on from what the base had read. So we choose, and
the store is off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

WAIT_S = 0.1


@dataclass(slots=True)
class _Place:
    ids: Sequence[int] = ()
    """What was read in it last."""
    adapters: tuple[float, ...] = ()
    """The scale of each adapter when it was read."""
    used: int = 0
    busy: bool = False


class Places:
    """The places of one native server. Safe to call from any thread."""

    def __init__(self, count: int) -> None:
        self._places = [_Place() for _ in range(count)]
        self._free = threading.Condition()
        self._clock = 0

    @contextmanager
    def take(
        self, ids: Sequence[int], adapters: tuple[float, ...], ending: Callable[[], bool]
    ) -> Generator[int | None, None, None]:
        """Hold the best free place, waiting for one; None when `ending` came true before."""
        with self._free:
            while (number := self._best(ids, adapters)) is None:
                if ending():
                    break
                self._free.wait(WAIT_S)
            else:
                self._clock += 1
                self._places[number] = _Place(ids, adapters, self._clock, busy=True)
        try:
            yield number
        finally:
            if number is not None:
                with self._free:
                    self._places[number].busy = False
                    self._free.notify_all()

    def rest(self, timeout_s: float) -> bool:
        """Wait until no place is in use; False when one still is after so long."""
        with self._free:
            return self._free.wait_for(lambda: not any(p.busy for p in self._places), timeout_s)

    def _best(self, ids: Sequence[int], adapters: tuple[float, ...]) -> int | None:
        """Where the fewest tokens have to be read, now or again later.

        What a place would lose counts the less the longer it rested: whole for the one used last,
        half for the one before it, a third, and so on.
        """
        oldest_first = sorted(
            (n for n, place in enumerate(self._places) if not place.busy),
            key=lambda n: self._places[n].used,
        )
        best: tuple[float, int] | None = None
        for rank, number in enumerate(reversed(oldest_first), start=1):
            place = self._places[number]
            kept = _common(place.ids, ids) if place.adapters == adapters else 0
            cost = len(ids) - kept + (len(place.ids) - kept) / rank
            if best is None or cost <= best[0]:  # the older one of equals
                best = (cost, number)
        return best[1] if best else None


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    for number, (one, other) in enumerate(zip(a, b, strict=False)):
        if one != other:
            return number
    return min(len(a), len(b))
