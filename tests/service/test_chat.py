"""A chat turn and what a user does to it, on a real store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from javis.bench.adapter import write_random_version
from javis.core.errors import (
    Busy,
    ContextOverflow,
    EngineError,
    NotFound,
    StoreError,
    UserInputError,
)
from javis.core.types import SamplingParams, Timings, Turn
from javis.service.chat import Options
from tests.service.conftest import Make

ME = "local"


def last(turns: Iterator[Turn]) -> Turn:
    return list(turns)[-1]


def remembering() -> tuple[list[list[str]], Callable[..., str]]:
    """An answerer that numbers its answers, and what it was shown for each."""
    seen: list[list[str]] = []

    def answer(messages: object, *_: object) -> str:
        seen.append([m.content for m in messages])  # type: ignore[attr-defined]
        return f"answer {len(seen)}"

    return seen, answer


def test_a_turn_is_stored_with_where_it_came_from(make: Make) -> None:
    chat = make(versions=["v1.0"]).services.chat
    options = Options(SamplingParams(temperature=0.3, seed=5), "base", "Be brief.")
    turn = last(chat.reply(ME, "안녕하세요", options=options))
    stored = chat.turn(ME, turn.id)
    assert stored == turn
    assert stored.reply == "[base] 안녕하세요"
    assert (stored.finish, stored.model, stored.engine) == ("stop", "scripted", "scripted")
    assert (stored.sampling.temperature, stored.sampling.seed) == (0.3, 5)
    assert stored.system_prompt == "Be brief."
    assert stored.timings.completion_tokens == 2
    assert stored.timings.total_ms > 0


def test_a_missing_seed_is_drawn_and_stored(make: Make) -> None:
    chat = make().services.chat
    seeds = {last(chat.reply(ME, "hi")).sampling.seed for _ in range(3)}
    assert None not in seeds
    assert len(seeds) == 3


def test_the_message_is_stored_before_the_model_is_asked(make: Make) -> None:
    application = make(delay_s=60)
    turns = application.services.chat.reply(ME, "keep me")
    turn = next(turns)
    again = make()
    assert again.services.chat.turn(ME, turn.id).user == "keep me"
    turns.close()


def test_history_reaches_the_model_in_order(make: Make) -> None:
    seen, answer = remembering()
    chat = make(answer=answer).services.chat
    one = last(chat.reply(ME, "one", options=Options(system_prompt="S")))
    last(chat.reply(ME, "two", one.conversation_id, Options(system_prompt="S")))
    assert seen[1] == ["S", "one", "answer 1", "two"]


def test_regenerate_keeps_the_earlier_answer_reachable(make: Make) -> None:
    chat = make().services.chat
    first = last(chat.reply(ME, "hi"))
    second = last(chat.regenerate(ME, first.id))
    (shown,) = chat.view(ME, first.conversation_id).turns
    assert shown.turn.id == second.id
    assert shown.answers == (first.id, second.id)
    (shown,) = chat.select(ME, first.id).turns
    assert shown.turn.id == first.id
    assert shown.answer_index == 0


def test_an_edited_message_makes_a_branch_and_the_old_one_stays(make: Make) -> None:
    chat = make().services.chat
    first = last(chat.reply(ME, "hi"))
    follow = last(chat.reply(ME, "more", first.conversation_id))
    edited = last(chat.edit_message(ME, first.id, "hello"))
    view = chat.view(ME, first.conversation_id)
    assert [v.turn.id for v in view.turns] == [edited.id]
    assert view.turns[0].edits == (first.id, edited.id)
    back = chat.select(ME, first.id)
    assert [v.turn.id for v in back.turns] == [first.id, follow.id]


def test_an_edited_answer_stands_beside_the_models(make: Make) -> None:
    chat = make().services.chat
    turn = last(chat.reply(ME, "hi"))
    edited = chat.edit_reply(ME, turn.id, "my own words")
    assert chat.turn(ME, turn.id).reply == "[base] hi"
    assert (edited.finish, edited.edited_from) == ("edited", turn.id)
    assert last(chat.reply(ME, "more", turn.conversation_id)).parent_id == edited.id


def test_an_edited_answer_has_nothing_of_how_the_models_came_about(make: Make) -> None:
    application = make(answer=lambda *_: "a b c", fail_after=1)
    chat = application.services.chat
    turns = chat.reply(ME, "hi")
    turn = next(turns)
    with pytest.raises(EngineError):
        list(turns)
    failed = replace(chat.turn(ME, turn.id), sources=("correction:t_1",))
    application.store.conversations.put_turn(failed)
    edited = chat.edit_reply(ME, turn.id, "my own words")
    assert failed.error and failed.timings.total_ms
    assert (edited.error, edited.timings, edited.sources) == (None, Timings(), ())


def test_a_branch_of_an_answer_that_is_being_written_is_not_written_for_ever(make: Make) -> None:
    chat = make(answer=lambda *_: "a b c", delay_s=0.01).services.chat
    turns = chat.reply(ME, "hi")
    copy = chat.branch(ME, next(turns).id, "copy")
    assert last(turns).finish == "stop"
    assert chat.view(ME, copy.id).turns[0].turn.finish == "interrupted"


def test_a_branch_is_a_conversation_of_its_own(make: Make) -> None:
    chat = make().services.chat
    first = last(chat.reply(ME, "one"))
    last(chat.reply(ME, "two", first.conversation_id))
    copy = chat.branch(ME, first.id, "copy")
    assert [v.turn.user for v in chat.view(ME, copy.id).turns] == ["one"]
    last(chat.reply(ME, "three", copy.id))
    assert len(chat.view(ME, first.conversation_id).turns) == 2


def test_stop_ends_the_answer_and_keeps_what_is_there(make: Make) -> None:
    application = make(answer=lambda *_: "word " * 500, delay_s=0.01)
    chat = application.services.chat
    turns = chat.reply(ME, "hi")
    for turn in turns:
        if len(turn.reply) > 20:
            chat.stop(ME, turn.conversation_id)
    assert turn.finish == "cancelled"
    assert 20 < len(chat.turn(ME, turn.id).reply) < 500
    assert not chat.stop(ME, turn.conversation_id)


def test_a_client_that_goes_away_frees_the_engine_and_loses_nothing(make: Make) -> None:
    application = make(answer=lambda *_: "word " * 500, delay_s=0.01)
    chat = application.services.chat
    turns = chat.reply(ME, "hi")
    for turn in turns:
        if len(turn.reply) > 20:
            break
    turns.close()
    assert application.engine.running == 0
    stored = chat.turn(ME, turn.id)
    assert stored.finish == "cancelled"
    assert len(stored.reply) > 20
    assert not chat.view(ME, turn.conversation_id).answering


def test_a_model_that_dies_leaves_the_text_so_far(make: Make) -> None:
    application = make(answer=lambda *_: "a b c d e f", fail_after=3)
    chat = application.services.chat
    turns = chat.reply(ME, "hi")
    with pytest.raises(EngineError):
        for turn in turns:
            pass
    stored = chat.turn(ME, turn.id)
    assert (stored.reply, stored.finish) == ("a b c", "error")
    application.engine.fail_after = None
    assert last(chat.regenerate(ME, turn.id)).finish == "stop"


def test_a_model_that_says_nothing_has_answered(make: Make) -> None:
    chat = make(answer=lambda *_: "").services.chat
    turn = last(chat.reply(ME, "hi"))
    assert (turn.reply, turn.finish) == ("", "stop")
    assert not chat.view(ME, turn.conversation_id).answering
    assert last(chat.reply(ME, "and now?", turn.conversation_id)).finish == "stop"


def test_a_model_that_repeats_itself_for_ever_comes_to_the_limit(make: Make) -> None:
    chat = make(answer=lambda *_: "la " * 100_000).services.chat
    turn = last(chat.reply(ME, "sing", None, Options(SamplingParams(max_tokens=40))))
    assert turn.finish == "length" and len(turn.reply.split()) == 40


def test_a_clock_set_back_changes_no_order(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    application = make()
    services = application.services
    first = last(services.chat.reply(ME, "one"))
    services.feedback.rate(ME, first.id, "good")
    for module in ("answerer", "chat", "feedback"):
        monkeypatch.setattr(f"javis.service.{module}.now_iso", lambda: "1999-12-31T00:00:00.000Z")
    second = last(services.chat.reply(ME, "two", first.conversation_id))
    services.feedback.rate(ME, first.id, "bad")
    view = services.chat.view(ME, first.conversation_id)
    assert [shown.turn.id for shown in view.turns] == [first.id, second.id]
    assert view.turns[0].feedback and view.turns[0].feedback.rating == "bad"
    application.store.close()
    again = make().services.chat.view(ME, first.conversation_id)
    assert [shown.turn.id for shown in again.turns] == [first.id, second.id]
    assert again.turns[0].feedback and again.turns[0].feedback.rating == "bad"


def test_a_fault_nobody_foresaw_is_no_stop_of_the_users(make: Make) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("/home/me/secret")

    chat = make(answer=broken).services.chat
    turns = chat.reply(ME, "hi")
    turn = next(turns)
    with pytest.raises(RuntimeError):
        list(turns)
    stored = chat.turn(ME, turn.id)
    assert (stored.finish, stored.error) == ("error", None)


def test_a_long_answer_is_stored_while_it_grows(make: Make) -> None:
    chat = make(answer=lambda *_: "word " * 300, delay_s=0.01).services.chat
    turns = chat.reply(ME, "hi")
    start = time.monotonic()
    for turn in turns:
        if time.monotonic() - start > 2.0:
            break
    stored = make().services.chat.turn(ME, turn.id)
    assert stored.finish is None
    assert len(stored.reply) > 50
    turns.close()


def test_one_answer_at_a_time_in_a_conversation(make: Make) -> None:
    chat = make(answer=lambda *_: "word " * 100, delay_s=0.01).services.chat
    turns = chat.reply(ME, "hi")
    turn = next(turns)
    assert chat.view(ME, turn.conversation_id).answering
    for change in (
        lambda: last(chat.reply(ME, "again", turn.conversation_id)),
        lambda: chat.edit_reply(ME, turn.id, "x"),
        lambda: chat.select(ME, turn.id),
        lambda: last(chat.regenerate(ME, turn.id)),
    ):
        with pytest.raises(Busy, match="still being written"):
            change()
    turns.close()
    assert len(chat.view(ME, turn.conversation_id).turns) == 1


def test_more_requests_than_places_wait_and_then_are_refused(make: Make) -> None:
    chat = make(answer=lambda *_: "word " * 100, delay_s=0.01, parallel=1).services.chat
    running = [chat.reply(ME, str(i)) for i in range(3)]
    for turns in running:
        next(turns)
    with pytest.raises(Busy, match="Too many"):
        next(chat.reply(ME, "one too many"))
    results: list[Turn] = []
    threads = [threading.Thread(target=lambda t=t: results.append(last(t))) for t in running]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [t.finish for t in results] == ["stop"] * 3


def test_a_conversation_over_the_context_names_the_turns_to_leave_out(make: Make) -> None:
    chat = make(context_tokens=100).services.chat
    turn = last(chat.reply(ME, "one " * 12))
    for _ in range(2):
        turn = last(chat.reply(ME, "more " * 5, turn.conversation_id))
    with pytest.raises(ContextOverflow) as caught:
        chat.reply(ME, "more " * 20, turn.conversation_id)
    assert caught.value.drop is not None
    before = len(chat.view(ME, turn.conversation_id).turns)
    assert before == 3
    options = Options(drop=caught.value.drop)
    kept = last(chat.reply(ME, "more " * 20, turn.conversation_id, options))
    assert kept.dropped_turns == caught.value.drop
    assert len(chat.view(ME, turn.conversation_id).turns) == 4
    # What was agreed to once is not asked about again.
    assert last(chat.regenerate(ME, kept.id)).dropped_turns == caught.value.drop
    again = last(chat.reply(ME, "and", turn.conversation_id))
    assert again.dropped_turns >= caught.value.drop
    with pytest.raises(ContextOverflow) as caught:
        chat.reply(ME, "more " * 60, turn.conversation_id)
    assert caught.value.drop is None


def test_what_another_tab_shows_is_not_what_is_continued(make: Make) -> None:
    seen, answer = remembering()
    chat = make(answer=answer).services.chat
    first = last(chat.reply(ME, "hi"))
    last(chat.regenerate(ME, first.id))
    told = last(chat.reply(ME, "why", first.conversation_id, after=first.id))
    assert told.parent_id == first.id and seen[-1] == ["hi", "answer 1", "why"]
    elsewhere = last(chat.reply(ME, "another chat"))
    for strange in (elsewhere.id, "nobody"):
        assert last(chat.reply(ME, "on", first.conversation_id, after=strange)).parent_id == (
            chat.view(ME, first.conversation_id).turns[-2].turn.id
        )


def test_an_answer_whose_end_finds_a_full_disk_ends_all_the_same(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = make()
    chat, store = application.services.chat, application.store
    answer = chat.reply(ME, "tell me")
    with monkeypatch.context() as full:

        def refuse(turn: Turn) -> None:
            raise StoreError("not_saved", "This could not be saved: full.")

        full.setattr(store.conversations, "put_turn", refuse)
        conversation = next(answer).conversation_id
        with pytest.raises(StoreError):
            list(answer)
        (shown,) = chat.view(ME, conversation).turns
        assert (shown.turn.finish, shown.turn.reply) == ("stop", "[base] tell me")
        assert store.conversations.turns(conversation)[0].finish is None
    # With room again it is stored as soon as somebody looks.
    chat.view(ME, conversation)
    assert store.conversations.turns(conversation)[0].reply == "[base] tell me"
    # One that is lost for good, as by another program, was cut off.
    store.conversations.put_turn(replace(shown.turn, finish=None))
    assert chat.view(ME, conversation).turns[0].turn.finish == "interrupted"


def test_a_message_over_the_context_is_refused_and_not_stored(make: Make) -> None:
    application = make(context_tokens=100)
    with pytest.raises(ContextOverflow) as caught:
        application.services.chat.reply(ME, "word " * 200)
    assert caught.value.drop is None
    assert application.services.library.page(ME)[1] == 0


@pytest.mark.parametrize("text", ["", "  ", "x" * 500_000, 5, {"a": 1}, None, "\ud800"])
def test_bad_messages_are_refused_and_nothing_is_stored(make: Make, text: object) -> None:
    services = make().services
    with pytest.raises(UserInputError):
        services.chat.reply(ME, text)  # type: ignore[arg-type]
    assert services.library.page(ME)[1] == 0


def test_nobody_reaches_the_turns_of_others(make: Make) -> None:
    chat = make().services.chat
    turn = last(chat.reply("alice", "secret"))
    for attempt in (
        lambda: chat.turn("bob", turn.id),
        lambda: chat.view("bob", turn.conversation_id),
        lambda: chat.reply("bob", "hi", turn.conversation_id),
        lambda: chat.regenerate("bob", turn.id),
        lambda: chat.edit_reply("bob", turn.id, "x"),
        lambda: chat.branch("bob", turn.id, "x"),
        lambda: chat.stop("bob", turn.conversation_id),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_an_unknown_version_is_refused_before_anything_is_stored(make: Make) -> None:
    services = make().services
    with pytest.raises(UserInputError, match="no version"):
        services.chat.reply(ME, "hi", options=Options(version="v9.9"))
    assert services.library.page(ME)[1] == 0


def test_an_answer_that_cannot_be_stored_leaves_no_empty_conversation(make: Make) -> None:
    services = make().services
    services.chat.stop_all()
    with pytest.raises(Busy, match="shut down"):
        next(services.chat.reply(ME, "hi"))
    assert services.library.page(ME)[1] == 0


def test_who_leaves_while_waiting_leaves_a_stopped_turn(make: Make) -> None:
    chat = make(answer=lambda *_: "word " * 100, delay_s=0.01, parallel=1).services.chat
    running = chat.reply(ME, "first")
    next(running)
    waiting = chat.reply(ME, "second")
    turn = next(waiting)
    waiting.close()
    assert chat.turn(ME, turn.id).finish == "cancelled"
    running.close()


def test_a_stop_while_waiting_ends_the_waiting(make: Make) -> None:
    chat = make(answer=lambda *_: "word " * 100, delay_s=0.01, parallel=1).services.chat
    running = chat.reply(ME, "first")
    next(running)
    waiting = chat.reply(ME, "second")
    turn = next(waiting)
    chat.stop(ME, turn.conversation_id)
    assert last(waiting).finish == "cancelled"
    running.close()


def test_a_version_for_another_base_is_refused_with_the_reason(make: Make, tmp_path: Path) -> None:
    write_random_version(tmp_path / "models", "v1.0", "Qwen2.5-7B-Instruct")
    services = make().services
    assert [v.name for v in services.versions.usable()] == ["base"]
    with pytest.raises(UserInputError, match=r"made for Qwen2\.5-7B-Instruct"):
        services.chat.reply(ME, "hi", options=Options(version="v1.0"))


def test_a_version_that_appears_answers_after_a_refresh(make: Make, tmp_path: Path) -> None:
    services = make().services
    write_random_version(tmp_path / "models", "v1.0", "scripted")
    services.versions.refresh()
    turn = last(services.chat.reply(ME, "hi", options=Options(version="v1.0")))
    assert turn.reply == "[v1.0] hi"
    assert turn.version_sha256 is not None
    assert len(turn.version_sha256) == 64


def test_waiting_in_line_counts_as_waiting_for_the_answer(make: Make) -> None:
    chat = make(answer=lambda *_: "word " * 20, delay_s=0.02, parallel=1).services.chat
    first = chat.reply(ME, "one")
    next(first)
    busy = threading.Thread(target=list, args=(first,))
    busy.start()
    began = time.monotonic()
    turn = last(chat.reply(ME, "two"))
    took_ms = (time.monotonic() - began) * 1000
    busy.join()
    assert turn.timings.total_ms == pytest.approx(took_ms, rel=0.2)
    assert turn.timings.ttft_ms > 0.4 * took_ms
    assert turn.timings.tokens_per_second < 100
