"""One likelihood of the transformers engine: what the owner's thread and its asker share."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from javis.core.errors import EngineError
from javis.core.evaluation import Likelihood
from javis.engine.output import stopped

if TYPE_CHECKING:
    from javis.engine.adapters import Handle


class Scoring:
    """How likely `ids[start:]` is after `ids[:start]`. Has its turn as an answer has."""

    def __init__(
        self, ids: list[int], start: int, handle: Handle, stop: threading.Event | None
    ) -> None:
        self.ids = ids
        self.start = start
        self.handle = handle
        self.ended = False
        self._stop = stop or threading.Event()
        self._result: queue.SimpleQueue[float | EngineError] = queue.SimpleQueue()

    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def finish(self, how: str) -> None:
        """It is not wanted any more."""
        self.fail(stopped())

    def fail(self, error: EngineError) -> None:
        """End with an error that the asker gets."""
        self.ended = True
        self._result.put(error)

    def take(self, nll: float) -> None:
        """The sum over all tokens, in nats."""
        self.ended = True
        self._result.put(nll)

    def result(self, submit: Callable[[], None]) -> Likelihood:
        """Submit it and wait."""
        submit()
        found = self._result.get()
        if isinstance(found, EngineError):
            raise found
        return Likelihood(found, len(self.ids) - self.start)
