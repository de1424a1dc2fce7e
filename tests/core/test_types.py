from __future__ import annotations

import math
from typing import Any

import pytest

from javis.core.errors import ContextOverflow, UserInputError
from javis.core.types import Feedback, SamplingParams, Timings, check_text


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": math.nan},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": math.inf},
        {"temperature": "hot"},
        {"temperature": True},
        {"temperature": None},
        {"top_p": 0},
        {"top_p": 2},
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"max_tokens": 2**63},
        {"max_tokens": 1.5},
        {"repetition_penalty": 0},
        {"seed": -1},
        {"seed": 2**70},
        {"seed": 10**400},
        {"temperature": -(10**400)},
        {"stop": "text"},
        {"stop": ("",)},
        {"stop": ("x",) * 17},
        {"stop": (1,)},
        {"stop": ("x" * 201,)},
        {"stop": ("\ud800",)},
    ],
)
def test_bad_sampling_is_refused_at_birth(bad: dict[str, Any]) -> None:
    with pytest.raises(UserInputError):
        SamplingParams(**bad)


def test_whole_numbers_may_come_as_floats() -> None:
    # Sliders and JSON give 512.0.
    assert SamplingParams(max_tokens=512.0, seed=3.0) == SamplingParams(max_tokens=512, seed=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "  \n", 5, None, {"a": 1}, ["x"], "\ud800", "x" * 11])
def test_bad_text_is_refused(text: object) -> None:
    with pytest.raises(UserInputError):
        check_text(text, "The message", 10)


@pytest.mark.parametrize("text", ["한국어 😀", "a\u2028b", "a\x00b", "👨‍👩‍👧", "\u202e"])
def test_unusual_text_is_kept(text: str) -> None:
    assert check_text(text, "The message", 10) == text


def test_feedback_refuses_what_it_does_not_know() -> None:
    for bad in ({"rating": "great"}, {"reasons": ("boring",)}, {"correction": ""}):
        with pytest.raises(UserInputError):
            Feedback("t_1", "2026-01-01T00:00:00.000Z", **bad)  # type: ignore[arg-type]


def test_an_overflow_says_what_helps() -> None:
    assert "12 tokens too long" in str(ContextOverflow(tokens=112, limit=100, drop=3))
    assert "3 oldest turns" in str(ContextOverflow(tokens=112, limit=100, drop=3))
    assert "Shorten it" in str(ContextOverflow(tokens=112, limit=100, drop=None))


def test_speed_counts_from_the_first_token() -> None:
    timings = Timings(completion_tokens=11, ttft_ms=500, total_ms=1500)
    assert timings.tokens_per_second == 10
    assert Timings().tokens_per_second == 0


def test_the_limits_of_a_seed_are_said_whole() -> None:
    with pytest.raises(UserInputError, match="between 0 and 4294967294, not 4294967295"):
        SamplingParams(seed=4294967295)


@pytest.mark.parametrize(
    ("tokens", "ttft_ms", "total_ms", "speed"),
    [(11, 100, 1100, 10), (0, 0, 600, 0), (1, 100, 600, 0), (3, 82.1, 82.4, 0), (2, 9, 9, 0)],
)
def test_a_speed_is_said_only_where_there_is_one(
    tokens: int, ttft_ms: float, total_ms: float, speed: float
) -> None:
    took = Timings(completion_tokens=tokens, ttft_ms=ttft_ms, total_ms=total_ms)
    assert took.tokens_per_second == speed
