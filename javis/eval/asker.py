"""The engine as a suite sees it: one version that answers greedily, and counts what it wrote."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from javis.core.errors import EngineError
from javis.core.evaluation import Asker, Likelihood
from javis.core.protocols import Engine, GivingWay
from javis.core.types import BASE, Chunk, Message, SamplingParams

SEED = 20_260
"""Greedy answers need none, but an engine that is asked for one stays repeatable."""
Place = Callable[[], AbstractContextManager[object]]
"""A place at the engine, held while it works for one question."""


class MeteredAsker(Asker, Protocol):
    """An asker that knows how much the model wrote for it."""

    @property
    def tokens(self) -> int: ...


AskerMaker = Callable[[], MeteredAsker]
"""Makes the asker of one item, so that what it cost can be told from the others'."""


@dataclass(slots=True)
class EngineAsker:
    """One version of an engine. Not for two threads at once; make one for each item."""

    engine: Engine
    version: str = BASE
    stop: threading.Event | None = None
    place: Place = nullcontext
    tokens: int = field(default=0, init=False)

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int = 256, stop: Sequence[str] = ()
    ) -> str:
        """The greedy answer. EngineError `stopped` when it was broken off from outside."""
        sampling = SamplingParams(
            temperature=0, top_p=1, max_tokens=max_tokens, seed=SEED, stop=tuple(stop)
        )
        gives_way = GivingWay(self.stop)
        while True:
            text, last = "", Chunk()
            with self.place():
                for last in self.engine.stream(messages, sampling, self.version, gives_way):
                    text += last.text
            if last.finish != "cancelled":
                self.tokens += last.timings.completion_tokens if last.timings else 0
                return text
            if gives_way.is_set():
                raise EngineError("stopped", "It was stopped.")
            # It gave way to somebody's chat with another version: once more from the beginning.

    def likelihood(self, prompt: Sequence[Message] | str, answer: str) -> Likelihood:
        with self.place():
            return self.engine.score(prompt, answer, self.version, self.stop)


def askers(
    engine: Engine,
    version: str = BASE,
    stop: threading.Event | None = None,
    place: Place = nullcontext,
) -> AskerMaker:
    """Makes askers of one version; `place` is asked for before each question."""
    return lambda: EngineAsker(engine, version, stop, place)
