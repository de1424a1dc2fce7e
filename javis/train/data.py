"""From a run's rows to token ids with the answers marked, by the template that serves."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from javis.core.errors import TrainError
from javis.core.learning import Method
from javis.core.types import Message
from javis.engine.template import ChatTemplate


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a data file: an answer to learn, with what DPO or KTO know of it."""

    turn_id: str
    prompt: tuple[Message, ...]
    answer: str
    """The answer to learn; for KTO perhaps one to unlearn."""
    rejected: str | None = None
    """DPO: the worse answer."""
    label: bool = True
    """KTO: whether the answer was liked."""
    conversation_id: str = ""
    """Or the group of conversations that say the same."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a prompt and its answer. Only the answer is trained."""

    turn_id: str
    prompt: list[int]
    answer: list[int]
    """The token that ends the answer included."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.answer

    @property
    def labels(self) -> list[int]:
        """-100 where nothing is learned."""
        return [-100] * len(self.prompt) + self.answer


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A row of DPO."""

    chosen: Encoded
    rejected: Encoded


@dataclass(frozen=True, slots=True)
class EncodedJudged:
    """A row of KTO."""

    answer: Encoded
    label: bool


def read_rows(path: Path, method: Method) -> list[Row]:
    """The rows of a data file; a file that is not there has none. Raises TrainError."""
    rows = []
    try:
        if not path.exists():
            return []
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    value = json.loads(line)
                    row = _row(value, method, number)
                    origin = str(value.get("group") or value.get("conversation_id") or "")
                    rows.append(replace(row, conversation_id=origin))
    except (OSError, ValueError, RecursionError) as error:
        raise TrainError(
            "train_data",
            "The rows to learn from cannot be used: {why}.",
            why=f"{path.name}: {error}",
        ) from error
    return rows


def _row(value: Any, method: Method, number: int) -> Row:
    try:
        turn_id = str(value.get("turn_id") or f"line-{number}")
        if method == "dpo" and "chosen" in value:
            prompt, chosen = _messages(value["prompt"]), _answer(value["chosen"])
            return Row(turn_id, prompt, chosen, rejected=_answer(value["rejected"]))
        if method == "kto":
            if not isinstance(value["label"], bool):
                raise TypeError("label")
            answer = _answer(value["completion"])
            return Row(turn_id, _messages(value["prompt"]), answer, label=value["label"])
        messages = _messages(value["messages"])
        if len(messages) < 2 or messages[-1].role != "assistant":
            raise TypeError("messages")
        return Row(turn_id, messages[:-1], messages[-1].content)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"line {number} is no row for {method} ({error})") from None


def _messages(value: Any) -> tuple[Message, ...]:
    messages = tuple(Message(m["role"], m["content"]) for m in value)
    if not messages or not all(isinstance(m.content, str) for m in messages):
        raise TypeError("messages")
    return messages


def _answer(value: Any) -> str:
    (message,) = _messages(value)
    return message.content


def encode(
    template: ChatTemplate, turn_id: str, prompt: Sequence[Message], answer: str, max_length: int
) -> Encoded | None:
    """Ids of a row, at most `max_length`; None when no token of the answer would be left.

    Of a longer one the oldest turns are left out, as in a chat that outgrew its model; what is
    too long even then loses its end.
    """
    kept = list(prompt)
    while True:
        ids, start = template.encode_target([*kept, Message("assistant", answer)])
        shorter = _without_oldest(kept)
        if len(ids) <= max_length or shorter is None:
            break
        kept = shorter
    if start >= max_length:
        return None
    return Encoded(turn_id, ids[:start], ids[start:max_length])


def _without_oldest(messages: list[Message]) -> list[Message] | None:
    """Without the oldest exchange; the system message stays. None when nothing can go."""
    first = 1 if messages[0].role == "system" else 0
    after = next(
        (i for i in range(first + 1, len(messages)) if messages[i].role == "user"), len(messages)
    )
    return [*messages[:first], *messages[after:]] if after < len(messages) else None


def encode_examples(
    template: ChatTemplate, rows: Sequence[Row], max_length: int
) -> tuple[list[Encoded], int]:
    """(answers to learn, how many were too long to be used)."""
    found = [encode(template, r.turn_id, r.prompt, r.answer, max_length) for r in rows]
    good = [row for row in found if row is not None]
    return good, len(found) - len(good)


def encode_pairs(
    template: ChatTemplate, rows: Sequence[Row], max_length: int
) -> tuple[list[EncodedPair], int]:
    """(pairs, how many were too long). Both answers of a pair follow the very same prompt."""
    pairs = []
    for row in rows:
        chosen = encode(template, row.turn_id, row.prompt, row.answer, max_length)
        rejected = encode(template, row.turn_id, row.prompt, row.rejected or "", max_length)
        if chosen is None or rejected is None:
            continue
        if chosen.prompt == rejected.prompt:
            pairs.append(EncodedPair(chosen, rejected))
    return pairs, len(rows) - len(pairs)


def encode_judged(
    template: ChatTemplate, rows: Sequence[Row], max_length: int
) -> tuple[list[EncodedJudged], int]:
    """(answers with their thumb, how many were too long)."""
    found = [(encode(template, r.turn_id, r.prompt, r.answer, max_length), r.label) for r in rows]
    good = [EncodedJudged(answer, label) for answer, label in found if answer is not None]
    return good, len(found) - len(good)


_WINDOW = 16
"""Batches among which rows are sorted by length: few enough that each epoch differs."""


def bucketed(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[int]:
    """The order of an epoch: shuffled, and rows of like length in one batch, so little padding.

    The same for the same arguments, so that a resumed run sees the rows it had not seen.
    """
    shuffle = random.Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    shuffle.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), batch * _WINDOW):
        window = sorted(order[start : start + batch * _WINDOW], key=lambda i: lengths[i])
        batches += [window[i : i + batch] for i in range(0, len(window), batch)]
    # Batches are cut again from the flat list: the one that is not full must be its end.
    full = [b for b in batches if len(b) == batch]
    rest = [i for b in batches if len(b) != batch for i in b]
    shuffle.shuffle(full)
    return [i for b in full for i in b] + rest
