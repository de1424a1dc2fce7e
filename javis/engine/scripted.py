"""An engine with written answers, for tests and for work on the page.

It is a real `Engine` (it streams, stops, fails, counts) without a model. Nothing in the settings
leads here: only code that builds one by name gets one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence

from javis.core.errors import EngineError, UserInputError
from javis.core.evaluation import Likelihood
from javis.core.types import BASE, Chunk, EngineInfo, Message, SamplingParams, Timings, Version
from javis.engine.output import stopped

Answer = Callable[[Sequence[Message], SamplingParams, str], str]
Liking = Callable[[Sequence[Message], str, str], Likelihood]


def echo(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    """The last message again, with the version that says it."""
    return f"[{version}] {messages[-1].content}"


EXPECTED, UNEXPECTED = 0.25, 4.0
"""Nats of a word that it would or would not have said itself."""


class ScriptedEngine:
    """Answers with what `answer` returns, word by word, `delay_s` apart.

    `fail_after` words it raises EngineError, as a model does that dies while it answers. `liking`
    says how likely an answer is; without it, words that `answer` says itself are the likely ones.
    """

    def __init__(
        self,
        answer: Answer = echo,
        *,
        delay_s: float = 0.0,
        fail_after: int | None = None,
        context_tokens: int = 8192,
        parallel: int = 4,
        versions: Sequence[str] = (),
        liking: Liking | None = None,
    ) -> None:
        self._answer = answer
        self._liking = liking or self._own_words
        self._delay_s = delay_s
        self.fail_after = fail_after
        self._versions = [BASE, *versions]
        self.running = 0
        """Answers being written now."""
        self.info = EngineInfo(
            engine="scripted",
            model="scripted",
            title="Scripted",
            quantization="none",
            context_tokens=context_tokens,
            parallel=parallel,
            languages=("en", "ko"),
        )

    def versions(self) -> tuple[str, ...]:
        return tuple(self._versions)

    def use_versions(self, versions: Sequence[Version]) -> dict[str, str]:
        self._versions += [v.name for v in versions if v.name not in self._versions]
        return {}

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Words, plus one for each message's frame."""
        return sum(1 + len(m.content.split()) for m in messages)

    def training_text(self, messages: Sequence[Message]) -> list[tuple[str, bool]]:
        """Each message on a line of its own; the last one is trained."""
        before = "".join(f"{m.role}: {m.content}\n" for m in messages[:-1])
        return [(f"{before}{messages[-1].role}: ", False), (messages[-1].content, True)]

    def stream(
        self,
        messages: Sequence[Message],
        sampling: SamplingParams,
        version: str = BASE,
        stop: threading.Event | None = None,
    ) -> Generator[Chunk, None, None]:
        if version not in self._versions:
            raise UserInputError("no_version", "There is no version {name}.", name=version)
        return self._words(messages, sampling, version, stop or threading.Event())

    def _words(
        self,
        messages: Sequence[Message],
        sampling: SamplingParams,
        version: str,
        stop: threading.Event,
    ) -> Generator[Chunk, None, None]:
        start = time.perf_counter()
        words = self._answer(messages, sampling, version).split(" ")
        said = 0
        first = start
        self.running += 1
        try:
            for word in words[: sampling.max_tokens]:
                stop.wait(self._delay_s)
                if stop.is_set():
                    break
                if said == self.fail_after:
                    raise EngineError("engine_failed", "The model failed: {e}", e="scripted")
                first = first if said else time.perf_counter()
                yield Chunk((" " if said else "") + word)
                said += 1
        finally:
            self.running -= 1
        now = time.perf_counter()
        timings = Timings(
            prompt_tokens=self.count_tokens(messages),
            completion_tokens=said,
            ttft_ms=(first - start) * 1000,
            total_ms=(now - start) * 1000,
        )
        if stop.is_set():
            yield Chunk("", "cancelled", timings)
        else:
            yield Chunk("", "stop" if said == len(words) else "length", timings)

    def score(
        self,
        prompt: Sequence[Message] | str,
        answer: str,
        version: str = BASE,
        stop: threading.Event | None = None,
    ) -> Likelihood:
        if version not in self._versions:
            raise UserInputError("no_version", "There is no version {name}.", name=version)
        if isinstance(prompt, str) and not answer:
            raise UserInputError("empty_text", "{what} is empty.", what="The answer")
        if stop is not None and stop.is_set():
            raise stopped()
        messages = [Message("user", prompt)] if isinstance(prompt, str) else prompt
        return self._liking(messages, answer, version)

    def _own_words(self, messages: Sequence[Message], answer: str, version: str) -> Likelihood:
        said = self._answer(messages, SamplingParams(temperature=0), version).split()
        words = answer.split()
        nll = sum(EXPECTED if word in said else UNEXPECTED for word in words)
        return Likelihood(nll + EXPECTED, len(words) + 1)

    def close(self) -> None:
        """Nothing to free."""
