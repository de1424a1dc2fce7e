"""The outer edge: whatever comes in, a reply goes out, and only the user's own things change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from javis.core.settings import Settings
from javis.engine.scripted import ScriptedEngine
from javis.service.services import Services, join
from javis.store import open_store
from javis.ui.answering import Answering, Controls
from javis.ui.calls import Calls
from javis.ui.edge import Edge, Json, Payload
from javis.ui.texts import Texts
from javis.versions.registry import Registry

JUNK = (None, 0, -1, 1.5, True, "", "x", "x" * 1000, [], {}, [1], {"a": []}, float("nan"), "\udc00")


@dataclass(frozen=True)
class Somebody:
    name: str = "ann"
    is_admin: bool = False


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", _env_file=None)
    settings.data_dir.mkdir()
    with open_store(settings.data_dir) as store:
        yield join(settings, store, ScriptedEngine(), Registry(settings.models_dir))


def ask(services: Services, kind: object, user: Somebody | None = None, **data: object) -> Json:
    edge = Edge(lambda request: user or Somebody(), Texts())
    event = SimpleNamespace(_data={"kind": kind, "call": "c1", **data})
    return edge.call(Calls(services, edge.texts).table())(event, SimpleNamespace())


def frames(services: Services, prompt: str = "", **data: object) -> list[Json]:
    controls = Controls("base", 0.7, 0.95, 100, 1.0, "", prompt)
    payload = Payload({"call": "s1", **data})
    edge = Edge(lambda request: Somebody(), Texts())
    answering = Answering(services)
    work = partial(answering.frames, Somebody(), payload, controls)
    return [dict(f) for f in edge.stream(payload, work)]


def test_a_turn_is_streamed_rated_and_shown(services: Services) -> None:
    *_, last = frames(services, op="reply", text="hello")
    assert last["done"] and last["text"] == "[base] hello"
    rated = ask(services, "rate", turn=last["turn"], rating="bad", reasons=["too_long"])
    assert rated["ok"]["feedback"]["reasons"] == ["too_long"]
    view = ask(services, "view", conversation=last["conversation"])["ok"]
    assert view["turns"][0]["feedback"]["rating"] == "bad"
    assert ask(services, "rate", turn=last["turn"], rating=None)["ok"]["feedback"] is None


def test_another_answer_is_asked_with_the_system_prompt_of_the_first(services: Services) -> None:
    *_, first = frames(services, op="reply", text="hello", prompt="Be kind.")
    *_, again = frames(services, op="again", turn=first["turn"], prompt="Be brief.")
    assert services.chat.turn("ann", again["turn"]).system_prompt == "Be kind."


def test_only_the_last_turns_are_sent_at_first(services: Services) -> None:
    *_, last = frames(services, op="reply", text="0")
    for n in range(1, 6):
        frames(services, op="reply", text=str(n), conversation=last["conversation"])
    view = ask(services, "view", conversation=last["conversation"], turns=2)["ok"]
    assert [t["user"] for t in view["turns"]] == ["4", "5"]
    assert view["earlier"] == 4


def test_a_refusal_comes_before_anything_is_stored(services: Services) -> None:
    [refused] = frames(services, op="reply", text="word " * 9000)
    assert refused["error"]["code"] == "message_too_long"
    assert "turn" not in refused
    assert services.library.page("ann")[1] == 0


def test_an_overflow_offers_how_many_turns_to_leave_out(services: Services) -> None:
    *_, last = frames(services, op="reply", text="word " * 5000)
    again = {"op": "reply", "text": "word " * 4000, "conversation": last["conversation"]}
    [refused] = frames(services, **again)
    assert refused["error"]["drop"] == 1
    *_, answered = frames(services, **again, drop=1)
    assert answered["done"]


def test_a_model_that_fails_keeps_what_it_wrote(services: Services) -> None:
    services.chat._answerer._engine.fail_after = 2  # type: ignore[attr-defined]
    *_, last = frames(services, op="reply", text="one two three four")
    assert last["error"]["code"] == "engine_failed"
    view = ask(services, "view", conversation=last["conversation"])["ok"]
    assert view["turns"][0]["finish"] == "error"
    assert view["turns"][0]["reply"]


@pytest.mark.parametrize("kind", [*Calls.__dict__, "no_such", None, 3, [], {}])
def test_junk_gets_a_plain_reply(services: Services, kind: object) -> None:
    fields = ("conversation", "turn", "text", "title", "query", "offset", "turns", "rating")
    for junk in JUNK:
        data: dict[str, Any] = dict.fromkeys((*fields, "reasons", "comment", "correction"), junk)
        reply = ask(services, kind, **data, lang=junk)
        assert reply["call"] == "c1"
        assert "ok" in reply or reply["error"]["code"] != "unforeseen", (kind, junk, reply)
    assert services.library.page("ann")[1] == 0


def test_junk_cannot_start_an_answer(services: Services) -> None:
    for junk in JUNK:
        if junk in ("x", "x" * 1000):
            continue
        [reply] = frames(services, op="reply", text=junk)
        assert reply["error"]["code"] not in ("unforeseen", "")
        [reply] = frames(services, op=junk, text="hello", turn=junk)
        assert reply["error"]["code"] != "unforeseen"


@pytest.mark.parametrize(
    "name", ["version", "temperature", "top_p", "max_tokens", "penalty", "seed", "system_prompt"]
)
def test_junk_in_a_control_is_refused(services: Services, name: str) -> None:
    good: dict[str, Any] = {
        "version": "base",
        "temperature": 0.7,
        "top_p": 0.95,
        "max_tokens": 100,
        "penalty": 1.0,
        "seed": "",
        "system_prompt": "",
    }
    edge = Edge(lambda request: Somebody(), Texts())
    payload = Payload({"op": "reply", "text": "hello"})
    answering = Answering(services)
    for junk in (*JUNK, {"a": 1}, float("inf"), "nan", 10**300):
        controls = Controls(**{**good, name: junk})
        work = partial(answering.frames, Somebody(), payload, controls)
        for frame in edge.stream(payload, work):
            assert frame.get("error", {}).get("code") != "unforeseen", (name, junk)


def test_nobody_reads_or_changes_what_is_anothers(services: Services) -> None:
    *_, last = frames(services, op="reply", text="private words")
    eve = Somebody("eve")
    where = {"conversation": last["conversation"], "turn": last["turn"], "text": "x", "title": "x"}
    for kind in ("view", "select", "stop", "edit_reply", "branch", "rename", "delete", "restore"):
        reply = ask(services, kind, eve, **where)
        assert reply["error"]["code"] in ("no_conversation", "no_turn"), kind
    reply = ask(services, "rate", eve, **where, rating="good")
    assert reply["error"]["code"] in ("no_conversation", "no_turn")
    assert ask(services, "list", eve)["ok"]["total"] == 0


def test_an_unforeseen_failure_says_a_number_and_nothing_else(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(request: gr.Request) -> Somebody:
        raise RuntimeError("a secret detail")

    edge = Edge(broken, Texts())
    reply = edge.call({})(SimpleNamespace(_data={}), SimpleNamespace())
    assert reply["error"]["code"] == "unforeseen"
    assert "secret" not in reply["error"]["message"]
    assert "a secret detail" in caplog.text
