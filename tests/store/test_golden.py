"""Golden marks: one for each turn, gone with the conversation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from javis.core.types import Turn
from javis.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as opened:
        yield opened


def test_a_mark_stays_until_it_is_taken_back(store: Store, tmp_path: Path) -> None:
    first = store.golden.mark("t_1", "ann")
    before = store.golden.revision
    assert store.golden.mark("t_1", "bob") == first, "marked twice it stays as it was"
    assert store.golden.revision == before
    store.golden.mark("t_2")
    assert [mark.turn_id for mark in store.golden.all()] == ["t_1", "t_2"]
    assert store.golden.unmark("t_1")
    assert not store.golden.unmark("t_1")
    assert not store.golden.is_marked("t_1")
    with open_store(tmp_path) as again:
        assert [mark.turn_id for mark in again.golden.all()] == ["t_2"]


def test_a_purge_takes_the_mark_along(store: Store) -> None:
    conversation = store.conversations.create("ann")
    turn = Turn("t_9", conversation.id, None, "", "Hi", "Hello", "stop")
    store.conversations.add_turn(turn, head=True)
    store.golden.mark("t_9")
    store.conversations.delete(conversation.id, "ann")
    assert store.golden.is_marked("t_9"), "it may be restored"
    store.conversations.purge(0)
    assert store.golden.all() == []
