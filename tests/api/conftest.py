"""The whole application over the scripted engine: in process, and behind a real server."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from javis.api.app import build_api
from javis.api.auth import Auth
from javis.api.guards import install_guards
from javis.core.settings import Settings
from javis.core.types import Version
from javis.engine.scripted import ScriptedEngine
from javis.service.services import Services, join
from javis.store import Store, open_store
from javis.versions.registry import Registry

ADDRESS = "http://127.0.0.1:7860"


class Shelf(Registry):
    """Two versions without files: one that answers, and a damaged one."""

    def versions(self) -> list[Version]:
        good = Version("v1.0", "/models/v1.0", "scripted", "ab" * 32, notes="first")
        return [good, replace(good, name="v1.1", damaged="its weights are cut short.")]

    def current(self) -> str:
        return "base"


@dataclass
class Site:
    """An application with its guards, asked in process."""

    services: Services
    store: Store
    app: FastAPI
    auth: Auth
    engine: ScriptedEngine
    headers: dict[str, str] = field(default_factory=dict)
    address: str = ADDRESS

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request. `headers` are added to those of the site; a None takes one away."""
        merged = {**self.headers, **options.pop("headers", {})}
        headers = {k: v for k, v in merged.items() if v is not None}

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.address) as client:
                return await client.request(method, path, headers=headers, **options)

        return asyncio.run(send())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, json: object = None, **options: Any) -> httpx.Response:
        return self.ask("POST", path, json=json, **options)

    def chat(self, message: str = "hello", **fields: object) -> dict[str, Any]:
        answer = self.post("/api/chat", {"message": message, **fields})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Builds sites; keyword arguments are settings, `engine` another engine, `parts` those of
    `join`."""
    opened: list[Store] = []

    def make(
        engine: ScriptedEngine | None = None,
        parts: dict[str, Any] | None = None,
        **settings: object,
    ) -> Site:
        engine = engine or ScriptedEngine()
        known = Settings(
            _env_file=None,
            data_dir=tmp_path / "data",
            models_dir=tmp_path / "models",
            exports_dir=tmp_path / "exports",
            **settings,
        )
        known.data_dir.mkdir(exist_ok=True)
        while opened:
            opened.pop().close()
        store = open_store(known.journal)
        opened.append(store)
        parts = {"registry": Shelf(known.models_dir)} | (parts or {})
        services = join(known, store, engine, **parts)
        auth = Auth.from_settings(known, known.data_dir / "session.key")
        app = build_api(services, auth)
        install_guards(app, known, auth)
        return Site(services, store, app, auth, engine)

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site()


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The address of a real server in a thread, as `javis serve` starts it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        log_level="error",
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        lifespan="on",
        http="h11",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def eventually(holds: Callable[[], bool], within_s: float = 5.0) -> float:
    """Wait until it holds and return how long that took; fail when it never does."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < within_s, "it never came true"
        time.sleep(0.002)
    return time.monotonic() - start
