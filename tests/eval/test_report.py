"""What is said of results, held against independent computations and against simulation."""

from __future__ import annotations

import math
import random
from statistics import NormalDist, stdev

import pytest

from javis.commands.evaluate import table
from javis.core.evaluation import ItemResult, Subject
from javis.eval.power import POWER, detectable, items_needed, spread_of
from javis.eval.report import distinct, estimate, make_report
from tests.eval.small_suite import SumSuite

BASE = Subject("base", "", "m", "e", "q")


def result(n: int, score: float | None, answer: str = "", **details: float) -> ItemResult:
    answers = (answer,) if answer else ()
    language, group = ("ko", "en")[n % 2], "even" if n % 2 == 0 else "odd"
    return ItemResult(f"i{n}", language, group, score, answers, details, 0.5, 7)


def test_the_numbers_of_a_report() -> None:
    scores = [1.0, 0.0, 1.0, 0.5, 1.0, None]
    results = [result(n, score) for n, score in enumerate(scores)]
    report = make_report(SumSuite(), BASE, results, 10, "2026-11-21T00:00:00Z")
    assert (report.items, report.done) == (10, 6)
    assert report.score is not None
    assert report.score.value == pytest.approx(0.7)
    assert 0 <= report.score.low < 0.7 < report.score.high <= 1
    assert {name: e.value for name, e in report.groups.items()} == {"even": 1.0, "odd": 0.25}
    assert {name: e.value for name, e in report.languages.items()} == {"ko": 1.0, "en": 0.25}
    assert (report.seconds, report.tokens) == (3.0, 42)
    # 2.8 standard errors: (1.96 + 0.84) of the spread of these five and one of each end.
    spread = stdev([1.0, 0.0, 1.0, 0.5, 1.0, 1.0, 0.0])
    assert report.items_for_5_points == math.ceil((2.8016 * spread / 0.05) ** 2)


def test_loss_and_perplexity_are_by_token_and_not_by_answer() -> None:
    results = [result(0, None, nll=20.0, tokens=10), result(1, None, nll=1.0, tokens=1)]
    report = make_report(SumSuite(name="held-out"), BASE, results, 2)
    assert report.score is None
    assert (report.detects, report.items_for_5_points) == (None, None)
    assert report.figures["loss"] == pytest.approx(21 / 11)
    assert report.figures["perplexity"] == pytest.approx(math.exp(21 / 11))
    worst = [result(0, None, nll=1e6, tokens=1), result(1, None, nll=math.inf, tokens=1)]
    assert math.isfinite(make_report(SumSuite(), BASE, worst, 2).figures["perplexity"])


def test_variety_and_length_of_answers() -> None:
    assert distinct(["a b a b a"], 2) == pytest.approx(2 / 4)
    assert distinct(["a b", "a b", "c"], 2) == pytest.approx(1 / 2)
    assert distinct(["a", ""], 2) == 0
    figures = make_report(SumSuite(), BASE, [result(0, 1.0, "a b c")], 1).figures
    assert figures == {"mean_characters": 5, "distinct_2": 1.0}


def test_no_results_are_no_score() -> None:
    report = make_report(SumSuite(), BASE, [], 10)
    assert (report.score, report.detects, report.done, report.figures) == (None, None, 0, {})


def test_equal_answers_are_not_taken_for_certain() -> None:
    all_right = estimate([1.0] * 20)
    assert all_right.value == all_right.high == 1
    assert 0.8 < all_right.low < 0.9  # Wilson: 20 of 20
    assert estimate([0.0] * 20).high == pytest.approx(1 - all_right.low)
    half = estimate([0.5] * 4)
    # Wilson 1927 for 2 of 4.
    assert (half.value, half.low, half.high) == pytest.approx((0.5, 0.1500, 0.8500), abs=5e-5)
    one = estimate([0.4])
    assert (one.low, one.high) == (0, 1)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    chance = random.Random(0)
    held = 0
    for _ in range(300):
        scores = [float(chance.random() < 0.7) for _ in range(60)]
        found = estimate(scores, resamples=400)
        held += found.low <= 0.7 <= found.high
    assert 0.92 <= held / 300 <= 0.985


def test_a_report_does_not_depend_on_the_order_of_its_results() -> None:
    results = [result(n, float(n % 3 == 0), "x y") for n in range(30)]
    shuffled = random.Random(1).sample(results, len(results))
    reports = [make_report(SumSuite(), BASE, rows, 30, "now") for rows in (results, shuffled)]
    assert reports[0] == reports[1]


def test_items_needed_and_what_they_show_are_inverse() -> None:
    for items in (30, 200, 5000):
        assert abs(items_needed(0.4, detectable(0.4, items)) - items) <= 1
    assert detectable(0.5, 400) == pytest.approx(detectable(0.5, 100) / 2)
    with pytest.raises(ValueError, match="no difference"):
        items_needed(0.4, 0)


@pytest.mark.parametrize("items", [50, 200])
def test_the_difference_said_is_seen_as_often_as_said(items: int) -> None:
    """Two versions whose scores correlate by one half, one better by just that much."""
    chance = random.Random(items)
    spread = 0.3
    difference = detectable(spread, items)
    limit = NormalDist().inv_cdf(0.975)
    seen = runs = 0
    for _ in range(1500):
        gaps = []
        for _ in range(items):
            shared = chance.gauss(0, spread * math.sqrt(0.5))
            before = shared + chance.gauss(0, spread * math.sqrt(0.5))
            after = shared + chance.gauss(0, spread * math.sqrt(0.5)) + difference
            gaps.append(after - before)
        mean = sum(gaps) / items
        error = math.sqrt(sum((g - mean) ** 2 for g in gaps) / (items - 1) / items)
        seen += mean / error > limit
        runs += 1
    assert seen / runs == pytest.approx(POWER, abs=0.04)


def test_the_spread_of_equal_scores_is_not_nothing() -> None:
    assert spread_of([]) == 0.5
    assert 0.15 < spread_of([1.0] * 20) < 0.35
    assert spread_of([1.0, 0.0] * 200) == pytest.approx(0.5, abs=0.01)


def test_the_command_line_says_how_many_items_five_points_need() -> None:
    report = make_report(SumSuite(), BASE, [result(n, float(n % 2)) for n in range(20)], 20)
    head, line = table([report])
    start = head.index("for ±5")
    assert line[start : start + 6].strip() == str(report.items_for_5_points)
    assert 700 < int(line[start : start + 6]) < 900
