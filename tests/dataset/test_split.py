from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from javis.dataset.split import joined, sides, split

ids = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=60)


@dataclass(frozen=True)
class Row:
    conversation_id: str
    number: int


@given(ids, st.integers(0, 3))
def test_every_row_is_on_one_side_with_its_conversation(names: list[str], seed: int) -> None:
    rows = [Row(name, number) for name in names for number in range(2)]
    parts = split(rows, seed)
    assert sorted((r for part in parts for r in part), key=rows.index) == rows
    conversations = [{row.conversation_id for row in part} for part in parts]
    assert not conversations[0] & conversations[1]
    assert not conversations[0] & conversations[2]
    assert not conversations[1] & conversations[2]


@given(ids, st.integers(0, 3))
def test_with_two_conversations_there_is_something_to_train_on_and_to_judge_by(
    names: list[str], seed: int
) -> None:
    train, valid, _ = split([Row(name, 0) for name in names], seed)
    if len(names) > 1:
        assert train
        assert valid
    else:
        assert len(train) == len(names)


@given(ids, ids)
def test_a_trained_conversation_is_never_judged_by_later(few: list[str], more: list[str]) -> None:
    before, after = sides(few), sides([*few, *more])
    filler = [f"c_{number}" for number in range(100)]
    alone = {name: sides([*filler, name])[name] for name in few}
    for name in few:
        # A lone conversation is trained on, whatever its hash.
        if len(few) > 1 and before[name] == "train" and alone[name] == "train":
            assert after[name] == "train"


@given(ids, ids)
def test_nothing_moves_once_there_is_enough(few: list[str], more: list[str]) -> None:
    filler = [f"c_{number}" for number in range(100)]
    before, after = sides([*filler, *few]), sides([*filler, *few, *more])
    assert {name: after[name] for name in before} == before


def test_the_shares_are_about_right() -> None:
    parts = split([Row(f"c_{number}", number) for number in range(5_000)])
    assert [round(len(part) / 5_000, 1) for part in parts] == [0.8, 0.1, 0.1]


def test_another_seed_splits_otherwise() -> None:
    names = [f"c_{number}" for number in range(50)]
    assert sides(names, 1) != sides(names, 2)


def test_no_rows() -> None:
    assert split([]) == ([], [], [])


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 9))))
def test_conversations_that_say_one_thing_are_one_group(said: list[tuple[str, int]]) -> None:
    group = joined(said)
    assert group.keys() == {name for name, _ in said}
    by_content: dict[int, set[str]] = {}
    for name, content in said:
        by_content.setdefault(content, set()).add(group[name])
    assert all(len(names) == 1 for names in by_content.values())
    first = list(dict.fromkeys(name for name, _ in said))
    for name, leader in group.items():
        assert group[leader] == leader
        assert first.index(leader) <= first.index(name)


def test_a_group_holds_only_what_hangs_together() -> None:
    said = [("a", 1), ("b", 2), ("c", 1), ("d", 3), ("b", 3)]
    assert joined(said) == {"a": "a", "b": "b", "c": "a", "d": "b"}
    # A later one that joins two groups takes the name of the elder.
    assert set(joined([*said, ("e", 1), ("e", 3)]).values()) == {"a"}
