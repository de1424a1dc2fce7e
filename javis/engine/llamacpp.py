"""llama.cpp in this process (xllamacpp): the engine for processors, laptops and GGUF files.

Prompts go in as token ids made by `ChatTemplate`. Each running answer holds on to the native
server it began with, so a new set of adapters is a new server (1 to 2 s for the embedded model; the
weights of a large one are shared through mmap) while older answers finish on theirs.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from javis.core.errors import ContextOverflow, EngineError, UserInputError, VersionError
from javis.core.evaluation import Likelihood
from javis.core.types import BASE, Chunk, EngineInfo, Message, SamplingParams, Version
from javis.engine.gguf_meta import read_gguf_meta
from javis.engine.llamacpp_answer import Answer, closed, request_of
from javis.engine.llamacpp_score import Scorer
from javis.engine.llamacpp_server import LlamaTokenizer, NativeServer, device
from javis.engine.output import HideControl, stopped
from javis.engine.template import ChatTemplate

DEFAULT_CONTEXT = 8192

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
        versions: Sequence[Version] = (),
    ) -> None:
        """`versions` are served from the start, which spares a second native server; what is
        wrong with one of them is said by `use_versions`."""
        self._path = path
        self._meta = read_gguf_meta(path)
        self._adapter_file = adapter_file
        self._context = min(context or DEFAULT_CONTEXT, self._meta.context_tokens)
        self._parallel = parallel
        self._threads = threads
        self._lock = threading.Lock()
        self._closed = False
        self._torn: set[int] = set()
        """Tokens that are part of a character, as far as they were met."""
        self._servers: weakref.WeakSet[NativeServer] = weakref.WeakSet()
        """Also those that were replaced and still write an answer."""
        self._server, self._adapters = self._first(self._files(versions)[0])
        self._tokenizer = LlamaTokenizer(self._meta, self._server)
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
            device=device(),
            licence=licence,
            sampling=sampling or SamplingParams(),
        )

    def versions(self) -> tuple[str, ...]:
        return (BASE, *self._server.adapters)

    def use_versions(self, versions: Sequence[Version]) -> dict[str, str]:
        wanted, refused = self._files(versions)
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
        request = request_of(prompt, sampling, min(sampling.max_tokens, room))
        request["lora"] = server.select(version)
        return Answer(server, request, HideControl(self._template.used_control), stop).chunks()

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
                return closed()
            return stopped() if stop is not None and stop.is_set() else None

        plain = self._tokenizer.encode_text("a")[0]
        scorer = Scorer(server, server.select(version), plain, self._torn, ending)
        return scorer.likelihood(ids, start)

    def _serving(self, version: str) -> NativeServer:
        server = self._server
        if version != BASE and version not in server.adapters:
            raise UserInputError("no_version", "There is no version {name}.", name=version)
        return server

    def close(self) -> None:
        with self._lock:
            self._closed = True
            servers = list(self._servers)
        for server in servers:
            server.close()

    def _files(self, versions: Sequence[Version]) -> tuple[dict[str, Path], dict[str, str]]:
        """The adapter files to serve, by version; and why others are none."""
        wanted: dict[str, Path] = {}
        refused: dict[str, str] = {}
        for version in versions:
            if version.path is None:
                continue
            try:
                wanted[version.name] = self._adapter_file(version)
            except VersionError as error:
                refused[version.name] = str(error)
        return wanted, refused

    def _first(self, wanted: dict[str, Path]) -> tuple[NativeServer, dict[str, Path]]:
        """A server with these adapters; one they keep from starting starts without."""
        if wanted:
            with suppress(EngineError):
                return self._start(wanted), wanted
        return self._start({}), {}

    def _start(self, adapters: Mapping[str, Path]) -> NativeServer:
        server = NativeServer(
            self._path,
            adapters,
            context=self._context,
            parallel=self._parallel,
            threads=self._threads,
            key_length=self._meta.key_length,
        )
        self._servers.add(server)
        return server


def _quantization_name(file_type: int) -> str:
    from gguf import LlamaFileType  # heavy: numpy

    try:
        name: str = LlamaFileType(file_type).name
        return name.removeprefix("MOSTLY_").removeprefix("ALL_")
    except ValueError:
        return "unknown"
