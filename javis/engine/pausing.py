"""An engine whose model can be put away, so that training has a small graphics card to itself."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Generator, Sequence

from javis.core.errors import EngineError
from javis.core.evaluation import Likelihood
from javis.core.protocols import Engine
from javis.core.types import BASE, Chunk, EngineInfo, Message, SamplingParams, Version

END_WITHIN_S = 60.0
"""How long a pause waits for running answers; what is then still running is broken off."""


def card_memory_held() -> int:
    """Bytes of the graphics card that this process would free by letting go of its model."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0
    return int(torch.cuda.memory_reserved())


class PausingEngine:
    """The engine that `load` makes; while it is paused there is none, and nobody is answered.

    Safe from any thread, as every engine.
    """

    def __init__(
        self,
        load: Callable[[], Engine],
        *,
        held: Callable[[], int] = card_memory_held,
        end_within_s: float = END_WITHIN_S,
    ) -> None:
        self._load = load
        self._held = held
        self._end_within_s = end_within_s
        self._changed = threading.Condition()
        self._switching = threading.Lock()
        self._running = 0
        self._closed = False
        self._engine: Engine | None = load()
        self.info: EngineInfo = self._engine.info
        self._versions: tuple[Version, ...] = ()
        self._names: tuple[str, ...] = (BASE,)
        self._refused: dict[str, str] = {}

    @property
    def paused(self) -> bool:
        """Whether the model is put away."""
        return self._engine is None

    def held_bytes(self) -> int:
        """Memory of the card that a pause would free."""
        return self._held()

    def pause(self) -> None:
        """Put the model away: no answer begins any more, running ones may end before."""
        with self._switching:
            with self._changed:
                engine, self._engine = self._engine, None
                self._changed.wait_for(lambda: not self._running, self._end_within_s)
            if engine is not None:
                engine.close()
                del engine
                gc.collect()

    def resume(self) -> None:
        """Load the model again with the versions it had. Raises EngineError when that fails."""
        with self._switching:
            if self._engine is not None or self._closed:
                return
            engine = self._load()
            self._refused = engine.use_versions(self._versions)
            self._names = engine.versions()
            self._engine = engine

    def versions(self) -> tuple[str, ...]:
        return self._engine.versions() if (self._engine is not None) else self._names

    def use_versions(self, versions: Sequence[Version]) -> dict[str, str]:
        with self._switching:
            self._versions = tuple(versions)
            if self._engine is not None:
                self._refused = self._engine.use_versions(versions)
                self._names = self._engine.versions()
            return dict(self._refused)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._here().count_tokens(messages)

    def training_text(self, messages: Sequence[Message]) -> list[tuple[str, bool]]:
        return self._here().training_text(messages)

    def stream(
        self,
        messages: Sequence[Message],
        sampling: SamplingParams,
        version: str = BASE,
        stop: threading.Event | None = None,
    ) -> Generator[Chunk, None, None]:
        with self._changed:
            inner = self._here().stream(messages, sampling, version, stop)
        return self._counted(inner)

    def score(
        self,
        prompt: Sequence[Message] | str,
        answer: str,
        version: str = BASE,
        stop: threading.Event | None = None,
    ) -> Likelihood:
        return self._here().score(prompt, answer, version, stop)

    def close(self) -> None:
        with self._switching:
            self._closed = True
            if self._engine is not None:
                self._engine.close()

    def _here(self) -> Engine:
        if self._engine is None:
            raise EngineError(
                "chat_paused",
                "The chat pauses while a training run needs the graphics card. It comes back by "
                "itself when the run has ended.",
            )
        return self._engine

    def _counted(self, inner: Generator[Chunk, None, None]) -> Generator[Chunk, None, None]:
        with self._changed:
            self._running += 1
        try:
            yield from inner
        finally:
            inner.close()
            with self._changed:
                self._running -= 1
                self._changed.notify_all()
