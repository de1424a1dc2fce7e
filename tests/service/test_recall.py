"""A correction helps from the next similar question on, and nobody else's."""

from __future__ import annotations

from collections.abc import Sequence

from javis.core.types import Message, SamplingParams, Turn
from javis.service.chat import Options
from javis.service.recall import Recall
from tests.service.conftest import Application, Make


def tell(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    """Everything that the model was shown."""
    return " | ".join(f"{m.role}: {m.content}" for m in messages)


def say(app: Application, text: str, owner: str = "anna", **options: object) -> Turn:
    *_, last = app.services.chat.reply(owner, text, None, Options(**options))  # type: ignore[arg-type]
    return last


def corrected(app: Application, question: str, answer: str, owner: str = "anna") -> Turn:
    turn = say(app, question, owner, examples=False)
    app.services.feedback.rate(owner, turn.id, "bad", correction=answer)
    app.services.recall.wait(60)
    return turn


def test_a_similar_question_is_answered_with_the_correction_in_sight(make: Make) -> None:
    app = make(answer=tell)
    first = corrected(app, "Who wrote Hamlet?", "Shakespeare did, around 1600.")
    turn = say(app, "Who is the author of Hamlet?")
    assert turn.sources == (f"correction:{first.id}",)
    assert turn.reply == (
        "user: Who wrote Hamlet? | assistant: Shakespeare did, around 1600. | "
        "user: Who is the author of Hamlet?"
    )


def test_korean_finds_korean_and_its_own_question(make: Make) -> None:
    app = make(answer=tell)
    first = corrected(app, "환불받으려면 어떻게 해야 하나요?", "영수증을 가지고 오시면 됩니다.")
    assert say(app, "환불을 받고 싶은데 어떻게 하죠?").sources == (f"correction:{first.id}",)
    *_, again = app.services.chat.regenerate("anna", first.id)
    assert "영수증" in again.reply


def test_an_unrelated_question_a_stranger_and_a_no_get_none(make: Make) -> None:
    app = make(answer=tell)
    corrected(app, "Who wrote Hamlet?", "Shakespeare did, around 1600.")
    question = "Who is the author of Hamlet?"
    assert say(app, "How do I bake bread?").sources == ()
    assert say(app, question, owner="ben").sources == ()
    assert say(app, question, examples=False).sources == ()
    app.services.preferences.set_use_corrections(False)
    assert say(app, question).sources == ()
    app.services.preferences.set_use_corrections(True)
    assert say(app, question).sources


def test_a_correction_that_was_taken_back_or_deleted_is_gone(make: Make) -> None:
    app = make(answer=tell)
    question = "Who is the author of Hamlet?"
    first = corrected(app, "Who wrote Hamlet?", "Shakespeare did.")
    app.services.feedback.rate("anna", first.id, "bad")
    assert say(app, question).sources == ()
    app.services.feedback.rate("anna", first.id, "bad", correction="Shakespeare.")
    app.services.recall.wait(60)
    assert say(app, question).sources
    app.services.library.delete("anna", first.conversation_id)
    assert say(app, question).sources == ()


def test_a_deletion_that_is_undone_brings_the_correction_back(make: Make) -> None:
    app = make(answer=tell)
    first = corrected(app, "Who wrote Hamlet?", "Shakespeare did.")
    app.services.library.delete("anna", first.conversation_id)
    # Whatever is rated meanwhile, the correction must not be forgotten.
    corrected(app, "How do I bake bread?", "With flour.")
    app.services.library.restore("anna", first.conversation_id)
    assert say(app, "Who is the author of Hamlet?").sources == (f"correction:{first.id}",)


def test_an_example_never_crowds_out_the_conversation(make: Make) -> None:
    app = make(answer=tell, context_tokens=60)
    corrected(app, "Who wrote Hamlet?", "Shakespeare " * 40)
    turn = say(app, "Who is the author of Hamlet?")
    assert turn.sources == ()
    assert turn.reply == "user: Who is the author of Hamlet?"


def test_it_is_there_after_a_restart_and_when_the_cache_is_damaged(make: Make) -> None:
    app = make(answer=tell)
    corrected(app, "Who wrote Hamlet?", "Shakespeare did.")
    cache = app.services.settings.data_dir / "cache" / "questions.npz"
    assert cache.is_file()
    app.store.close()
    whole = cache.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for damage in (None, b"no archive", whole[: len(whole) // 2], bytes(flipped)):
        if damage:
            cache.write_bytes(damage)
        again = make(answer=tell)
        again.services.recall.wait(60)
        assert isinstance(again.services.recall, Recall)
        assert say(again, "Who is the author of Hamlet?").sources
        again.store.close()
