"""transformers in this process: the engine for CUDA cards, and the one that knows every adapter.

One thread owns the model. Requests reach it through a queue; it writes the running answers in
turns, a token or a few at a time, and hands the text back through a queue of each answer.
"""

from __future__ import annotations

import gc
import itertools
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from javis.core.errors import ContextOverflow, EngineError, UserInputError, VersionError
from javis.core.settings import Settings
from javis.core.types import BASE, Chunk, EngineInfo, Message, SamplingParams, Version
from javis.engine import hf_model
from javis.engine.adapters import AdapterBank, Handle
from javis.engine.answer import Answer
from javis.engine.catalog import Choice, obtain
from javis.engine.decoding import ConversationCaches, Sampler, TextStream
from javis.engine.template import ChatTemplate

if TYPE_CHECKING:
    import torch

DEFAULT_CONTEXT = 8192
SLICE_TOKENS = 8
"""Tokens of one answer before the next one's turn when their adapters differ: switching PEFT's
adapter costs as much as a third of a token."""
READ_TOKENS = {"cpu": 64, "cuda": 512}
"""Tokens of a prompt read at once: a stop takes effect between two such pieces."""
CACHE_BYTES = {"cpu": 512 << 20, "cuda": 1 << 30}
"""Memory for the conversations that are not running."""
PARALLEL = {"cpu": 2, "cuda": 4}

_Command = Callable[[], None]


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
        self._commands: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._parallel = parallel or PARALLEL[device]
        limit = CACHE_BYTES[device] if cache_bytes is None else cache_bytes
        started: queue.SimpleQueue[hf_model.Loaded | EngineError] = queue.SimpleQueue()
        self._owner = _Owner(self._commands, self._parallel, READ_TOKENS[device], limit)

        def own() -> None:
            try:
                loaded = hf_model.load(folder, quantization, device)
                template = make_template(loaded)
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
        self._template = make_template(loaded)
        self._tokenizer = loaded.tokenizer
        self._eos = loaded.eos_ids | end_tokens(self._template, loaded.tokenizer)
        self._thinking = _thinking(loaded.tokenizer)
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
    def from_choice(
        cls, choice: Choice, settings: Settings, say: Callable[[str], None]
    ) -> TransformersEngine:
        """The engine for what the catalogue chose; fetches and converts first what is missing."""
        return cls(
            obtain(choice, settings, say),
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
        if self._closed.is_set():
            raise _closed()
        known = self._handles.get(version)
        if version != BASE and known is None:
            raise UserInputError("no_version", "There is no version {name}.", name=version)
        handle = known[1] if known else self._owner.base
        prompt = self._template.encode(messages)
        virtual = 0 if handle.prompt is None else len(handle.prompt)
        room = self.info.context_tokens - len(prompt) - virtual
        if room < 1:
            raise ContextOverflow(
                tokens=len(prompt) + virtual + 1, limit=self.info.context_tokens, drop=None
            )
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

    def close(self) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._closed.set()
                self._commands.put(None)
        self._owner.ended.wait()

    def _put(self, command: _Command) -> None:
        # Under a lock, so that nothing is put behind the command that ends the owner.
        with self._lock:
            if self._closed.is_set():
                raise _closed()
            self._commands.put(command)

    def _ask(self, command: _Command) -> None:
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


class _Owner:
    """Everything that touches the model; all but `admit` and `load_adapter` is one thread's own."""

    def __init__(
        self,
        commands: queue.SimpleQueue[_Command | None],
        parallel: int,
        read_tokens: int,
        cache_bytes: int,
    ) -> None:
        self._commands = commands
        self._parallel = parallel
        self._read_tokens = read_tokens
        self._caches = ConversationCaches(cache_bytes)
        self._waiting: deque[Answer] = deque()
        self._running: deque[tuple[Answer, Iterator[None]]] = deque()
        self._bank: AdapterBank
        self._model: Any
        self.base: Handle
        self.ended = threading.Event()

    def adopt(self, loaded: hf_model.Loaded, model_id: str, probe: list[int], threads: int) -> None:
        """Take the model over, in the thread that calls `run` next."""
        if threads:
            import torch  # heavy

            torch.set_num_threads(threads)
        self._model = loaded.model
        self._bank = AdapterBank(loaded.model, model_id, probe)
        self.base = self._bank.base

    def run(self) -> None:
        """Serve until the command None comes."""
        import torch  # heavy

        try:
            while self._take_commands():
                self._begin()
                with torch.inference_mode():
                    self._turn()
        finally:
            for answer in (*self._waiting, *(a for a, _ in self._running)):
                answer.fail(_closed())
            self._release()
            self.ended.set()

    def admit(self, answer: Answer) -> None:
        self._waiting.append(answer)

    def load_adapter(self, version: Version) -> Handle:
        handle = self._bank.load(version)
        # Once no version and no answer holds it any more, its weights go; a put may come from
        # the garbage collector in any thread, which SimpleQueue allows.
        name, kind, commands = handle.name, handle.kind, self._commands
        weakref.finalize(
            handle, lambda: commands.put(lambda: self._free(name, kind))
        ).atexit = False
        return handle

    def _free(self, name: str, kind: str) -> None:
        self._bank.free(name, kind)
        self._caches.forget(name)

    def _take_commands(self) -> bool:
        """Run what was asked for; waits when nothing is being written. False: end."""
        while True:
            idle = not self._running and not self._waiting
            try:
                command = self._commands.get(block=idle)
            except queue.Empty:
                return True
            if command is None:
                return False
            command()

    def _begin(self) -> None:
        for answer in [a for a in self._waiting if a.is_stopped()]:
            self._waiting.remove(answer)
            answer.finish("cancelled")
        while self._waiting and len(self._running) < self._parallel:
            answer = self._waiting.popleft()
            self._running.append((answer, self._write(answer)))

    def _turn(self) -> None:
        """Let the first running answer go on, then put it at the end of the line."""
        if not self._running:
            return
        answer, steps = self._running.popleft()
        same = all(other.handle is answer.handle for other, _ in self._running)
        try:
            for _ in itertools.islice(steps, 1 if same else SLICE_TOKENS):
                pass
        except EngineError as error:
            answer.fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to this one answer
            answer.fail(self._explain(error))
        if not answer.ended:
            self._running.append((answer, steps))

    def _write(self, answer: Answer) -> Iterator[None]:
        """Write one answer; yields after each pass through the model."""
        lead = 0 if answer.handle.prompt is None else len(answer.handle.prompt)
        cache, answer.cached = self._caches.take(answer.prompt, answer.handle.name, lead)
        logits = None
        if cache is None:
            from transformers import DynamicCache  # heavy

            cache = DynamicCache(config=self._model.config)
        for start in range(answer.cached, len(answer.prompt), self._read_tokens):
            if answer.is_stopped():
                answer.finish("cancelled")
                self._caches.put(answer.prompt[:start], answer.handle.name, cache)
                return
            piece = answer.prompt[start : start + self._read_tokens]
            logits = self._forward(answer.handle, piece, cache)
            yield
        known = list(answer.prompt)
        while not answer.ended:
            if answer.is_stopped() or logits is None:
                answer.finish("cancelled")
            elif answer.take(token := answer.sampler.choose(logits)):
                logits = self._forward(answer.handle, [token], cache)
                known.append(token)
                yield
        self._caches.put(known, answer.handle.name, cache)

    def _forward(self, handle: Handle, ids: list[int], cache: Any) -> torch.Tensor:
        """Logits after `ids`, whose keys and values go into the cache."""
        import torch  # heavy

        tensor = torch.tensor([ids], device=self._model.device)
        module = self._bank.activate(handle)
        if handle.prompt is not None and cache.get_seq_length() == 0:
            words: dict[str, Any] = {"inputs_embeds": self._bank.embed(handle, tensor)}
        else:
            words = {"input_ids": tensor}
        output = module(**words, past_key_values=cache, use_cache=True, logits_to_keep=1)
        row: torch.Tensor = output.logits[0, -1]
        return row

    def _explain(self, error: Exception) -> EngineError:
        """A plain sentence for what went wrong; after a lack of memory the caches are freed."""
        import torch  # heavy

        text = str(error)
        short = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if short or "not enough memory" in text or "allocate memory" in text:
            self._caches.forget()
            _empty()
            return EngineError(
                "out_of_memory",
                "There was not enough memory for this conversation. Start a new one, or make it "
                "shorter; JAVIS goes on.",
            )
        return EngineError("engine_failed", "The model failed: {e}", e=text or type(error).__name__)

    def _release(self) -> None:
        self._caches.forget()
        self._waiting.clear()
        self._running.clear()
        del self._model, self._bank
        _empty()


def make_template(loaded: hf_model.Loaded) -> ChatTemplate:
    """The model's own chat template over its own tokenizer."""
    return ChatTemplate(loaded.chat_template, loaded.tokenizer, loaded.bos_token, loaded.eos_token)


def end_tokens(template: ChatTemplate, tokenizer: hf_model.HfTokenizer) -> frozenset[int]:
    """The control token that the template writes after an answer, if it writes one.

    Some models (Qwen's base, KORMo) name another end in their config than their chats use.
    """
    question = Message("user", "Hi")
    try:
        opened = template.encode([question])
        whole = template.encode(
            [question, Message("assistant", "Hello")], add_generation_prompt=False
        )
    except EngineError:
        return frozenset()
    tail = whole[len(opened) :] if whole[: len(opened)] == opened else whole[-4:]
    return frozenset([i for i in tail if i in tokenizer.control_ids][:1])


def _probe(template: ChatTemplate) -> list[int]:
    return template.encode([Message("user", "Hello! Who are you?")])


def _thinking(tokenizer: hf_model.HfTokenizer) -> tuple[int, int] | None:
    """Ids that open and close a thought, which is not part of the answer."""
    tokens = tokenizer.control_tokens
    if "<think>" in tokens and "</think>" in tokens:
        return tokens["<think>"], tokens["</think>"]
    return None


def _closed() -> EngineError:
    return EngineError("engine_closed", "The model was closed while it answered.")


def _empty() -> None:
    import torch  # heavy

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
