"""The golden set as questions: which answer counts, and what happens to turns that go."""

from __future__ import annotations

import pytest

from javis.core.errors import NotFound, UserInputError
from javis.core.types import Message, Turn
from tests.service.conftest import Application, Make


@pytest.fixture
def app(make: Make) -> Application:
    return make()


def add(app: Application, number: int, reply: str = "Green.", **more: str) -> str:
    """A conversation of two turns; returns the id of the second."""
    store = app.store.conversations
    conversation = store.create("ann")
    first = Turn(f"t_{number}a", conversation.id, None, "", "Hi", "Hello", "stop")
    turn = Turn(f"t_{number}", conversation.id, first.id, "", "Tea?", reply, "stop", **more)
    store.add_turn(first)
    store.add_turn(turn, head=True)
    return turn.id


def test_the_answer_that_counts(app: Application) -> None:
    golden, feedback = app.services.golden, app.services.feedback
    turn = add(app, 1, system_prompt="Be short.")
    row = golden.mark(turn, "ann")
    assert (row.reply, row.wanted, row.by) == ("Green.", "Green.", "ann")
    assert row.prompt == (
        Message("system", "Be short."),
        *(Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Tea?")),
    )
    feedback.rate("ann", turn, "bad")
    assert golden.rows()[0].wanted is None, "a disliked answer is none to compare with"
    feedback.rate("ann", turn, "bad", correction="Black.")
    assert golden.rows()[0].wanted == "Black."
    app.services.review.decide(turn, "edit", user="Which tea?", target="White.")
    row = golden.rows()[0]
    assert (row.wanted, row.prompt[-1].content) == ("White.", "Which tea?")
    feedback.rate("ann", turn, None)
    assert golden.rows()[0].wanted == "Green.", "the judgement was taken back"
    assert golden.rows()[0].reply == "Green."


def test_only_answered_turns_that_are_there(app: Application) -> None:
    golden = app.services.golden
    with pytest.raises(UserInputError, match="finished answer"):
        golden.mark(add(app, 1, "  "))
    with pytest.raises(NotFound):
        golden.mark("t_nowhere")
    kept, deleted = add(app, 2), add(app, 3)
    golden.mark(deleted)
    golden.mark(kept)
    assert golden.ids() == [deleted, kept]
    conversation = app.store.conversations.turns_by_id([deleted])[deleted].conversation_id
    app.store.conversations.delete(conversation, "ann")
    assert golden.ids() == [kept] == [row.turn_id for row in golden.rows()]
    with pytest.raises(NotFound):
        golden.mark(deleted)
    app.store.conversations.restore(conversation, "ann")
    assert golden.ids() == [deleted, kept]
    assert golden.unmark(kept) and golden.ids() == [deleted]
