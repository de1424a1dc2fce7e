"""chrF against sacrebleu, similarity against the textbook table."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from javis.eval.text_match import chrf, common_subsequence, similarity

PAIRS = [
    ("the cat sat on the mat", "the cat sat on a mat"),
    ("오늘은 비가 옵니다.", "오늘은 비가 온다."),
    ("a", "a"),
    ("a", "b"),
    ("ab", "abcdefgh"),
    ("", "reference"),
    ("hypothesis", ""),
    ("", ""),
    ("   ", "a b"),
    ("The SAME text", "the same text"),
    ("한국어와 English가 섞인 문장", "English와 한국어가 섞인 문장입니다"),
    ("aaaa", "aa"),
    ("줄\n바꿈\t탭", "줄 바꿈 탭"),
]
TEXTS = st.text(
    alphabet=st.sampled_from("abc 가나다.\n") | st.characters(codec="utf-8"), max_size=40
).map(lambda text: unicodedata.normalize("NFC", text))
"""Composed, as sacrebleu takes other spellings of a character for other characters."""


@pytest.mark.parametrize(("said", "wanted"), PAIRS)
def test_chrf_is_that_of_sacrebleu(said: str, wanted: str) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    assert chrf(said, wanted) == pytest.approx(
        sacrebleu.sentence_chrf(said, [wanted]).score / 100, abs=1e-6
    )


@given(TEXTS, TEXTS)
@settings(max_examples=200, deadline=None)
def test_chrf_is_that_of_sacrebleu_for_any_text(said: str, wanted: str) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    assert chrf(said, wanted) == pytest.approx(
        sacrebleu.sentence_chrf(said, [wanted]).score / 100, abs=1e-6
    )


def test_hangul_taken_apart_is_the_same_text() -> None:
    said, wanted = "오늘은 비가 옵니다.", "오늘은 비가 온다."
    apart = unicodedata.normalize("NFD", said)
    assert chrf(apart, said) == 1
    assert chrf(apart, wanted) == chrf(said, wanted)


@pytest.mark.parametrize(
    ("said", "wanted", "value"),
    [
        ("abc", "abc", 1.0),
        ("abc", "xyz", 0.0),
        ("", "a", 0.0),
        # Orders 1 and 2: precisions 2/2 and 1/1, recalls 2/3 and 1/2, means 1 and 7/12.
        ("ab", "abc", 5 * (7 / 12) / (4 + 7 / 12)),
        # The other way round precision falls, which counts less.
        ("abc", "ab", 5 * (7 / 12) / (4 * 7 / 12 + 1)),
    ],
)
def test_chrf_reckoned_by_hand(said: str, wanted: str, value: float) -> None:
    assert chrf(said, wanted) == pytest.approx(value, abs=1e-12)


def by_table(a: str, b: str) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        before, row = row, [0]
        for at, y in enumerate(b):
            row.append(before[at] + 1 if x == y else max(before[at + 1], row[at]))
    return row[-1]


@given(st.text(alphabet="abc가", max_size=90), st.text(alphabet="abc가", max_size=90))
@settings(max_examples=200, deadline=None)
def test_common_subsequence_is_that_of_the_table(a: str, b: str) -> None:
    assert common_subsequence(a, b) == by_table(a, b)


def test_similarity() -> None:
    assert similarity("", "") == similarity("Same  text", "same text\n") == 1.0
    assert similarity("abc", "") == similarity("abc", "xyz") == 0.0
    assert similarity("abcd", "abxd") == 0.75
    assert similarity("한글", "\u1112\u1161\u11ab\u1100\u1173\u11af") == 1.0


@given(TEXTS, TEXTS)
@settings(max_examples=100, deadline=None)
def test_similarity_is_symmetric_and_bounded(a: str, b: str) -> None:
    assert similarity(a, b) == similarity(b, a)
    assert 0 <= similarity(a, b) <= 1
    assert similarity(a, a) == 1


def test_long_answers_take_no_time() -> None:
    import time

    start = time.perf_counter()
    similarity("가나다라 " * 4000, "가다라나 " * 4000)
    chrf("가나다라 " * 4000, "가다라나 " * 4000)
    assert time.perf_counter() - start < 5
