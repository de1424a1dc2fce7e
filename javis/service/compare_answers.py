"""Answers of several versions to the same prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from javis.core.evaluation import Item, SuiteName
from javis.core.types import Chunk
from javis.eval.short_answers import LETTERS

SHAREABLE: tuple[SuiteName, ...] = ("instruction", "knowledge", "agent", "health")
"""Suites whose questions are ours. Those of the user's own data stay out of reports."""
EXAMPLES = 3
"""Of each suite in a report."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one version said."""

    text: str
    score: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt, with the answer of each version that has one."""

    item: str
    """Of the suite; "" for a prompt of one's own."""
    prompt: str
    language: str
    group: str
    answers: Mapping[str, Answer]

    @property
    def same(self) -> bool:
        """Whether all said the same."""
        return len({answer.text.strip() for answer in self.answers.values()}) <= 1


@dataclass(frozen=True, slots=True)
class AskedPage:
    rows: tuple[Asked, ...]
    total: int
    """Rows that pass the filter."""


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of a version's answer, as it comes."""

    version: str
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Example:
    """A question of a suite on which the versions differ most."""

    suite: SuiteName
    asked: Asked


def telling(suite: SuiteName, rows: Iterable[Asked]) -> list[Example]:
    """The questions on which scores differ most, in the suite's order among equals."""
    spread = []
    for row in rows:
        scores = [a.score for a in row.answers.values() if a.score is not None]
        if len(scores) > 1 and max(scores) > min(scores):
            spread.append((min(scores) - max(scores), row))
    spread.sort(key=lambda pair: pair[0])
    return [Example(suite, row) for _, row in spread[:EXAMPLES]]


def prompt_of(item: Item) -> str:
    """An item's question, to be read; what items hold is each suite's own affair."""
    data = item.data
    for key in ("prompt", "question", "text", "user"):
        value = data.get(key)
        if isinstance(value, str) and value.strip():
            return "\n".join([value, *_lettered(data.get("options", ()))])
        if isinstance(value, (list, tuple)):
            return _transcript(value)
    for key in ("messages", "turns", "steps"):
        if isinstance(data.get(key), (list, tuple)):
            return _transcript(data[key])
    return item.id


def _lettered(options: Sequence[str]) -> list[str]:
    return [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]


def _transcript(messages: Sequence[object]) -> str:
    """What was said, the assistant's part after an arrow."""
    lines: list[str] = []
    for message in messages:
        if isinstance(message, Mapping):
            said = message.get("content") or message.get("user") or message.get("prompt") or ""
            lines.append(f"→ {said}" if message.get("role") == "assistant" else str(said))
            if message.get("given"):
                lines.append(f"→ {message['given']}")
        elif isinstance(message, str):
            lines.append(message)
    return "\n\n".join(line for line in lines if line)
