from __future__ import annotations

from typing import Any

import pytest

from javis.core.errors import NotFound, UserInputError
from javis.service.library import ImportRefused
from tests.service.conftest import Make
from tests.service.test_chat import ME, last

GOOD: dict[str, Any] = {
    "conversations": [
        {
            "title": "날씨",
            "turns": [
                {
                    "user": "오늘 어때?",
                    "assistant": "맑아요.",
                    "rating": "good",
                    "created_at": "2026-05-03T09:00:00+09:00",
                    "model": "elsewhere",
                    "version": "v0.9",
                },
                {
                    "user": "내일은?",
                    "assistant": "몰라.",
                    "rating": "bad",
                    "reasons": ["wrong_tone"],
                    "comment": "존댓말로",
                    "correction": "내일은 비가 와요.",
                },
            ],
        }
    ]
}


def test_an_import_is_there_with_its_votes(make: Make) -> None:
    services = make().services
    (conversation,) = services.library.bring_in(ME, GOOD)
    view = services.chat.view(ME, conversation.id)
    assert [v.turn.user for v in view.turns] == ["오늘 어때?", "내일은?"]
    assert view.turns[0].turn.created_at == "2026-05-03T00:00:00.000Z"
    assert view.turns[0].turn.version == "v0.9"
    second = view.turns[1].feedback
    assert second is not None
    assert (second.rating, second.correction) == ("bad", "내일은 비가 와요.")
    assert services.feedback.readiness().rated == 2


def test_one_bad_row_stops_the_whole_import_with_a_line_for_each(make: Make) -> None:
    services = make().services
    data = {
        "conversations": [
            *GOOD["conversations"],
            {"turns": [{"user": "", "assistant": "x"}, {"user": "x", "assistant": 5}]},
            {"turns": [{"user": "a", "assistant": "b", "rating": "fine"}]},
            {"turns": [{"user": "a", "assistant": "b", "created_at": "soon"}]},
            {"turns": [{"user": "a", "assistant": "b", "parent_id": "nobody"}]},
            "not a conversation",
            {"turns": [{"user": "a", "assistant": "b", "version_sha256": {}, "model": "x"}]},
            {"turns": [{"user": "a", "assistant": "b", "error": "x" * 5000}]},
            {"turns": [{"user": "a", "assistant": "b", "model": "\ud800"}]},
            {"turns": [{"user": "a", "assistant": "b", "sampling": {"seed": 10**400}}]},
            {"turns": [{"user": "a", "assistant": "b", "created_at": "0001-01-01T00:00+14:00"}]},
        ]
    }
    with pytest.raises(ImportRefused) as caught:
        services.library.bring_in(ME, data)
    assert len(caught.value.problems) == 10
    assert "conversation 2, turn 1" in caught.value.problems[0]
    assert services.library.page(ME)[1] == 0


@pytest.mark.parametrize("data", [None, [], {}, {"conversations": []}, {"conversations": "x"}, 5])
def test_a_file_of_another_shape_is_refused(make: Make, data: object) -> None:
    with pytest.raises(UserInputError, match=r'{"conversations": \['):
        make().services.library.bring_in(ME, data)


def test_what_goes_out_comes_back_the_same(make: Make) -> None:
    services = make().services
    first = last(services.chat.reply(ME, "one"))
    last(services.chat.reply(ME, "two", first.conversation_id))
    again = last(services.chat.regenerate(ME, first.id))
    services.feedback.rate(ME, again.id, "bad", ["other"], "hm", "better")
    out = {"conversations": list(services.library.take_out(ME))}
    (copy,) = services.library.bring_in(ME, out)
    before = services.chat.view(ME, first.conversation_id)
    after = services.chat.view(ME, copy.id)
    assert [v.turn.reply for v in before.turns] == [v.turn.reply for v in after.turns]
    assert [len(v.answers) for v in after.turns] == [2]
    feedback = after.turns[0].feedback
    assert feedback is not None
    assert feedback.correction == "better"
    assert after.conversation.title == before.conversation.title


def test_search_looks_into_titles_and_texts(make: Make) -> None:
    services = make().services
    last(services.chat.reply(ME, "제주도 여행 계획"))
    last(services.chat.reply(ME, "Bread recipe"))
    assert [c.title for c in services.library.page(ME, "제주")[0]] == ["제주도 여행 계획"]
    assert services.library.page(ME, "BREAD")[1] == 1
    assert services.library.page(ME, "[base]")[1] == 2
    assert services.library.page(ME, "nothing like it")[1] == 0


def test_delete_hides_and_restore_brings_back(make: Make) -> None:
    services = make().services
    turn = last(services.chat.reply(ME, "hi"))
    services.library.delete(ME, turn.conversation_id)
    assert services.library.page(ME)[1] == 0
    with pytest.raises(NotFound):
        services.chat.turn(ME, turn.id)
    services.library.restore(ME, turn.conversation_id)
    assert services.chat.turn(ME, turn.id).user == "hi"


def test_titles(make: Make) -> None:
    services = make().services
    turn = last(services.chat.reply(ME, "  A very long first line " * 10 + "\nsecond"))
    title = services.library.get(ME, turn.conversation_id).title
    assert title.startswith("A very long first line")
    assert len(title) <= 60
    services.library.rename(ME, turn.conversation_id, "  My   trip ")
    assert services.library.get(ME, turn.conversation_id).title == "My trip"
    for bad in ("", " ", "x" * 300, None):
        with pytest.raises(UserInputError):
            services.library.rename(ME, turn.conversation_id, bad)  # type: ignore[arg-type]


def test_markdown_shows_the_branch(make: Make) -> None:
    services = make().services
    turn = last(services.chat.reply(ME, "hi"))
    text = services.library.markdown(ME, turn.conversation_id)
    assert text.startswith("# hi")
    assert "[base] hi" in text
