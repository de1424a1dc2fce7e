"""Every kind of constraint, with right and wrong answers, and with whatever a model may write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from javis.eval.checks import CHECKS, check
from javis.eval.checks.text import bullets_of, sentences_of, words_of
from tests.eval.check_cases import CASES


@pytest.mark.parametrize(
    ("kind", "values", "right", "wrong"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_answers_are_told_apart(
    kind: str, values: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    constraint = {"kind": kind, **values}
    assert [answer for answer in right if not check(answer, constraint)] == []
    assert [answer for answer in wrong if check(answer, constraint)] == []


def test_every_kind_has_right_and_wrong_answers() -> None:
    seen = {kind for kind, _, right, wrong in CASES if right and wrong}
    assert seen == set(CHECKS)


@given(st.text(alphabet=st.sampled_from('ab 가다요.\n-#*1,{}[]"`|:?!<>~\r\x00\ufffd')) | st.text())
@settings(max_examples=150, deadline=None)
def test_no_answer_raises(answer: str) -> None:
    for kind, values, _, _ in CASES:
        assert check(answer, {"kind": kind, **values}) in (True, False)


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_an_empty_answer_meets_nothing(kind: str) -> None:
    """But that a language cannot be told: the suite refuses empty answers by itself."""
    for named, values, _, _ in CASES:
        if named == kind and kind not in ("language", "excludes"):
            assert not check(" \n", {"kind": kind, **values})


def test_an_unknown_kind_is_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        check("a", {"kind": "nonsense"})


def test_windows_line_ends_count_as_line_ends() -> None:
    assert check("- a\r\n- b\r\n", {"kind": "bullets", "min": 2, "max": 2, "only": True})


def test_long_answers_are_checked_quickly() -> None:
    import time

    start = time.perf_counter()
    for answer in ("a" * 50_000, "- x\n" * 10_000, "**" * 20_000, "[" * 20_000, "1" * 20_000):
        for kind, values, _, _ in CASES:
            check(answer, {"kind": kind, **values})
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("Hi", ["Hi"]),
        ("1. First point. 2. Second", ["First point.", "2.", "Second"]),
        ("He said \"stop.\" Then left.", ['He said "stop."', "Then left."]),
        ("값은 3.5입니다. 좋아요", ["값은 3.5입니다.", "좋아요"]),
        ("Use e.g. salt. Done.", ["Use e.g. salt.", "Done."]),
        ("# Title\nText.", ["Title", "Text."]),
    ],
)  # fmt: skip
def test_sentences(text: str, sentences: list[str]) -> None:
    assert sentences_of(text) == sentences


def test_marks_are_no_words() -> None:
    assert words_of("- a — b * 3") == ["a", "b", "3"]


def test_nested_points_belong_to_the_point_above() -> None:
    assert bullets_of("  - a\n      - deep\n  - b") == ["a", "b"]
