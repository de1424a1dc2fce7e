"""One running answer of llama.cpp, as the native server's thread writes it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from javis.core.errors import EngineError
from javis.core.protocols import GivingWay
from javis.core.types import Chunk, Ended, SamplingParams, Timings
from javis.engine.llamacpp_server import NativeServer
from javis.engine.output import HideControl

HEARTBEAT_S = 0.1
FRAME_S = 0.05
"""Tokens of this long are handed on together, once the first one is out."""


class Answer:
    """One running answer. The native server's thread leaves its tokens in a queue.

    The consumer sleeps between two frames instead of waking for every token: on a small machine
    each wake takes a core away from the model, and nobody reads faster than frames.
    """

    def __init__(
        self,
        server: NativeServer,
        request: dict[str, Any],
        hide: HideControl,
        stop: threading.Event | None,
    ) -> None:
        self._server = server
        self._request = request
        self._hide = hide
        self._stop = stop or threading.Event()
        self._abandoned = threading.Event()
        self._events: deque[dict[str, Any] | EngineError | None] = deque()
        self._urgent = threading.Event()
        """Set for what must not wait for the next frame: the first token and the end."""
        self._start = time.perf_counter()
        self._first: float | None = None
        self._tokens = 0

    def chunks(self) -> Generator[Chunk, None, None]:
        threading.Thread(target=self._work, name="llama.cpp answer", daemon=True).start()
        spoke = time.perf_counter()
        last: tuple[Ended, dict[str, Any]] | None = None
        try:
            while True:
                self._urgent.wait(FRAME_S if self._first else HEARTBEAT_S)
                self._urgent.clear()
                text = ""
                for event in self._taken():
                    if isinstance(event, EngineError):
                        if text:
                            yield Chunk(text)
                        raise event
                    if event is None:
                        # Only now is the place free: whoever asks on at once gets the same one.
                        yield self._last(*(last or ("cancelled", {})), text)
                        return
                    choice = event["choices"][0]
                    text += self._hide.feed(choice.get("text") or "")
                    if finish := choice.get("finish_reason"):
                        last = "length" if finish == "length" else "stop", event
                now = time.perf_counter()
                if text or now - spoke >= HEARTBEAT_S:
                    spoke = now
                    yield Chunk(text)
                if not self._first and self._stopping():
                    yield self._last("cancelled", {}, "")
                    return
        finally:
            self._abandoned.set()

    def _taken(self) -> Iterator[dict[str, Any] | EngineError | None]:
        while self._events:
            yield self._events.popleft()

    def _work(self) -> None:
        try:
            self._server.complete(self._request, self._on_event, self._stopping)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the consumer
            self._events.append(EngineError("engine_failed", "The model failed: {e}", e=error))
        self._events.append(None)
        self._urgent.set()

    def _on_event(self, event: Any) -> bool:
        if not isinstance(event, dict) or "choices" not in event:
            text = event.get("error", event) if isinstance(event, dict) else event
            text = text.get("message", text) if isinstance(text, dict) else text
            self._events.append(EngineError("engine_failed", "The model failed: {e}", e=text))
            self._urgent.set()
            return True
        if "prompt_progress" in event:
            return self._stopping()
        self._events.append(event)
        if not event["choices"][0].get("finish_reason"):
            self._tokens += 1
            if self._first is None:
                self._first = time.perf_counter()
                self._urgent.set()
        return self._stopping()

    def _stopping(self) -> bool:
        if self._stop.is_set() or self._abandoned.is_set() or self._server.stopped.is_set():
            return True
        return isinstance(self._stop, GivingWay) and self._server.others_wait(self._request)

    def _last(self, finish: Ended, event: Mapping[str, Any], text: str) -> Chunk:
        if self._server.stopped.is_set():
            raise closed()
        now = time.perf_counter()
        usage = event.get("usage", {})
        details = usage.get("prompt_tokens_details", {})
        first = self._first or now
        timings = Timings(
            prompt_tokens=len(self._request["prompt"]),
            cached_tokens=int(details.get("cached_tokens", 0)),
            completion_tokens=int(usage.get("completion_tokens", self._tokens)),
            ttft_ms=(first - self._start) * 1000,
            total_ms=(now - self._start) * 1000,
        )
        return Chunk(text + self._hide.flush(), finish, timings)


def closed() -> EngineError:
    """What an answer ends with when its server is closed."""
    return EngineError("engine_closed", "The model was closed while it answered.")


def request_of(prompt: list[int], sampling: SamplingParams, room: int) -> dict[str, Any]:
    """What llama.cpp is asked: these ids, and at most `room` tokens of an answer."""
    request: dict[str, Any] = {
        "prompt": prompt,
        "n_predict": room,
        "stream": True,
        "return_progress": True,
        "cache_prompt": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "min_p": 0.0,
        "repeat_penalty": sampling.repetition_penalty,
        "repeat_last_n": len(prompt) + room,
        "stop": list(sampling.stop),
    }
    if sampling.seed is not None:
        request["seed"] = sampling.seed
    return request
