"""Behind a real server: the official client, gone clients, many at once, large bodies."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from javis.api import openai as routes
from javis.core.types import Chunk
from javis.engine.scripted import ScriptedEngine
from tests.api.conftest import MakeSite, Site, eventually, serving

MESSAGES: list[Any] = [{"role": "user", "content": "hello there"}]
LONG = "word " * 2000
"""An answer of many words, for clients that do not stay to its end."""


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(ScriptedEngine(delay_s=0.002), queue=200)


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    with serving(site.app) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=20) as client:
        yield client


# The official client ---------------------------------------------------------------------------


def test_client_answers(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="base",
        messages=MESSAGES,
        temperature=2,
        top_p=0.9,
        max_tokens=50,
        seed=1,
        stop=["END"],
        user="me",
    )
    assert answer.choices[0].message.content == "[base] hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 6
    assert answer.model == "base"


def test_client_streams(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="v1.0", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == (
        "[v1.0] hello there"
    )
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_client_helper_streams(client: OpenAI) -> None:
    with client.chat.completions.stream(model="base", messages=MESSAGES) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "[base] hello there"


def test_client_lists_models(client: OpenAI) -> None:
    assert [m.id for m in client.models.list()] == ["base", "v1.0"]
    assert client.models.retrieve("v1.0").id == "v1.0"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("v9.9")


def test_client_keeps(client: OpenAI, site: Site) -> None:
    answer = client.chat.completions.create(model="base", messages=MESSAGES, store=True)
    rated = site.post("/api/feedback", {"turn_id": answer.id, "rating": "bad"})
    assert rated.status_code == 200


def test_client_understands_refusals(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="base", messages=MESSAGES, temperature=5, stream=True)
    assert bad.value.param == "temperature"
    assert "between 0 and 2" in str(bad.value)


def test_client_hears_of_a_failure_in_the_middle(client: OpenAI, site: Site) -> None:
    site.engine.fail_after = 2
    heard = []
    with pytest.raises(openai.APIError, match="The model failed"):
        for chunk in client.chat.completions.create(model="base", messages=MESSAGES, stream=True):
            heard.append(chunk.choices[0].delta.content)
    assert "".join(filter(None, heard)) == "[base] hello"
    site.engine.fail_after = None
    assert client.chat.completions.create(model="base", messages=MESSAGES).choices


def test_client_with_a_key(make_site: MakeSite) -> None:
    site = make_site(password="p", api_key="the key")
    with serving(site.app) as address:
        for key, works in (("the key", True), ("wrong", False)):
            with OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as client:
                if works:
                    assert client.models.list().data
                else:
                    with pytest.raises(openai.AuthenticationError):
                        client.models.list()


# Clients that go -------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
@pytest.mark.parametrize("after_s", [0, 0.1])
def test_a_gone_client_frees_the_engine(
    site: Site, address: str, path: str, stream: bool, after_s: float
) -> None:
    site.engine._delay_s = 0.02
    body = {"message": LONG, "messages": [{"role": "user", "content": LONG}], "stream": stream}
    leave = call(address, path, body)
    eventually(lambda: site.engine.running == 1)
    time.sleep(after_s)
    leave()
    took = eventually(lambda: site.engine.running == 0)
    assert took < 0.3, "a few tokens at most"
    if path == "/api/chat":
        eventually(lambda: stored_finish(site) == "cancelled")


def test_a_client_that_goes_while_it_waits_gives_up_its_place(make_site: MakeSite) -> None:
    site = make_site(ScriptedEngine(delay_s=0.02, parallel=1), queue=1)
    with serving(site.app) as address:
        body = {"messages": [{"role": "user", "content": LONG}], "stream": True}
        first = call(address, "/v1/chat/completions", body)
        eventually(lambda: site.engine.running == 1)
        second = call(address, "/v1/chat/completions", body)
        eventually(lambda: refused(address))
        second()
        eventually(lambda: not refused(address))
        first()
        eventually(lambda: site.engine.running == 0)


def test_stop_from_elsewhere(site: Site, address: str) -> None:
    site.engine._delay_s = 0.01
    with httpx.stream(
        "POST", f"{address}/api/chat", json={"message": LONG, "stream": True}, timeout=20
    ) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: start"
        ids = json.loads(next(lines).removeprefix("data: "))
        path = f"{address}/api/chat/{ids['conversation_id']}/stop"
        busy = {"message": "x", "conversation_id": ids["conversation_id"]}
        again = httpx.post(f"{address}/api/chat", json=busy)
        assert again.status_code == 429
        assert again.json()["error"]["code"] == "already_answering"
        assert httpx.post(path).json() == {"stopped": True}
        rest = list(lines)
    assert "event: end" in rest
    end = json.loads(rest[rest.index("event: end") + 1].removeprefix("data: "))
    assert end["finish_reason"] == "cancelled"


# Many at once ----------------------------------------------------------------------------------


def test_parallel_streams_are_all_served(site: Site, client: OpenAI) -> None:
    def ask(number: int) -> str:
        messages: list[Any] = [{"role": "user", "content": f"number {number} " + "x " * 20}]
        stream = client.chat.completions.create(model="base", messages=messages, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))
    for number, answer in enumerate(answers):
        assert answer.startswith(f"[base] number {number} ")
        assert answer.count("x") == 20
    assert site.engine.running == 0


def test_other_routes_answer_while_many_stream(make_site: MakeSite) -> None:
    """More streams than the common thread pool has threads."""
    site = make_site(ScriptedEngine(delay_s=0.02, parallel=2), queue=100)
    with serving(site.app) as address:
        body = {"messages": [{"role": "user", "content": LONG}], "stream": True}
        leave = [call(address, "/v1/chat/completions", body) for _ in range(60)]
        eventually(lambda: waiting(site) == 58)
        start = time.monotonic()
        assert httpx.get(f"{address}/api/conversations").status_code == 200
        assert time.monotonic() - start < 2
        for go in leave:
            go()
        eventually(lambda: site.engine.running == 0 and waiting(site) == 0)


def test_a_hundred_at_once(make_site: MakeSite) -> None:
    """Those that fit are answered in full, the others get 429, none is lost."""
    site = make_site(ScriptedEngine(delay_s=0.005, parallel=4), queue=16)
    with (
        serving(site.app) as address,
        httpx.Client(timeout=30, limits=httpx.Limits(max_connections=100)) as client,
    ):

        def ask(number: int) -> tuple[int, str]:
            body = {"messages": [{"role": "user", "content": "a b c " * 8}], "stream": True}
            answer = client.post(f"{address}/v1/chat/completions", json=body)
            return answer.status_code, answer.text

        with ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(ask, range(100)))
        statuses = [status for status, _ in answers]
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 20
        for status, text in answers:
            assert ("data: [DONE]" in text) is (status == 200)
        assert site.engine.running == 0
        assert ask(0)[0] == 200


def test_a_waiting_client_is_told_that_all_is_well(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_S", 0.05)
    site = make_site(ScriptedEngine())
    words = site.engine._words

    def slow(*given: Any) -> Iterator[Chunk]:
        for _ in range(10):
            time.sleep(0.02)
            yield Chunk()
        yield from words(*given)

    monkeypatch.setattr(site.engine, "_words", slow)
    with serving(site.app) as address:
        body = {"messages": MESSAGES, "stream": True}
        text = httpx.post(f"{address}/v1/chat/completions", json=body).text
        assert 1 <= text.count(": waiting\n\n") <= 5
        assert '"content": ""' in text
        assert text.count('"content": ""') == 1, "a heartbeat is no content"
        with OpenAI(base_url=f"{address}/v1", api_key="x") as client:
            stream = client.chat.completions.create(model="base", messages=MESSAGES, stream=True)
            heard = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert heard == "[base] hello there"


# Bodies ----------------------------------------------------------------------------------------


def test_large_bodies(address: str) -> None:
    """The sender reads why, although it never got to its end."""
    body = b"x" * 60_000_000
    for path in ("/api/chat", "/v1/chat/completions", "/gradio_api/queue/join"):
        headers = {"Content-Type": "application/json"}
        answer = httpx.post(f"{address}{path}", content=body, headers=headers, timeout=20)
        assert answer.status_code == 413, answer.text

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 1_000_000):
            yield body[start : start + 1_000_000]

    answer = httpx.post(f"{address}/api/chat", content=pieces(), headers=headers, timeout=20)
    assert answer.status_code == 413
    assert httpx.get(f"{address}/health").status_code == 200


def test_a_sender_that_writes_before_it_reads(address: str) -> None:
    """Closing in the middle would reset the connection and lose the answer."""
    with connected(address) as wire:
        wire.sendall(
            b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 30000000\r\n\r\n"
        )
        for _ in range(30):
            wire.sendall(b"x" * 1_000_000)
        assert b" 413 " in wire.recv(1000).partition(b"\r\n")[0]


def test_a_sender_that_asks_first_is_not_made_to_send(address: str) -> None:
    with connected(address) as wire:
        wire.sendall(
            b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 60000000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert b" 413 " in wire.recv(1000).partition(b"\r\n")[0]


@pytest.mark.parametrize("headers", ["X-A: " + "x" * 2_000_000, "X-A: x\r\n" * 20_000])
def test_enormous_headers(address: str, headers: str) -> None:
    with connected(address) as wire:
        wire.sendall(f"GET /health HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n".encode())
        assert b" 400 " in wire.recv(1000).partition(b"\r\n")[0]
    assert httpx.get(f"{address}/health").status_code == 200


def test_nothing_private_is_logged(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site = make_site(ScriptedEngine(fail_after=1), password="the password", api_key="canary key")
    with serving(site.app) as address:
        headers = {"Authorization": "Bearer canary key"}
        body = {"message": "a private word", "stream": True}
        httpx.post(f"{address}/api/chat", json=body, headers=headers)
        httpx.post(f"{address}/login", json={"password": "the password "})
    assert "an answer broke off" in caplog.text
    for secret in ("canary key", "the password", "private word"):
        assert secret not in caplog.text


# Tools -----------------------------------------------------------------------------------------


def connected(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def call(address: str, path: str, body: dict[str, Any]) -> Any:
    """Send a request and return what hangs up without reading the answer."""
    wire = connected(address)
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    wire.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return wire.close


def refused(address: str) -> bool:
    with (
        httpx.Client(timeout=5) as client,
        client.stream(
            "POST",
            f"{address}/v1/chat/completions",
            json={"messages": MESSAGES, "stream": True},
        ) as answer,
    ):
        return answer.status_code == 429


def waiting(site: Site) -> int:
    return len(site.services.completions._answerer.admission._line)


def stored_finish(site: Site) -> str:
    [conversation] = site.get("/api/conversations").json()["conversations"]
    [turn] = site.get(f"/api/conversations/{conversation['id']}").json()["turns"]
    return str(turn["finish"])
