"""Host, Origin, body size and the headers of every answer, in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from javis.api import body_limit
from javis.api.body_limit import MAX_BODY_BYTES, BodyLimit
from javis.api.guards import split_host
from tests.api.conftest import MakeSite, Site
from tests.api.test_completions import error_of

CHAT = {"message": "x"}


# Host ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:7860",
        "localhost:7860",
        "LOCALHOST",
        "localhost.",
        "[::1]:7860",
        "[::1]",
        "127.0.0.1",
    ],
)
def test_our_names(site: Site, host: str) -> None:
    assert site.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "evil.com:7860",
        "127.0.0.1.evil.com",
        "localhost.evil.com",
        "127.0.0.1:7860@evil.com",
        "evil.com#127.0.0.1",
        "192.168.1.5:7860",
        "0.0.0.0:7860",
        "localhost:abc",
        "localhost:123456",
        "localhost, evil.com",
        "[::1",
        "[::1]evil.com",
        "",
        " ",
    ],
)
def test_other_names(site: Site, host: str) -> None:
    for path in ("/health", "/", "/docs", "/v1/models", "/no-such"):
        assert error_of(site.get(path, headers={"Host": host}))["code"] == "wrong_host"


def test_forwarded_names_count_for_nothing(site: Site) -> None:
    spoof = {"X-Forwarded-Host": "localhost", "X-Forwarded-For": "127.0.0.1", "Host": "evil.com"}
    error_of(site.get("/health", headers=spoof))


def test_two_hosts_are_refused(site: Site) -> None:
    headers = [("Host", "localhost"), ("Host", "evil.com")]
    assert asyncio.run(raw(site.app, "GET", "/health", headers))[0] == 400
    assert asyncio.run(raw(site.app, "GET", "/health", headers[:1]))[0] == 200
    assert asyncio.run(raw(site.app, "GET", "/health", []))[0] == 400


def test_named_hosts(make_site: MakeSite) -> None:
    site = make_site(allowed_hosts="chat.example.com, Other.Example", password="p", host="10.0.0.7")
    for host in ("chat.example.com", "CHAT.example.com:443", "other.example", "10.0.0.7:7860"):
        assert site.get("/health", headers={"Host": host}).status_code == 200, host
    # Another address of this computer: a number cannot be pointed elsewhere as a name can.
    assert site.get("/health", headers={"Host": "192.168.1.5:7860"}).status_code == 200
    assert site.get("/health", headers={"Host": "[fe80::1]:7860"}).status_code == 200
    for host in ("evil.com", "example.com", "x.chat.example.com", "chat.example.com.evil.com"):
        error_of(site.get("/health", headers={"Host": host}))


@pytest.mark.parametrize(
    ("value", "split"),
    [
        ("a:1", ("a", "1")),
        ("A.", ("a", "")),
        ("[::1]:9", ("::1", "9")),
        ("::1", None),
        ("a b", None),
        ("a:", None),
        ("a/b", None),
        ("a@b", None),
    ],
)
def test_split_host(value: str, split: tuple[str, str] | None) -> None:
    assert split_host(value) == split


# Origin --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:7860"},
        {"Origin": "https://127.0.0.1:7860"},
        {"Referer": "http://127.0.0.1:7860/some?page"},
        {"Origin": "http://localhost", "Host": "localhost"},
        {"Origin": "http://localhost", "Host": "localhost:80"},
        {"Origin": "https://localhost", "Host": "localhost"},
        {"Origin": "http://[::1]:7860", "Host": "[::1]:7860"},
    ],
)
def test_our_pages(site: Site, headers: dict[str, str]) -> None:
    assert site.post("/api/chat", CHAT, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://evil.com"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:7861"},
        {"Origin": "http://localhost:7860"},
        {"Origin": "http://127.0.0.1:7860.evil.com"},
        {"Origin": "http://127.0.0.1:7860@evil.com"},
        {"Origin": "http://evil.127.0.0.1:7860"},
        {"Origin": "file://"},
        {"Origin": "chrome-extension://127.0.0.1:7860"},
        {"Origin": "http://[::1"},
        {"Origin": "http://127.0.0.1:7860, http://evil.com"},
        {"Referer": "http://evil.com/127.0.0.1:7860"},
        {"Referer": "about:blank"},
        {"Origin": "http://evil.com", "Referer": "http://127.0.0.1:7860/"},
        {"Origin": "http://evil.com", "X-Forwarded-Host": "evil.com"},
    ],
)
def test_other_pages(site: Site, headers: dict[str, str]) -> None:
    assert error_of(site.post("/api/chat", CHAT, headers=headers), 403)["code"] == "wrong_origin"
    for method in ("PUT", "PATCH", "DELETE"):
        error_of(site.ask(method, "/api/conversations/x", json={}, headers=headers), 403)
    assert site.get("/api/conversations").json()["total"] == 0


def test_a_page_that_came_unprotected_is_another_page(site: Site) -> None:
    site.address = "https://127.0.0.1:7860"
    for origin, status in (("https://127.0.0.1:7860", 200), ("http://127.0.0.1:7860", 403)):
        assert site.post("/api/chat", CHAT, headers={"Origin": origin}).status_code == status


def test_two_origins_are_refused(site: Site) -> None:
    headers = [("Host", "127.0.0.1:7860"), ("Origin", "http://127.0.0.1:7860")]
    assert asyncio.run(raw(site.app, "POST", "/logout", headers))[0] == 200
    headers.append(("Origin", "http://evil.com"))
    assert asyncio.run(raw(site.app, "POST", "/logout", headers))[0] == 403


def test_websockets_of_other_pages(site: Site) -> None:
    @site.app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    for origin, accepted in (("http://evil.com", False), ("http://127.0.0.1:7860", True)):
        kind = asyncio.run(open_socket(site.app, origin))
        assert (kind == "websocket.accept") is accepted, (origin, kind)


# A page mounted at "/" -------------------------------------------------------------------------


def test_a_mounted_page_is_guarded_too(make_site: MakeSite) -> None:
    """As Gradio's is, whose own routes ask nobody for a login."""

    async def page(request: Request) -> Response:
        body = await request.body()
        headers = {"Access-Control-Allow-Origin": "http://localhost:3000"}
        return PlainTextResponse(f"{request.url.path} {len(body)}", headers=headers)

    async def broken(request: Request) -> Response:
        raise RuntimeError("secret detail")

    site = make_site(password="p", api_key="k")
    methods = ["GET", "POST"]
    routes = [Route("/broken", broken), Route("/{path:path}", page, methods=methods)]
    site.app.mount("/", Starlette(routes=routes))
    mine = {"Authorization": "Bearer k"}
    cancel = "/gradio_api/cancel"
    assert site.post(cancel, [], headers=mine).text == "/gradio_api/cancel 2"
    error_of(site.post(cancel, []), 401)
    error_of(site.post(cancel, [], headers=mine | {"Origin": "null"}), 403)
    error_of(site.get(cancel, headers=mine | {"Host": "evil.com"}), 400)
    error_of(site.post(cancel, ["x" * MAX_BODY_BYTES], headers=mine), 413)
    answer = site.get(cancel, headers=mine | {"Origin": "http://localhost:3000"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    error_of(site.get("/gradio_api/file=/etc/passwd", headers=mine), 404)
    failed = site.get("/broken", headers=mine)
    assert failed.status_code == 500
    assert "secret" not in failed.text
    # Our routes and those we lack are not the page's.
    error_of(site.post("/v1/embeddings", {}, headers=mine), 404)
    assert site.get("/docs", headers=mine).text.startswith("<!doctype html>")


# Headers of the answer -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/docs", "/no-such", "/v1/models", "/api/versions"])
def test_headers_of_every_answer(site: Site, path: str) -> None:
    for host in ("localhost", "evil.com"):
        headers = site.get(path, headers={"Host": host}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy
        assert "img-src 'self' data: blob:" in policy
        assert "http" not in policy and "*" not in policy
    assert ("no-store" in headers.get("cache-control", "")) is path.startswith(("/v1", "/api"))


def test_no_page_of_another_site_may_read(site: Site) -> None:
    @site.app.get("/friendly")
    def friendly() -> Response:
        allow = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}
        return Response("x", headers=allow)

    answer = site.get("/friendly", headers={"Origin": "http://localhost:3000"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    asked = {"Origin": "http://evil.com", "Access-Control-Request-Method": "POST"}
    answer = site.ask("OPTIONS", "/api/chat", headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_docs_need_nothing_from_elsewhere(site: Site) -> None:
    page = site.get("/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("</", "")
    described = site.get("/openapi.json").json()
    assert {"/health", "/v1/chat/completions", "/api/chat"} <= set(described["paths"])
    for operations in described["paths"].values():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            assert operation["description"]


# Size of the body ----------------------------------------------------------------------------


def test_a_body_that_says_it_is_too_long(site: Site) -> None:
    body = b" " * (MAX_BODY_BYTES + 1)
    headers = {"Content-Type": "application/json"}
    for path in ("/api/chat", "/v1/chat/completions", "/login", "/gradio_api/queue/join", "/"):
        answer = site.ask("POST", path, content=body, headers=headers)
        assert error_of(answer, 413)["message"].endswith("at most 8 MiB are possible.")
    # One byte less is read, and refused as what it is.
    error_of(site.ask("POST", "/api/chat", content=body[:-1], headers=headers), 400)


def test_a_body_that_does_not_say_its_length(site: Site) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(9):
            yield b" " * 1024 * 1024

    async def async_pieces() -> AsyncIterator[bytes]:
        for piece in pieces():
            yield piece

    for path in ("/api/chat", "/api/conversations", "/login"):
        answer = site.ask(
            "POST", path, content=async_pieces(), headers={"Content-Type": "application/json"}
        )
        if path != "/api/conversations":
            assert error_of(answer, 413)["code"] == "body_too_large"


def test_a_library_may_be_larger(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"conversations": []' + b" " * MAX_BODY_BYTES + b"}"
    headers = {"Content-Type": "application/json"}
    path = "/api/conversations/import"
    error_of(site.ask("POST", path, content=body, headers=headers), 400)
    monkeypatch.setattr(body_limit, "MAX_FILE_BYTES", 9_000_000)
    error_of(site.ask("POST", path, content=body + b" " * 1_000_000, headers=headers), 413)


def test_a_sender_that_falls_silent() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        await PlainTextResponse(str(len(body)))(scope, receive, send)

    async def silent() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(5)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(BodyLimit(app, silence_s=0.05))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.post("/", content=silent())

    assert error_of(asyncio.run(ask()), 408)["code"] == "body_stopped"


def test_a_sender_that_crawls() -> None:
    """A byte now and then is no silence, and no end either."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        await PlainTextResponse(str(len(body)))(scope, receive, send)

    async def crawling() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x"
            await asyncio.sleep(0.02)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(BodyLimit(app, silence_s=5, whole_s=0.1))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.post("/", content=crawling())

    assert error_of(asyncio.run(ask()), 408)["code"] == "body_stopped"


def test_a_long_wait_after_the_body_is_no_silence() -> None:
    """An answer may take its time while its route listens for a gone client."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        listening = asyncio.create_task(receive())
        await asyncio.sleep(0.2)
        assert not listening.done()
        listening.cancel()
        await PlainTextResponse("done")(scope, receive, send)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(BodyLimit(app, silence_s=0.05, whole_s=0.05))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.post("/", content=b"x")

    assert asyncio.run(ask()).text == "done"


# Without httpx, for what it would not send ----------------------------------------------------


def scope_of(kind: str, path: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(n.lower().encode(), v.encode()) for n, v in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7860),
        "state": {},
    }


async def raw(
    app: FastAPI, method: str, path: str, headers: list[tuple[str, str]]
) -> tuple[int, bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of("http", path, headers) | {"method": method}, receive, send)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


async def open_socket(app: FastAPI, origin: str) -> str:
    """The first word of the server to a websocket from a page of `origin`."""
    sent: list[Message] = []
    headers = [("Host", "127.0.0.1:7860"), ("Origin", origin)]

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = scope_of("websocket", "/socket", headers) | {"subprotocols": []}
    await app(scope, receive, send)
    return str(sent[0]["type"])
