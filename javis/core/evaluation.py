"""The values of evaluation that cross a border between layers. All frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from javis.core.types import Message

SuiteName = Literal[
    "held-out", "instruction", "knowledge", "agent", "health", "golden", "thumbs-down"
]
SUITES: tuple[SuiteName, ...] = get_args(SuiteName)


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a model finds an answer."""

    nll: float
    """Negative log-likelihood summed over the answer's tokens, in nats."""
    tokens: int


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a suite. What `data` holds is the suite's own affair; it is plain JSON."""

    id: str
    """Unique within its suite and never used again for another question."""
    language: str
    """`ko` or `en`; "" where it does not matter."""
    group: str
    """What it is about: a kind of constraint, a topic, a skill."""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item."""

    item: str
    language: str
    group: str
    score: float | None
    """0 (wrong) to 1 (right); None when the suite counts losses only."""
    answers: tuple[str, ...] = ()
    """What the model wrote, in order."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON: which checks failed, the loss, the chosen option…"""
    seconds: float = 0.0
    tokens: int = 0
    """Written by the model."""


class Asker(Protocol):
    """A model with one version, as a suite sees it. Deterministic: temperature 0, fixed seed."""

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int = 256, stop: Sequence[str] = ()
    ) -> str:
        """The answer to the last message. Raises EngineError."""
        ...

    def likelihood(self, prompt: Sequence[Message] | str, answer: str) -> Likelihood:
        """Of `answer` after `prompt`: rendered by the model's template with its end of turn, or
        raw text when `prompt` is a string."""
        ...


class Suite(Protocol):
    """A set of questions with the way to mark them. Implemented by modules of `eval.suites`."""

    @property
    def name(self) -> SuiteName: ...

    @property
    def data_version(self) -> str:
        """Short hash of the questions and of the marking: results of another one do not count."""
        ...

    def items(self) -> Sequence[Item]:
        """All questions, in a fixed order that mixes languages and groups, so that the first N
        are a fair sample."""
        ...

    def run(self, item: Item, ask: Asker) -> ItemResult:
        """Ask and mark one question. What the model writes never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What was evaluated."""

    version: str
    """`base`, `v1.0`…, or `candidate`."""
    sha256: str
    """Of the adapter; "" for the base."""
    model: str
    engine: str
    quantization: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """A suite's results for one subject."""

    suite: SuiteName
    data_version: str
    subject: Subject
    items: int
    """Of the suite, or of the sample asked for."""
    done: int
    score: Estimate | None
    """Mean score, 0 to 1; None before the first item or where only losses count."""
    groups: Mapping[str, Estimate]
    languages: Mapping[str, Estimate]
    figures: Mapping[str, float]
    """More numbers of this suite: loss, perplexity, distinct-2, mean length…"""
    seconds: float
    tokens: int
    detects: float | None
    """The smallest difference to another version that this many items would show (80 % power)."""
    finished_at: str
    items_for_5_points: int | None = None
    """How many items would show a difference of 5 points of 100 (80 % power)."""
