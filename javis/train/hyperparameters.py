"""How a method trains: the numbers a user may change, and what each may be. Without torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from javis.core.errors import UserInputError
from javis.core.learning import Method

_MODULE = re.compile(r"[A-Za-z0-9_.]{1,80}")
SCHEDULERS = ("linear", "cosine", "constant", "constant_with_warmup")
Kind = Literal["whole", "number", "flag", "choice", "modules"]


@dataclass(frozen=True, slots=True)
class Range:
    """What a hyperparameter may be."""

    kind: Kind
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    optional: bool = False
    """None is allowed: decided from the data, or without a limit."""


RANGES: Mapping[str, Range] = {
    "learning_rate": Range("number", 1e-8, 1.0),
    "epochs": Range("number", 0.01, 100),
    "rank": Range("whole", 1, 512),
    "alpha": Range("number", 0.01, 2048),
    "dropout": Range("number", 0, 0.9),
    "target_modules": Range("modules"),
    "batch_size": Range("whole", 1, 256),
    "gradient_accumulation": Range("whole", 1, 1024),
    "max_length": Range("whole", 16, 131_072),
    "warmup_ratio": Range("number", 0, 0.9),
    "scheduler": Range("choice", choices=SCHEDULERS),
    "weight_decay": Range("number", 0, 1),
    "beta": Range("number", 0.001, 10),
    "desirable_weight": Range("number", 0.01, 100, optional=True),
    "undesirable_weight": Range("number", 0.01, 100, optional=True),
    "virtual_tokens": Range("whole", 1, 512),
    "gradient_checkpointing": Range("flag"),
    "replay": Range("number", 0, 4),
    "keep": Range("number", 0, 1),
    "save_steps": Range("whole", 1, 1_000_000),
    "max_steps": Range("whole", 1, 1_000_000, optional=True),
}

_ALL = (
    *("learning_rate", "epochs", "batch_size", "gradient_accumulation", "max_length"),
    *("warmup_ratio", "scheduler", "weight_decay", "gradient_checkpointing"),
    *("save_steps", "max_steps"),
)
_LORA = ("rank", "alpha", "dropout", "target_modules")
USED: Mapping[Method, tuple[str, ...]] = {
    "sft-lora": (*_LORA, *_ALL, "keep"),
    "sft-qlora": (*_LORA, *_ALL, "keep"),
    "dpo": (*_LORA, *_ALL, "beta", "replay"),
    "kto": (*_LORA, *_ALL, "beta", "desirable_weight", "undesirable_weight"),
    "prompt-tuning": ("virtual_tokens", *_ALL),
    "ia3": _ALL,
}
"""The hyperparameters that make a difference to a method."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """How a method trains. A value out of range raises UserInputError that names the field."""

    learning_rate: float = 2e-4
    epochs: float = 3.0
    rank: int = 16
    alpha: float = 16.0
    dropout: float = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"
    batch_size: int = 4
    """Rows that are in memory at the same time."""
    gradient_accumulation: int = 2
    """Batches that one step of the optimizer learns from."""
    max_length: int = 1024
    """Tokens of a row; of a longer one the oldest turns are left out."""
    warmup_ratio: float = 0.05
    scheduler: str = "linear"
    weight_decay: float = 0.0
    beta: float = 0.1
    """DPO and KTO: how strongly the answers stay with the base model's."""
    desirable_weight: float | None = None
    undesirable_weight: float | None = None
    """KTO: None balances liked against disliked answers by their counts."""
    virtual_tokens: int = 20
    """Prompt tuning: length of the learned prompt."""
    gradient_checkpointing: bool = False
    """Less memory for a third more time."""
    replay: float = 0.5
    """DPO: good answers that are learned as such, for each pair."""
    keep: float = 0.25
    """SFT: the base model's own answers to other questions that are learned along, for each row."""
    save_steps: int = 50
    """Steps between two checkpoints."""
    max_steps: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in RANGES.items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), allowed))

    @classmethod
    def parse(cls, values: Mapping[str, Any], base: Hyperparameters | None = None) -> Any:
        """From names and values; what is not named comes from `base`. Raises UserInputError."""
        known = asdict(base or cls())
        for name in values:
            if name not in RANGES:
                raise UserInputError(
                    "hyperparameter_unknown",
                    "There is no hyperparameter '{field}'.",
                    field=str(name)[:40],
                )
        return cls(**{**known, **values})

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        values = asdict(self)
        if not isinstance(self.target_modules, str):
            values["target_modules"] = list(self.target_modules)
        return values


def _checked(name: str, value: Any, allowed: Range) -> Any:
    if value is None and allowed.optional:
        return None
    if allowed.kind == "flag":
        if not isinstance(value, bool):
            raise UserInputError("hyperparameter_flag", "{field} must be on or off.", field=name)
        return value
    if allowed.kind == "choice":
        if value not in allowed.choices:
            raise UserInputError(
                "hyperparameter_choice",
                "{field} must be one of {choices}.",
                field=name,
                choices=", ".join(allowed.choices),
            )
        return value
    if allowed.kind == "modules":
        return _modules(name, value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UserInputError("hyperparameter_number", "{field} must be a number.", field=name)
    if allowed.kind == "whole" and value != int(value):
        raise UserInputError("hyperparameter_whole", "{field} must be a whole number.", field=name)
    if not allowed.low <= value <= allowed.high:
        raise UserInputError(
            "hyperparameter_range",
            "{field} must be between {low} and {high}.",
            field=name,
            low=allowed.low,
            high=allowed.high,
        )
    return int(value) if allowed.kind == "whole" else float(value)


def _modules(name: str, value: Any) -> str | tuple[str, ...]:
    if value == "all-linear":
        return "all-linear"
    # A bare text would be taken for a regular expression.
    good = isinstance(value, (list, tuple)) and 0 < len(value) <= 64
    if not good or not all(isinstance(v, str) and _MODULE.fullmatch(v) for v in value):
        raise UserInputError(
            "hyperparameter_modules",
            "{field} must be 'all-linear' or names of layers such as q_proj, v_proj.",
            field=name,
        )
    return tuple(value)
