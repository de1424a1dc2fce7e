"""The gate: does a candidate answer held-out questions better than the base, not worse than the
version in use, and can it still do what was possible before? Decided on the losses of single rows
and the scores of single items, by a rule that can be read and changed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from javis.core.learning import Check, Verdict
from javis.eval.gate_rule import Rule, read_rule
from javis.eval.intervals import Interval, bootstrap_ratio, mean_difference
from javis.eval.suite_gate import Results, suite_checks, suite_means

__all__ = ["Rule", "judge", "read_rule"]


@dataclass(frozen=True, slots=True)
class _Row:
    """One held-out answer. `nll` is the sum over its `tokens`; None where only pairs count."""

    group: str
    nll: float | None
    tokens: int
    margin: float | None
    elsewhere: float | None = None
    """`nll` of the same answer after questions of other conversations."""
    seen: bool = False
    """The version scored here was trained on it."""
    liked: object = None
    """The thumb that KTO learns from, True or False; None for the other methods."""


_TOO_FEW = "gate.too_few_disliked"

Scores = Mapping[str, Sequence[Mapping[str, Any]] | None]


def judge(scores: Scores, rule: Rule | None = None, results: Results | None = None) -> Verdict:
    """What the gate says of `scores["candidate"]` against `["base"]` and `["current"]` (None when
    the base is in use), each a list of rows `{turn_id, nll, tokens, conversation_id?, margin?,
    label?}`.

    Rows of `current` that are `seen` are not held against it, as it was trained on them.
    `nll` is the negative log-likelihood of the whole answer in nats. Rows with a `margin` (DPO: the
    reward of the good answer less that of the bad one; so had older runs of KTO) or a `label` (KTO:
    whether it was liked) are also held against the rule for preferences; disliked answers count
    there alone. `results` are of the suites that were asked, None when none were. Nothing in either
    raises: what cannot be read fails a check.
    """
    rule = rule or Rule()
    tables = {name: _table(rows) for name, rows in scores.items() if rows is not None}
    base, candidate = tables.get("base", {}), tables.get("candidate", {})
    current = tables.get("current")
    good = [key for key, row in candidate.items() if row.liked is not False]
    checks = [_enough([candidate[key] for key in good], rule)]
    missing = set(base) ^ set(candidate) | (set(current) ^ set(candidate) if current else set())
    checks.append(Check("gate.same_rows", not missing, {"different": len(missing)}))
    bad = sum(not _finite(row) for table in tables.values() for row in table.values())
    checks.append(Check("gate.finite", bad == 0, {"bad": bad}))
    if not good or missing or bad:
        return Verdict(False, tuple(checks), {}, len(good))
    preferred = _preferred(candidate, base, rule)
    # A lower loss of disliked answers is nothing to wish for.
    tables = {name: {key: table[key] for key in good} for name, table in tables.items() if table}
    checks += _against_base(tables["candidate"], tables["base"], rule, preferred)
    if current:
        checks.append(_against_current(tables["candidate"], tables["current"], rule))
    if results is not None:
        checks += suite_checks(results, rule.suites, resamples=rule.resamples, seed=rule.seed)
    losses = {name: loss for name, table in tables.items() if (loss := _loss(table)) is not None}
    return Verdict(
        all(check.passed for check in checks),
        tuple(checks),
        losses,
        len(good),
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
            elsewhere=_number(row["nll_elsewhere"]) if "nll_elsewhere" in row else None,
            seen=row.get("seen") is True,
            liked=row.get("label"),
        )
    # Sums are rounded the same way whatever order the rows came in.
    return dict(sorted(found.items()))


def _number(value: object) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if good else math.nan  # type: ignore[arg-type]


def _finite(row: _Row) -> bool:
    if row.nll is None and (row.margin is None or row.liked is not None):
        return False
    if not isinstance(row.liked, bool | None):
        return False
    numbers = [n for n in (row.nll, row.margin, row.elsewhere) if n is not None]
    return all(map(math.isfinite, numbers)) and (row.nll is None or row.tokens > 0)


def _loss(table: Mapping[str, _Row]) -> float | None:
    """Mean loss per token over all rows that have one."""
    rows = [row for row in table.values() if row.nll is not None]
    tokens = sum(row.tokens for row in rows)
    return sum(row.nll or 0.0 for row in rows) / tokens if tokens else None


def _enough(rows: Sequence[_Row], rule: Rule) -> Check:
    have = len({row.group for row in rows})
    need = rule.min_conversations
    values = {"have": have, "need": need, "missing": max(0, need - have)}
    return Check("gate.enough_rows", have >= need, values)


def _against_base(
    candidate: Mapping[str, _Row],
    base: Mapping[str, _Row],
    rule: Rule,
    preferred: Check | None,
) -> list[Check]:
    """`preferred` is the check of preferences, for methods that learn from them."""
    found = []
    too_few = preferred is not None and preferred.name == _TOO_FEW
    if preferred and too_few:
        found.append(preferred)  # First, as it says why the loss decides.
    difference = _loss_difference(candidate, base, rule)
    if difference is not None:
        values = _compared(candidate, base, difference, rule)
        if preferred and not too_few:
            limit = rule.preference_slack
            passed = difference.high <= limit
            found.append(Check("gate.close_to_base", passed, values | {"allowed": limit}))
        else:
            passed = difference.high < -rule.better_than_base
            found.append(Check("gate.better_than_base", passed, values))
        found.append(_no_disaster(candidate, base, rule))
        found += _answers_fit(candidate, rule)
    if preferred and not too_few:
        found.append(preferred)
    return found


def _against_current(
    candidate: Mapping[str, _Row], current: Mapping[str, _Row], rule: Rule
) -> Check:
    # On what it was trained on it would be better than any newcomer.
    current = {key: row for key, row in current.items() if not row.seen}
    candidate = {key: candidate[key] for key in current}
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


def _preferred(candidate: Mapping[str, _Row], base: Mapping[str, _Row], rule: Rule) -> Check | None:
    """Whether good answers are preferred more than before; None where nothing is preferred."""
    if any(row.liked is not None for row in candidate.values()):
        return _liked_raised(candidate, base, rule)
    if any(row.margin is not None for row in candidate.values()):
        return _margin_raised(candidate, base, rule)
    return None


def _liked_raised(candidate: Mapping[str, _Row], base: Mapping[str, _Row], rule: Rule) -> Check:
    """KTO has no pairs: what liked answers gain is held against what disliked ones gain."""
    liked = _gains(candidate, base, liked=True)
    disliked = _gains(candidate, base, liked=False)
    if len(disliked) < rule.min_disliked:
        return Check(_TOO_FEW, True, {"have": len(disliked), "need": rule.min_disliked})
    difference = mean_difference(liked, disliked, rule.confidence)
    values = _interval(difference, rule) | {"liked": len(liked), "disliked": len(disliked)}
    return Check("gate.liked_raised", difference.low > 0, values)


def _gains(candidate: Mapping[str, _Row], base: Mapping[str, _Row], *, liked: bool) -> list[float]:
    """How much likelier the answers with one thumb became, by conversation.

    Per token: otherwise one that makes all answers a little unlikelier would seem to prefer the
    liked ones wherever those are the shorter ones.
    """
    sums: dict[str, float] = defaultdict(float)
    tokens: dict[str, float] = defaultdict(float)
    for key, row in candidate.items():
        before = base[key].nll
        if row.liked is liked and row.nll is not None and before is not None:
            sums[row.group] += before - row.nll
            tokens[row.group] += row.tokens
    return [sums[group] / tokens[group] for group in sorted(sums)]


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


def _answers_fit(candidate: Mapping[str, _Row], rule: Rule) -> list[Check]:
    """Whether answers are likelier after their own questions than after other ones.

    Where they are not, the loss falls only because the candidate learned how answers look: of
    word salad, or of answers under the wrong questions.
    """
    sums: dict[str, float] = defaultdict(float)
    weights: dict[str, float] = defaultdict(float)
    for row in candidate.values():
        if row.nll is not None and row.elsewhere is not None:
            sums[row.group] += row.elsewhere - row.nll
            weights[row.group] += row.tokens
    fit = _bootstrap(sums, weights, rule)
    if fit is None:
        return []
    values = _interval(fit, rule) | {"need": rule.answers_fit}
    return [Check("gate.answers_fit", fit.low > rule.answers_fit, values)]


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
