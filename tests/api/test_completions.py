"""`/v1/chat/completions` and `/v1/models`, without a network."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from javis.engine.scripted import ScriptedEngine
from tests.api.conftest import MakeSite, Site

HELLO = [{"role": "user", "content": "hello there"}]
PATH = "/v1/chat/completions"


def ask(site: Site, **fields: object) -> httpx.Response:
    return site.post(PATH, {"messages": HELLO, **fields})


def events(answer: httpx.Response) -> list[Any]:
    """The data of each event, parsed where it is JSON."""
    found = []
    for block in answer.text.split("\n\n"):
        for line in block.splitlines():
            if line.startswith("data: "):
                data = line.removeprefix("data: ")
                found.append(data if data == "[DONE]" else json.loads(data))
    return found


def error_of(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert "Traceback" not in answer.text
    return dict(error)


def test_answer(site: Site) -> None:
    body = ask(site, model="base").json()
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert body["model"] == "base"
    [choice] = body["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"] == "[base] hello there"
    assert choice["finish_reason"] == "stop"
    assert body["usage"]["prompt_tokens"] == 3
    assert body["usage"]["completion_tokens"] == 3
    assert body["usage"]["total_tokens"] == 6


@pytest.mark.parametrize(
    ("model", "version"),
    [(None, "base"), ("", "base"), ("javis", "base"), ("scripted", "base"), ("v1.0", "v1.0")],
)
def test_names_of_the_model(site: Site, model: str | None, version: str) -> None:
    body = ask(site, model=model).json()
    assert body["model"] == version
    assert body["choices"][0]["message"]["content"].startswith(f"[{version}]")


@pytest.mark.parametrize("model", ["gpt-4", "../../etc/passwd", "v9.9", "x" * 200])
def test_unknown_model(site: Site, model: str) -> None:
    error = error_of(ask(site, model=model), 404)
    assert error["code"] == "model_not_found"
    assert error["param"] == "model"


def test_stream_ends_with_done(site: Site) -> None:
    answer = ask(site, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *chunks, done = events(answer)
    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert text == "[base] hello there"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert all("usage" not in c for c in chunks)
    assert {c["object"] for c in chunks} == {"chat.completion.chunk"}
    assert len({c["id"] for c in chunks}) == 1


def test_stream_with_usage(site: Site) -> None:
    *chunks, last, done = events(ask(site, stream=True, stream_options={"include_usage": True}))
    assert done == "[DONE]"
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 6
    assert all(c["usage"] is None for c in chunks)


def test_text_survives_the_stream(make_site: MakeSite) -> None:
    hard = 'quotes " and \\ and \n\n data: [DONE] 한국어 👩‍👩‍👧 \u2028 </script> \x00\x1b'
    site = make_site(ScriptedEngine(lambda *_: hard))
    *chunks, _ = events(ask(site, stream=True))
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == hard


def test_what_reaches_the_engine(make_site: MakeSite) -> None:
    seen: list[Any] = []

    def answer(messages: Any, sampling: Any, version: str) -> str:
        seen.extend([messages, sampling])
        return "ok"

    site = make_site(ScriptedEngine(answer))
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c", "name": "ignored", "tool_calls": None},
        {"role": "user", "content": "d"},
    ]
    fields = {
        "temperature": 0,
        "top_p": 0.5,
        "max_tokens": 7,
        "max_completion_tokens": 5,
        "seed": 42,
        "stop": "END",
        "repetition_penalty": 1.1,
        "api_base": "http://169.254.169.254/",
        "chat_template": "{{ lipsum }}",
        "extra_body": {"x": 1},
    }
    assert site.post(PATH, {"messages": messages, **fields}).status_code == 200
    sent, sampling = seen
    assert [(m.role, m.content) for m in sent] == [
        ("system", "Be brief."),
        ("user", "a\nb"),
        ("assistant", "c"),
        ("user", "d"),
    ]
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0, 0.5, 5)
    assert (sampling.seed, sampling.stop, sampling.repetition_penalty) == (42, ("END",), 1.1)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "tools": [], "functions": None, "logprobs": False, "logit_bias": {}},
        {"response_format": {"type": "text"}, "tool_choice": "none", "top_logprobs": 0},
        {"presence_penalty": 0, "frequency_penalty": 0.0, "modalities": ["text"]},
        {"temperature": None, "max_tokens": None, "stop": None, "seed": None, "stop ": []},
        {"user": "me", "metadata": {"a": "b"}, "parallel_tool_calls": True, "stop": []},
    ],
)
def test_fields_that_change_nothing(site: Site, fields: dict[str, object]) -> None:
    assert ask(site, **fields).status_code == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": -1}, "n"),
        ({"n": 10**9}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 2**63}, "max_tokens"),
        ({"max_tokens": 10**400}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": 1e9}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 2}, "top_p"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"stop": ["x"] * 10_000}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stop": {"a": 1}}, "stop"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"logit_bias": {"x": 1e9}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [{"function": {"parameters": {"pattern": "(a+)+$"}}}]}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"store": "true"}, "store"),
        ({"stream_options": {"include_usage": "x"}}, "stream_options.include_usage"),
        ({"stream_options": []}, "stream_options"),
        ({"model": 7}, "model"),
        ({"model": "x" * 201}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [7]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "user", "content": None}]}, "messages"),
        ({"messages": [{"role": "user", "content": []}]}, "messages"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages"),
        ({"messages": HELLO * 10_001}, "messages"),
        ({"messages": [{"role": "user", "content": " \n"}]}, "messages[0].content"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 400_001}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 1001}]},
            "messages",
        ),
    ],
    ids=lambda v: json.dumps(v)[:60] if isinstance(v, dict) else "",
)
def test_refused(site: Site, fields: dict[str, object], param: str) -> None:
    for stream in ({}, {"stream": True}):
        error = error_of(ask(site, **{**stream, **fields}))
        assert error["type"] == "invalid_request_error"
        assert error["param"] == param
        assert param.partition("[")[0].rstrip("s") in error["message"]
    assert site.engine.running == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none(site: Site, number: str) -> None:
    body = f'{{"messages": [{{"role": "user", "content": "x"}}], "temperature": {number}}}'
    answer = site.ask("POST", PATH, content=body, headers={"Content-Type": "application/json"})
    assert error_of(answer)["param"] == "temperature"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 5000 + b"}",
    ],
    ids=range(9),
)
def test_broken_bodies(site: Site, content: bytes) -> None:
    error_of(site.ask("POST", PATH, content=content, headers={"Content-Type": "application/json"}))


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_json_must_be_said_to_be_json(site: Site, kind: str | None) -> None:
    """A page of another site can send these types without asking the browser first."""
    answer = site.ask(
        "POST", PATH, content=json.dumps({"messages": HELLO}), headers={"Content-Type": kind}
    )
    assert "application/json" in error_of(answer)["message"]


def test_a_long_list_of_nonsense_is_refused_at_its_first_row(site: Site) -> None:
    body = b'{"messages": [' + b"{}," * 9_000 + b"{}]}"
    answer = site.ask("POST", PATH, content=body, headers={"Content-Type": "application/json"})
    assert error_of(answer)["message"].startswith("messages[0].role")
    assert len(answer.content) < 500


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_for_the_model(make_site: MakeSite, stream: bool) -> None:
    site = make_site(ScriptedEngine(context_tokens=20))
    messages = [{"role": "user", "content": "word " * 30}]
    error = error_of(site.post(PATH, {"messages": messages, "stream": stream}))
    assert error["code"] == "context_length_exceeded"
    assert "room for 20" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_full_house(make_site: MakeSite, stream: bool) -> None:
    """Refused by the first chunk, and still with a proper status."""
    site = make_site(ScriptedEngine(parallel=0), queue=0)
    answer = ask(site, stream=stream)
    assert error_of(answer, 429)["type"] == "rate_limit_error"
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("stream", [False, True])
def test_engine_fails_at_once(make_site: MakeSite, stream: bool) -> None:
    site = make_site(ScriptedEngine(fail_after=0))
    assert error_of(ask(site, stream=stream), 503)["type"] == "server_error"
    assert site.engine.running == 0
    site.engine.fail_after = None
    assert ask(site).status_code == 200


def test_engine_fails_in_the_middle(make_site: MakeSite) -> None:
    site = make_site(ScriptedEngine(fail_after=2))
    assert error_of(ask(site), 503)["code"] == "engine_failed"
    *chunks, last = events(ask(site, stream=True))
    assert last["error"]["code"] == "engine_failed"
    assert "[DONE]" not in chunks
    assert site.engine.running == 0


def test_a_bug_is_told_without_a_trace(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("secret detail")

    site = make_site(ScriptedEngine(broken))
    answer = ask(site)
    assert error_of(answer, 500)["code"] == "internal_error"
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_bug_in_the_middle_of_a_stream(make_site: MakeSite) -> None:
    site = make_site(ScriptedEngine(lambda *_: "one two three"))
    words = site.engine._words

    def broken(*given: Any) -> Any:
        yield from list(words(*given))[:1]
        raise RuntimeError("secret detail")

    site.engine._words = broken  # type: ignore[method-assign]
    answer = ask(site, stream=True)
    assert events(answer)[-1]["error"]["code"] == "internal_error"
    assert "secret" not in answer.text


@pytest.mark.parametrize("stream", [False, True])
def test_kept_only_when_asked(site: Site, stream: bool) -> None:
    ask(site, stream=stream)
    assert site.get("/api/conversations").json()["total"] == 0
    answer = ask(site, stream=stream, store=True)
    turn_id = events(answer)[0]["id"] if stream else answer.json()["id"]
    [conversation] = site.get("/api/conversations").json()["conversations"]
    [turn] = site.get(f"/api/conversations/{conversation['id']}").json()["turns"]
    assert (turn["id"], turn["reply"]) == (turn_id, "[base] hello there")
    rated = site.post("/api/feedback", {"turn_id": turn_id, "rating": "good"})
    assert rated.status_code == 200


def test_length_and_defaults(site: Site) -> None:
    assert ask(site, max_tokens=2).json()["choices"][0]["finish_reason"] == "length"


def test_models(site: Site) -> None:
    body = site.get("/v1/models").json()
    assert body["object"] == "list"
    assert [m["id"] for m in body["data"]] == ["base", "v1.0"]
    assert body["data"][0]["current"] is True
    assert site.get("/v1/models/base").json() == body["data"][0]
    assert site.get("/v1/models/javis").json()["id"] == "base"
    assert site.get("/v1/models/scripted").json()["id"] == "base"
    for unknown in ("v9.9", "../base", "a/b"):
        assert error_of(site.get(f"/v1/models/{unknown}"), 404)


def test_no_such_route(site: Site) -> None:
    for method, path in (("POST", "/v1/embeddings"), ("GET", PATH), ("PUT", "/api/chat")):
        assert error_of(site.ask(method, path), 404)["code"] == "no_route"


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_was_stopped_does_not_pass_for_whole(
    make_site: MakeSite, stream: bool
) -> None:
    site = make_site(ScriptedEngine(delay_s=0.2))
    threading.Timer(0.7, site.services.completions.stop_all).start()
    messages = [{"role": "user", "content": "word " * 20}]
    answer = site.post(PATH, {"messages": messages, "stream": stream})
    assert answer.status_code == 200
    last = events(answer)[-2] if stream else answer.json()
    assert last["choices"][0]["finish_reason"] == "length"


def test_whether_it_is_up_can_be_asked_without_a_body(site: Site) -> None:
    assert site.ask("HEAD", "/health").status_code == 200
    assert site.ask("OPTIONS", "/v1/chat/completions").status_code == 404
