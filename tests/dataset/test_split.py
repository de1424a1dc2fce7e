"""The split by conversation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from javis.core.learning import Example
from javis.core.types import Message
from javis.dataset.split import HELD_OUT, split


def rows(*names: str) -> list[dict[str, str]]:
    return [{"conversation_id": name, "turn_id": f"{name}-{i}"} for name in names for i in (0, 1)]


def names(part: list[dict[str, str]]) -> set[str]:
    return {row["conversation_id"] for row in part}


@given(st.sets(st.text(min_size=1), max_size=60), st.integers(0, 9))
def test_whole_conversations_on_one_side_and_nothing_lost(ids: set[str], seed: int) -> None:
    given_rows = rows(*sorted(ids))
    parts = split(given_rows, seed)
    assert sorted(map(str, [*parts[0], *parts[1], *parts[2]])) == sorted(map(str, given_rows))
    train, valid, test = map(names, parts)
    assert not train & valid and not train & test and not valid & test
    assert bool(train) == bool(ids)
    assert bool(valid) == (len(ids) > 1)
    assert parts == split(given_rows, seed)


def test_shares_of_a_large_set() -> None:
    train, valid, test = split(rows(*(f"c_{i}" for i in range(2000))))
    assert abs(len(train) / 4000 - 0.8) < 0.03
    assert abs(len(valid) / 4000 - 0.1) < 0.03
    assert abs(len(test) / 4000 - 0.1) < 0.03


def test_a_small_set_holds_enough_out_for_the_gate() -> None:
    for count in (24, 40, 80):
        _, valid, _ = split(rows(*(f"c_{i}" for i in range(count))))
        assert len(names(valid)) >= min(HELD_OUT, count // 4)


def test_sides_stay_when_data_grows() -> None:
    before, after = (split(rows(*(f"c_{i}" for i in range(n)))) for n in (400, 800))
    for old, new in zip(before, after, strict=True):
        assert names(old) <= names(new)


def test_dataclasses_too() -> None:
    message = (Message("assistant", "a"),)
    examples = [Example(message, f"t{i}", f"c{i}", "liked") for i in range(20)]
    assert sum(map(len, split(examples))) == 20
