"""From logits to text: choosing a token, and letting text out only when it is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from javis.core.errors import EngineError
from javis.core.types import SamplingParams
from javis.engine.output import HideControl

if TYPE_CHECKING:
    import torch

_MAX_PENDING = 12
"""Tokens that may wait for the rest of a character. A character has at most four bytes."""
_HALF = "\ufffd"


class Sampler:
    """Chooses the tokens of one answer with a random generator of its own."""

    def __init__(self, sampling: SamplingParams, prompt: Iterable[int], size: int) -> None:
        import torch  # heavy

        self._sampling = sampling
        self._size = size
        self._random = torch.Generator()
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed)
        self._seen = torch.zeros(size, dtype=torch.bool)
        self._seen[[i for i in prompt if i < size]] = True

    def choose(self, logits: torch.Tensor) -> int:
        """The next token from a row of logits. Raises EngineError when they are no numbers."""
        import torch  # heavy

        # Rows beyond the tokenizer's vocabulary are padding of the matrix.
        row = logits[: self._size].detach().float().cpu()
        if not bool(torch.isfinite(row).all()):
            raise EngineError(
                "broken_numbers",
                "The model computed something that is no number; another precision may help.",
            )
        penalty = self._sampling.repetition_penalty
        if penalty != 1.0:
            # As in CTRL (arXiv 1909.05858): seen tokens lose, whatever the sign.
            row = torch.where(
                self._seen[: len(row)], torch.where(row > 0, row / penalty, row * penalty), row
            )
        token = self._pick(row)
        self._seen[token] = True
        return token

    def _pick(self, row: torch.Tensor) -> int:
        import torch  # heavy

        if self._sampling.temperature == 0:
            return int(row.argmax())
        chances = torch.softmax(row / self._sampling.temperature, -1)
        if self._sampling.top_p < 1:
            ordered, order = chances.sort(descending=True)
            # Those that together first reach top_p; the first one always stays.
            ordered[ordered.cumsum(-1) - ordered >= self._sampling.top_p] = 0
            return int(order[torch.multinomial(ordered, 1, generator=self._random)])
        return int(torch.multinomial(chances, 1, generator=self._random))


class TextStream:
    """Tokens in, certain text out: whole characters, no control tokens, nothing of a stop text."""

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        hidden: frozenset[int],
        literals: Iterable[str],
        stops: tuple[str, ...],
        thinking: tuple[int, int] | None = None,
    ) -> None:
        self._decode = decode
        self._hidden = hidden
        self._hide = HideControl(literals)
        self._stops = stops
        self._thinking = thinking
        self._in_thought = False
        self._after_thought = False
        self._ids: list[int] = []
        self._prefix = self._read = 0
        self._held = ""
        self.stopped = False
        """True once a stop text came: what follows is thrown away."""

    def feed(self, token: int) -> str:
        """Text that has become certain with this token."""
        if self._thinking and token in self._thinking:
            self._in_thought = token == self._thinking[0]
            self._after_thought = not self._in_thought
            return ""
        if self._in_thought or token in self._hidden:
            return ""
        self._ids.append(token)
        return self._cut(self._hide.feed(self._whole(final=False)), final=False)

    def flush(self) -> str:
        """What was held back, once no token comes any more; half a character is dropped."""
        text = self._hide.feed(self._whole(final=True)) + self._hide.flush()
        return self._cut(text, final=True)

    def _whole(self, *, final: bool) -> str:
        """New text up to the last whole character.

        Decoded together with a few tokens before, as some tokenizers treat a beginning otherwise.
        """
        before = self._decode(self._ids[self._prefix : self._read])
        text = self._decode(self._ids[self._prefix :])
        late = final or len(self._ids) - self._read > _MAX_PENDING
        if text.endswith(_HALF) and not late:
            return ""
        self._prefix, self._read = self._read, len(self._ids)
        new = text[len(before) :].replace(_HALF, "")
        if self._after_thought:
            new = new.lstrip("\n")
            self._after_thought = not new
        return new

    def _cut(self, text: str, *, final: bool) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        found = [i for i in (text.find(stop) for stop in self._stops) if i >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = 0 if final else self._open_length(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _open_length(self, text: str) -> int:
        """Length of the longest end of `text` that begins a stop text."""
        longest = max(map(len, self._stops), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            end = text[-size:]
            if any(stop.startswith(end) for stop in self._stops):
                return size
        return 0


class ConversationCaches:
    """Keys and values of the last conversations, to read only what is new in the next turn."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._entries: list[tuple[list[int], str, Any]] = []

    def take(self, ids: list[int], adapter: str, lead: int) -> tuple[Any, int]:
        """(cache, tokens of `ids` in it); (None, 0) when nothing fits.

        At least one token is left to read, as its logits are needed. `lead` is the number of
        virtual tokens before the prompt.
        """
        best, most = None, 0
        for index, (known, owner, _) in enumerate(self._entries):
            common = min(_common(known, ids), len(ids) - 1) if owner == adapter else 0
            if common > most:
                best, most = index, common
        if best is None:
            return None, 0
        known, _, cache = self._entries[best]
        if most * 2 >= len(known):
            del self._entries[best]
            _crop(cache, most + lead)
            return cache, most
        # Only the beginning is shared (a system prompt): leave the other conversation its cache.
        return _copy(cache, most + lead), most

    def put(self, ids: list[int], adapter: str, cache: Any) -> None:
        """Keep the cache of an answer; the oldest go when the limit is reached."""
        if not ids or not _can_crop(cache):
            return
        self._entries.append((ids, adapter, cache))
        sizes = [_bytes(c) for _, _, c in self._entries]
        while self._entries and sum(sizes) > self._limit:
            del self._entries[0], sizes[0]

    def forget(self, adapter: str | None = None) -> None:
        """Drop the caches of an adapter, or all."""
        self._entries = [e for e in self._entries if adapter is not None and e[1] != adapter]

    def __len__(self) -> int:
        return len(self._entries)


def _common(one: list[int], other: list[int]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _can_crop(cache: Any) -> bool:
    from transformers.cache_utils import DynamicLayer  # heavy

    # Sliding windows and recurrent states have forgotten what a shorter prompt would need.
    return all(type(layer) is DynamicLayer and layer.is_initialized for layer in cache.layers)


def _crop(cache: Any, length: int) -> None:
    for layer in cache.layers:
        layer.crop(length - layer.get_seq_length())


def _copy(cache: Any, length: int) -> Any:
    from transformers import DynamicCache  # heavy

    copy = DynamicCache()
    for index, layer in enumerate(cache.layers):
        copy.update(
            layer.keys[..., :length, :].clone(), layer.values[..., :length, :].clone(), index
        )
    return copy


def _bytes(cache: Any) -> int:
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
