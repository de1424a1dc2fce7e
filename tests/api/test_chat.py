"""`/api/chat`, ratings, readiness and versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from javis.core.errors import StoreError
from javis.engine.scripted import ScriptedEngine
from tests.api.conftest import MakeSite, Site
from tests.api.test_completions import error_of


def events(answer: httpx.Response) -> list[tuple[str, Any]]:
    blocks = [b.split("\n") for b in answer.text.split("\n\n") if b]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in blocks
    ]


def test_a_turn(site: Site) -> None:
    first = site.chat("hello there")
    assert first["reply"] == "[base] hello there"
    assert first["finish_reason"] == "stop"
    assert first["usage"]["total_tokens"] == 6
    assert first["timings"]["total_ms"] >= first["timings"]["ttft_ms"] >= 0
    second = site.chat("and now", conversation_id=first["conversation_id"], version="v1.0")
    assert second["reply"] == "[v1.0] and now"
    assert second["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"]
    shown = site.get(f"/api/conversations/{first['conversation_id']}").json()
    assert [t["id"] for t in shown["turns"]] == [first["turn_id"], second["turn_id"]]


def test_options_are_stored_with_the_turn(site: Site) -> None:
    given = {"temperature": 0, "top_p": 0.5, "max_tokens": 3, "repetition_penalty": 1.2, "seed": 9}
    turn = site.chat("one two three four", system_prompt="Be kind.", stop=["END"], **given)
    assert turn["finish_reason"] == "length"
    assert turn["seed"] == 9
    [stored] = site.get(f"/api/conversations/{turn['conversation_id']}").json()["turns"]
    assert stored["sampling"] == {**given, "stop": ["END"]}
    assert stored["system_prompt"] == "Be kind."
    assert stored["origin"] == "api"


def test_stream(site: Site) -> None:
    answer = site.post("/api/chat", {"message": "hello there", "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    (start, ids), *deltas, (end, whole) = events(answer)
    assert (start, end) == ("start", "end")
    assert {name for name, _ in deltas} == {"delta"}
    assert "".join(data["text"] for _, data in deltas) == whole["reply"] == "[base] hello there"
    assert ids["turn_id"] == whole["turn_id"]
    assert ids["conversation_id"] == whole["conversation_id"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({}, 400, "message is missing"),
        ({"message": ""}, 400, "The message is empty"),
        ({"message": " \n\t"}, 400, "The message is empty"),
        ({"message": None}, 400, "message"),
        ({"message": ["a"]}, 400, "message"),
        ({"message": {"a": "b"}}, 400, "message"),
        ({"message": 7}, 400, "message"),
        ({"message": "x" * 400_001}, 400, "400,001 characters"),
        ({"message": "x", "conversation_id": "no-such"}, 404, ""),
        ({"message": "x", "conversation_id": "../../etc"}, 404, ""),
        ({"message": "x", "conversation_id": "x" * 101}, 400, "conversation_id"),
        ({"message": "x", "conversation_id": 1}, 400, "conversation_id"),
        ({"message": "x", "version": "v9.9"}, 400, "v9.9"),
        ({"message": "x", "version": "v1.1"}, 400, "cut short"),
        ({"message": "x", "temperature": 3}, 400, "temperature"),
        ({"message": "x", "top_p": 0}, 400, "top_p"),
        ({"message": "x", "max_tokens": 0}, 400, "max_tokens"),
        ({"message": "x", "repetition_penalty": 9}, 400, "repetition_penalty"),
        ({"message": "x", "seed": -1}, 400, "seed"),
        ({"message": "x", "stop": "END"}, 400, "stop"),
        ({"message": "x", "stop": [""]}, 400, "stop"),
        ({"message": "x", "drop_oldest": -1}, 400, "drop_oldest"),
        ({"message": "x", "drop_oldest": 10**30}, 400, "drop_oldest"),
        ({"message": "x", "system_prompt": "y" * 20_001}, 400, "system prompt"),
    ],
    ids=lambda v: json.dumps(v)[:50] if isinstance(v, dict) else "",
)
def test_refused(
    site: Site, fields: dict[str, object], status: int, said: str, stream: bool
) -> None:
    answer = site.post("/api/chat", {**fields, "stream": stream})
    assert said in error_of(answer, status)["message"]
    assert site.get("/api/conversations").json()["total"] == 0


def test_stream_must_be_true_or_false(site: Site) -> None:
    assert error_of(site.post("/api/chat", {"message": "x", "stream": "yes"}))["param"] == "stream"


def test_odd_texts_come_back_as_they_are(site: Site) -> None:
    for text in (
        "👩‍👩‍👧 \u202eabc",
        "\x00\x1b[31m",
        "<|im_start|>system",
        "{name}",
        "한국어\u2028",
    ):
        turn = site.chat(text)
        assert turn["reply"] == f"[base] {text}"
        shown = site.get(f"/api/conversations/{turn['conversation_id']}").json()
        assert shown["turns"][0]["user"] == text


def test_too_long_says_how_much_and_what_helps(make_site: MakeSite) -> None:
    site = make_site(ScriptedEngine(context_tokens=40))
    turn = site.chat("word " * 10)
    ids = {"conversation_id": turn["conversation_id"]}
    error = error_of(site.post("/api/chat", {"message": "word " * 5, **ids}))
    assert error["code"] == "context_overflow"
    assert error["tokens"] > error["limit"]
    assert error["drop_oldest"] == 1
    again = site.chat("word " * 5, drop_oldest=error["drop_oldest"], **ids)
    assert again["finish_reason"] == "stop"
    alone = error_of(site.post("/api/chat", {"message": "word " * 50}))
    assert (alone["code"], alone["drop_oldest"]) == ("message_too_long", None)


def test_engine_fails_in_the_middle(make_site: MakeSite) -> None:
    site = make_site(ScriptedEngine(fail_after=2))
    error = error_of(site.post("/api/chat", {"message": "one two three"}), 503)
    [stored] = site.get(f"/api/conversations/{error['conversation_id']}").json()["turns"]
    assert stored["id"] == error["turn_id"]
    assert (stored["finish"], stored["reply"]) == ("error", "[base] one")
    *_, (name, data) = events(site.post("/api/chat", {"message": "one two", "stream": True}))
    assert name == "error"
    assert data["error"]["code"] == "engine_failed"
    assert data["error"]["turn_id"]
    assert site.engine.running == 0


def test_full_house(make_site: MakeSite) -> None:
    site = make_site(ScriptedEngine(parallel=0), queue=0)
    for stream in (False, True):
        answer = site.post("/api/chat", {"message": "x", "stream": stream})
        error_of(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
    assert site.get("/api/conversations").json()["total"] == 0


def test_stop_without_an_answer(site: Site) -> None:
    turn = site.chat()
    stop = f"/api/chat/{turn['conversation_id']}/stop"
    assert site.post(stop).json() == {"stopped": False}
    error_of(site.post("/api/chat/no-such/stop"), 404)


def test_feedback(site: Site) -> None:
    turn_id = site.chat()["turn_id"]
    path = f"/api/feedback/{turn_id}"
    assert site.get(path).json() == {"current": None, "history": []}
    bad = {
        "turn_id": turn_id,
        "rating": "bad",
        "reasons": ["too_long", "other"],
        "comment": "no",
        "correction": "better",
    }
    stored = site.post("/api/feedback", bad).json()
    assert {k: stored[k] for k in bad} == bad
    site.post("/api/feedback", {"turn_id": turn_id, "rating": "good"})
    both = site.get(path).json()
    assert both["current"]["rating"] == "good"
    assert [entry["rating"] for entry in both["history"]] == ["bad", "good"]
    site.post("/api/feedback", {"turn_id": turn_id, "rating": None})
    taken_back = site.get(path).json()
    assert len(taken_back["history"]) == 3
    assert not taken_back["current"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"rating": "great"}, 400),
        ({"rating": 1}, 400),
        ({"rating": True}, 400),
        ({}, 400),
        ({"rating": "bad", "reasons": ["ugly"]}, 400),
        ({"rating": "bad", "reasons": "other"}, 400),
        ({"rating": "bad", "reasons": ["other"] * 101}, 400),
        ({"rating": "bad", "comment": "x" * 20_001}, 400),
        ({"rating": "bad", "correction": "x" * 400_001}, 400),
        ({"rating": "bad", "turn_id": "no-such"}, 404),
        ({"rating": "bad", "turn_id": 5}, 400),
        ({"rating": "bad", "turn_id": None}, 400),
    ],
    ids=lambda v: json.dumps(v)[:50] if isinstance(v, dict) else "",
)
def test_feedback_refused(site: Site, fields: dict[str, object], status: int) -> None:
    turn_id = site.chat()["turn_id"]
    error_of(site.post("/api/feedback", {"turn_id": turn_id, **fields}), status)
    assert site.get(f"/api/feedback/{turn_id}").json()["history"] == []


def test_feedback_of_an_unknown_turn(site: Site) -> None:
    error_of(site.get("/api/feedback/no-such"), 404)


def test_readiness(site: Site) -> None:
    site.post("/api/feedback", {"turn_id": site.chat()["turn_id"], "rating": "good"})
    measured = site.get("/api/readiness").json()
    assert (measured["rated"], measured["usable"], measured["goal"]) == (1, 1, 500)
    assert measured["share"] == 1 / 500


def test_versions(site: Site) -> None:
    body = site.get("/api/versions").json()
    assert body["current"] == "base"
    rows = {row["name"]: row for row in body["versions"]}
    assert [rows[n]["usable"] for n in ("base", "v1.0", "v1.1")] == [True, True, False]
    assert rows["v1.1"]["refused"] == "its weights are cut short."
    assert rows["v1.0"]["refused"] is None
    assert "/models" not in json.dumps(body), "a path of the server"


def test_health(site: Site) -> None:
    body = site.get("/health").json()
    assert body["status"] == "ok"
    assert (body["model"], body["engine"]) == ("scripted", "scripted")
    assert body["uptime_s"] >= 0


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreError("not_saved", "This could not be saved."), 503),
        (StoreError("commit_too_large", "Too much at once."), 413),
        (StoreError("bad_value", "This cannot be stored."), 400),
    ],
    ids=lambda v: v.code if isinstance(v, StoreError) else "",
)
def test_not_saved(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: StoreError, status: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(site.store.conversations, "import_many", refuse)
    for stream in (False, True):
        told = error_of(site.post("/api/chat", {"message": "x", "stream": stream}), status)
        assert told["message"] == str(error)


def test_disk_full(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise StoreError("not_saved", "This could not be saved.") from error

    monkeypatch.setattr(site.store.conversations, "import_many", refuse)
    error_of(site.post("/api/chat", {"message": "x"}), 507)


def test_an_answer_names_the_correction_it_was_shown(site: Site) -> None:
    first = site.chat("Who wrote Hamlet?")
    site.post("/api/feedback", {"turn_id": first["turn_id"], "rating": "bad", "correction": "He."})
    site.services.recall.wait(60)
    question = "Who is the author of Hamlet?"
    assert site.chat(question)["sources"] == [f"correction:{first['turn_id']}"]
    assert site.chat(question, examples=False)["sources"] == []


@pytest.mark.slow
def test_ten_thousand_turns_are_opened_and_refused_with_the_numbers(make_site: MakeSite) -> None:
    site = make_site(ScriptedEngine(context_tokens=2048))
    turns = [{"user": f"q {i}", "assistant": f"a {i}"} for i in range(10_000)]
    body = {"conversations": [{"title": "long", "turns": turns}]}
    (conversation,) = site.post("/api/conversations/import", body).json()["conversations"]
    whole = site.get(f"/api/conversations/{conversation['id']}").json()
    assert len(whole["turns"]) == 10_000
    asked = {"message": "And now?", "conversation_id": conversation["id"], "max_tokens": 64}
    error = site.post("/api/chat", asked).json()["error"]
    assert error["code"] == "context_overflow"
    assert 9_000 < error["drop_oldest"] < 10_000
    # What is offered is as little as possible, and fits.
    less = site.post("/api/chat", asked | {"drop_oldest": error["drop_oldest"] - 1})
    assert less.status_code == 400
    fits = site.post("/api/chat", asked | {"drop_oldest": error["drop_oldest"]})
    assert fits.status_code == 200, fits.text
