"""The values of a comparison. All frozen, and plain JSON once `Table.plain` is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from javis.core.evaluation import Estimate, SuiteName

BASE = "base"
LossSource = Literal["suite", "training"]


@dataclass(frozen=True, slots=True)
class Source:
    """What is on the disk about a version, or about a run that made none."""

    name: str
    """`base`, `v1.0`…, or the id of a run."""
    sha256: str = ""
    run: str = ""
    state: str = "version"
    """`base`, `version`, or how a run without a version ended."""
    current: bool = False
    refused: str | None = None
    """Why the engine that is running does not answer with it, in English."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """As in metadata.json."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """As in report.json: verdict, curve, train."""
    size_bytes: int | None = None
    """Of its folder on the disk."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the training cost or would cost elsewhere, in dollars, at today's prices."""

    local: float
    rented: float
    serverless: float


@dataclass(frozen=True, slots=True)
class Score:
    """What a version makes of a suite."""

    estimate: Estimate | None
    """Mean score with its interval, over the `shared` items; None where the suite counts losses
    only, or no item is shared."""
    items: int
    done: int
    shared: int = 0
    """Items that every row of the table with this suite has a score of."""
    difference: Estimate | None = None
    """To the reference, on the items that both did; None for the reference itself."""
    common: int = 0
    """How many items that were."""
    detects: float | None = None
    groups: Mapping[str, Estimate] = field(default_factory=dict)
    languages: Mapping[str, Estimate] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    finished_at: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the comparison; None where nothing is known."""

    version: str
    method: str
    state: str
    current: bool
    refused: str | None
    base_model: str
    parent: str | None
    run: str
    created_at: str
    turns: int | None
    """Turns it was trained on."""
    epochs: float | None
    learning_rate: float | None
    eval_loss: float | None
    """Mean loss of a held-out token, in nats."""
    perplexity: float | None
    base_loss: float | None
    """The base's, on the very same rows."""
    loss_change: float | None
    """Against the base's: -0.25 is a quarter less."""
    held_out_rows: int | None
    held_out: str
    """Losses with the same key were measured on the same rows; "" when there is no loss."""
    scores: Mapping[SuiteName, Score]
    mean_score: float | None
    """Over the suites that every row of the table has."""
    trainable_parameters: int | None
    seconds: float | None
    """Of the training."""
    size_bytes: int | None
    peak_memory_bytes: int | None
    cost: Cost | None
    passed: bool | None
    """What the gate said."""
    curve: Sequence[Mapping[str, Any]] = ()
    """Its training: step, loss or eval_loss, learning_rate."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader of the table must know; the sentence is `report.note_<code>`."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """The rows in the order asked for."""

    rows: tuple[Row, ...]
    reference: str
    """What scores are held against: the base where it is there, else the first row."""
    suites: tuple[SuiteName, ...]
    """Those that any row was scored on."""
    common_suites: tuple[SuiteName, ...]
    """Those that every row was scored on; `mean_score` is over these."""
    loss_from: LossSource
    notes: tuple[Note, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)
