"""transformers in this process: the engine for CUDA cards, and the one that knows every adapter.

One thread owns the model. Requests reach it through a queue; it writes the running answers in
turns, a token or a few at a time, and hands the text back through a queue of each answer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence
from pathlib import Path

from javis.core.errors import ContextOverflow, EngineError, UserInputError, VersionError
from javis.core.evaluation import Likelihood
from javis.core.settings import Settings
from javis.core.types import BASE, Chunk, EngineInfo, Message, SamplingParams, Version
from javis.engine import hf_model
from javis.engine.adapters import Handle
from javis.engine.answer import Answer
from javis.engine.catalog import Choice
from javis.engine.decoding import Sampler, TextStream
from javis.engine.owner import Command, Owner, closed
from javis.engine.scoring import Scoring
from javis.engine.template import ChatTemplate

DEFAULT_CONTEXT = 8192
READ_TOKENS = {"cpu": 64, "cuda": 512}
"""Tokens of a prompt read at once: a stop takes effect between two such pieces."""
CACHE_BYTES = {"cpu": 512 << 20, "cuda": 1 << 30}
"""Memory for the conversations that are not running."""
PARALLEL = {"cpu": 2, "cuda": 4}


class TransformersEngine:
    """One transformers model and the adapter versions it was given. Safe from any thread."""

    def __init__(
        self,
        folder: Path,
        *,
        model: str,
        title: str,
        quantization: str = "32bit",
        device: str = "cpu",
        languages: tuple[str, ...] = ("en",),
        licence: str = "",
        sampling: SamplingParams | None = None,
        context: int = 0,
        parallel: int = 0,
        threads: int = 0,
        cache_bytes: int | None = None,
    ) -> None:
        """Load the model, in the thread that will own it. Raises EngineError when that fails."""
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._parallel = parallel or PARALLEL[device]
        limit = CACHE_BYTES[device] if cache_bytes is None else cache_bytes
        started: queue.SimpleQueue[hf_model.Loaded | EngineError] = queue.SimpleQueue()
        self._owner = Owner(self._commands, self._parallel, READ_TOKENS[device], limit)

        def own() -> None:
            try:
                loaded = hf_model.load(folder, quantization, device)
                template = loaded.words.template()
                self._owner.adopt(
                    loaded, model, _probe(template), threads if device == "cpu" else 0
                )
            except EngineError as error:
                started.put(error)
                return
            except Exception as error:  # noqa: BLE001 - a thread's border: it belongs to the caller
                started.put(EngineError("load_failed", "The model failed to load: {e}", e=error))
                return
            started.put(loaded)
            del loaded, template
            self._owner.run()

        threading.Thread(target=own, name="transformers owner", daemon=True).start()
        loaded = started.get()
        if isinstance(loaded, EngineError):
            raise loaded
        self._template = loaded.words.template()
        self._tokenizer = loaded.words.tokenizer
        end = loaded.words.tokenizer.control_tokens.get(self._template.end_of_turn)
        # Some models (Qwen's base, KORMo) name another end in their config than their chats use.
        self._eos = loaded.eos_ids | ({end} if end is not None else set())
        self._thinking = _thinking(loaded.words.tokenizer)
        self._handles: dict[str, tuple[str | None, Handle]] = {}
        self.info = EngineInfo(
            engine="transformers",
            model=model,
            title=title,
            quantization=loaded.precision,
            context_tokens=min(context or DEFAULT_CONTEXT, loaded.context_tokens),
            parallel=self._parallel,
            languages=languages,
            device=device,
            licence=licence,
            sampling=sampling or SamplingParams(),
        )

    @classmethod
    def from_choice(cls, choice: Choice, path: Path, settings: Settings) -> TransformersEngine:
        """The engine for what the catalogue chose and `catalog.obtain` brought to `path`."""
        return cls(
            path,
            model=choice.model.id,
            title=choice.model.title,
            quantization=choice.quantization,
            device=choice.device,
            languages=choice.model.languages,
            licence=choice.model.licence,
            sampling=choice.model.sampling,
            context=settings.context,
            parallel=settings.parallel,
            threads=settings.threads,
        )

    def versions(self) -> tuple[str, ...]:
        return (BASE, *self._handles)

    def use_versions(self, versions: Sequence[Version]) -> dict[str, str]:
        refused: dict[str, str] = {}
        wanted: dict[str, tuple[str | None, Handle]] = {}

        def load() -> None:
            for version in versions:
                if version.path is None:
                    continue
                known = self._handles.get(version.name)
                if known and known[0] == version.sha256:
                    wanted[version.name] = known
                    continue
                try:
                    handle = self._owner.load_adapter(version)
                except VersionError as error:
                    refused[version.name] = str(error)
                else:
                    wanted[version.name] = (version.sha256, handle)
            # Replaced as a whole: answers keep the handle that they began with.
            self._handles = wanted

        self._ask(load)
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
        prompt = self._template.encode(messages)
        handle, room = self._room(version, len(prompt))
        text = TextStream(
            self._tokenizer.decode,
            self._tokenizer.control_ids | self._eos,
            self._template.used_control,
            sampling.stop,
            self._thinking,
        )
        answer = Answer(
            prompt,
            handle,
            Sampler(sampling, prompt, self._tokenizer.size),
            text,
            max_tokens=min(sampling.max_tokens, room),
            eos=self._eos,
            stop=stop,
        )
        return answer.chunks(lambda: self._put(lambda: self._owner.admit(answer)))

    def score(
        self,
        prompt: Sequence[Message] | str,
        answer: str,
        version: str = BASE,
        stop: threading.Event | None = None,
    ) -> Likelihood:
        ids, start = self._template.encode_answer(prompt, answer)
        # The last token is foretold and never read.
        handle, _ = self._room(version, len(ids) - 1)
        scoring = Scoring(ids, start, handle, stop)
        return scoring.result(lambda: self._put(lambda: self._owner.admit(scoring)))

    def _room(self, version: str, tokens: int) -> tuple[Handle, int]:
        """What answers, and how many tokens it may write after so many."""
        if self._closed.is_set():
            raise closed()
        known = self._handles.get(version)
        if version != BASE and known is None:
            raise UserInputError("no_version", "There is no version {name}.", name=version)
        handle = known[1] if known else self._owner.base
        virtual = 0 if handle.prompt is None else len(handle.prompt)
        room = self.info.context_tokens - tokens - virtual
        if room < 1:
            raise ContextOverflow(
                tokens=tokens + virtual + 1, limit=self.info.context_tokens, drop=None
            )
        return handle, room

    def close(self) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._closed.set()
                self._commands.put(None)
        self._owner.ended.wait()

    def _put(self, command: Command) -> None:
        # Under a lock, so that nothing is put behind the command that ends the owner.
        with self._lock:
            if self._closed.is_set():
                raise closed()
            self._commands.put(command)

    def _ask(self, command: Command) -> None:
        """Run a command in the owner's thread and wait for it; its exception comes back here."""
        answer: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def run() -> None:
            try:
                command()
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
                answer.put(error)
            else:
                answer.put(None)

        self._put(run)
        error = answer.get()
        if error is not None:
            raise error


def _probe(template: ChatTemplate) -> list[int]:
    return template.encode([Message("user", "Hello! Who are you?")])


def _thinking(tokenizer: hf_model.HfTokenizer) -> tuple[int, int] | None:
    """Ids that open and close a thought, which is not part of the answer."""
    tokens = tokenizer.control_tokens
    if "<think>" in tokens and "</think>" in tokens:
        return tokens["<think>"], tokens["</think>"]
    return None
