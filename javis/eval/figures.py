"""Charts as PNG pictures, drawn by matplotlib without its global state (no pyplot, no rcParams)."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from javis.eval.charts import Chart, Panel, Series, Unit

Words = Callable[[str], str]
"""The text of a key, in the language of the picture."""

HANGUL_FONTS = (
    "Pretendard",
    "Noto Sans KR",
    "Noto Sans CJK KR",
    "Apple SD Gothic Neo",
    "Malgun Gothic",
    "NanumGothic",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "UnDotum",
    "Arial Unicode MS",
)
"""In order of preference. All faces of Noto Sans CJK hold Hangul; matplotlib sees only one."""
COLOURS = ("#0b6e66", "#d55e00", "#0072b2", "#cc79a7", "#e69f00", "#56b4e9", "#009e73", "#7a5195")
"""Told apart also by colour-blind readers (after Okabe and Ito)."""
BASE_COLOUR = "#8a9694"
INK, GRID = "#1f2d2b", "#d0d7d6"
DPI = 110
LOG_FROM = 50.0
"""Where the largest bar is so many times the smallest one, the scale is logarithmic."""
_COLUMNS = 3
_LETTERS = 40


def draw(chart: Chart, words: Words, names: Mapping[str, str]) -> bytes:
    """The chart as a PNG. `names` are what to call the versions; each keeps its colour by its
    place in there, in every chart."""
    out = io.BytesIO()
    # No metadata: the same data give the same bytes.
    figure_of(chart, words, names).savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def figure_of(chart: Chart, words: Words, names: Mapping[str, str]) -> Figure:
    """The chart with its panels as axes, before it is a picture."""
    columns = 2 if len(chart.panels) in (2, 4) else min(_COLUMNS, len(chart.panels))
    rows = math.ceil(len(chart.panels) / columns)
    width = 8.4 if columns == 1 else 4.8 * columns
    figure = Figure(figsize=(width, 3.7 * rows + 0.5), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(words(f"report.figure_{chart.name}"), fontsize=13, fontweight="bold")
    pen = _Pen(words, names, room=_LETTERS * (2 if columns == 1 else 1))
    for number, panel in enumerate(chart.panels, 1):
        pen.panel(figure.add_subplot(rows, columns, number), panel)
    for text in figure.findobj(Text):
        text.set_fontfamily(families())
        text.set_color(INK)
    return figure


@cache
def families() -> list[str]:
    """The fonts to look for a character in, one with Hangul first where one is installed."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [*[name for name in HANGUL_FONTS if name in installed][:1], "DejaVu Sans"]


def has_hangul() -> bool:
    """Whether Korean can be drawn on this computer."""
    return len(families()) > 1


class _Pen:
    """Draws panels in one language, with a colour for each version."""

    def __init__(self, words: Words, names: Mapping[str, str], room: int) -> None:
        self._words = words
        self._room = room
        """Letters that fit under a panel."""
        self._names = names
        trained = [name for name in names if name != "base"]
        self._colours = {n: COLOURS[i % len(COLOURS)] for i, n in enumerate(trained)}
        self._colours["base"] = BASE_COLOUR

    def panel(self, axes: Axes, panel: Panel) -> None:
        unit = _Scale.of(panel.y_unit, [v for s in panel.series for v in _all(s)])
        axes.set_title(self._titled(panel.title, unit), fontsize=11)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=9)
        if all(v is None for s in panel.series for v in s.values):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.text(0.5, 0.5, self._words("report.no_data"), ha="center", va="center")
        elif panel.kind == "bars":
            self._bars(axes, panel, unit)
        elif panel.kind == "lines":
            self._lines(axes, panel, unit)
        else:
            self._points(axes, panel, unit)

    def _bars(self, axes: Axes, panel: Panel, unit: _Scale) -> None:
        count, places = len(panel.series), len(panel.categories)
        width = 0.8 / count
        logarithmic = _needs_log(panel)
        if logarithmic:
            axes.set_yscale("log")
        for number, series in enumerate(panel.series):
            shift = (number - (count - 1) / 2) * width
            there = [i for i, v in enumerate(series.values) if v is not None and v != 0]
            if not logarithmic:
                there = [i for i, v in enumerate(series.values) if v is not None]
            heights = [unit.of_value(series.values[i]) for i in there]
            bars = axes.bar(
                [i + shift for i in there],
                heights,
                width * 0.92,
                color=self._bar_colours(panel, series, number, there),
                label=self._name(series.name),
            )
            _intervals(axes, series, shift, unit)
            if count * places <= 12 and not series.low:
                labels = [shown(series.values[i] or 0.0, panel.y_unit) for i in there]
                axes.bar_label(bars, labels, padding=2, fontsize=8)
        self._frame(axes, panel, logarithmic=logarithmic)

    def _frame(self, axes: Axes, panel: Panel, *, logarithmic: bool) -> None:
        places = len(panel.categories)
        labels = [self._category(name, panel) for name in panel.categories]
        crowded = sum(map(len, labels)) > self._room
        axes.set_xticks(range(places))
        axes.set_xticklabels(
            labels, rotation=30 if crowded else 0, ha="right" if crowded else "center"
        )
        axes.set_xlim(-0.6, places - 0.4)
        axes.margins(y=0.12)
        if panel.y_unit == "score":
            axes.set_ylim(0, 105)
        elif not logarithmic and axes.get_ylim()[0] >= 0:
            axes.set_ylim(bottom=0)
        if not any(v for s in panel.series for v in s.values):
            axes.set_ylim(0, 1)
        if len(panel.series) > 1:
            # Beside the bars: they may fill all of the panel.
            axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))

    def _bar_colours(
        self, panel: Panel, series: Series, number: int, there: Sequence[int]
    ) -> list[str]:
        if series.name in self._colours:
            return [self._colours[series.name]] * len(there)
        if len(panel.series) > 1:
            return [COLOURS[number % len(COLOURS)]] * len(there)
        return [self._colours.get(panel.categories[i], COLOURS[0]) for i in there]

    def _lines(self, axes: Axes, panel: Panel, unit: _Scale) -> None:
        for series in panel.series:
            axes.plot(
                series.x,
                [unit.of_value(v) for v in series.values],
                color=self._colours.get(series.name, COLOURS[0]),
                marker="o" if len(series.x) < 12 else None,
                markersize=3.5,
                linewidth=1.6,
                label=self._name(series.name),
            )
        axes.set_xlabel(self._words(f"report.{panel.x_title}"), fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=8, frameon=False)

    def _points(self, axes: Axes, panel: Panel, unit: _Scale) -> None:
        across = _Scale.of(panel.x_unit, [x for s in panel.series for x in s.x])
        # Names of neighbours go above and below in turn, or they would cover each other.
        for number, series in enumerate(sorted(panel.series, key=lambda s: (s.x, s.values))):
            x = [across.of_value(v) for v in series.x]
            y = [unit.of_value(v) for v in series.values]
            axes.scatter(x, y, s=60, color=self._colours.get(series.name, COLOURS[0]))
            axes.annotate(
                self._name(series.name),
                (x[0], y[0]),
                xytext=(0, 8 if number % 2 else -16),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
        axes.set_xlabel(self._titled(panel.x_title, across), fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.25, y=0.25)

    def _titled(self, key: str, unit: _Scale) -> str:
        return self._words(f"report.{key}") + (f" ({unit.name})" if unit.name else "")

    def _name(self, name: str) -> str:
        if name in ("local", "rented", "serverless"):
            return self._words(f"report.cost_{name}")
        return self._names.get(name, name)

    def _category(self, name: str, panel: Panel) -> str:
        if panel.named:
            return self._words(f"{panel.named}.{name.replace('-', '_')}")
        return self._names.get(name, name)


@dataclass(frozen=True, slots=True)
class _Scale:
    """What an axis counts in, so that its marks are round numbers."""

    factor: float = 1.0
    name: str = ""

    @classmethod
    def of(cls, unit: Unit, values: Sequence[float | None]) -> _Scale:
        largest = max((abs(v) for v in values if v is not None), default=0.0)
        fitting = [step for step in _STEPS.get(unit, ()) if largest >= step[0]]
        if fitting:
            return cls(*fitting[-1][1:])
        return cls(*_STEPS[unit][0][1:]) if unit in _STEPS else cls()

    def of_value(self, value: float | None) -> float:
        return math.nan if value is None else value / self.factor


_STEPS: Mapping[str, Sequence[tuple[float, float, str]]] = {
    "score": ((0, 0.01, "%"),),
    "change": ((0, 0.01, "%"),),
    "s": ((0, 1, "s"), (120, 60, "min"), (7200, 3600, "h")),
    "bytes": (
        (0, 1, "B"),
        (1024, 1024, "KiB"),
        (1 << 20, 1 << 20, "MiB"),
        (1 << 30, 1 << 30, "GiB"),
    ),
    "parameters": ((0, 1, ""), (1e4, 1e3, "k"), (1e6, 1e6, "M"), (1e9, 1e9, "B")),
    "dollars": ((0, 1, "$"),),
}
"""From which value on, what an axis is divided by, and what it then counts in."""


def shown(value: float, unit: Unit) -> str:
    """A number as people read it."""
    scale = _Scale.of(unit, [value])
    number = value / scale.factor
    if unit == "dollars":
        return f"${value:.3g}"
    if unit in ("score", "change"):
        return f"{number:+.1f} %" if unit == "change" else f"{number:.1f} %"
    text = f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"
    return f"{text} {scale.name}".strip()


def _all(series: Series) -> list[float | None]:
    return [*series.values, *series.low, *series.high]


def _intervals(axes: Axes, series: Series, shift: float, unit: _Scale) -> None:
    for i, (low, high) in enumerate(zip(series.low, series.high, strict=True)):
        if low is not None and high is not None:
            ends = [unit.of_value(low), unit.of_value(high)]
            axes.plot([i + shift] * 2, ends, color=INK, linewidth=1.1)


def _needs_log(panel: Panel) -> bool:
    values = [v for s in panel.series for v in s.values if v]
    wide = bool(values) and min(values) > 0 and max(values) / min(values) > LOG_FROM
    return wide and panel.y_unit in ("", "s", "parameters", "bytes")
