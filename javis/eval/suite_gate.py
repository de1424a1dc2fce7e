"""The gate's part that asks questions: what could the candidate do before that it cannot do now?

Item by item, its scores are held against those of the version in use. A suite stops it when its
mean fell by more than a margin and the fall is more than chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from javis.core.evaluation import SUITES, ItemResult, SuiteName
from javis.core.learning import Check
from javis.eval.intervals import FEW, bootstrap_ratio, chance_of_fall

Results = Mapping[str, Mapping[SuiteName, Sequence[ItemResult]] | None]
"""What became of the items, by `candidate`, `base` and `current` (None: the base is in use)."""

GATED: tuple[SuiteName, ...] = tuple(name for name in SUITES if name != "held-out")
"""The held-out rows are judged by their losses already."""
_MARGINS: Mapping[SuiteName, float] = {
    "health": 0.05,
    "instruction": 0.10,
    "knowledge": 0.10,
    "agent": 0.10,
    "golden": 0.10,
    "thumbs-down": 0.10,
}

_SAMPLE: Mapping[SuiteName, int] = dict.fromkeys(GATED, 24) | {"knowledge": 32, "agent": 12}
"""About two minutes with the embedded model on two cores. A question about knowledge takes the
least, one for an agent, of several turns, the most."""


@dataclass(frozen=True, slots=True)
class SuiteRule:
    """What a candidate must not lose."""

    names: tuple[SuiteName, ...] = GATED
    """The suites that are asked, those of them that have questions."""
    sample: Mapping[SuiteName, int] = field(default_factory=lambda: dict(_SAMPLE))
    """Questions of each suite; its first ones, which are a fair sample."""
    margins: Mapping[SuiteName, float] = field(default_factory=lambda: dict(_MARGINS))
    """By how much a suite's mean score, 0 to 1, may fall, be it by chance or not."""
    error_rate: float = 0.05
    """How often, at most, a candidate that is as good as before is stopped by any suite."""
    against_base: tuple[SuiteName, ...] = ("health",)
    """These are held against the base too, so that they do not fall step by step."""

    def __post_init__(self) -> None:
        for name in ("names", "against_base"):
            object.__setattr__(self, name, _names(getattr(self, name), name))
        _require_number("error_rate", self.error_rate, 0.001, 0.5)
        sample = _by_suite("sample", self.sample, _SAMPLE, 8, 10_000, whole=True)
        object.__setattr__(self, "sample", sample)
        margins = _by_suite("margins", self.margins, _MARGINS, 0.0, 1.0)
        object.__setattr__(self, "margins", margins)


def suite_rule(value: object) -> SuiteRule:
    """From JSON: the names alone, or an object of the rule's fields. Raises ValueError."""
    if isinstance(value, list):
        return SuiteRule(names=tuple(value))
    if not isinstance(value, dict):
        raise ValueError("suites must be a list or an object")
    known = [f.name for f in fields(SuiteRule)]
    for key in value:
        if key not in known:
            raise ValueError(f"suites.{str(key)[:60]} is unknown; known are {', '.join(known)}")
    for name in ("names", "against_base"):
        if name in value and not isinstance(value[name], list):
            raise ValueError(f"suites.{name} must be a list")
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    if "sample" in given and not isinstance(given["sample"], dict):
        given["sample"] = dict.fromkeys(GATED, given["sample"])  # One number for all.
    return SuiteRule(**given)


def _names(names: object, key: str) -> tuple[SuiteName, ...]:
    found = tuple(names) if isinstance(names, (list, tuple)) else ()
    for name in found:
        if name not in GATED:
            known = ", ".join(GATED)
            raise ValueError(f"suites.{key}: '{str(name)[:40]}' is unknown; known are {known}")
    return tuple(dict.fromkeys(found))


def _by_suite(
    key: str,
    given: object,
    usual: Mapping[SuiteName, float],
    low: float,
    high: float,
    *,
    whole: bool = False,
) -> dict[SuiteName, Any]:
    """A number for each suite: the given ones, and the usual ones of the others."""
    if not isinstance(given, Mapping):
        raise ValueError(f"suites.{key} must be an object")
    _names(tuple(given), key)
    for name, number in given.items():
        _require_number(f"{key}.{name}", number, low, high, whole=whole)
    return {**usual, **given}


def _require_number(
    name: str, value: object, low: float, high: float, *, whole: bool = False
) -> None:
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"suites.{name} must be {kind} between {low:g} and {high:g}")


# -- judging -----------------------------------------------------------------------------------


def suite_checks(
    results: Results, rule: SuiteRule, *, resamples: int, seed: int
) -> tuple[Check, ...]:
    """That nothing is missing, then a check for each suite that both sides answered.

    Nothing in the results raises: what cannot be compared fails a check.
    """
    comparisons = _comparisons(results, rule)
    different = sum(comparison.different for comparison in comparisons)
    checks = [Check("gate.same_items", not different, {"different": different})]
    comparisons = [comparison for comparison in comparisons if comparison.before]
    # Each of several comparisons gets its share of the error rate.
    share = rule.error_rate / max(1, len(comparisons))
    for comparison in comparisons:
        margin = rule.margins[comparison.suite]
        checks.append(_kept(comparison, margin, share, resamples=resamples, seed=seed))
    return tuple(checks)


def not_asked() -> Check:
    """Says so when no engine at hand can answer with the candidate: the losses alone decide."""
    return Check("gate.suites_not_asked", True)


def suite_means(results: Results) -> dict[str, dict[str, float]]:
    """Mean score of each suite, 0 to 1, by whom it was asked: for reports."""
    means: dict[str, dict[str, float]] = {}
    for subject, suites in results.items():
        for name, rows in (suites or {}).items():
            scores = [row.score for row in rows if row.score is not None and _valid(row.score)]
            if scores:
                means.setdefault(name, {})[subject] = sum(scores) / len(scores)
    return means


def worse_items(results: Results) -> dict[str, list[str]]:
    """The questions of each suite that the candidate answers worse than the version in use."""
    found = {}
    before = results.get("current") or results.get("base") or {}
    for name, rows in (results.get("candidate") or {}).items():
        theirs = _scores(before.get(name, ()))
        ours = _scores(rows)
        worse = [i for i, score in ours.items() if _less(score, theirs.get(i))]
        if worse:
            found[str(name)] = worse
    return found


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A suite's scores of the candidate and of another version, item by item."""

    suite: SuiteName
    check: str
    before: Sequence[float]
    after: Sequence[float]
    different: int
    """Items that one side lacks, or whose score is no number."""


def _comparisons(results: Results, rule: SuiteRule) -> list[_Comparison]:
    candidate = results.get("candidate") or {}
    found = []
    for name in rule.names:
        ours = _scores(candidate.get(name, ()))
        for number, against in enumerate(_opponents(name, results, rule)):
            theirs = _scores((results.get(against) or {}).get(name, ()))
            both = [item for item in ours if item in theirs]
            bad = [item for item in both if not (_valid(ours[item]) and _valid(theirs[item]))]
            scored = [
                (a, b)
                for item in both
                if item not in bad
                if (a := ours[item]) is not None and (b := theirs[item]) is not None
            ]
            found.append(
                _Comparison(
                    suite=name,
                    check="gate.suite_kept" if number == 0 else "gate.suite_near_base",
                    before=[b for _, b in scored],
                    after=[a for a, _ in scored],
                    different=len(ours.keys() ^ theirs.keys()) + len(bad),
                )
            )
    return found


def _opponents(name: SuiteName, results: Results, rule: SuiteRule) -> list[str]:
    """Whom a suite is held against: the version in use, which may be the base."""
    if results.get("current") is None:
        return ["base"]
    return ["current", "base"] if name in rule.against_base else ["current"]


def _scores(rows: Sequence[ItemResult]) -> dict[str, float | None]:
    # Whatever order the rows came in, the same interval.
    return {row.item: row.score for row in sorted(rows, key=lambda row: row.item)}


def _valid(score: object) -> bool:
    """None is: there was nothing to score, as in an answer that only a judge could mark."""
    if score is None:
        return True
    return isinstance(score, (int, float)) and not isinstance(score, bool) and 0 <= score <= 1


def _less(ours: float | None, theirs: float | None) -> bool:
    return ours is not None and theirs is not None and ours < theirs


def _kept(
    comparison: _Comparison, margin: float, share: float, *, resamples: int, seed: int
) -> Check:
    """In points of 100. `share` is how often, at most, chance alone may stop it here."""
    count = len(comparison.before)
    values: dict[str, Any] = {
        "suite": comparison.suite,
        "items": count,
        "candidate": round(100 * sum(comparison.after) / count, 1),
        "other": round(100 * sum(comparison.before) / count, 1),
    }
    # By chance all of n questions fall once in 2 to the power of n cases.
    need = max(2, math.ceil(-math.log2(share)))
    if count < need:
        return Check("gate.suite_too_few", True, values | {"need": need})
    differences = [100 * (a - b) for a, b in zip(comparison.after, comparison.before, strict=True)]
    confidence = 1 - 2 * share
    value, low, high = bootstrap_ratio(
        differences, [1.0] * count, confidence=confidence, resamples=resamples, seed=seed
    )
    values |= {
        "difference": round(value, 1),
        "low": round(low, 1),
        "high": round(high, 1),
        "confidence": round(confidence, 5),
        "allowed": round(100 * margin, 1),
    }
    # With few questions, as of one's own, the interval alone errs oftener than promised.
    sure = high < 0 and (count > FEW or chance_of_fall(differences) <= share)
    fell = -value > 100 * margin and sure
    return Check(comparison.check, not fell, values)
