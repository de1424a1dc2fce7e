"""One answer of the transformers engine: what its writer and its reader share."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Literal

from javis.core.errors import EngineError
from javis.core.types import Chunk, Timings

if TYPE_CHECKING:
    from javis.engine.adapters import Handle
    from javis.engine.decoding import Sampler, TextStream

HEARTBEAT_S = 0.1

Ending = Literal["stop", "length", "cancelled"]


class Answer:
    """The owner's thread calls `take`, `finish` and `fail`; the reader's iterates `chunks`."""

    def __init__(
        self,
        prompt: list[int],
        handle: Handle,
        sampler: Sampler,
        text: TextStream,
        *,
        max_tokens: int,
        eos: frozenset[int],
        stop: threading.Event | None,
    ) -> None:
        self.prompt = prompt
        self.handle = handle
        self.sampler = sampler
        self.cached = 0
        """Tokens of the prompt that were still in the cache."""
        self.ended = False
        self._text = text
        self._max_tokens = max_tokens
        self._eos = eos
        self._stop = stop or threading.Event()
        self._abandoned = threading.Event()
        self._events: queue.SimpleQueue[Chunk | EngineError] = queue.SimpleQueue()
        self._start = time.perf_counter()
        self._first: float | None = None
        self._tokens = 0

    def is_stopped(self) -> bool:
        """Whether the reader wants no more."""
        return self._stop.is_set() or self._abandoned.is_set()

    def take(self, token: int) -> bool:
        """Take the next token; False when it was the last one."""
        self._tokens += 1
        if self._first is None:
            self._first = time.perf_counter()
        if token in self._eos:
            self.finish("stop")
            return False
        piece = self._text.feed(token)
        if self._text.stopped:
            self.finish("stop", piece)
            return False
        if self._tokens >= self._max_tokens:
            self.finish("length", piece)
            return False
        if piece:
            self._events.put(Chunk(piece))
        return True

    def finish(self, how: Ending, piece: str = "") -> None:
        """Hand over the last chunk, with what was held back."""
        self.ended = True
        rest = piece + self._text.flush()
        if self._text.stopped and how == "length":
            how = "stop"
        self._events.put(Chunk(rest, how, self._timings()))

    def fail(self, error: EngineError) -> None:
        """End with an error that the reader gets."""
        self.ended = True
        self._events.put(error)

    def chunks(self, submit: Callable[[], None]) -> Generator[Chunk, None, None]:
        """Submit the answer and yield what comes; closing the iterator frees the engine."""
        self._start = time.perf_counter()
        try:
            submit()
            while True:
                try:
                    event = self._events.get(timeout=HEARTBEAT_S)
                except queue.Empty:
                    yield Chunk()
                    continue
                if isinstance(event, EngineError):
                    raise event
                yield event
                if event.finish:
                    return
        finally:
            self._abandoned.set()

    def _timings(self) -> Timings:
        now = time.perf_counter()
        return Timings(
            prompt_tokens=len(self.prompt),
            cached_tokens=self.cached,
            completion_tokens=self._tokens,
            ttft_ms=((self._first or now) - self._start) * 1000,
            total_ms=(now - self._start) * 1000,
        )
