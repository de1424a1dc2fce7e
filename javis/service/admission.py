"""Who may ask the engine now: a fair queue with an end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from javis.core.errors import Busy


class Admission:
    """`places` answers run, up to `waiting` more stand in line, first come first served."""

    def __init__(self, places: int, waiting: int) -> None:
        self._free = places
        self._waiting = waiting
        self._line: deque[Ticket] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def ticket(self) -> Iterator[Ticket]:
        """A place now or in line. Raises Busy when the line is full."""
        ticket = Ticket()
        with self._lock:
            if self._free > 0:
                self._free -= 1
                ticket.ready.set()
            elif len(self._line) < self._waiting:
                self._line.append(ticket)
            else:
                raise Busy(
                    "too_busy",
                    "Too many answers are being written at once ({waiting} are waiting). "
                    "Try again in a moment.",
                    waiting=len(self._line),
                )
        try:
            yield ticket
        finally:
            self._leave(ticket)

    def _leave(self, ticket: Ticket) -> None:
        with self._lock:
            if not ticket.ready.is_set():
                self._line.remove(ticket)
            elif self._line:
                self._line.popleft().ready.set()
            else:
                self._free += 1


class Ticket:
    """A place in line; `ready` is set when its turn has come."""

    def __init__(self) -> None:
        self.ready = threading.Event()
