"""The thread that owns a transformers model: it writes the running answers in turns."""

from __future__ import annotations

import gc
import itertools
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from javis.core.errors import EngineError
from javis.core.types import Version
from javis.engine import hf_model
from javis.engine.adapters import AdapterBank, Handle
from javis.engine.answer import Answer
from javis.engine.decoding import ConversationCaches
from javis.engine.scoring import Scoring

if TYPE_CHECKING:
    import torch

SLICE_TOKENS = 8
"""Tokens of one answer before the next one's turn when their adapters differ: switching PEFT's
adapter costs as much as a third of a token."""

Command = Callable[[], None]


class Owner:
    """Everything that touches the model; all but `admit` and `load_adapter` is one thread's own."""

    def __init__(
        self,
        commands: queue.SimpleQueue[Command | None],
        parallel: int,
        read_tokens: int,
        cache_bytes: int,
    ) -> None:
        self._commands = commands
        self._parallel = parallel
        self._read_tokens = read_tokens
        self._caches = ConversationCaches(cache_bytes)
        self._waiting: deque[Answer | Scoring] = deque()
        self._running: deque[tuple[Answer | Scoring, Iterator[None]]] = deque()
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
                answer.fail(closed())
            self._release()
            self.ended.set()

    def admit(self, answer: Answer | Scoring) -> None:
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
            steps = self._weigh(answer) if isinstance(answer, Scoring) else self._write(answer)
            self._running.append((answer, steps))

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
        cache, answer.cached = self._take_cache(answer.prompt, answer.handle)
        logits = None
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

    def _weigh(self, scoring: Scoring) -> Iterator[None]:
        """Sum up what each token of an answer costs; yields after each pass through the model."""
        handle, start = scoring.handle, scoring.start
        cache, known = self._take_cache(scoring.ids[:start], handle)
        nll = 0.0
        # The last token is only foretold, never read.
        for begin in range(known, len(scoring.ids) - 1, self._read_tokens):
            end = min(begin + self._read_tokens, len(scoring.ids) - 1)
            if scoring.is_stopped():
                scoring.finish("cancelled")
                return
            # Each row foretells the token after its own; those of the prompt are not asked for.
            first = max(begin, start - 1)
            keep = max(1, end - first)
            logits = self._rows(handle, scoring.ids[begin:end], cache, keep)
            if first < end:
                nll += _cost(logits, scoring.ids[first + 1 : end + 1])
            yield
        scoring.take(nll)
        self._caches.put(scoring.ids[:-1], handle.name, cache)

    def _take_cache(self, prompt: list[int], handle: Handle) -> tuple[Any, int]:
        """A cache that holds the beginning of a prompt, and how many of its tokens."""
        lead = 0 if handle.prompt is None else len(handle.prompt)
        cache, known = self._caches.take(prompt, handle.name, lead)
        if cache is None:
            from transformers import DynamicCache  # heavy

            cache = DynamicCache(config=self._model.config)
        return cache, known

    def _forward(self, handle: Handle, ids: list[int], cache: Any) -> torch.Tensor:
        """Logits after `ids`, whose keys and values go into the cache."""
        return self._rows(handle, ids, cache, 1)[-1]

    def _rows(self, handle: Handle, ids: list[int], cache: Any, keep: int) -> torch.Tensor:
        """Logits after each of the last `keep` of `ids`; keys and values go into the cache."""
        import torch  # heavy

        tensor = torch.tensor([ids], device=self._model.device)
        module = self._bank.activate(handle)
        if handle.prompt is not None and cache.get_seq_length() == 0:
            words: dict[str, Any] = {"inputs_embeds": self._bank.embed(handle, tensor)}
        else:
            words = {"input_ids": tensor}
        output = module(**words, past_key_values=cache, use_cache=True, logits_to_keep=keep)
        rows: torch.Tensor = output.logits[0, -keep:]
        return rows

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


def _cost(logits: torch.Tensor, ids: list[int]) -> float:
    """Negative log-likelihood of `ids`, each by its own row, summed, in nats."""
    import torch  # heavy

    target = torch.tensor(ids, device=logits.device)
    return float(torch.nn.functional.cross_entropy(logits.float(), target, reduction="sum"))


def closed() -> EngineError:
    """What a running answer ends with when the model is closed."""
    return EngineError("engine_closed", "The model was closed while it answered.")


def _empty() -> None:
    import torch  # heavy

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
