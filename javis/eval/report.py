"""From the results of items to what is said of a suite."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from javis.core.evaluation import Estimate, ItemResult, Subject, Suite, SuiteReport
from javis.eval.intervals import bootstrap_ratio, wilson
from javis.eval.power import detectable, items_needed, spread_of

RESAMPLES = 10_000
GROUP_RESAMPLES = 2_000
"""Of the intervals by group and language, which nobody decides on."""


@runtime_checkable
class WithFigures(Protocol):
    """A suite with numbers of its own beside the score."""

    def figures(self, results: Sequence[ItemResult]) -> Mapping[str, float]: ...


def make_report(
    suite: Suite,
    subject: Subject,
    results: Iterable[ItemResult],
    items: int,
    finished_at: str = "",
) -> SuiteReport:
    """What is said of `results`; `items` is how many there were to ask."""
    done = sorted(results, key=lambda result: result.item)
    scores = [result.score for result in done if result.score is not None]
    return SuiteReport(
        suite=suite.name,
        data_version=suite.data_version,
        subject=subject,
        items=items,
        done=len(done),
        score=estimate(scores) if scores else None,
        groups=_by(done, lambda result: result.group),
        languages=_by(done, lambda result: result.language),
        figures=figures_of(suite, done),
        seconds=sum(result.seconds for result in done),
        tokens=sum(result.tokens for result in done),
        detects=detectable(spread_of(scores), len(scores)) if scores else None,
        finished_at=finished_at or datetime.now(UTC).isoformat(timespec="seconds"),
        items_for_5_points=items_needed(spread_of(scores), 0.05) if scores else None,
    )


def estimate(scores: Sequence[float], resamples: int = RESAMPLES) -> Estimate:
    """The mean of scores from 0 to 1 with its 95 % interval."""
    if len(set(scores)) == 1 and (len(scores) > 1 or scores[0] in (0.0, 1.0)):
        # Drawing again from equal scores says that all are so; Wilson knows better. None of this
        # mean spread more than those that are right or wrong, which he has in mind.
        return Estimate(*wilson(sum(scores), len(scores)))
    drawn = bootstrap_ratio(scores, [1.0] * len(scores), resamples=resamples)
    return Estimate(drawn.value, max(0.0, drawn.low), min(1.0, drawn.high))


def figures_of(suite: Suite, results: Sequence[ItemResult]) -> dict[str, float]:
    """Loss and perplexity where answers were weighed, length and variety where they were
    written, and the suite's own. Items that weigh an answer say `nll` and `tokens`."""
    found: dict[str, float] = {}
    weighed = [r.details for r in results if _number(r.details.get("nll"))]
    tokens = sum(d["tokens"] for d in weighed if _number(d.get("tokens")))
    if tokens:
        found["loss"] = sum(d["nll"] for d in weighed) / tokens
        # Beyond this a float has no number for it.
        found["perplexity"] = math.exp(min(found["loss"], 700.0))
    answers = [answer for result in results for answer in result.answers]
    if answers:
        found["mean_characters"] = sum(map(len, answers)) / len(answers)
        found["distinct_2"] = distinct(answers, 2)
    return found | dict(suite.figures(results) if isinstance(suite, WithFigures) else {})


def distinct(texts: Iterable[str], size: int) -> float:
    """The share of different runs of `size` words among all of them (Li et al., 2016); 0 to 1."""
    runs = [
        tuple(words[start : start + size])
        for words in (text.split() for text in texts)
        for start in range(len(words) - size + 1)
    ]
    return len(set(runs)) / len(runs) if runs else 0.0


def _by(results: Sequence[ItemResult], name_of: Callable[[ItemResult], str]) -> dict[str, Estimate]:
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for result in results:
        if result.score is not None and name_of(result):
            scores[name_of(result)].append(result.score)
    return {name: estimate(scores[name], GROUP_RESAMPLES) for name in sorted(scores)}


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
