"""Which of the native server's places a request is given.

Each place (llama.cpp: slot) keeps the keys and values of what it read last, and a request that goes
on from there reads only what is new. The server's own choice takes any place whose text begins
alike, so a new conversation with the usual system prompt would throw a long one away while other
places lie empty. It also copies conversations out to a store and back in without asking which
adapter they were read with: a version would go on from what the base had read. So we choose, and
the store is off.

It also works for one set of adapters at a time, and goes on with the one it works for as long as
there is any such request: an evaluation of one version would keep a chat with another one waiting
to its end. So a request with other adapters is not handed to it before those that run have ended,
and whoever comes later stands in line behind it.
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


@dataclass(slots=True, eq=False)
class _Waiter:
    adapters: tuple[float, ...]


class Places:
    """The places of one native server. Safe to call from any thread."""

    def __init__(self, count: int) -> None:
        self._places = [_Place() for _ in range(count)]
        self._free = threading.Condition()
        self._line: list[_Waiter] = []
        """Those who wait, in the order they came."""
        self._clock = 0

    @contextmanager
    def take(
        self, ids: Sequence[int], adapters: tuple[float, ...], ending: Callable[[], bool]
    ) -> Generator[int | None, None, None]:
        """Hold the best free place, waiting for one; None when `ending` came true before."""
        with self._free:
            waiter = _Waiter(adapters)
            self._line.append(waiter)
            try:
                while (number := self._next(waiter, ids)) is None and not ending():
                    self._free.wait(WAIT_S)
            finally:
                self._line.remove(waiter)
                self._free.notify_all()
            if number is not None:
                self._clock += 1
                self._places[number] = _Place(ids, adapters, self._clock, busy=True)
        try:
            yield number
        finally:
            if number is not None:
                with self._free:
                    self._places[number].busy = False
                    self._free.notify_all()

    def others_wait(self, adapters: tuple[float, ...]) -> bool:
        """Whether somebody with other adapters waits for those with these to end."""
        with self._free:
            return any(waiter.adapters != adapters for waiter in self._line)

    def rest(self, timeout_s: float) -> bool:
        """Wait until no place is in use; False when one still is after so long."""
        with self._free:
            return self._free.wait_for(lambda: not any(p.busy for p in self._places), timeout_s)

    def _next(self, waiter: _Waiter, ids: Sequence[int]) -> int | None:
        """The place for one who waits, when it may begin now."""
        ahead = self._line[: self._line.index(waiter)]
        running = [place.adapters for place in self._places if place.busy]
        if any(other != waiter.adapters for other in running):
            return None
        if any(other.adapters != waiter.adapters for other in ahead):
            return None
        return self._best(ids, waiter.adapters)

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
