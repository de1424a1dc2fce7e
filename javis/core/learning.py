"""The values of the learning loop that cross a border between layers. All frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from javis.core.types import Message, Rating

Method = Literal["sft-lora", "sft-qlora", "dpo", "kto", "prompt-tuning", "ia3"]
METHODS: tuple[Method, ...] = get_args(Method)

FlagKind = Literal[
    "conflict", "duplicate", "personal", "control", "repetition", "cut", "context", "flood"
]
"""`cut`: the answer broke off; `context`: an earlier message of its conversation was excluded;
`flood`: one user rated more than is approved unseen."""
FLAG_KINDS: tuple[FlagKind, ...] = get_args(FlagKind)
Action = Literal["approve", "edit", "exclude", "reset"]
ACTIONS: tuple[Action, ...] = get_args(Action)
Status = Literal["approved", "pending", "excluded"]
"""`pending`: somebody has to look before it is learned from."""

JobState = Literal["queued", "running", "succeeded", "rejected", "failed", "cancelled"]
TERMINAL: tuple[JobState, ...] = ("succeeded", "rejected", "failed", "cancelled")
Promote = Literal["gate", "never"]


@dataclass(frozen=True, slots=True)
class Flag:
    """Why a rated turn needs a look."""

    kind: FlagKind
    detail: str = ""
    """What was found, such as `phone` or the repeated words; never the personal data itself."""
    others: tuple[str, ...] = ()
    """The turns it conflicts with or resembles."""


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A rated turn as the reviewer sees it."""

    turn_id: str
    conversation_id: str
    owner: str
    created_at: str
    """When it was rated."""
    prompt: tuple[Message, ...]
    """What the model read: system prompt, earlier turns, and the user's message last."""
    reply: str
    """What the model answered."""
    rating: Rating | None
    reasons: tuple[str, ...]
    comment: str
    correction: str | None
    target: str | None
    """The answer that would be learned: the reviewer's edit, else the correction, else a liked
    reply. None when there is none (disliked without a correction)."""
    version: str
    model: str
    status: Status
    decided: bool
    """The reviewer said so; otherwise the status follows from rating and flags."""
    edited: bool
    """The reviewer changed the message or the answer."""
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation whose last message, the assistant's, is to be learned (SFT)."""

    messages: tuple[Message, ...]
    turn_id: str
    conversation_id: str
    source: str
    """`liked`, `correction`, `edit` or `import`."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt, the chosen one better (DPO)."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    turn_id: str
    conversation_id: str
    source: str
    """`correction` (against its original), `answers` (liked against disliked), `vote` (of a blind
    comparison) or `import`."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer with a thumb (KTO)."""

    prompt: tuple[Message, ...]
    completion: str
    label: bool
    turn_id: str
    conversation_id: str
    source: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer said of a rated turn. Appended, never changed: the newest one counts."""

    turn_id: str
    created_at: str
    action: Action
    judgement: str = ""
    """Which rating and correction it was made on; a newer judgement ends it."""
    user: str | None = None
    target: str | None = None
    """The new texts of an edit; None leaves the text as it is."""
    flags: tuple[str, ...] = ()
    """What the turn was flagged for when it was decided."""
    by: str = ""


@dataclass(frozen=True, slots=True)
class TakenRow:
    """A row of a file that was taken in, to be learned from as it is."""

    row: Example | Pair | Judged
    key: str
    """Hash of what it says: the same row is taken in only once."""
    batch: str
    """The file it came with."""
    created_at: str
    by: str = ""
    judgement: str = ""
    """Of the turn it was exported from; "" when it came from elsewhere."""


@dataclass(frozen=True, slots=True)
class Approved:
    """Everything that may be learned from, as of one moment."""

    examples: tuple[Example, ...] = ()
    pairs: tuple[Pair, ...] = ()
    judged: tuple[Judged, ...] = ()
    first_at: str = ""
    last_at: str = ""
    """The date range of the ratings."""


@dataclass(frozen=True, slots=True)
class TrainJob:
    """A training run as the store keeps it."""

    id: str
    created_at: str
    owner: str
    method: Method
    base_model: str
    hyperparameters: Mapping[str, Any]
    promote: Promote = "gate"
    state: JobState = "queued"
    phase: str = ""
    """What it is doing: `preparing`, `training`, `scoring`, `evaluating`, `publishing`,
    `promoting`."""
    reason: str = ""
    """Code of why it ended as it did; `reason_values` fill the sentence."""
    reason_values: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    """The version it became."""
    pid: int | None = None
    pid_started: float | None = None
    """With the pid, who the process is: pids are used again."""
    started_at: str = ""
    ended_at: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Counts, date range and sha256 of what it learns from."""
    verdict: Mapping[str, Any] | None = None
    """What the gate said."""
    overridden_by: str = ""
    """Who published it against the gate."""
    took: Mapping[str, Any] = field(default_factory=dict)
    """What it really took: seconds (of the steps), total_seconds (gate and publishing included),
    steps, tokens, peak_memory_bytes, cost."""
    dry_run: bool = False
    """Two steps and a sample, to see that it would work: it makes no version."""
    dataset: str = ""
    """The file in the exports folder it learns from; empty: everything approved."""


@dataclass(frozen=True, slots=True)
class TrainEvent:
    """One line of a run's `events.jsonl`."""

    number: int
    at: str
    kind: str
    """`phase`, `step`, `eval`, `sample`, `checkpoint`, `warning`, `done` or `failed`; after the
    trainer's end `questions`."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """step: step, total, loss, learning_rate, tokens_per_s, memory_bytes, eta_s, epoch;
    eval: step, loss; sample: step, prompt, before, after; failed: code, message, values;
    questions: done, total, eta_s."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the gate's rule."""

    name: str
    """Key of its sentence in the texts, such as `gate.better_than_current`."""
    passed: bool
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of a candidate."""

    passed: bool
    checks: tuple[Check, ...]
    losses: Mapping[str, float] = field(default_factory=dict)
    """Mean held-out loss per token of `base`, `current` and `candidate`, in nats."""
    rows: int = 0
    suites: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Mean score of each suite that was asked, 0 to 1, by `base`, `current` and `candidate`."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What training costs, in dollars; the user's to edit, as prices change."""

    local_hour: float = 0.0
    """Electricity and the like of this computer."""
    rented_hour: float = 0.69
    """A rented graphics card of 24 GB."""
    serverless_second: float = 0.00031
    """The same by the second."""

    def local(self, seconds: float) -> float:
        return seconds / 3600 * self.local_hour

    def rented(self, seconds: float) -> float:
        return seconds / 3600 * self.rented_hour

    def serverless(self, seconds: float) -> float:
        return seconds * self.serverless_second


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """When to train without being asked; 0 turns a condition off."""

    turns: int = 0
    """After so many newly approved turns."""
    days: int = 0
    """After so many days, if anything new was approved."""

    @property
    def on(self) -> bool:
        return bool(self.turns or self.days)
