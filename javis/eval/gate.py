"""The gate: does a candidate answer held-out questions better than the base, not worse than the
version in use, and can it still do what was possible before? Decided on the losses of single rows
and the scores of single items, by a rule that can be read and changed.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from javis.core.errors import UserInputError
from javis.core.learning import Check, Verdict
from javis.eval.intervals import Interval, bootstrap_ratio
from javis.eval.suite_gate import Results, SuiteRule, suite_checks, suite_means, suite_rule

_RULE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Rule:
    """What a candidate has to show. Losses are nats per token of the answers."""

    min_conversations: int = 6
    """Held-out conversations. With fewer, even a candidate that is better in every single one
    could be so by chance more often than 2.5 times in a hundred (1 in 2 to the power of n)."""
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
    ("confidence", 0.5, 0.999),
    ("better_than_base", -10.0, 10.0),
    ("worse_than_current", -10.0, 10.0),
    ("preference_slack", 0.0, 10.0),
    ("disaster_nats", 0.0, 100.0),
    ("disaster_share", 0.0, 1.0),
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


@dataclass(frozen=True, slots=True)
class _Row:
    """One held-out answer. `nll` is the sum over its `tokens`; None where only pairs count."""

    group: str
    nll: float | None
    tokens: int
    margin: float | None


Scores = Mapping[str, Sequence[Mapping[str, Any]] | None]


def judge(scores: Scores, rule: Rule | None = None, results: Results | None = None) -> Verdict:
    """What the gate says of `scores["candidate"]` against `["base"]` and `["current"]` (None when
    the base is in use), each a list of rows `{turn_id, nll, tokens, conversation_id?, margin?}`.

    `nll` is the negative log-likelihood of the whole answer in nats. Rows with a `margin` (DPO and
    KTO: the reward of the good answer less that of the bad one) are also held against the rule
    for preferences. `results` are of the suites that were asked, None when none were. Nothing in
    either raises: what cannot be read fails a check.
    """
    rule = rule or Rule()
    tables = {name: _table(rows) for name, rows in scores.items() if rows is not None}
    base, candidate = tables.get("base", {}), tables.get("candidate", {})
    current = tables.get("current")
    checks = [_enough(candidate, rule)]
    missing = set(base) ^ set(candidate) | (set(current) ^ set(candidate) if current else set())
    checks.append(Check("gate.same_rows", not missing, {"different": len(missing)}))
    bad = sum(not _finite(row) for table in tables.values() for row in table.values())
    checks.append(Check("gate.finite", bad == 0, {"bad": bad}))
    if not candidate or missing or bad:
        return Verdict(False, tuple(checks), {}, len(candidate))
    has_margins = any(row.margin is not None for row in candidate.values())
    checks += _against_base(candidate, base, rule, has_margins=has_margins)
    if current:
        checks.append(_against_current(candidate, current, rule))
    if results is not None:
        checks += suite_checks(results, rule.suites, resamples=rule.resamples, seed=rule.seed)
    losses = {name: loss for name, table in tables.items() if (loss := _loss(table)) is not None}
    return Verdict(
        all(check.passed for check in checks),
        tuple(checks),
        losses,
        len(candidate),
        suite_means(results) if results is not None else {},
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, _Row]:
    found = {}
    for number, row in enumerate(rows):
        key = str(row.get("turn_id", number))
        # A turn can give several rows (a pair and an example): they are told apart by order.
        while key in found:
            key += "+"
        found[key] = _Row(
            group=str(row.get("conversation_id") or row.get("turn_id", number)),
            nll=_number(row["nll"]) if "nll" in row else None,
            tokens=row["tokens"] if isinstance(row.get("tokens"), int) else 0,
            margin=_number(row["margin"]) if row.get("margin", False) is not False else None,
        )
    # Sums are rounded the same way whatever order the rows came in.
    return dict(sorted(found.items()))


def _number(value: object) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if good else math.nan  # type: ignore[arg-type]


def _finite(row: _Row) -> bool:
    if row.nll is None and row.margin is None:
        return False
    numbers = [n for n in (row.nll, row.margin) if n is not None]
    return all(map(math.isfinite, numbers)) and (row.nll is None or row.tokens > 0)


def _loss(table: Mapping[str, _Row]) -> float | None:
    """Mean loss per token over all rows that have one."""
    rows = [row for row in table.values() if row.nll is not None]
    tokens = sum(row.tokens for row in rows)
    return sum(row.nll or 0.0 for row in rows) / tokens if tokens else None


def _enough(candidate: Mapping[str, _Row], rule: Rule) -> Check:
    have = len({row.group for row in candidate.values()})
    need = rule.min_conversations
    values = {"have": have, "need": need, "missing": max(0, need - have)}
    return Check("gate.enough_rows", have >= need, values)


def _against_base(
    candidate: Mapping[str, _Row], base: Mapping[str, _Row], rule: Rule, *, has_margins: bool
) -> list[Check]:
    found = []
    difference = _loss_difference(candidate, base, rule)
    if difference is not None:
        values = _compared(candidate, base, difference, rule)
        if has_margins:
            limit = rule.preference_slack
            passed = difference.high <= limit
            found.append(Check("gate.close_to_base", passed, values | {"allowed": limit}))
        else:
            passed = difference.high < -rule.better_than_base
            found.append(Check("gate.better_than_base", passed, values))
        found.append(_no_disaster(candidate, base, rule))
    if has_margins:
        found.append(_margin_raised(candidate, base, rule))
    return found


def _against_current(
    candidate: Mapping[str, _Row], current: Mapping[str, _Row], rule: Rule
) -> Check:
    difference = _loss_difference(candidate, current, rule)
    limit = rule.worse_than_current
    if difference is None:
        return Check("gate.not_worse_than_current", True, {"allowed": limit})
    values = _compared(candidate, current, difference, rule) | {"allowed": limit}
    worst = difference.high if rule.strict_against_current else difference.value
    return Check("gate.not_worse_than_current", worst <= limit, values)


def _loss_difference(
    candidate: Mapping[str, _Row], other: Mapping[str, _Row], rule: Rule
) -> Interval | None:
    """Loss of the candidate less the other's, on the same rows; None without such rows."""
    sums: dict[str, float] = defaultdict(float)
    weights: dict[str, float] = defaultdict(float)
    for key, row in candidate.items():
        theirs = other[key].nll
        if row.nll is not None and theirs is not None:
            sums[row.group] += row.nll - theirs
            weights[row.group] += row.tokens
    return _bootstrap(sums, weights, rule)


def _margin_raised(candidate: Mapping[str, _Row], base: Mapping[str, _Row], rule: Rule) -> Check:
    sums: dict[str, float] = defaultdict(float)
    weights: dict[str, float] = defaultdict(float)
    ours = theirs = 0.0
    for key, row in candidate.items():
        before = base[key].margin
        if row.margin is not None and before is not None:
            sums[row.group] += row.margin - before
            weights[row.group] += 1.0
            ours, theirs = ours + row.margin, theirs + before
    difference = _bootstrap(sums, weights, rule)
    if difference is None:
        return Check("gate.margin_raised", False, {"pairs": 0})
    pairs = int(sum(weights.values()))
    values = _interval(difference, rule) | {
        "pairs": pairs,
        "candidate": ours / pairs,
        "other": theirs / pairs,
    }
    return Check("gate.margin_raised", difference.low > 0, values)


def _bootstrap(
    sums: Mapping[str, float], weights: Mapping[str, float], rule: Rule
) -> Interval | None:
    if not sums:
        return None
    order = sorted(sums)  # Whatever order the rows came in, the same interval.
    return bootstrap_ratio(
        [sums[g] for g in order],
        [weights[g] for g in order],
        confidence=rule.confidence,
        resamples=rule.resamples,
        seed=rule.seed,
    )


def _no_disaster(candidate: Mapping[str, _Row], base: Mapping[str, _Row], rule: Rule) -> Check:
    rows = worse = 0
    for key, row in candidate.items():
        theirs = base[key].nll
        if row.nll is not None and theirs is not None:
            rows += 1
            worse += (row.nll - theirs) / row.tokens > rule.disaster_nats
    allowed = math.floor(rows * rule.disaster_share)
    values = {"rows": rows, "worse": worse, "allowed": allowed, "limit": rule.disaster_nats}
    return Check("gate.no_disaster", worse <= allowed, values)


def _compared(
    candidate: Mapping[str, _Row], other: Mapping[str, _Row], difference: Interval, rule: Rule
) -> dict[str, Any]:
    ours, theirs = _loss(candidate) or 0.0, _loss(other) or 0.0
    percent = 100 * (ours - theirs) / theirs if theirs else 0.0
    values = {"candidate": ours, "other": theirs, "percent": percent}
    return values | _interval(difference, rule)


def _interval(difference: Interval, rule: Rule) -> dict[str, Any]:
    # JSON knows no infinity: with one conversation there is no interval.
    low, high = (n if math.isfinite(n) else None for n in (difference.low, difference.high))
    return {
        "difference": difference.value,
        "low": low,
        "high": high,
        "confidence": rule.confidence,
    }
