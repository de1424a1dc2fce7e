"""Every figure's data against the files they come from, and the pictures against the data."""

from __future__ import annotations

import json
import math
import struct
import warnings
from dataclasses import replace
from typing import Any, get_args

import pytest

from javis.eval.charts import Chart, ChartName, Panel, charts
from javis.eval.compare import compare
from javis.eval.comparison import Table
from javis.eval.figures import draw, families, figure_of, has_hangul, shown
from javis.service.report_words import Words
from tests.eval.comparing import Exam, drawn, report, source

FILTERS = {"rated": 40, "approved": 30, "pending": 4, "excluded": 6, "flagged": 5}
FLAGS = {"conflict": 2, "duplicate": 0, "personal": 3}
NAMES = {"base": "Base", "v1.0": "v1.0 · LoRA", "v1.1": "v1.1 · DPO"}


@pytest.fixture(scope="module")
def table() -> Table:
    exam = Exam()
    for seed, name in enumerate(("base", "v1.0", "v1.1")):
        exam.add(name, drawn(0.3 + seed / 5, seed=seed), "knowledge")
        exam.add(name, drawn(0.9, 20, seed=seed), "health")
    sources = [
        source("base"),
        source("v1.0", candidate=2.0, seconds=120.0),
        source("v1.1", "dpo", candidate=1.5, seconds=300.0),
    ]
    return compare(sources, exam.reports, exam.results)


@pytest.fixture(scope="module")
def all_charts(table: Table) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts(table, FILTERS | FLAGS)}


def panels(chart: Chart) -> dict[str, Panel]:
    return {panel.title: panel for panel in chart.panels}


def bars(panel: Panel) -> dict[str, float | None]:
    (series,) = panel.series
    return dict(zip(panel.categories, series.values, strict=True))


def test_all_six_are_there(all_charts: dict[str, Chart]) -> None:
    assert tuple(all_charts) == get_args(ChartName)
    assert not any(chart.empty for chart in all_charts.values())
    plain = [chart.plain() for chart in all_charts.values()]
    assert json.loads(json.dumps(plain, allow_nan=False))[0]["name"] == "filter_statistics"


def test_filter_statistics(all_charts: dict[str, Chart]) -> None:
    found = panels(all_charts["filter_statistics"])
    assert bars(found["turns"]) == {"rated": 40, "approved": 30, "pending": 4, "excluded": 6}
    assert bars(found["flags"]) == FLAGS


def test_training_curves(all_charts: dict[str, Chart]) -> None:
    found = panels(all_charts["training_curves"])
    # By hand from report.json: each line of the curve has the one loss or the other.
    said = report()["curve"]
    for title, key in (("train_loss", "loss"), ("eval_loss", "eval_loss")):
        assert [s.name for s in found[title].series] == ["v1.0", "v1.1"]
        for series in found[title].series:
            assert series.x == tuple(p["step"] for p in said if key in p)
            assert series.values == tuple(p[key] for p in said if key in p)


def test_model_comparison(all_charts: dict[str, Chart]) -> None:
    found = panels(all_charts["model_comparison"])
    assert bars(found["eval_loss"]) == {"base": 4.0, "v1.0": 2.0, "v1.1": 1.5}
    perplexity = bars(found["perplexity"])
    assert perplexity == pytest.approx(
        {n: math.e**x for n, x in (("base", 4), ("v1.0", 2), ("v1.1", 1.5))}
    )
    assert bars(found["loss_change"]) == {"base": None, "v1.0": -0.5, "v1.1": -0.625}
    for seed, name in enumerate(NAMES):
        knowledge = sum(drawn(0.3 + seed / 5, seed=seed).values()) / 40
        health = sum(drawn(0.9, 20, seed=seed).values()) / 20
        mean = bars(found["mean_score"])[name]
        assert mean == pytest.approx((knowledge + health) / 2)


def test_efficiency(all_charts: dict[str, Chart]) -> None:
    found = panels(all_charts["efficiency"])
    assert bars(found["seconds"]) == {"v1.0": 120.0, "v1.1": 300.0}
    assert bars(found["trainable_parameters"]) == {"v1.0": 4_884_480, "v1.1": 4_884_480}
    assert bars(found["size_bytes"]) == {"v1.0": 39_000_000, "v1.1": 39_000_000}
    assert bars(found["peak_memory_bytes"]) == {"v1.0": 2**31, "v1.1": 2**31}
    costs = {series.name: series.values for series in found["cost"].series}
    assert costs["local"] == (0.0, 0.0)
    assert costs["rented"] == pytest.approx((0.69 * 120 / 3600, 0.69 * 300 / 3600))
    assert costs["serverless"] == pytest.approx((0.00031 * 120, 0.00031 * 300))


def test_benchmark(all_charts: dict[str, Chart]) -> None:
    (panel,) = all_charts["benchmark"].panels
    assert panel.categories == ("knowledge", "health")
    for seed, series in enumerate(panel.series):
        want = sum(drawn(0.3 + seed / 5, seed=seed).values()) / 40
        value, low, high = series.values[0], series.low[0], series.high[0]
        assert value == pytest.approx(want)
        assert low is not None and high is not None
        # The textbook interval of a mean, which the bootstrap comes near to.
        half = 2.02 * math.sqrt(want * (1 - want) / 39)
        assert (low, high) == pytest.approx((want - half, want + half), abs=0.03)


def test_trade_off(all_charts: dict[str, Chart], table: Table) -> None:
    time, size = all_charts["trade_off"].panels
    # The base took no effort here, which is no number.
    assert [s.name for s in time.series] == ["v1.0", "v1.1"]
    for name, seconds, trained in (("v1.0", 120, 4_884_480), ("v1.1", 300, 4_884_480)):
        want = next(r.mean_score for r in table.rows if r.version == name)
        points = {s.name: (s.x, s.values) for s in time.series}
        assert points[name] == ((seconds,), (want,))
        assert {s.name: s.x for s in size.series}[name] == (trained,)
    assert (time.y_unit, time.x_unit, time.better) == ("score", "s", "higher")


def test_trade_off_of_losses_on_different_rows_is_of_their_change() -> None:
    sources = [source("v1.0"), source("v1.1", base=8.0)]
    found = charts(compare(sources, [], Exam().results), {})[-1]
    assert [s.values for s in found.panels[0].series] == [(-0.5,), (-0.75,)]
    same = charts(compare(sources[:1], [], Exam().results), {})[-1]
    assert same.panels[0].title == "eval_loss"


# -- the pictures ------------------------------------------------------------------------------


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("name", get_args(ChartName))
def test_every_chart_is_drawn_with_every_letter(
    all_charts: dict[str, Chart], name: str, language: str
) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        png = draw(all_charts[name], Words(language), NAMES)
    missing = [w for w in said if "missing from" in str(w.message)]
    assert (language == "ko" and not has_hangul()) or not missing
    width, height = size_of(png)
    assert width > 600 and height > 300
    assert len(png) > 10_000


def test_the_same_data_give_the_same_picture(all_charts: dict[str, Chart]) -> None:
    first, second = (draw(all_charts["benchmark"], Words("en"), NAMES) for _ in range(2))
    assert first == second


def heights(axes: Any) -> list[float]:
    return [bar.get_height() for bar in axes.patches]


def test_bars_are_as_high_as_the_data_say(all_charts: dict[str, Chart]) -> None:
    loss, perplexity, change, score = figure_of(
        all_charts["model_comparison"], Words("en"), NAMES
    ).axes
    assert heights(loss) == [4.0, 2.0, 1.5]
    assert heights(perplexity) == pytest.approx([math.exp(4), math.exp(2), math.exp(1.5)])
    assert heights(change) == [-50.0, -62.5]
    assert score.get_ylim() == (0, 105)
    assert [label.get_text() for label in loss.get_xticklabels()] == list(NAMES.values())
    minutes = figure_of(all_charts["efficiency"], Words("en"), NAMES).axes[0]
    assert heights(minutes) == [2.0, 5.0]
    assert minutes.get_title() == "Training time (min)"


def test_lines_and_points_lie_where_the_data_say(all_charts: dict[str, Chart]) -> None:
    first = figure_of(all_charts["training_curves"], Words("en"), NAMES).axes[0]
    assert first.lines[0].get_xydata().tolist() == [[1, 4.5], [2, 3.0], [3, 2.0]]
    time = figure_of(all_charts["trade_off"], Words("en"), NAMES).axes[0]
    assert [c.get_offsets()[0][0] for c in time.collections] == [2, 5]


def test_a_version_keeps_its_colour(all_charts: dict[str, Chart]) -> None:
    loss = figure_of(all_charts["model_comparison"], Words("en"), NAMES).axes[0]
    time = figure_of(all_charts["efficiency"], Words("en"), NAMES).axes[0]
    colours = [bar.get_facecolor() for bar in loss.patches]
    assert colours[1:] == [bar.get_facecolor() for bar in time.patches]
    assert len(set(colours)) == 3


def test_a_scale_is_logarithmic_where_one_bar_would_hide_the_others() -> None:
    def of(parameters: int) -> str:
        small = source("v1.1")
        train = dict(small.report["train"]) | {"trainable_parameters": parameters}
        pair = [source("v1.0"), replace(small, report=dict(small.report) | {"train": train})]
        chart = charts(compare(pair, [], Exam().results), {})[3]
        return str(figure_of(chart, Words("en"), NAMES).axes[1].get_yscale())

    assert of(11_520) == "log"
    assert of(1_000_000) == "linear"


def test_what_was_not_measured_is_said(all_charts: dict[str, Chart]) -> None:
    empty = charts(compare([], [], Exam().results), {})
    assert all(chart.empty for chart in empty if chart.name != "filter_statistics")
    for chart in empty:
        draw(chart, Words("en"), {})
    axes = figure_of(empty[-1], Words("en"), {}).axes[0]
    assert [t.get_text() for t in axes.texts] == ["Nothing measured yet"]


def test_some_font_is_always_found() -> None:
    assert families()[-1] == "DejaVu Sans"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "score", "50.0 %"),
        (-0.25, "change", "-25.0 %"),
        (90, "s", "90 s"),
        (600, "s", "10 min"),
        (9000, "s", "2.5 h"),
        (0, "bytes", "0 B"),
        (39_170_975, "bytes", "37.4 MiB"),
        (4_884_480, "parameters", "4.88 M"),
        (576, "parameters", "576"),
        (0.0325, "dollars", "$0.0325"),
        (95.58, "", "95.6"),
        (12345.6, "", "12,346"),
    ],
)
def test_numbers_are_shown_as_people_read_them(value: float, unit: Any, text: str) -> None:
    assert shown(value, unit) == text
