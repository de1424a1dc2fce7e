"""Something that is done again and again while the program runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

LOG = logging.getLogger("javis.service")
_END_S = 5.0


class Repeating:
    """Calls `act` every `every_s` seconds in a thread of its own, until it is stopped."""

    def __init__(self, name: str, every_s: float, act: Callable[[], object]) -> None:
        self._every_s = every_s
        self._act = act
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Do it no more. What is being done now is waited for, but not for long."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._act()
            except Exception:  # the next time may go well, and nobody else would call
                LOG.exception("%s failed", self._thread.name)
            self._end.wait(self._every_s)
