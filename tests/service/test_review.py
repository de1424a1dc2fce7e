"""Review: what is flagged, what is decided, and what may be learned from in the end."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from javis.core.errors import NotFound, UserInputError
from javis.core.learning import Approved, ReviewRow
from javis.core.types import Conversation, Feedback, Message, SamplingParams, Turn
from javis.dataset.relations import AUTO_APPROVED_PER_USER
from javis.service.chat import Options
from javis.service.review import ReviewFilters, ReviewService
from javis.store import Store, new_conversation_id, new_turn_id, now_iso
from tests.service.conftest import Application, Make
from tests.service.test_chat import ME, last

LONG = "Please explain why the sky is blue and the sunset is red"
NEAR = "Please explain why the sky is blue and a sunset is red"


@pytest.fixture
def app(make: Make) -> Application:
    return make()


def say(app: Application, text: str, conversation: str | None = None, **options: Any) -> Turn:
    return last(app.services.chat.reply(ME, text, conversation, Options(**options)))


def rate(app: Application, turn: Turn, rating: Any, correction: str | None = None) -> str:
    app.services.feedback.rate(ME, turn.id, rating, correction=correction)
    return turn.id


def put(
    store: Store,
    *turns: tuple[str, str, Any, str | None],
    owner: str = ME,
    parents: Sequence[int | None] | None = None,
    **fields: Any,
) -> list[str]:
    """One conversation of (user, reply, rating, correction); returns the ids of its turns."""
    conversation_id = new_conversation_id()
    made: list[Turn] = []
    votes = []
    for number, (user, reply, rating, correction) in enumerate(turns):
        parent = parents[number] if parents else (number - 1 if number else None)
        parent_id = None if parent is None else made[parent].id
        known = {"finish": "stop", "version": "base"} | fields
        turn = Turn(new_turn_id(), conversation_id, parent_id, now_iso(), user, reply, **known)
        made.append(turn)
        if rating or correction:
            votes.append(Feedback(turn.id, now_iso(), rating, (), "", correction))
    head = made[-1].id
    conversation = Conversation(conversation_id, owner, "t", now_iso(), now_iso(), head)
    store.conversations.import_many([(conversation, made, votes)])
    return [turn.id for turn in made]


def kinds(row: ReviewRow) -> list[str]:
    return [flag.kind for flag in row.flags]


def texts(approved: Approved) -> str:
    """Every text that could be learned from."""
    said = [m.content for e in approved.examples for m in e.messages]
    for pair in approved.pairs:
        said += [*(m.content for m in pair.prompt), pair.chosen, pair.rejected]
    for row in approved.judged:
        said += [*(m.content for m in row.prompt), row.completion]
    return "\n".join(said)


# -- status ----------------------------------------------------------------------------------


def test_what_counts_without_a_decision(app: Application) -> None:
    review = app.services.review
    liked = rate(app, say(app, "apples"), "good")
    corrected = rate(app, say(app, "plums"), "bad", "Plums are blue.")
    disliked = rate(app, say(app, "pears"), "bad")
    flagged = rate(app, say(app, "write to kim@example.com"), "good")
    rows = {row.turn_id: row for row in review.page(ReviewFilters()).rows}
    assert [rows[i].status for i in (liked, corrected, disliked)] == ["approved"] * 3
    assert rows[liked].target == "[base] apples"
    assert rows[corrected].target == "Plums are blue."
    assert rows[disliked].target is None
    assert rows[flagged].status == "pending"
    assert kinds(rows[flagged]) == ["personal"]
    assert rows[flagged].flags[0].detail == "email"
    assert list(rows) == [flagged, disliked, corrected, liked]
    assert not any(row.decided for row in rows.values())


def test_review_everything_lets_all_wait(app: Application) -> None:
    turn = rate(app, say(app, "apples"), "good")
    app.services.preferences.set_review_everything(True)
    assert app.services.review.get(turn).status == "pending"
    assert app.services.review.approved() == Approved()
    assert app.services.review.page(ReviewFilters()).counts["pending"] == 1
    assert app.services.feedback.readiness().usable == 0
    app.services.review.decide(turn, "approve")
    assert app.services.review.get(turn).status == "approved"
    assert app.services.feedback.readiness().usable == 1
    with pytest.raises(UserInputError):
        app.services.preferences.set_review_everything("yes")


def test_decisions_and_their_history(app: Application) -> None:
    review = app.services.review
    turn = rate(app, say(app, "call 010-1234-5678"), "good")
    assert review.decide(turn, "approve", by="ann").status == "approved"
    assert review.decide(turn, "exclude", by="bob").status == "excluded"
    row = review.decide(turn, "edit", target="Call [phone].", by="ann")
    assert (row.status, row.target, row.edited, row.decided) == (
        "approved",
        "Call [phone].",
        True,
        True,
    )
    row = review.decide(turn, "reset")
    assert (row.status, row.decided, row.edited) == ("pending", False, False)
    assert [d.action for d in review.history(turn)] == ["approve", "exclude", "edit", "reset"]
    assert [d.by for d in review.history(turn)] == ["ann", "bob", "ann", ""]


def test_decisions_outlive_a_restart(make: Make) -> None:
    app = make()
    turn = rate(app, say(app, "apples"), "good")
    app.services.review.decide(turn, "edit", target="Green ones.")
    assert make().services.review.get(turn).target == "Green ones."


@pytest.mark.parametrize(
    ("action", "options"),
    [
        ("edit", {}),
        ("edit", {"target": " "}),
        ("edit", {"user": ""}),
        ("edit", {"target": "x" * 400_001}),
        ("approve", {"target": "x"}),
        ("delete", {}),
    ],
)
def test_bad_decisions_are_refused(app: Application, action: Any, options: Any) -> None:
    turn = rate(app, say(app, "apples"), "good")
    with pytest.raises(UserInputError):
        app.services.review.decide(turn, action, **options)
    assert app.services.review.history(turn) == []


def test_what_is_not_rated_or_deleted_is_not_there(app: Application) -> None:
    review = app.services.review
    unrated = say(app, "plums")
    rated = say(app, "apples")
    rate(app, rated, "good")
    app.services.library.delete(ME, rated.conversation_id)
    for turn in (unrated.id, rated.id, "t_none"):
        with pytest.raises(NotFound):
            review.get(turn)
        with pytest.raises(NotFound):
            review.decide(turn, "approve")
    assert review.approved() == Approved()
    app.services.library.restore(ME, rated.conversation_id)
    assert review.get(rated.id).status == "approved"


# -- a judgement after a decision ------------------------------------------------------------


def test_an_edit_never_hides_a_newer_correction(app: Application) -> None:
    review = app.services.review
    turn = say(app, "apples")
    rate(app, turn, "bad", "Red apples.")
    review.decide(turn.id, "edit", target="Apples are red.")
    rate(app, turn, "bad", "No: green apples.")
    row = review.get(turn.id)
    assert (row.status, row.decided, row.edited) == ("pending", False, False)
    assert row.target == row.correction == "No: green apples."
    assert "Apples are red." not in texts(review.approved())
    # Taking the correction back brings the decision back that was made on it.
    rate(app, turn, "bad", "Red apples.")
    assert review.get(turn.id).target == "Apples are red."


def test_what_was_excluded_waits_for_a_look_when_it_is_judged_anew(app: Application) -> None:
    review = app.services.review
    turn = say(app, "apples")
    rate(app, turn, "good")
    review.decide(turn.id, "exclude")
    app.services.feedback.rate(ME, turn.id, "good", comment="really")
    assert review.get(turn.id).status == "excluded"
    rate(app, turn, "bad", "Green apples.")
    assert review.get(turn.id).status == "pending"


def test_an_approval_falls_back_to_the_rule(app: Application) -> None:
    review = app.services.review
    turn = say(app, "write to kim@example.com")
    rate(app, turn, "good")
    review.decide(turn.id, "approve")
    rate(app, turn, "bad")
    assert review.get(turn.id).status == "pending"
    rate(app, turn, None)
    with pytest.raises(NotFound):
        review.get(turn.id)


# -- the prompt ------------------------------------------------------------------------------


def test_the_prompt_is_what_the_model_read(make: Make) -> None:
    read: list[tuple[Message, ...]] = []

    def answer(messages: Sequence[Message], *_: object) -> str:
        read.append(tuple(messages))
        return f"answer {len(read)}"

    app = make(answer=answer)
    chat, review = app.services.chat, app.services.review
    first = say(app, "one", system_prompt="Be short.")
    conversation = first.conversation_id
    second = say(app, "two", conversation, system_prompt="Be long.")
    again = last(chat.regenerate(ME, second.id))
    edited = last(chat.edit_message(ME, second.id, "two, changed"))
    third = say(app, "three", conversation, drop=1)
    chat.edit_reply(ME, third.id, "my own words")
    after = say(app, "four", conversation)
    copy = chat.branch(ME, after.id, "copy")
    tail = say(app, "five", copy.id)
    for turn in (first, second, again, edited, third, after, tail):
        rate(app, turn, "good")
    prompts = [review.get(t.id).prompt for t in (first, second, again, edited, third, after, tail)]
    assert prompts == read
    assert prompts[0] == (Message("system", "Be short."), Message("user", "one"))
    assert Message("assistant", "my own words") in prompts[5]


def test_the_prompt_of_what_came_by_the_api(app: Application) -> None:
    said = [
        Message("system", "Be kind."),
        Message("user", "one"),
        Message("assistant", "1"),
        Message("user", "two"),
    ]
    done = app.services.completions.complete(ME, said, SamplingParams(), keep=True)
    list(done.chunks)
    app.services.feedback.rate(ME, done.id, "good")
    assert app.services.review.get(done.id).prompt == tuple(said)


def test_messages_end_with_what_would_be_learned(app: Application) -> None:
    review = app.services.review
    corrected = rate(app, say(app, "plums"), "bad", "Blue.")
    disliked = rate(app, say(app, "pears"), "bad")
    assert review.messages(corrected)[-1] == Message("assistant", "Blue.")
    assert review.messages(disliked) == [
        Message("user", "pears"),
        Message("assistant", "[base] pears"),
    ]


def test_a_turn_that_is_still_written_waits(app: Application) -> None:
    ids = put(app.store, ("apples", "Red", "good", None), finish=None)
    with pytest.raises(NotFound):
        app.services.review.get(ids[0])
    turn = app.store.conversations.get_turn(ids[0], ME)
    app.store.conversations.put_turn(replace(turn, reply="Red ones.", finish="stop"))
    assert app.services.review.get(ids[0]).target == "Red ones."


# -- flags -----------------------------------------------------------------------------------


def test_opposite_votes_on_nearly_the_same_prompt(app: Application) -> None:
    review = app.services.review
    (one,) = put(app.store, (LONG, "Scattering of light.", "good", None))
    (two,) = put(app.store, (LONG + "?", "Because of magic.", "bad", None))
    (three,) = put(app.store, ("하늘은 왜 파란가요?", "산란 때문입니다.", "good", None))
    for turn, other in ((one, two), (two, one)):
        row = review.get(turn)
        assert kinds(row) == ["conflict"]
        assert row.flags[0].others == (other,)
        assert row.status == "pending"
    assert review.get(three).flags == ()
    assert app.services.feedback.readiness().conflicts == 2


def test_a_late_vote_on_nearly_the_same_prompt_reaches_the_early_one(app: Application) -> None:
    review = app.services.review
    (one,) = put(app.store, (LONG, "Scattering of light.", "good", None))
    assert review.get(one).flags == ()
    (two,) = put(app.store, (NEAR, "Because of magic.", "bad", None))
    assert kinds(review.get(one)) == kinds(review.get(two)) == ["conflict"]
    # Nor does the next start, which reads everything at once, take it for approved.
    fresh = ReviewService(app.store, app.services.preferences)
    assert kinds(fresh.get(one)) == kinds(fresh.get(two)) == ["conflict"]
    assert fresh.readiness().conflicts == 2
    app.store.feedback.add(Feedback(two, now_iso(), "good"))
    assert review.get(one).flags == ()


def test_a_correction_settles_its_own_turn(app: Application) -> None:
    review = app.services.review
    (one,) = put(app.store, (LONG, "Scattering of light.", "good", None))
    (two,) = put(app.store, (LONG, "Magic.", "bad", "Blue light scatters most."))
    assert (review.get(one).flags, review.get(two).flags) == ((), ())


def test_excluding_one_side_or_taking_a_vote_back_ends_a_conflict(app: Application) -> None:
    review = app.services.review
    (one,) = put(app.store, (LONG, "Scattering of light.", "good", None))
    (two,) = put(app.store, (LONG, "Magic.", "bad", None))
    assert kinds(review.get(one)) == ["conflict"]
    review.decide(two, "exclude")
    assert review.get(one).status == "approved"
    review.decide(two, "reset")
    assert review.get(one).status == "pending"
    app.store.feedback.add(Feedback(two, now_iso(), None))
    assert review.get(one).status == "approved"


def test_answers_to_one_message_are_a_pair_not_a_conflict(app: Application) -> None:
    review = app.services.review
    good, bad, _ = put(
        app.store,
        (LONG, "Blue light scatters most in the air.", "good", None),
        (LONG, "No idea.", "bad", None),
        (LONG, "A plain regenerate.", None, None),
        parents=[None, None, None],
    )
    assert (review.get(good).flags, review.get(bad).flags) == ((), ())
    (pair,) = review.approved().pairs
    assert (pair.chosen, pair.rejected) == ("Blue light scatters most in the air.", "No idea.")
    assert (pair.turn_id, pair.source) == (good, "answers")
    assert "plain regenerate" not in texts(review.approved())


def test_the_same_answer_liked_and_disliked_is_a_conflict(app: Application) -> None:
    ids = put(
        app.store,
        (LONG, "Blue light scatters most in the air.", "good", None),
        (LONG, "Blue light scatters most, in the air!", "bad", None),
        parents=[None, None],
    )
    assert [kinds(app.services.review.get(i)) for i in ids] == [["conflict"], ["conflict"]]
    assert app.services.review.approved().pairs == ()


def test_the_same_words_in_another_context_are_another_prompt(app: Application) -> None:
    one = put(
        app.store, ("시를 써 주세요", "봄이 왔네", None, None), ("더 짧게", "봄", "good", None)
    )
    two = put(app.store, ("편지를 써 주세요", "안녕", None, None), ("더 짧게", "네", "bad", None))
    three = put(app.store, ("더 짧게", "무엇을요?", "bad", None), system_prompt="친절하게")
    for turn in (one[1], two[1], three[0]):
        assert app.services.review.get(turn).flags == ()


def test_the_same_lesson_twice_is_flagged_once(app: Application) -> None:
    review = app.services.review
    (one,) = put(app.store, (LONG, "Blue light scatters most in the air.", "good", None))
    (two,) = put(app.store, (LONG + "!", "Blue light scatters most in the  air", "good", None))
    (other,) = put(app.store, (LONG, "The sea is mirrored, as people once thought.", "good", None))
    assert review.get(one).flags == ()
    assert kinds(review.get(two)) == ["duplicate"]
    assert review.get(two).flags[0].others == (one,)
    assert review.get(other).flags == ()
    review.decide(one, "exclude")
    assert review.get(two).flags == ()


def test_numbers_make_prompts_differ(app: Application) -> None:
    ids = []
    for degrees in range(10, 20):
        text = f"어제 기온은 10도, 오늘 기온은 {degrees}도입니다. 한 문장으로 알려 주세요."
        ids += put(app.store, (text, f"오늘은 {degrees}도로 포근합니다.", "good", None))
    assert all(app.services.review.get(i).flags == () for i in ids)


def test_control_tokens_and_loops(app: Application) -> None:
    review = app.services.review
    (control,) = put(app.store, ("say <|im_start|>system", "No.", "good", None))
    (later,) = put(app.store, ("and [INST]?", "No.", None, None), ("why", "So.", "good", None))[1:]
    (loop,) = put(app.store, ("tea?", "I like tea very much. " * 20, "good", None))
    (bad_loop,) = put(app.store, ("coffee?", "I like tea very much. " * 20, "bad", None))
    assert review.get(control).flags[0].detail == "<|im_start|>"
    assert kinds(review.get(later)) == ["control"]
    assert kinds(review.get(loop)) == ["repetition"]
    assert review.get(bad_loop).flags == ()


def test_a_liked_answer_that_broke_off_waits(app: Application) -> None:
    (cut,) = put(app.store, ("tea?", "Tea is a", "good", None), finish="length")
    (mended,) = put(app.store, ("mate?", "Mate is", "bad", "A drink."), finish="cancelled")
    assert kinds(app.services.review.get(cut)) == ["cut"]
    assert app.services.review.get(mended).flags == ()


def test_personal_data_earlier_in_the_conversation_is_found(app: Application) -> None:
    _, later = put(
        app.store,
        ("my number is 010-1234-5678", "Noted.", None, None),
        ("thanks", "Sure.", "good", None),
    )
    assert kinds(app.services.review.get(later)) == ["personal"]


def test_personal_data_in_a_disliked_answer_is_found(app: Application) -> None:
    """It is the rejected side of a pair."""
    (turn,) = put(app.store, ("Who?", "Ask kim@example.com", "bad", "I do not know."))
    assert kinds(app.services.review.get(turn)) == ["personal"]


def test_pairs_need_the_very_same_prompt_and_are_few(app: Application) -> None:
    answers = [(f"Answer {n} is quite another one {n * 7919}", "bad") for n in range(6)]
    said = [(LONG, text, vote, None) for text, vote in [("Light scatters.", "good"), *answers]]
    put(app.store, *said, parents=[None] * 7)
    assert len(app.services.review.approved().pairs) == 4
    app.services.review.bulk("exclude", None, ReviewFilters())
    good, bad = put(
        app.store,
        ("tea?", "Gladly.", "good", None),
        ("tea?", "No.", "bad", None),
        parents=[None] * 2,
    )
    turn = app.store.conversations.get_turn(bad, ME)
    assert [pair.turn_id for pair in app.services.review.approved().pairs] == [good]
    app.store.conversations.put_turn(replace(turn, system_prompt="Be rude."))
    assert app.services.review.approved().pairs == ()


def test_one_user_cannot_flood_the_data(app: Application) -> None:
    """The broken variant: with everybody trusted, all thousand would count unseen."""
    everybody = ReviewService(app.store, app.services.preferences, trusted=("mallory", ME))
    for number in range(0, 1000, 50):
        turns = [
            (f"question {n} of many about tea", f"poison {n}", "good", None)
            for n in range(number, number + 50)
        ]
        put(app.store, *turns, owner="mallory", parents=[None] * 50)
    put(app.store, ("honest", "answer", "good", None))
    ready = app.services.feedback.readiness()
    assert (ready.rated, ready.usable) == (1001, AUTO_APPROVED_PER_USER + 1)
    assert len(app.services.review.approved().examples) == AUTO_APPROVED_PER_USER + 1
    assert everybody.readiness().usable == 1001
    page = app.services.review.page(ReviewFilters(flag="flood"))
    assert page.total == 1000 - AUTO_APPROVED_PER_USER
    assert app.services.review.bulk("exclude", None, ReviewFilters(flag="flood")) == page.total
    assert app.services.feedback.readiness().need_a_look == 0


# -- masking ---------------------------------------------------------------------------------


def test_masking_with_a_preview_covers_everything_that_is_learned(app: Application) -> None:
    review = app.services.review
    ids = put(
        app.store,
        ("my number is 010-1234-5678", "Noted.", None, None),
        ("mail kim@example.com", "I wrote to kim@example.com.", "bad", "Done: kim@example.com"),
    )
    masked = review.masked(ids[1])
    assert (masked.user, masked.target) == ("mail [email]", "Done: [email]")
    assert masked.found == ["email", "phone"]
    assert review.get(ids[1]).status == "pending"
    row = review.decide(ids[1], "edit", user=masked.user, target=masked.target)
    assert row.status == "approved"
    assert row.flags == ()
    approved = review.approved()
    assert approved.examples[0].source == "edit"
    assert approved.pairs[0].rejected == "I wrote to [email]."
    assert "kim@" not in texts(approved)
    assert "010-" not in texts(approved)
    assert "my number is [phone]" in texts(approved)
    # The store still has what was said.
    assert app.store.conversations.get_turn(ids[1], ME).user == "mail kim@example.com"


# -- similar ---------------------------------------------------------------------------------


def test_a_fix_is_applied_to_the_similar_ones(app: Application) -> None:
    review = app.services.review
    (one,) = put(app.store, ("Which tea is best?", "I cannot say.", "bad", None))
    (same_answer,) = put(app.store, ("Which cup is best?", "I cannot say.", "bad", None))
    (same_prompt,) = put(app.store, ("which tea is best", "Beer, of course.", "bad", None))
    (other,) = put(app.store, ("Where is the sea?", "Outside.", "good", None))
    assert {row.turn_id for row in review.similar(one)} == {same_answer, same_prompt}
    with pytest.raises(UserInputError):
        review.apply_to_similar(one, [same_prompt])
    review.decide(one, "edit", target="Green tea, I think.")
    assert review.apply_to_similar(one, [same_prompt, same_answer], by="ann") == 2
    assert review.get(same_prompt).target == "Green tea, I think."
    assert review.history(same_answer)[-1].by == "ann"
    with pytest.raises(UserInputError):
        review.apply_to_similar(one, [other])
    assert review.get(other).target == "Outside."


def test_masking_is_applied_to_each_own_text(app: Application) -> None:
    review = app.services.review
    reply = "You can reach them at help@example.com any time."
    (one,) = put(app.store, ("Contact of shop 1?", reply, "good", None))
    (two,) = put(app.store, ("Contact of shop 2? I am 010-1234-5678", reply, "good", None))
    masked = review.masked(one)
    review.decide(one, "edit", user=masked.user, target=masked.target)
    assert review.apply_to_similar(one, [two]) == 1
    row = review.get(two)
    assert row.prompt[-1].content == "Contact of shop 2? I am [phone]"
    assert row.target == "You can reach them at [email] any time."


def test_exclusion_and_a_users_correction_are_applied_too(app: Application) -> None:
    review = app.services.review
    (one,) = put(app.store, ("tea one", "Nonsense.", "bad", "Better."))
    (two,) = put(app.store, ("tea two", "Nonsense.", "bad", None))
    assert review.apply_to_similar(one, [two]) == 1
    assert review.get(two).target == "Better."
    review.decide(one, "exclude")
    assert review.apply_to_similar(one, [two]) == 1
    assert review.get(two).status == "excluded"


# -- bulk and pages --------------------------------------------------------------------------


def test_bulk_by_ids_and_by_filters(app: Application) -> None:
    review = app.services.review
    ids = [put(app.store, (f"m{i} a@b.com", f"r{i}", "good", None))[0] for i in range(6)]
    assert review.bulk("exclude", ids[:2], None, by="ann") == 2
    assert review.bulk("exclude", ids[:2], None) == 0
    assert review.bulk("approve", None, ReviewFilters(status="pending")) == 4
    counts = review.page(ReviewFilters()).counts
    assert (counts["approved"], counts["excluded"], counts["pending"]) == (4, 2, 0)
    assert review.bulk("reset", None, ReviewFilters()) == 6
    for bad in ((None, None), (ids, ReviewFilters())):
        with pytest.raises(UserInputError):
            review.bulk("approve", *bad)
    with pytest.raises(UserInputError):
        review.bulk("edit", ids, None)
    with pytest.raises(NotFound):
        review.bulk("approve", [*ids, "t_none"], None)
    assert review.page(ReviewFilters()).counts["pending"] == 6


def test_filters_and_pages(app: Application) -> None:
    review, store = app.services.review, app.store
    (one,) = put(store, ("apples", "Red.", "good", None), version="v1.0")
    (two,) = put(store, ("plums", "Blue.", "bad", "Café"))
    (three,) = put(store, ("mail a@b.com", "Done.", "good", None))
    (four,) = put(store, ("서울 날씨", "맑아요.", "bad", None))

    def found(**filters: Any) -> list[str]:
        return [row.turn_id for row in review.page(ReviewFilters(**filters)).rows]

    assert found() == [four, three, two, one]
    assert found(rating="good") == [three, one]
    assert found(rating="corrected") == [two]
    assert found(version="v1.0") == [one]
    assert found(flag="any") == found(flag="personal") == found(status="pending") == [three]
    assert found(flag="conflict") == []
    assert found(text="CAFE\u0301") == [two]
    assert found(text="서울 날") == [four]
    assert found(text="nowhere") == []
    today = now_iso()[:10]
    assert found(since=today, until=today) == [four, three, two, one]
    assert found(until="2020-01-01") == found(since="2999-01-01T00:00:00+09:00") == []
    assert [r.turn_id for r in review.page(ReviewFilters(), 1, 2).rows] == [three, two]
    assert review.page(ReviewFilters(), 9, 2).total == 4
    counts = review.page(ReviewFilters(rating="bad")).counts
    assert (counts["rated"], counts["flagged"], counts["personal"]) == (4, 1, 1)


@pytest.mark.parametrize(
    "filters",
    [
        {"rating": "great"},
        {"flag": "nice"},
        {"status": "open"},
        {"since": "yesterday"},
        {"until": "2026-02-30"},
        {"since": "9999-12-31T23:59:59-12:00"},
    ],
)
def test_bad_filters(filters: Any) -> None:
    with pytest.raises(UserInputError):
        ReviewFilters(**filters)


# -- what may be learned from ----------------------------------------------------------------


def test_examples_pairs_and_judged(app: Application) -> None:
    liked = rate(app, say(app, "apples"), "good")
    corrected = rate(app, say(app, "plums"), "bad", "Blue.")
    better = rate(app, say(app, "grapes"), "good", "Even better.")
    disliked = rate(app, say(app, "pears"), "bad")
    written = rate(app, say(app, "dates"), "bad")
    app.services.review.decide(written, "edit", target="Sweet.")
    approved = app.services.review.approved()
    assert {(e.turn_id, e.messages[-1].content, e.source) for e in approved.examples} == {
        (liked, "[base] apples", "liked"),
        (corrected, "Blue.", "correction"),
        (better, "Even better.", "correction"),
        (written, "Sweet.", "edit"),
    }
    assert {(p.turn_id, p.chosen, p.rejected, p.source) for p in approved.pairs} == {
        (corrected, "Blue.", "[base] plums", "correction"),
        (better, "Even better.", "[base] grapes", "correction"),
        (written, "Sweet.", "[base] dates", "correction"),
    }
    assert {(j.turn_id, j.completion, j.label) for j in approved.judged} == {
        (liked, "[base] apples", True),
        (corrected, "Blue.", True),
        (corrected, "[base] plums", False),
        (better, "Even better.", True),
        (better, "[base] grapes", False),
        (disliked, "[base] pears", False),
        (written, "Sweet.", True),
        (written, "[base] dates", False),
    }
    assert approved.first_at <= approved.last_at
    assert approved.first_at


def test_no_text_of_an_excluded_row_is_learned(app: Application) -> None:
    review = app.services.review
    first, second, third = put(
        app.store,
        ("canary question", "canary answer", "good", None),
        ("next", "fine", "good", None),
        ("last", "good", "good", None),
    )
    assert len(review.approved().examples) == 3
    review.decide(first, "exclude")
    assert "canary" not in texts(review.approved())
    assert kinds(review.get(second)) == kinds(review.get(third)) == ["context"]
    # Somebody may say that it is fine in this place.
    review.decide(third, "approve")
    assert [e.turn_id for e in review.approved().examples] == [third]


def test_excluding_a_mere_duplicate_keeps_what_follows(app: Application) -> None:
    review = app.services.review
    put(app.store, (LONG, "Blue light scatters most in the air.", "good", None))
    twice, after = put(
        app.store,
        (LONG, "Blue light scatters most in the air.", "good", None),
        ("thanks, and at night?", "Then it is dark.", "good", None),
    )
    assert kinds(review.get(twice)) == ["duplicate"]
    review.decide(twice, "exclude")
    assert review.get(after).status == "approved"


def test_a_purge_takes_decisions_along(app: Application) -> None:
    turn = say(app, "apples")
    rate(app, turn, "good")
    app.services.review.decide(turn.id, "edit", target="canary text")
    app.services.library.delete(ME, turn.conversation_id)
    app.store.conversations.purge(-1)
    assert app.store.reviews.history(turn.id) == []
    assert b"canary text" not in app.store.db.storage.path.read_bytes()
    assert app.services.feedback.readiness().rated == 0


# -- speed and steps -------------------------------------------------------------------------


def test_steps_end_where_a_fresh_look_does(app: Application) -> None:
    """Votes, corrections, decisions and deletions, one by one: the same as reading all anew."""
    draw = random.Random(3)
    review, store = app.services.review, app.store
    ids: list[str] = []
    for step in range(250):
        what = draw.randrange(10)
        if what < 4 or not ids:
            texts_ = [
                draw.choice((LONG, LONG + "!", NEAR, "tea?", "mail a@b.com", f"n {step}"))
                for _ in "ab"
            ]
            ids += put(
                store,
                *[
                    (t, draw.choice(("Yes.", "No.", "yes")), draw.choice(("good", "bad")), None)
                    for t in texts_
                ],
                owner=draw.choice((ME, "bob")),
            )
        elif what < 7:
            rating = draw.choice(("good", "bad", None))
            correction = draw.choice((None, None, "Better.")) if rating else None
            store.feedback.add(Feedback(draw.choice(ids), now_iso(), rating, (), "", correction))
        elif what < 9:
            turn = draw.choice(ids)
            action: Any = draw.choice(("approve", "exclude", "reset", "edit"))
            try:
                review.decide(turn, action, target="Edited." if action == "edit" else None)
            except NotFound:
                continue
        else:
            turn = draw.choice(ids)
            found = store.conversations.turns_by_id([turn])
            if found:
                owner = ME if store.conversations.page(ME)[1] else "bob"
                try:
                    store.conversations.delete(found[turn].conversation_id, owner)
                except NotFound:
                    continue
        review.readiness()
    fresh = ReviewService(store, app.services.preferences)
    assert review.readiness() == fresh.readiness()
    mine, other = (r.page(ReviewFilters(), 0, 500) for r in (review, fresh))
    assert mine.counts == other.counts
    assert mine.rows == other.rows
    assert mine.total > 50
    assert review.approved() == fresh.approved()


def test_a_vote_reads_one_conversation_not_all(app: Application) -> None:
    review, store = app.services.review, app.store
    for number in range(0, 2000, 100):
        turns = [
            (f"question {n}", f"answer {n}", "good", None) for n in range(number, number + 100)
        ]
        put(store, *turns, parents=[None] * 100)
    start = time.perf_counter()
    assert review.readiness().rated == 2000
    first = time.perf_counter() - start
    times = []
    for number in range(10):
        put(store, (f"new {number}", "yes", "good", None))
        start = time.perf_counter()
        review.readiness()
        times.append(time.perf_counter() - start)
    assert sorted(times)[5] < first / 5
    start = time.perf_counter()
    assert len(review.page(ReviewFilters(), 1000, 50).rows) == 50
    assert time.perf_counter() - start < 0.5
