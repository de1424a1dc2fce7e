"""What the figures show, as plain data: for the PNGs, for the page, and for a test of both.

Labels are keys of the page's texts (`report.<key>`); names of versions, suites and flags stand
as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from javis.eval.comparison import Row, Table

ChartName = Literal[
    "filter_statistics",
    "training_curves",
    "model_comparison",
    "efficiency",
    "benchmark",
    "trade_off",
]
Kind = Literal["bars", "lines", "points"]
Unit = Literal[
    "", "nats", "score", "change", "s", "parameters", "bytes", "dollars", "turns", "steps"
]
"""`score` is 0 to 1, `change` is a share (-0.25: a quarter less)."""


@dataclass(frozen=True, slots=True)
class Series:
    """One version's numbers, or one kind of number for all categories."""

    name: str
    values: tuple[float | None, ...] = ()
    """Bars: one for each category. Lines and points: the y of each x."""
    x: tuple[float, ...] = ()
    """Lines and points only."""
    low: tuple[float | None, ...] = ()
    """The ends of the intervals, where there are any."""
    high: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes."""

    title: str
    """Key of what is shown."""
    kind: Kind
    y_unit: Unit
    series: tuple[Series, ...]
    categories: tuple[str, ...] = ()
    """Bars: under each group."""
    x_title: str = ""
    x_unit: Unit = ""
    better: Literal["", "higher", "lower"] = ""
    named: Literal["", "status", "flag", "suite"] = ""
    """What the categories are, where the page has words for them: `<named>.<category>`."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure of the report."""

    name: ChartName
    panels: tuple[Panel, ...]

    @property
    def empty(self) -> bool:
        """Whether there is no number in it."""
        values = (v for p in self.panels for s in p.series for v in s.values)
        return all(v is None for v in values)

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"empty": self.empty}


def charts(table: Table, filters: Mapping[str, int]) -> tuple[Chart, ...]:
    """All six; those without data are `empty`.

    `filters` are the counts of the review: rated, approved, pending, excluded, and each flag.
    """
    return (
        filter_statistics(filters),
        training_curves(table.rows),
        model_comparison(table),
        efficiency(table.rows),
        benchmark(table),
        trade_off(table),
    )


STATUSES = ("rated", "approved", "pending", "excluded")


def filter_statistics(counts: Mapping[str, int]) -> Chart:
    """How many rated answers are learned from, and what the others were flagged for."""
    flags = tuple(k for k in counts if k not in (*STATUSES, "flagged"))
    status = Panel(
        "turns", "bars", "turns", (_counted(counts, STATUSES),), STATUSES, named="status"
    )
    flagged = Panel("flags", "bars", "turns", (_counted(counts, flags),), flags, named="flag")
    return Chart("filter_statistics", (status, flagged))


def training_curves(rows: Sequence[Row]) -> Chart:
    """Loss by step: on what is learned, and on what is held out."""
    panels = []
    for key, title in (("loss", "train_loss"), ("eval_loss", "eval_loss")):
        series = []
        for row in rows:
            points = [(p["step"], p[key]) for p in row.curve if key in p]
            if points:
                x, y = zip(*points, strict=True)
                series.append(Series(row.version, tuple(y), tuple(map(float, x))))
        panels.append(
            Panel(
                title,
                "lines",
                "nats",
                tuple(series),
                x_title="step",
                x_unit="steps",
                better="lower",
            )
        )
    return Chart("training_curves", tuple(panels))


def model_comparison(table: Table) -> Chart:
    """Held-out loss and perplexity, the loss against the base's, and the mean score."""
    rows = table.rows
    return Chart(
        "model_comparison",
        (
            _bars("eval_loss", rows, "nats", [r.eval_loss for r in rows], "lower"),
            _bars("perplexity", rows, "", [r.perplexity for r in rows], "lower"),
            _bars("loss_change", rows, "change", [r.loss_change for r in rows], "lower"),
            _bars("mean_score", rows, "score", [r.mean_score for r in rows], "higher"),
        ),
    )


def efficiency(rows: Sequence[Row]) -> Chart:
    """What each version took to train, and takes on the disk; the base took nothing here."""
    trained = [row for row in rows if row.version != "base"]
    return Chart(
        "efficiency",
        (
            _bars("seconds", trained, "s", [r.seconds for r in trained], "lower"),
            _bars(
                "trainable_parameters",
                trained,
                "parameters",
                [r.trainable_parameters for r in trained],
                "lower",
            ),
            _bars("size_bytes", trained, "bytes", [r.size_bytes for r in trained], "lower"),
            _bars(
                "peak_memory_bytes",
                trained,
                "bytes",
                [r.peak_memory_bytes for r in trained],
                "lower",
            ),
            _costs(trained),
        ),
    )


def benchmark(table: Table) -> Chart:
    """The score of each version on each suite, with its interval."""
    suites = tuple(
        s for s in table.suites if any(s in r.scores and r.scores[s].estimate for r in table.rows)
    )
    series = []
    for row in table.rows:
        found = [row.scores[s].estimate if s in row.scores else None for s in suites]
        series.append(
            Series(
                row.version,
                tuple(None if e is None else e.value for e in found),
                low=tuple(None if e is None else e.low for e in found),
                high=tuple(None if e is None else e.high for e in found),
            )
        )
    panel = Panel("score", "bars", "score", tuple(series), suites, better="higher", named="suite")
    return Chart("benchmark", (panel,))


def trade_off(table: Table) -> Chart:
    """What is gained against what it takes: seconds of training, and parameters trained.

    The gain is the mean score where at least two have one; else the held-out loss, or, where that
    was measured on different rows, its change against the base.
    """
    scored = [row for row in table.rows if row.mean_score is not None]
    same_rows = len({row.held_out for row in table.rows if row.held_out}) <= 1
    title, unit = _gain(len(scored) > 1, same_rows)
    efforts: tuple[tuple[str, Unit], ...] = (
        ("seconds", "s"),
        ("trainable_parameters", "parameters"),
    )
    panels = []
    for effort, x_unit in efforts:
        points = ((row.version, getattr(row, effort), getattr(row, title)) for row in table.rows)
        panels.append(
            Panel(
                title,
                "points",
                unit,
                tuple(
                    Series(name, (y,), (float(x),))
                    for name, x, y in points
                    if x is not None and y is not None
                ),
                x_title=effort,
                x_unit=x_unit,
                better="higher" if unit == "score" else "lower",
            )
        )
    return Chart("trade_off", tuple(panels))


def _gain(scored: bool, same_rows: bool) -> tuple[str, Unit]:
    if scored:
        return "mean_score", "score"
    return ("eval_loss", "nats") if same_rows else ("loss_change", "change")


def _counted(counts: Mapping[str, int], names: Sequence[str]) -> Series:
    return Series("turns", tuple(float(counts.get(name, 0)) for name in names))


def _bars(
    title: str,
    rows: Sequence[Row],
    unit: Unit,
    values: Sequence[float | None],
    better: Literal["higher", "lower"],
) -> Panel:
    names = tuple(row.version for row in rows)
    return Panel(title, "bars", unit, (Series(title, tuple(values)),), names, better=better)


def _costs(rows: Sequence[Row]) -> Panel:
    """The training's seconds at each of the three prices."""
    series = tuple(
        Series(name, tuple(None if r.cost is None else getattr(r.cost, name) for r in rows))
        for name in ("local", "rented", "serverless")
    )
    names = tuple(row.version for row in rows)
    return Panel("cost", "bars", "dollars", series, names, better="lower")
