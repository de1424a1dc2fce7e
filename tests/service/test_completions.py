from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from javis.core.errors import Busy, ContextOverflow, EngineError, UserInputError
from javis.core.types import Chunk, Message, Role, SamplingParams
from javis.engine.scripted import ScriptedEngine
from javis.service.completions import CompletionService
from tests.service.conftest import Make

ME = "local"
ASK = [
    Message("system", "Be kind."),
    Message("user", "one"),
    Message("assistant", "1"),
    Message("user", "two"),
]


def test_nothing_is_kept_unless_asked_for(make: Make) -> None:
    services = make().services
    done = services.completions.complete(ME, ASK, SamplingParams())
    assert "".join(c.text for c in done.chunks) == "[base] two"
    assert services.library.page(ME)[1] == 0


def test_a_kept_completion_is_a_turn_that_can_be_rated(make: Make) -> None:
    services = make().services
    done = services.completions.complete(ME, ASK, SamplingParams(), keep=True)
    text = "".join(c.text for c in done.chunks)
    turn = services.chat.turn(ME, done.id)
    assert (turn.reply, turn.finish, turn.system_prompt) == (text, "stop", "Be kind.")
    view = services.chat.view(ME, turn.conversation_id)
    assert [(v.turn.user, v.turn.reply) for v in view.turns] == [("one", "1"), ("two", text)]
    services.feedback.rate(ME, done.id, "good")
    assert services.feedback.readiness().good == 1


def test_a_kept_completion_that_is_cut_off_keeps_its_text(make: Make) -> None:
    services = make(answer=lambda *_: "a b c d e", delay_s=0.01).services
    done = services.completions.complete(ME, ASK, SamplingParams(), keep=True)
    for _ in range(3):
        next(done.chunks)
    done.chunks.close()
    turn = services.chat.turn(ME, done.id)
    assert (turn.reply, turn.finish) == ("a b c", "cancelled")


def test_a_failing_model_is_told_and_stored(make: Make) -> None:
    services = make(answer=lambda *_: "a b c d e", fail_after=2).services
    done = services.completions.complete(ME, ASK, SamplingParams(), keep=True)
    with pytest.raises(EngineError):
        list(done.chunks)
    turn = services.chat.turn(ME, done.id)
    assert (turn.reply, turn.finish) == ("a b", "error")


class Faulty(ScriptedEngine):
    """Breaks off in a way that no engine should."""

    def stream(self, *_: object) -> Generator[Chunk, None, None]:
        yield Chunk("a")
        raise RuntimeError("/home/me/secret")


def test_a_fault_nobody_foresaw_is_no_stop_of_the_clients(make: Make) -> None:
    app = make()
    answerer = app.services.completions._answerer
    faulty = CompletionService(Faulty(), app.store, app.services.versions, answerer)
    done = faulty.complete(ME, ASK, SamplingParams(), keep=True)
    with pytest.raises(RuntimeError):
        list(done.chunks)
    turn = app.services.chat.turn(ME, done.id)
    assert (turn.reply, turn.finish, turn.error) == ("a", "error", None)


def test_what_is_kept_is_on_the_disk_before_the_model_is_asked_and_while_it_writes(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("javis.service.answerer.CHECKPOINT_S", 0.0)
    app = make(answer=lambda *_: "one two three four")
    asked: list[int] = []
    stream = app.engine.stream

    def watched(*what: Any) -> Any:
        asked.append(app.services.library.page(ME)[1])
        return stream(*what)

    monkeypatch.setattr(app.engine, "stream", watched)
    done = app.services.completions.complete(ME, ASK, SamplingParams(), keep=True)
    said = ""
    for chunk in done.chunks:
        said += chunk.text
        if said.startswith("one two three"):
            break
    assert asked == [1]
    turn = app.services.chat.turn(ME, done.id)
    assert turn.finish is None and turn.reply.startswith("one two")
    assert app.services.chat.view(ME, turn.conversation_id).answering
    with pytest.raises(Busy):
        list(app.services.chat.reply(ME, "and?", turn.conversation_id))
    assert app.services.chat.stop(ME, turn.conversation_id)
    assert [c.finish for c in done.chunks if c.finish] == ["cancelled"]
    assert app.services.chat.turn(ME, done.id).finish == "cancelled"


def test_refusals_come_before_the_answer(make: Make) -> None:
    services = make(context_tokens=20, parallel=1).services
    complete = services.completions.complete
    for bad in ([], [Message("assistant", "x")], [Message("user", " ")]):
        with pytest.raises(UserInputError):
            complete(ME, bad, SamplingParams())
    with pytest.raises(UserInputError, match="no version"):
        complete(ME, ASK, SamplingParams(), "v9.9")
    with pytest.raises(ContextOverflow):
        complete(ME, [Message("user", "word " * 30)], SamplingParams())


def test_a_full_line_refuses_with_the_first_chunk_and_keeps_nothing(make: Make) -> None:
    services = make(parallel=1, delay_s=0.05).services
    waiting = [services.completions.complete(ME, ASK, SamplingParams()) for _ in range(3)]
    for done in waiting:
        next(done.chunks)
    extra = services.completions.complete(ME, ASK, SamplingParams(), keep=True)
    with pytest.raises(Busy):
        next(extra.chunks)
    assert services.library.page(ME)[1] == 0
    for done in waiting:
        done.chunks.close()


def test_what_was_kept_comes_in_again(make: Make) -> None:
    services = make(context_tokens=10**6).services
    long = [Message("system", "x" * 200_000), Message("system", "y" * 100_000), *ASK[1:]]
    done = services.completions.complete(ME, long, SamplingParams(), keep=True)
    list(done.chunks)
    services.library.bring_in(ME, {"conversations": list(services.library.take_out(ME))})
    assert services.library.page(ME)[1] == 2


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_nothing_is_kept_that_could_not_come_in_again(make: Make, role: Role) -> None:
    services = make(context_tokens=10**6).services
    long = [Message("user", "one"), *[Message(role, "x" * 250_000)] * 2, Message("user", "two")]
    with pytest.raises(UserInputError, match="500,002 characters"):
        services.completions.complete(ME, long, SamplingParams(), keep=True)
    assert services.completions.complete(ME, long, SamplingParams())


def test_an_empty_answer_can_be_sent_back(make: Make) -> None:
    services = make().services
    asked = [Message("user", "one"), Message("assistant", ""), Message("user", "two")]
    done = services.completions.complete(ME, asked, SamplingParams(), keep=True)
    list(done.chunks)
    view = services.chat.view(ME, services.chat.turn(ME, done.id).conversation_id)
    assert [v.turn.reply for v in view.turns] == ["", "[base] two"]


def test_a_bad_message_is_named_by_its_own_place(make: Make) -> None:
    bad = [Message("system", " "), Message("user", " "), Message("user", "x")]
    with pytest.raises(UserInputError, match=r"messages\[1\]\.content is empty"):
        make().services.completions.complete(ME, bad, SamplingParams())
