"""Near-same texts, Korean ones first."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from javis.dataset.dedupe import NearIndex, fold, near_same, ngrams, resemblance, salt_of

SAME = [
    ("오늘 날씨 어때?", "오늘날씨 어때"),
    ("What is up?", "what is  UP?"),
    ("ＡＢＣ 테스트", "abc 테스트"),
    (
        "내일 서울에서 부산까지 가는 기차표를 예매하는 방법을 알려주세요",
        "내일 서울에서 부산까지 가는 기차표 예매하는 방법을 알려 주세요",
    ),
    (
        "Could you please write me a short poem about the autumn sea?",
        "could you please write me a short poem about the autumn sea",
    ),
]
OTHER = [
    ("What is 12+7?", "What is 12-7?"),
    ("C", "C++"),
    ("네", "예"),
    ("프랑스의 수도는 어디인가요?", "독일의 수도는 어디인가요?"),
    ("1월 5일 일정을 알려줘 부탁해요", "1월 6일 일정을 알려줘 부탁해요"),
    (
        "어제 10도, 오늘 20도. 안내 문장을 써 주세요.",
        "어제 10도, 오늘 21도. 안내 문장을 써 주세요.",
    ),
    ("", "a"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_near_same(one: str, other: str) -> None:
    assert near_same(one, other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_not_the_same(one: str, other: str) -> None:
    assert not near_same(one, other)


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_same_both_ways(one: str, other: str) -> None:
    assert near_same(one, one)
    assert near_same(one, other) == near_same(other, one)


@given(st.text(min_size=1, max_size=40))
def test_blanks_and_sentence_marks_say_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text) or not fold(text).isascii()
    assert ngrams(fold(text))


def variants(count: int) -> list[tuple[str, str]]:
    """Korean sentences, each with a copy in which a word has another ending."""
    draw = random.Random(7)
    syllables = [chr(0xAC00 + draw.randrange(11172)) for _ in range(400)]
    pairs = []
    for _ in range(count):
        words = ["".join(draw.choices(syllables, k=draw.randint(2, 4))) for _ in range(14)]
        changed = [*words]
        changed[draw.randrange(14)] += "은"
        pairs.append((" ".join(words), " ".join(changed)))
    return pairs


def test_the_index_finds_near_ones_and_little_else() -> None:
    pairs = variants(400)
    index = NearIndex()
    index.add([(i, fold(one), 0) for i, (one, _) in enumerate(pairs)])
    found = [index.candidates(fold(other), 0) for _, other in pairs]
    assert sum(i in got for i, got in enumerate(found)) >= 0.97 * len(pairs)
    assert sum(map(len, found)) < 1.2 * len(pairs)
    # Added all at once, the same pairs meet.
    both = NearIndex()
    both.add([(i, fold(one), 0) for i, (one, _) in enumerate(pairs)])
    both.add([(i + 400, fold(other), 0) for i, (_, other) in enumerate(pairs)])
    met = set(both.pairs())
    assert sum((i, i + 400) in met for i in range(400)) >= 0.97 * len(pairs)


def test_words_as_grams_would_miss_korean_endings() -> None:
    """The broken variant: whole words instead of character n-grams."""
    one, other = SAME[3]
    words, others = set(one.split()), set(other.split())
    assert len(words & others) / len(words | others) < 0.8
    assert resemblance(fold(one), fold(other)) >= 0.8


def test_another_salt_is_another_text() -> None:
    index = NearIndex()
    index.add([(1, "오늘날씨어때", salt_of("a"))])
    assert index.candidates("오늘날씨어때", salt_of("a")) == [1]
    assert index.candidates("오늘날씨어때", salt_of("b")) == []


def test_what_is_gone_is_found_no_more_and_one_by_one_is_the_same_as_many() -> None:
    pairs = variants(300)
    many, single = NearIndex(), NearIndex()
    many.add([(i, fold(one), 0) for i, (one, _) in enumerate(pairs)])
    for i, (one, _) in enumerate(pairs):
        single.add([(i, fold(one), 0)])
    for _, other in pairs[:50]:
        assert many.candidates(fold(other), 0) == single.candidates(fold(other), 0)
    for index in (many, single):
        index.keep(lambda id_: id_ % 2 == 0)
        assert len(index) == 150
        assert index.candidates(fold(pairs[0][0]), 0) == [0]
        assert index.candidates(fold(pairs[1][0]), 0) == []


def test_a_flood_of_variants_does_not_stop_it() -> None:
    base = "이 문장을 아주 조금씩 바꾸어서 천 번이나 올리는 사람이 있습니다 그래도 괜찮습니다"
    texts = [fold(f"{base} {chr(0xAC00 + i)}") for i in range(2_000)]
    start = time.perf_counter()
    index = NearIndex()
    index.add([(i, text, 0) for i, text in enumerate(texts)])
    pairs = sum(1 for _ in index.pairs())
    assert len(index.candidates(texts[0], 0)) == 64
    assert pairs < 17 * 16 * 2_000
    assert time.perf_counter() - start < 10
