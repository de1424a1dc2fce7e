"""Intervals hold what they promise, counted over many simulated cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import permutation_test, t

from javis.eval.intervals import (
    bootstrap_ratio,
    chance_of_fall,
    share_difference,
    student,
    wilson,
)


def test_wilson_agrees_with_published_values() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:857), table I: 81 of 263, 15 of 148, 0 of 20.
    for good, total, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)):
        assert wilson(good, total) == pytest.approx((good / total, low, high), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0, 0.1611), abs=5e-5)
    assert wilson(29, 29).high == 1
    assert wilson(0, 0) == (0.5, 0, 1)
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


def test_the_difference_of_shares_agrees_with_published_values() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:873), table II, method 10.
    assert share_difference(56, 70, 48, 80) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert share_difference(9, 10, 3, 10) == pytest.approx((0.6, 0.1705, 0.8090), abs=5e-5)


@pytest.mark.parametrize(
    ("degrees", "value", "far"),
    [
        (1, 12.71, 636.6),
        (2, 4.303, 31.60),
        (3, 3.182, 12.92),
        (4, 2.776, 8.610),
        (10, 2.228, 4.587),
    ],
)
def test_student_agrees_with_the_tables(degrees: int, value: float, far: float) -> None:
    assert student(0.975, degrees) == pytest.approx(value, rel=3e-4)
    assert student(0.9995, degrees) == pytest.approx(far, rel=4e-4)


def test_student_agrees_with_scipy() -> None:
    for degrees in (*range(1, 41), 100, 1000):
        for share in (0.001, 0.3, 0.5, 0.6, 0.975, 0.9995):
            theirs = float(t.ppf(share, degrees))
            assert student(share, degrees) == pytest.approx(theirs, rel=5e-5, abs=1e-9)


def test_the_bootstrap_is_the_same_every_time_and_weighs_by_tokens() -> None:
    sums, weights = [1.0, -2.0, 0.5, 3.0, 1.0, 2.0], [10.0, 10.0, 5.0, 20.0, 10.0, 30.0]
    first = bootstrap_ratio(sums, weights)
    assert first == bootstrap_ratio(sums, weights)
    assert first != bootstrap_ratio(sums, weights, seed=1)
    assert first.value == pytest.approx(sum(sums) / sum(weights))
    assert first.low < first.value < first.high


def test_one_group_says_nothing_and_none_is_refused() -> None:
    assert bootstrap_ratio([1.0], [2.0]) == (0.5, -math.inf, math.inf)
    with pytest.raises(ValueError, match="nothing"):
        bootstrap_ratio([], [])


@pytest.mark.parametrize("groups", [6, 10, 40])
def test_the_bootstrap_holds_the_truth_as_often_as_it_says(groups: int) -> None:
    rng = np.random.default_rng(groups)
    held = 0
    for _ in range(600):
        values = rng.normal(0.3, 1.0, groups)
        interval = bootstrap_ratio(values.tolist(), [1.0] * groups, resamples=1000)
        held += interval.low <= 0.3 <= interval.high
    # The plain percentiles hold it in 86 % of the cases for 6 groups.
    assert held / 600 >= 0.92


def test_many_groups_fit_into_memory() -> None:
    interval = bootstrap_ratio([1.0] * 200_000, [1.0] * 200_000, resamples=20)
    assert interval == (1, 1, 1)


def test_the_chance_of_a_fall_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    for count in (3, 7, 10):
        differences = rng.normal(-0.3, 1, count)
        theirs = permutation_test(
            (differences,), np.sum, permutation_type="samples", alternative="less"
        )
        assert chance_of_fall(differences) == pytest.approx(theirs.pvalue)
    assert chance_of_fall([-1.0] * 6) == 2**-6
    assert chance_of_fall([0.0] * 6) == 1
    with pytest.raises(ValueError, match="too many"):
        chance_of_fall([-1.0] * 14)
