"""The gate's rule: what a candidate has to show, read from `data/gate.json`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from javis.core.errors import UserInputError
from javis.eval.suite_gate import SuiteRule, suite_rule

_RULE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Rule:
    """What a candidate has to show. Losses are nats per token of the answers."""

    min_conversations: int = 6
    """Held-out conversations. With fewer, even a candidate that is better in every single one
    could be so by chance more often than 2.5 times in a hundred (1 in 2 to the power of n)."""
    min_disliked: int = 4
    """KTO: held-out conversations with disliked answers. With fewer, the interval is so wide that
    hardly anything could pass, and the loss decides instead."""
    confidence: float = 0.95
    better_than_base: float = 0.0
    """How much lower than the base's the loss must be, at the unlucky end of the interval."""
    worse_than_current: float = 0.05
    """How much higher than the loss of the version in use it may be."""
    strict_against_current: bool = False
    """Hold the unlucky end of the interval, instead of the mean, against `worse_than_current`."""
    preference_slack: float = 0.1
    """DPO and KTO: how much higher than the base's the loss may be at the unlucky end."""
    disaster_nats: float = 2.0
    """A row that is so much worse than with the base counts as a disaster."""
    disaster_share: float = 0.1
    """How many of the rows may be disasters."""
    answers_fit: float = 0.0
    """How much likelier, in nats per token and at the unlucky end of the interval, held-out answers
    must be after their own question than after questions of other conversations."""
    suites: SuiteRule = field(default_factory=SuiteRule)
    """What it must not lose; `{"suites": []}` asks nothing."""
    resamples: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            kinds = (int,) if isinstance(low, int) else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                kind = "a whole number" if kinds == (int,) else "a number"
                raise ValueError(f"{name} must be {kind} between {low:g} and {high:g}")
        if not isinstance(self.strict_against_current, bool):
            raise ValueError("strict_against_current must be true or false")


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("min_conversations", 2, 100_000),
    ("min_disliked", 3, 100_000),
    ("confidence", 0.5, 0.999),
    ("better_than_base", -10.0, 10.0),
    ("worse_than_current", -10.0, 10.0),
    ("preference_slack", 0.0, 10.0),
    ("disaster_nats", 0.0, 100.0),
    ("disaster_share", 0.0, 1.0),
    ("answers_fit", -10.0, 10.0),
    ("resamples", 1000, 1_000_000),
    ("seed", 0, 2**32 - 1),
)
"""Whole ends mean a whole number."""


def read_rule(path: Path) -> Rule:
    """The rule in a JSON file, what it leaves out as by default; all defaults without a file.

    Raises UserInputError for a file that says anything else: a gate that silently forgets its
    rule would be worse than none.
    """
    try:
        with path.open("rb") as handle:
            data = json.loads(handle.read(_RULE_BYTES))
    except FileNotFoundError:
        return Rule()
    except OSError as error:
        raise _bad_rule(path, error.strerror or "it cannot be read") from error
    except (ValueError, RecursionError):
        raise _bad_rule(path, "it is no valid JSON") from None
    if not isinstance(data, dict):
        raise _bad_rule(path, "it is no JSON object")
    known = {field.name for field in dataclasses.fields(Rule)}
    for key in data:
        if key not in known:
            raise _bad_rule(path, f"'{key[:60]}' is unknown; known are {', '.join(sorted(known))}")
    try:
        if "suites" in data:
            data["suites"] = suite_rule(data["suites"])
        return Rule(**data)
    except ValueError as error:
        raise _bad_rule(path, str(error)) from None


def _bad_rule(path: Path, why: str) -> UserInputError:
    return UserInputError(
        "bad_gate", "The gate's rule in {path} cannot be used: {why}.", path=path, why=why
    )
