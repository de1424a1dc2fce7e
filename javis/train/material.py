"""The rows of a run, encoded: what is learned from, and what is held out to score by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from javis.core.errors import TrainError
from javis.core.learning import Method
from javis.core.types import Message
from javis.engine.template import ChatTemplate
from javis.train.config import TrainConfig
from javis.train.data import (
    Encoded,
    EncodedJudged,
    EncodedPair,
    Row,
    encode_examples,
    encode_judged,
    encode_pairs,
    read_rows,
)
from javis.train.recommend import KTO_EACH, too_few

_SAMPLES = 3
_DRY_ROWS = 8


@dataclass(frozen=True, slots=True)
class Held:
    """Held-out answers. Every method is scored by the loss of the good ones."""

    good: list[Encoded] = field(default_factory=list)
    """Answers to learn: of SFT, the chosen ones of DPO, the liked ones of KTO."""
    bad: list[Encoded] = field(default_factory=list)
    """DPO: the rejected answers, row by row; KTO: the disliked ones."""
    paired: bool = False
    """Whether `bad` belongs to `good` row by row."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a run works on; only the list of its method is filled."""

    held: Held
    examples: list[Encoded] = field(default_factory=list)
    """SFT, prompt tuning, IA3; for DPO what is mixed in."""
    pairs: list[EncodedPair] = field(default_factory=list)
    judged: list[EncodedJudged] = field(default_factory=list)
    prompts: list[tuple[Message, ...]] = field(default_factory=list)
    """What the samples answer."""
    conversations: dict[str, str] = field(default_factory=dict)
    """The conversation of each held-out turn: the gate draws by conversations."""
    kept: int = 0
    """How many of the examples are the base's own answers."""
    left_out: int = 0
    """Rows whose answer did not fit into max_length."""

    @property
    def rows(self) -> int:
        return len(self.pairs) or len(self.judged) or len(self.examples)

    @property
    def longest(self) -> int:
        """Tokens of the longest training row."""
        pairs = [row for pair in self.pairs for row in (pair.chosen, pair.rejected)]
        return max(map(len, pairs or [row.answer for row in self.judged] or self.examples))

    @property
    def tokens(self) -> int:
        """Of all training rows, once."""
        if self.pairs:
            return sum(len(pair.chosen) + len(pair.rejected) for pair in self.pairs)
        return sum(map(len, [row.answer for row in self.judged] or self.examples))


def load_rows(config: TrainConfig, folder: Path) -> dict[str, list[Row]]:
    """The rows of the run's files by name. Raises TrainError."""
    method = config.method
    return {
        "train": read_rows(folder / config.train_rows, method),
        "valid": read_rows(folder / config.valid_rows, method),
        "replay": read_rows(folder / config.replay_rows, "sft-lora") if method == "dpo" else [],
    }


def encode_rows(
    config: TrainConfig, rows: dict[str, list[Row]], template: ChatTemplate
) -> Material:
    """Raises NotEnoughData or TrainError for rows that cannot be trained on."""
    longest = config.hyperparameters.max_length
    train, valid = rows["train"], rows["valid"]
    if config.dry_run:
        train, valid = train[:_DRY_ROWS], valid[:1]
    prompts = _prompts(config, valid or train)
    if config.method == "dpo":
        pairs, lost = encode_pairs(template, [r for r in train if r.rejected is not None], longest)
        held, _ = encode_pairs(template, [r for r in valid if r.rejected is not None], longest)
        _require(config.method, len(pairs), lost)
        mixed = rows["replay"] or [r for r in train if r.rejected is None]
        examples, _ = encode_examples(template, mixed, longest)
        good, bad = [p.chosen for p in held], [p.rejected for p in held]
        return Material(
            Held(good, bad, paired=True),
            # Without examples the better answers are those that are learned as such.
            examples=examples or [pair.chosen for pair in pairs],
            pairs=pairs,
            prompts=prompts,
            left_out=lost,
        )
    if config.method == "kto":
        judged, lost = encode_judged(template, train, longest)
        held_judged, _ = encode_judged(template, valid, longest)
        _require(config.method, len(judged), lost)
        _require_both(judged)
        liked = [row.answer for row in held_judged if row.label]
        disliked = [row.answer for row in held_judged if not row.label]
        return Material(Held(liked, disliked), judged=judged, prompts=prompts, left_out=lost)
    examples, lost = encode_examples(template, train, longest)
    held_examples, _ = encode_examples(template, valid, longest)
    _require(config.method, len(examples), lost)
    return Material(Held(held_examples), examples=examples, prompts=prompts, left_out=lost)


def _prompts(config: TrainConfig, rows: Sequence[Row]) -> list[tuple[Message, ...]]:
    count = 1 if config.dry_run else _SAMPLES
    asked: list[tuple[Message, ...]] = [(Message("user", t),) for t in config.sample_prompts]
    return (asked or [row.prompt for row in rows])[:count]


def _require(method: Method, rows: int, lost: int) -> None:
    """The server asked for more than this; here only what cannot be trained on is refused."""
    if rows < 2:
        if lost:
            why = f"{lost} answers do not fit into max_length"
            raise TrainError("train_data", "The rows to learn from cannot be used: {why}.", why=why)
        raise too_few(method, rows, 2)


def _require_both(judged: Sequence[EncodedJudged]) -> None:
    liked = sum(row.label for row in judged)
    if not 0 < liked < len(judged):
        raise TrainError(
            "train_one_label",
            "All answers have the same thumb. KTO needs at least {need} liked and {need} disliked "
            "ones.",
            need=KTO_EACH,
        )
