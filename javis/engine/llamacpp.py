"""llama.cpp in this process (xllamacpp): the engine for processors, laptops and GGUF files.

Prompts go in as token ids made by `ChatTemplate`. Each running answer holds on to the native
server it began with, so a new set of adapters is a new server (0.7 s for the embedded model, the
weights are shared through mmap) while older answers finish on theirs.
"""

from __future__ import annotations

import itertools
import json
import secrets
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from javis.core.errors import ContextOverflow, EngineError, UserInputError
from javis.core.evaluation import Likelihood
from javis.core.types import (
    BASE,
    Chunk,
    Ended,
    EngineInfo,
    Message,
    SamplingParams,
    Timings,
    Version,
)
from javis.engine.gguf_meta import GgufMeta, read_gguf_meta
from javis.engine.llamacpp_score import Scorer
from javis.engine.llamacpp_slots import Places
from javis.engine.output import HideControl, stopped
from javis.engine.template import ChatTemplate
from javis.engine.waiting import let_threads_rest

HEARTBEAT_S = 0.1
FRAME_S = 0.05
"""Tokens of this long are handed on together, once the first one is out."""
DEFAULT_CONTEXT = 8192
BATCH_TOKENS = 256
"""Tokens of a prompt read at once: a stop during the reading takes effect between two batches."""

Q8_BLOCK = 32
"""Numbers that share a scale in llama.cpp's 8-bit format."""
CLOSE_S = 5.0
"""How long closing waits for running answers: they end within a token, or a batch of a prompt."""

AdapterFile = Callable[[Version], Path]
"""Gives the GGUF form of a version's adapter; raises VersionError when there is none."""


class LlamaCppEngine:
    """One GGUF model and the adapter versions it was given."""

    def __init__(
        self,
        path: Path,
        *,
        model: str,
        title: str,
        adapter_file: AdapterFile,
        languages: tuple[str, ...] = ("en",),
        licence: str = "",
        sampling: SamplingParams | None = None,
        context: int = 0,
        parallel: int = 4,
        threads: int = 2,
    ) -> None:
        self._path = path
        self._meta = read_gguf_meta(path)
        self._adapter_file = adapter_file
        self._context = min(context or DEFAULT_CONTEXT, self._meta.context_tokens)
        self._parallel = parallel
        self._threads = threads
        self._lock = threading.Lock()
        self._closed = False
        self._adapters: dict[str, Path] = {}
        self._torn: set[int] = set()
        """Tokens that are part of a character, as far as they were met."""
        self._server = self._start({})
        self._tokenizer = _LlamaTokenizer(self._meta, self._server)
        self._template = ChatTemplate(
            self._meta.chat_template, self._tokenizer, self._meta.bos_token, self._meta.eos_token
        )
        self.info = EngineInfo(
            engine="llama.cpp",
            model=model,
            title=title,
            quantization=_quantization_name(self._meta.file_type),
            context_tokens=self._context,
            parallel=parallel,
            languages=languages,
            device=_device(),
            licence=licence,
            sampling=sampling or SamplingParams(),
        )

    def versions(self) -> tuple[str, ...]:
        return (BASE, *self._server.adapters)

    def use_versions(self, versions: Sequence[Version]) -> dict[str, str]:
        from javis.core.errors import VersionError

        wanted: dict[str, Path] = {}
        refused: dict[str, str] = {}
        for version in versions:
            if version.path is None:
                continue
            try:
                wanted[version.name] = self._adapter_file(version)
            except VersionError as error:
                refused[version.name] = str(error)
        with self._lock:
            if self._closed or wanted == self._adapters:
                return refused
            server = self._start(wanted)
            # Running answers keep the old server alive by their reference to it.
            self._server, self._adapters = server, wanted
            self._tokenizer.server = server
        return refused

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(self._template.encode(messages))

    def training_text(self, messages: Sequence[Message]) -> list[tuple[str, bool]]:
        return self._template.training_text(messages)

    def stream(
        self,
        messages: Sequence[Message],
        sampling: SamplingParams,
        version: str = BASE,
        stop: threading.Event | None = None,
    ) -> Generator[Chunk, None, None]:
        server = self._serving(version)
        prompt = self._template.encode(messages)
        room = self._context - len(prompt)
        if room < 1:
            raise ContextOverflow(tokens=len(prompt) + 1, limit=self._context, drop=None)
        request = _request(prompt, sampling, min(sampling.max_tokens, room))
        request["lora"] = server.select(version)
        return _Answer(server, request, HideControl(self._template.used_control), stop).chunks()

    def score(
        self,
        prompt: Sequence[Message] | str,
        answer: str,
        version: str = BASE,
        stop: threading.Event | None = None,
    ) -> Likelihood:
        server = self._serving(version)
        ids, start = self._template.encode_answer(prompt, answer)
        if len(ids) > self._context:
            raise ContextOverflow(tokens=len(ids), limit=self._context, drop=None)

        def ending() -> EngineError | None:
            if server.stopped.is_set():
                return _closed()
            return stopped() if stop is not None and stop.is_set() else None

        plain = self._tokenizer.encode_text("a")[0]
        scorer = Scorer(server, server.select(version), plain, self._torn, ending)
        return scorer.likelihood(ids, start)

    def _serving(self, version: str) -> _Server:
        server = self._server
        if version != BASE and version not in server.adapters:
            raise UserInputError("no_version", "There is no version {name}.", name=version)
        return server

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._server.close()

    def _start(self, adapters: Mapping[str, Path]) -> _Server:
        return _Server(
            self._path,
            adapters,
            context=self._context,
            parallel=self._parallel,
            threads=self._threads,
            key_length=self._meta.key_length,
        )


class _Server:
    """A native server with a fixed set of adapters."""

    def __init__(
        self,
        path: Path,
        adapters: Mapping[str, Path],
        *,
        context: int,
        parallel: int,
        threads: int,
        key_length: int,
    ) -> None:
        let_threads_rest()
        import xllamacpp  # heavy: loads the native library

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context * parallel
        params.n_parallel = parallel
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        # The server's own store of prompts does not know which adapter read them.
        params.cache_ram_mib = 0
        params.cache_idle_slots = False
        if _device() == "cpu":
            # Measured in docs/bench.md: flash attention writes short answers faster, and long
            # conversations at half the speed. Without it, 8-bit keys are faster than 16-bit ones.
            params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
            if key_length and key_length % Q8_BLOCK == 0:
                params.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_Q8_0
        params.ui = params.endpoint_slots = False
        params.verbosity = 0
        params.lora_init_without_apply = True
        # The native server also listens on a loopback port; without a key any web page could ask.
        self._key = secrets.token_urlsafe(32)
        params.api_keys = [self._key]
        params.cors_origins = ""
        loras = []
        for file in adapters.values():
            info = xllamacpp.CommonAdapterLoraInfo()
            info.path, info.scale = str(file), 0.0
            loras.append(info)
        params.lora_adapters = loras
        self.adapters = {name: index for index, name in enumerate(adapters)}
        self._places = Places(parallel)
        self.stopped = threading.Event()
        try:
            self._native = xllamacpp.Server(params)
        except RuntimeError as error:
            raise EngineError(
                "load_failed",
                "The model {path} could not be loaded: {error}",
                path=path,
                error=error,
            ) from None

    def close(self) -> None:
        """End what runs. A thread inside the native code as Python ends would abort the process."""
        self.stopped.set()
        self._places.rest(CLOSE_S)

    def select(self, version: str) -> list[dict[str, Any]]:
        """What a request says so that this adapter answers it, or none.

        All of them are named: an empty list would let the base read the cache of an adapter.
        """
        return [
            {"id": number, "scale": float(name == version)}
            for name, number in self.adapters.items()
        ]

    def complete(
        self,
        request: dict[str, Any],
        callback: Callable[[Any], bool],
        ending: Callable[[], bool],
    ) -> None:
        """Run one completion; blocks until it ends or the callback returns True.

        Waits for a place; when `ending` comes true meanwhile, nothing is asked.
        """
        adapters = tuple(lora["scale"] for lora in request["lora"])
        with self._places.take(request["prompt"], adapters, ending) as place:
            if place is not None:
                self._native.handle_completions(request | {"id_slot": place}, callback)

    def tokenize(self, text: str) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": False}
        request = urllib.request.Request(  # noqa: S310 - the server's own address
            f"{self._native.listening_address}/tokenize",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        # The address is the native server's own: no proxy may see the text.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as response:
            ids: list[int] = json.load(response)["tokens"]
        return ids


class _LlamaTokenizer:
    """llama.cpp's own tokenizer, so that prompts are cut exactly as the model expects."""

    def __init__(self, meta: GgufMeta, server: _Server) -> None:
        self.control_tokens: Mapping[str, int] = meta.control_tokens
        self.server = server
        self._user_defined = meta.user_defined
        # Earlier messages of a conversation come again with every turn.
        self._encode = lru_cache(maxsize=4096)(self._encode_piece)

    def encode_text(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in _break_up(text, self._user_defined):
            ids += self._encode(piece)
        return ids

    def _encode_piece(self, text: str) -> tuple[int, ...]:
        return tuple(self.server.tokenize(text))


def _break_up(text: str, literals: Sequence[str]) -> list[str]:
    """Cut `text` after the first character of each literal, so that none is found in a piece."""
    cuts = {0, len(text)}
    for literal in literals:
        start = text.find(literal) if len(literal) > 1 else -1
        while start >= 0:
            cuts.add(start + 1)
            start = text.find(literal, start + 1)
    edges = sorted(cuts)
    return [text[a:b] for a, b in itertools.pairwise(edges)]


class _Answer:
    """One running answer. The native server's thread leaves its tokens in a queue.

    The consumer sleeps between two frames instead of waking for every token: on a small machine
    each wake takes a core away from the model, and nobody reads faster than frames.
    """

    def __init__(
        self,
        server: _Server,
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
        return self._stop.is_set() or self._abandoned.is_set() or self._server.stopped.is_set()

    def _last(self, finish: Ended, event: Mapping[str, Any], text: str) -> Chunk:
        if self._server.stopped.is_set():
            raise _closed()
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


def _closed() -> EngineError:
    return EngineError("engine_closed", "The model was closed while it answered.")


def _request(prompt: list[int], sampling: SamplingParams, room: int) -> dict[str, Any]:
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


def _device() -> str:
    import xllamacpp  # heavy: loads the native library

    names = [str(d.get("name", "")) for d in xllamacpp.get_device_info()]
    return next((n for n in names if n and not n.upper().startswith("CPU")), "cpu")


def _quantization_name(file_type: int) -> str:
    from gguf import LlamaFileType  # heavy: numpy

    try:
        name: str = LlamaFileType(file_type).name
        return name.removeprefix("MOSTLY_").removeprefix("ALL_")
    except ValueError:
        return "unknown"
