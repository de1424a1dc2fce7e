"""The protocols with more than one implementation."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import Protocol

from javis.core.evaluation import Likelihood
from javis.core.types import Chunk, EngineInfo, Message, SamplingParams, Version


class GivingWay(threading.Event):
    """The `stop` of work that nobody sits and waits for.

    An engine that cannot answer several versions at once may break such an answer off for another
    request (`cancelled`, without `stop` being set); whoever asked asks again.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        super().__init__()
        self._stop = stop or threading.Event()

    def is_set(self) -> bool:
        return self._stop.is_set()

    def set(self) -> None:
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._stop.wait(timeout)


class Engine(Protocol):
    """A loaded base model that answers, with any of the adapter versions it was given.

    All methods may be called from any thread. Implemented by `engine.llamacpp`,
    `engine.transformers` and `engine.scripted`.
    """

    @property
    def info(self) -> EngineInfo: ...

    def versions(self) -> tuple[str, ...]:
        """Names that `stream` accepts, `base` first."""
        ...

    def use_versions(self, versions: Sequence[Version]) -> dict[str, str]:
        """Serve these adapter versions from the next answer on; running answers are not touched.

        Returns, for each version that this engine cannot serve, why not (English, one sentence).
        """
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Length of the rendered prompt in tokens, the opening of the answer included."""
        ...

    def training_text(self, messages: Sequence[Message]) -> list[tuple[str, bool]]:
        """The exact text that training on the last message sees, as (text, trained) pieces."""
        ...

    def stream(
        self,
        messages: Sequence[Message],
        sampling: SamplingParams,
        version: str = "base",
        stop: threading.Event | None = None,
    ) -> Generator[Chunk, None, None]:
        """Answer the last message.

        Yields text that never holds a special token or part of a character, empty heartbeats at
        least every 0.2 s while nothing comes, and at last one chunk with `finish` and `timings`.
        Setting `stop` or closing the generator frees the engine within a token. `sampling.seed`
        makes the answer repeatable on one engine.

        Raises UserInputError for an unknown version, ContextOverflow when the prompt leaves no
        room for a token, EngineError when the model fails.
        """
        ...

    def score(
        self,
        prompt: Sequence[Message] | str,
        answer: str,
        version: str = "base",
        stop: threading.Event | None = None,
    ) -> Likelihood:
        """How likely `answer` is after `prompt`, over every token of the answer.

        Messages are rendered by the model's template, and the answer's end of turn counts as one
        of its tokens, exactly as training sees it; a string is raw text, and so is the answer.

        Raises UserInputError for an unknown version or an empty raw answer, ContextOverflow when
        the two do not fit, EngineError when the model fails or `stop` was set meanwhile.
        """
        ...

    def close(self) -> None:
        """Free the model. Running answers end with EngineError."""
        ...


class Pausable(Protocol):
    """A model that can be put away to make room for training (`engine.pausing`)."""

    @property
    def paused(self) -> bool: ...

    def held_bytes(self) -> int:
        """Memory of the graphics card that a pause would free."""
        ...

    def pause(self) -> None:
        """Answer nobody any more, and free the memory."""
        ...

    def resume(self) -> None:
        """Be there again; nothing when it is. Raises EngineError."""
        ...
