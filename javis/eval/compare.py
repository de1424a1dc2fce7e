"""Versions and training runs side by side: what each cost, and what it is worth.

One column never mixes two ways to measure: losses come from the held-out suite where every row
has it, else from the trainings, each of which held out rows of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from javis.core.evaluation import SUITES, Estimate, ItemResult, SuiteName, SuiteReport
from javis.core.learning import Prices
from javis.eval.comparison import BASE, Cost, LossSource, Note, Row, Score, Source, Table
from javis.eval.intervals import bootstrap_ratio
from javis.eval.report import estimate

__all__ = ["BASE", "Cost", "Note", "Row", "Score", "Source", "Table", "compare"]
MIN_COMMON = 6
"""Items that two versions must both have done before their difference has an interval: by chance
alone all of n differ in one direction in 2 to the power of 1 - n cases, with 6 below 5 %."""
Results = Callable[[SuiteReport], Sequence[ItemResult]]
"""What a report was made of, item by item."""
Kept = Mapping[tuple[SuiteName, str], SuiteReport]
"""The reports that may be held against each other, by suite and version."""


def compare(
    sources: Sequence[Source],
    reports: Sequence[SuiteReport],
    results: Results,
    prices: Prices | None = None,
) -> Table:
    """The table of these versions, from what they were trained with and how they were scored."""
    names = [source.name for source in sources]
    reference = BASE if BASE in names or not names else names[0]
    kept, notes = same_questions(_of_these(sources, reports))
    found = {name: _scores(name, reference, kept, results) for name in names}
    scores, partly = _on_shared_items(found, kept, results)
    suites = tuple(s for s in SUITES if any(s in found for found in scores.values()))
    common = tuple(
        s for s in suites if all(s in scores[n] and scores[n][s].estimate for n in names)
    )
    losses = _shared_losses(names, kept, results)
    loss_from: LossSource = "suite" if losses else "training"
    rows = tuple(_row(s, scores[s.name], common, prices or Prices()) for s in sources)
    if losses:
        rows = tuple(_with_suite_loss(row, losses) for row in rows)
    else:
        rows = _with_base_loss(rows)
        measured = {row.held_out for row in rows if row.held_out}
        if len(measured) > 1:
            notes.append(Note("different_rows", {"sets": len(measured)}))
    notes += [*partly, *_gaps(rows, suites)]
    return Table(rows, reference, suites, common, loss_from, tuple(notes))


# -- suites ------------------------------------------------------------------------------------


def _of_these(sources: Sequence[Source], reports: Sequence[SuiteReport]) -> list[SuiteReport]:
    """The reports of just these adapters: another one may have had the same name once."""
    wanted = {(source.name, source.sha256) for source in sources}
    return [r for r in reports if (r.subject.version, r.subject.sha256 or "") in wanted]


def same_questions(
    reports: Sequence[SuiteReport],
) -> tuple[Kept, list[Note]]:
    """By suite and version, only reports on the same questions, asked of the same base.

    Of several the one that most versions have, then the newest. What is left out is noted.
    """
    kept: dict[tuple[SuiteName, str], SuiteReport] = {}
    notes = []
    for suite in SUITES:
        mine = sorted((r for r in reports if r.suite == suite), key=lambda r: r.finished_at)
        if not mine:
            continue
        versions: dict[tuple[str, ...], set[str]] = {}
        for report in mine:
            versions.setdefault(_kind(report), set()).add(report.subject.version)
        newest = {_kind(r): r.finished_at for r in mine}
        chosen = max(versions, key=lambda kind: (len(versions[kind]), newest[kind]))
        kept |= {(suite, r.subject.version): r for r in mine if _kind(r) == chosen}
        left = {r.subject.version for r in mine} - versions[chosen]
        if left:
            notes.append(Note("other_questions", {"suite": suite, "versions": sorted(left)}))
    return kept, notes


def _kind(report: SuiteReport) -> tuple[str, ...]:
    subject = report.subject
    return report.data_version, subject.model, subject.engine, subject.quantization


def _scores(
    name: str,
    reference: str,
    reports: Kept,
    results: Results,
) -> dict[SuiteName, Score]:
    found: dict[SuiteName, Score] = {}
    for suite in SUITES:
        report = reports.get((suite, name))
        if report is None or not report.done:
            continue
        difference, common = None, 0
        other = reports.get((suite, reference))
        if name != reference and other is not None and report.score is not None:
            difference, common = paired(results(report), results(other))
        found[suite] = Score(
            estimate=report.score,
            items=report.items,
            done=report.done,
            difference=difference,
            common=common,
            detects=report.detects,
            groups=report.groups,
            languages=report.languages,
            figures=report.figures,
            seconds=report.seconds,
            finished_at=report.finished_at,
        )
    return found


def _on_shared_items(
    scores: Mapping[str, Mapping[SuiteName, Score]], kept: Kept, results: Results
) -> tuple[dict[str, dict[SuiteName, Score]], list[Note]]:
    """Each suite's means over the items that all who were asked it have answered.

    The gate asks the first few questions of a suite, an evaluation all of them: their means say
    nothing of each other. What is left out is noted.
    """
    found = {name: dict(of_suites) for name, of_suites in scores.items()}
    notes = []
    for suite in SUITES:
        answered = {
            name: {r.item: r.score for r in results(kept[suite, name]) if r.score is not None}
            for name, of_suites in scores.items()
            if suite in of_suites and of_suites[suite].estimate
        }
        shared = sorted(set.intersection(*map(set, answered.values()))) if answered else []
        for name, by_item in answered.items():
            score = replace(found[name][suite], shared=len(shared))
            if len(shared) < len(by_item):
                ours = [by_item[item] for item in shared]
                score = replace(score, estimate=estimate(ours) if ours else None)
            found[name][suite] = score
        if any(len(by_item) > len(shared) for by_item in answered.values()):
            notes.append(Note("shared_items", {"suite": suite, "items": len(shared)}))
    return found, notes


def paired(ours: Sequence[ItemResult], theirs: Sequence[ItemResult]) -> tuple[Estimate | None, int]:
    """Mean of our score less theirs over the items that both did, with a 95 % interval."""
    before = {r.item: r.score for r in theirs if r.score is not None}
    differences = []
    for result in sorted(ours, key=lambda r: r.item):
        other = before.get(result.item)
        if result.score is not None and other is not None:
            differences.append(result.score - other)
    if len(differences) < MIN_COMMON:
        return None, len(differences)
    found = bootstrap_ratio(differences, [1.0] * len(differences))
    return Estimate(found.value, found.low, found.high), len(differences)


# -- rows --------------------------------------------------------------------------------------


def _row(
    source: Source, scores: Mapping[SuiteName, Score], common: Sequence[SuiteName], prices: Prices
) -> Row:
    metadata, report = source.metadata, source.report
    config, data = _object(metadata.get("training_config")), _object(metadata.get("training_data"))
    train, verdict = _object(report.get("train")), _object(report.get("verdict"))
    losses = _object(verdict.get("losses"))
    is_base = source.name == BASE
    # The base took nothing to train here: no numbers, as zeros would look like a bargain.
    seconds = None if is_base else number(train.get("seconds"))
    loss, before = number(losses.get("candidate")), number(losses.get("base"))
    rows = _whole(verdict.get("rows"))
    means = [e.value for s in common if (e := scores[s].estimate)]
    return Row(
        version=source.name,
        method=_text(config.get("method")),
        state=source.state,
        current=source.current,
        refused=source.refused,
        base_model=_text(metadata.get("base_model")),
        parent=_text(metadata.get("parent")) or None,
        run=source.run or _text(metadata.get("run")),
        created_at=_text(metadata.get("created_at")),
        turns=_whole(data.get("total_turns")),
        epochs=number(config.get("epochs")),
        learning_rate=number(config.get("learning_rate")),
        eval_loss=loss,
        perplexity=_perplexity(loss),
        base_loss=before,
        loss_change=_change(loss, before),
        held_out_rows=rows if loss is not None else None,
        # The base's loss tells one set of rows from another: nothing else of them is stored.
        held_out="" if loss is None else f"{rows}:{before:.6f}" if before else source.name,
        scores=scores,
        mean_score=sum(means) / len(means) if means else None,
        trainable_parameters=None if is_base else _whole(train.get("trainable_parameters")),
        seconds=seconds,
        size_bytes=None if is_base else source.size_bytes,
        peak_memory_bytes=_whole(train.get("peak_memory_bytes")),
        cost=None if seconds is None else cost_of(seconds, prices),
        passed=verdict["passed"] if isinstance(verdict.get("passed"), bool) else None,
        curve=curve_of(report.get("curve")),
    )


def cost_of(seconds: float, prices: Prices) -> Cost:
    return Cost(prices.local(seconds), prices.rented(seconds), prices.serverless(seconds))


def curve_of(value: object) -> tuple[dict[str, float], ...]:
    """The steps of a training that have numbers; a strange report gives none."""
    found = []
    for row in value if isinstance(value, list) else ():
        if isinstance(row, Mapping) and _whole(row.get("step")) is not None:
            names = ("step", "loss", "eval_loss", "learning_rate")
            numbers = {n: v for n in names if (v := number(row.get(n))) is not None}
            if len(numbers) > 1:
                found.append(numbers)
    return tuple(found)


# -- losses ------------------------------------------------------------------------------------


Losses = Mapping[str, tuple[float, int]]
"""Mean loss of a token and the number of rows, by version."""


def _shared_losses(names: Sequence[str], kept: Kept, results: Results) -> Losses:
    """By the held-out suite, on the rows that all of these were asked; none without such rows."""
    weighed = [_weighed(kept.get(("held-out", name)), results) for name in names]
    # Sorted, as sums in another order differ in their last digits.
    shared = sorted(set.intersection(*map(set, weighed))) if weighed else []
    return {
        name: (sum(rows[i][0] for i in shared) / sum(rows[i][1] for i in shared), len(shared))
        for name, rows in zip(names, weighed, strict=True)
        if shared
    }


def _weighed(report: SuiteReport | None, results: Results) -> dict[str, tuple[float, float]]:
    """The negative log-likelihood and the tokens of each row."""
    found = {}
    for result in results(report) if report else ():
        nll, tokens = number(result.details.get("nll")), number(result.details.get("tokens"))
        if nll is not None and tokens:
            found[result.item] = nll, tokens
    return found


def _with_suite_loss(row: Row, losses: Losses) -> Row:
    (loss, rows), base = losses[row.version], losses.get(BASE)
    return _replace_loss(row, loss, base[0] if base else None, rows, "suite")


def _with_base_loss(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The base's loss is in the reports of the others: on their rows, if they had the same."""
    trained = [row for row in rows if row.held_out]
    first = trained[0] if trained else None
    if first is None or first.base_loss is None or len({row.held_out for row in trained}) > 1:
        return rows
    loss, held, key = first.base_loss, first.held_out_rows or 0, first.held_out
    return tuple(
        _replace_loss(row, loss, loss, held, key) if row.version == BASE else row for row in rows
    )


def _replace_loss(row: Row, loss: float, before: float | None, rows: int, key: str) -> Row:
    return replace(
        row,
        eval_loss=loss,
        perplexity=_perplexity(loss),
        base_loss=before,
        loss_change=None if row.version == BASE else _change(loss, before),
        held_out_rows=rows,
        held_out=key,
    )


def _perplexity(loss: float | None) -> float | None:
    if loss is None:
        return None
    # exp of more than this is no number any more.
    return math.exp(loss) if loss < 700 else None


def _change(loss: float | None, before: float | None) -> float | None:
    return None if loss is None or not before else loss / before - 1


def _gaps(rows: Sequence[Row], suites: Sequence[SuiteName]) -> list[Note]:
    """What some rows have and others lack."""
    found = []
    for suite in suites:
        lacking = [row.version for row in rows if suite not in row.scores]
        if lacking:
            found.append(Note("not_evaluated", {"suite": suite, "versions": lacking}))
    if not suites and rows:
        found.append(Note("no_suites"))
    sizes = Counter(score.done < score.items for row in rows for score in row.scores.values())
    if sizes[True]:
        found.append(Note("unfinished", {"count": sizes[True]}))
    return found


# -- reading what may be strange ---------------------------------------------------------------


def number(value: object) -> float | None:
    """A finite number, or None."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if good and math.isfinite(value) else None  # type: ignore[return-value,arg-type]


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
