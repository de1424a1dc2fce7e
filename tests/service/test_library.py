from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from javis.core.errors import NotFound, UserInputError
from javis.core.types import Conversation, SamplingParams
from javis.service.chat import Options
from javis.service.library import ImportRefused
from javis.service.review_search import ReviewFilters
from javis.service.services import Services
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


def test_many_bad_rows_are_counted_and_few_are_listed(make: Make) -> None:
    services = make().services
    data = {"conversations": [{"turns": [0] * 300}, *[0] * 300]}
    with pytest.raises(ImportRefused, match="600") as caught:
        services.library.bring_in(ME, data)
    assert len(caught.value.problems) == 50
    for many in ([{"turns": [0] * 100_001}], [0] * 100_001):
        with pytest.raises(UserInputError, match="At most"):
            services.library.bring_in(ME, {"conversations": many})


def test_a_date_in_the_future_keeps_nothing_at_the_top(make: Make) -> None:
    services = make().services
    turns = [{"user": "a", "assistant": "b", "created_at": "2999-01-01T00:00:00Z"}]
    (brought,) = services.library.bring_in(ME, {"conversations": [{"turns": turns}]})
    list(services.chat.reply(ME, "newer"))
    assert services.library.page(ME)[0][-1].id == brought.id


def test_an_imported_correction_helps_at_once(make: Make) -> None:
    app = make()
    turn = {"user": "Who wrote Hamlet?", "assistant": "x", "correction": "Shakespeare did."}
    app.services.library.bring_in(ME, {"conversations": [{"turns": [turn]}]})
    app.services.recall.wait(60)
    assert app.services.recall.find(ME, "Who wrote Hamlet?")


def test_a_long_imported_system_prompt_can_be_answered_again(make: Make) -> None:
    services = make(context_tokens=10**6).services
    turn = {"user": "a", "assistant": "b", "system_prompt": "x" * 24_000}
    (brought,) = services.library.bring_in(ME, {"conversations": [{"turns": [turn]}]})
    assert list(services.chat.regenerate(ME, brought.head or ""))[-1].finish == "stop"


@pytest.mark.parametrize("data", [None, [], {}, {"conversations": []}, {"conversations": "x"}, 5])
def test_a_file_of_another_shape_is_refused(make: Make, data: object) -> None:
    with pytest.raises(UserInputError, match=r'{"conversations": \['):
        make().services.library.bring_in(ME, data)


def out_and_in(services: Services, owner: str = ME) -> list[Conversation]:
    """Everything as a file, all of it deleted, and brought in again."""
    file = json.dumps({"conversations": list(services.library.take_out(owner))})
    for conversation in services.library.page(owner)[0]:
        services.library.delete(owner, conversation.id)
    return services.library.bring_in(owner, json.loads(file))


def test_what_goes_out_comes_back_the_same(make: Make) -> None:
    application = make()
    services, turns_of = application.services, application.store.conversations.turns
    options = Options(SamplingParams(max_tokens=2, stop=("§", "\n\n")), system_prompt="Be brief.")
    other = last(services.chat.reply(ME, "elsewhere"))
    first = last(services.chat.reply(ME, "one or two", options=options))
    second = last(services.chat.reply(ME, "two", first.conversation_id, Options(drop=1)))
    sources = ("a chunk", f"correction:{other.id}")
    application.store.conversations.put_turn(replace(second, sources=sources))
    services.chat.edit_reply(ME, second.id, "my own words")
    again = last(services.chat.regenerate(ME, first.id))
    services.feedback.rate(ME, again.id, "bad", ["other"], "hm", "better")
    before = services.chat.view(ME, first.conversation_id)
    turns = turns_of(first.conversation_id)

    copy, other_copy = sorted(out_and_in(services), key=lambda c: c.title, reverse=True)
    after = services.chat.view(ME, copy.id)
    copies = turns_of(copy.id)
    ids = {t.id: c.id for t, c in zip(turns, copies, strict=True)}
    moved = f"correction:{turns_of(other_copy.id)[0].id}"
    assert [t.finish for t in turns] == ["length", "stop", "edited", "stop"]
    for turn, made in zip(turns, copies, strict=True):
        assert made == replace(
            turn,
            id=ids[turn.id],
            conversation_id=copy.id,
            parent_id=turn.parent_id and ids[turn.parent_id],
            edited_from=turn.edited_from and ids[turn.edited_from],
            sources=("a chunk", moved) if turn.sources else (),
            timings=made.timings,
            origin="import",
        )
    assert [len(v.answers) for v in after.turns] == [2]
    (vote,) = (v.feedback for v in before.turns)
    assert vote is not None
    assert after.turns[0].feedback == replace(vote, turn_id=ids[again.id])
    assert after.conversation.title == before.conversation.title


def test_half_an_answer_stays_half_an_answer(make: Make) -> None:
    services = make().services
    options = Options(SamplingParams(max_tokens=2))
    turn = last(services.chat.reply(ME, "one two three", options=options))
    services.feedback.rate(ME, turn.id, "good")
    for _ in range(2):
        (row,) = services.review.page(ReviewFilters()).rows
        assert [flag.kind for flag in row.flags] == ["cut"]
        assert services.feedback.readiness().usable == 0
        out_and_in(services)


def test_an_answer_taken_out_while_it_was_written_is_no_whole_one(make: Make) -> None:
    services = make(answer=lambda *_: "a b c", delay_s=0.01).services
    turns = services.chat.reply(ME, "hi")
    next(turns)
    (copy,) = out_and_in(services)
    turns.close()
    assert services.chat.view(ME, copy.id).turns[0].turn.finish == "interrupted"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dropped_turns", -1),
        ("dropped_turns", True),
        ("dropped_turns", "1"),
        ("dropped_turns", 10**400),
        ("sources", "x"),
        ("sources", [1]),
        ("sources", ["x" * 300]),
        ("sampling", {"stop": "x"}),
        ("sampling", {"stop": [""]}),
        ("edited_from", 5),
        ("rated_at", "soon"),
    ],
)
def test_a_bad_value_of_an_export_is_named(make: Make, key: str, value: object) -> None:
    turn = {"user": "a", "assistant": "b", "rating": "good", key: value}
    with pytest.raises(ImportRefused, match=r"conversation 1, turn 1: "):
        make().services.library.bring_in(ME, {"conversations": [{"turns": [turn]}]})


def test_an_end_of_another_program_counts_as_none(make: Make) -> None:
    services = make().services
    turns = [{"user": "a", "assistant": "b", "finish": end} for end in ("eos", ["stop"], "stop")]
    (conversation,) = services.library.bring_in(ME, {"conversations": [{"turns": turns}]})
    found = [v.turn.finish for v in services.chat.view(ME, conversation.id).turns]
    assert found == ["imported", "imported", "stop"]


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


def test_delete_stops_the_answer_that_is_being_written(make: Make) -> None:
    application = make(answer=lambda *_: "word " * 500, delay_s=0.01)
    services = application.services
    turns = services.chat.reply(ME, "hi")
    turn = next(turns)
    with pytest.raises(NotFound):
        services.library.delete("eve", turn.conversation_id)
    assert next(turns).finish is None
    services.library.delete(ME, turn.conversation_id)
    assert last(turns).finish == "cancelled"
    services.library.restore(ME, turn.conversation_id)
    assert services.chat.turn(ME, turn.id).finish == "cancelled"


def test_everything_goes_out_once_however_much_is_said_meanwhile(make: Make) -> None:
    application = make()
    services, store = application.services, application.store
    made = [store.conversations.create(ME, str(n)) for n in range(250)]
    out = services.library.take_out(ME)
    titles = [next(out)["title"]]
    last(services.chat.reply(ME, "hi", made[0].id))
    titles += [row["title"] for row in out]
    assert sorted(titles) == sorted(c.title for c in made)


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
