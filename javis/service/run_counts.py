"""How much there is to learn from, as the recommendation and the estimate need it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from javis.core.errors import EngineError
from javis.core.learning import Approved, Example, Judged, Method, Pair
from javis.core.types import Message
from javis.service.run_files import Row

CountTokens = Callable[[Sequence[Message]], int]
"""`Engine.count_tokens` of the model that is trained."""
_FRAME = 8
"""Tokens that a template writes around a message, roughly."""
_SAMPLE, _SAMPLE_CHARS = 32, 2000
"""Conversations that are counted in the model's tokens, and how much of each of their messages:
under half a second of long Korean ones."""


def count(approved: Approved) -> dict[str, int]:
    """How much there is of what each method learns from."""
    labels = Counter(row.label for row in approved.judged)
    rows: tuple[Example | Pair | Judged, ...]
    rows = (*approved.examples, *approved.pairs, *approved.judged)
    return {
        "examples": len(approved.examples),
        "pairs": len(approved.pairs),
        "judged": len(approved.judged),
        "liked": labels[True],
        "disliked": labels[False],
        "conversations": len({row.conversation_id for row in rows}),
    }


def languages(approved: Approved) -> tuple[str, ...]:
    """Those that the answers are written in, the most frequent first; a glance at the letters."""
    found: Counter[str] = Counter()
    for example in approved.examples:
        text = example.messages[-1].content
        hangul = sum("가" <= c <= "힣" for c in text)
        found["ko" if hangul * 4 >= sum(c.isalpha() for c in text) and hangul else "en"] += 1
    return tuple(name for name, _ in found.most_common())


def counts_of(method: Method, rows: Sequence[Row]) -> dict[str, int]:
    """The counts that the rows of one method amount to."""
    if method == "dpo":
        return {"pairs": len(rows)}
    if method == "kto":
        liked = sum(bool(row["label"]) for row in rows)
        return {"liked": liked, "disliked": len(rows) - liked}
    return {"examples": len(rows)}


def tokens_of(rows: Sequence[Row], longest: int, count_tokens: CountTokens | None = None) -> int:
    """About how many tokens a run reads of these rows in one epoch, in the trainer's own unit:
    both answers of a pair, each with its prompt, and of a conversation at most `longest`.

    With `count_tokens` as the model counts: some of the conversations tell by how much the rough
    count is off. Models differ threefold on Korean.
    """
    talks = [talk for row in rows for talk in _talks(row)]
    rough = [_rough(talk) for talk in talks]
    scale = _scale(talks, rough, count_tokens) if count_tokens else 1.0
    return math.ceil(sum(min(longest, scale * tokens) for tokens in rough))


def _talks(row: Row) -> list[list[Message]]:
    """The conversations that a row teaches, each ending with the assistant."""
    prompt = row.get("prompt", [])
    answers = [
        row[name] for name in ("messages", "chosen", "rejected", "completion") if name in row
    ]
    return [[Message(m["role"], m["content"]) for m in (*prompt, *answer)] for answer in answers]


def _rough(talk: Sequence[Message]) -> int:
    return sum(_rough_text(message.content) + _FRAME for message in talk)


def _rough_text(text: str) -> int:
    plain = len(text.encode("ascii", "ignore"))
    return plain // 4 + (len(text.encode()) - plain) // 2


def _scale(
    talks: Sequence[list[Message]], rough: Sequence[int], count_tokens: CountTokens
) -> float:
    """Real tokens for each roughly counted one."""
    # Evenly over all lengths: rows may alternate between languages, or come sorted by them.
    order = sorted(range(len(talks)), key=rough.__getitem__)
    size = min(_SAMPLE, len(order))
    picked = [talks[order[(2 * i + 1) * len(order) // (2 * size)]] for i in range(size)]
    sample = [[Message(m.role, m.content[:_SAMPLE_CHARS]) for m in talk] for talk in picked]
    try:
        real = sum(_counted(talk, count_tokens) for talk in sample)
    except EngineError:
        # The chat's model is put away just now, or its template refuses a row.
        return 1.0
    return real / max(1, sum(map(_rough, sample)))


def _counted(talk: Sequence[Message], count_tokens: CountTokens) -> int:
    """As the trainer encodes it: nothing follows the token that ends the answer."""
    *prompt, answer = talk
    alone = count_tokens([Message("user", answer.content)]) - count_tokens([Message("user", "")])
    return (count_tokens(prompt) if prompt else 0) + alone + 1
