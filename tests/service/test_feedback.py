from __future__ import annotations

import pytest

from javis.core.errors import NotFound, UserInputError
from tests.service.conftest import Make
from tests.service.test_chat import ME, last


def test_the_last_vote_wins_and_the_history_stays(make: Make) -> None:
    services = make().services
    turn = last(services.chat.reply(ME, "hi"))
    services.feedback.rate(ME, turn.id, "bad", ["too_long"], "brevity, please")
    services.feedback.rate(ME, turn.id, "good")
    current = services.feedback.current(ME, turn.id)
    assert current is not None
    assert (current.rating, current.reasons) == ("good", ())
    history = services.feedback.history(ME, turn.id)
    assert [f.rating for f in history] == ["bad", "good"]
    assert history[0].comment == "brevity, please"


def test_a_vote_can_be_taken_back(make: Make) -> None:
    services = make().services
    turn = last(services.chat.reply(ME, "hi"))
    services.feedback.rate(ME, turn.id, "good")
    services.feedback.rate(ME, turn.id, None)
    assert services.feedback.current(ME, turn.id) is None
    assert services.feedback.readiness().rated == 0
    assert len(services.feedback.history(ME, turn.id)) == 2


def test_a_correction_keeps_both_texts(make: Make) -> None:
    services = make().services
    turn = last(services.chat.reply(ME, "hi"))
    services.feedback.rate(ME, turn.id, "bad", correction="Hello!")
    current = make().services.feedback.current(ME, turn.id)
    assert current is not None
    assert current.correction == "Hello!"
    assert services.chat.turn(ME, turn.id).reply == "[base] hi"


def test_an_unchanged_answer_is_no_correction(make: Make) -> None:
    services = make().services
    turn = last(services.chat.reply(ME, "hi"))
    assert services.feedback.rate(ME, turn.id, "bad", correction="[base] hi ").correction is None


def test_bad_ratings_are_refused(make: Make) -> None:
    services = make().services
    turn = last(services.chat.reply(ME, "hi"))
    with pytest.raises(NotFound):
        services.feedback.rate(ME, "t_unknown", "good")
    with pytest.raises(NotFound):
        services.feedback.rate("bob", turn.id, "good")
    for bad in ("great", 1, True):
        with pytest.raises(UserInputError):
            services.feedback.rate(ME, turn.id, bad)  # type: ignore[arg-type]
    assert services.feedback.history(ME, turn.id) == []


def test_readiness_counts_conflicts_and_personal_data(make: Make) -> None:
    services = make().services
    texts = ["plain", "What is up?", "what is  UP?", "mail kim@example.com", "call 010-1234-5678"]
    votes = ["good", "good", "bad", "good", "good"]
    for text, vote in zip(texts, votes, strict=True):
        services.feedback.rate(ME, last(services.chat.reply(ME, text)).id, vote)  # type: ignore[arg-type]
    ready = services.feedback.readiness()
    assert (ready.rated, ready.good, ready.bad) == (5, 4, 1)
    assert (ready.conflicts, ready.personal) == (2, 2)
    assert (ready.need_a_look, ready.usable) == (4, 1)
    assert ready.goal == 500


def test_readiness_follows_a_deleted_conversation(make: Make) -> None:
    services = make().services
    turn = last(services.chat.reply(ME, "hi"))
    services.feedback.rate(ME, turn.id, "good")
    assert services.feedback.readiness().usable == 1
    services.library.delete(ME, turn.conversation_id)
    assert services.feedback.readiness().usable == 0
