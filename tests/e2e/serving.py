"""A real server with a scripted engine: the page in a browser, without a model."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
import uvicorn

from javis.api.app import build_api
from javis.api.auth import LOCAL, Auth
from javis.api.guards import install_guards
from javis.core.settings import Settings
from javis.core.types import Message, SamplingParams, Version
from javis.engine.scripted import ScriptedEngine
from javis.service.services import Services, join
from javis.store import Store, open_store
from javis.ui.app import build_page, mount_options
from javis.versions.registry import Registry

LONG = """Here is a **short tour** of the idea, with _some_ structure.

## A table

| City | 오늘 | Tomorrow |
|:-----|-----:|:--------:|
| 서울 | 12 °C | 14 °C |
| Busan | 15 °C | 16 °C |

1. First, look at the code.
2. Then run it.
   - with `python`
   - or not at all

```python
def greet(name: str) -> str:
    \"\"\"Say hello.\"\"\"
    # A comment, 42 times
    return f"안녕하세요, {name}!" * 42
```

> Simple is better than complex.

See [the docs](https://example.com/docs) for more. 한국어 문장도 자연스럽게 줄바꿈되어야 합니다."""


def answer(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    """What the scripted model says, by what it is asked."""
    text = messages[-1].content
    if "raw:" in text:
        return text.split("raw:", 1)[1]
    if "count" in text:
        return " ".join(str(n) for n in range(1, 400))
    if "long" in text:
        return LONG
    return f"You said: {text.strip().splitlines()[-1][:60]} (seed {sampling.seed})"


@dataclass(frozen=True)
class TestUser:
    name: str
    is_admin: bool

    __test__ = False


def user_of(request: gr.Request) -> TestUser:
    """The name in a header, so that one server can play several people."""
    name = request.headers.get("x-test-user") or LOCAL
    return TestUser(name, name == LOCAL)


def build_services(root: Path, engine: ScriptedEngine) -> tuple[Services, Store]:
    settings = Settings(data_dir=root / "data", models_dir=root / "models", _env_file=None)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    store = open_store(settings.data_dir)
    why = ["llama.cpp, because there is no CUDA device.", "SmolLM2 135M, because it is embedded."]
    return join(settings, store, engine, TwoVersions(settings.models_dir), None, why), store


class TwoVersions(Registry):
    """A model folder with one good version and one damaged one."""

    def versions(self) -> list[Version]:
        good = Version("v1.0", "/models/v1.0", "smollm2-135m", "0" * 64, method="sft", notes="tone")
        bad = Version("v1.1", "/models/v1.1", "smollm2-135m", None, damaged="A file is missing.")
        return [good, bad]


@dataclass
class Served:
    url: str
    services: Services
    store: Store
    engine: ScriptedEngine


@contextmanager
def serve(root: Path, engine: ScriptedEngine, port: int = 0) -> Iterator[Served]:
    # Gradio sums its own statistics up with pandas after every event; not in tests.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
    services, store = build_services(root, engine)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    running: list[uvicorn.Server] = []

    async def run() -> None:
        # Gradio makes an event loop of its own, and leaves it, where none is running.
        auth = Auth.from_settings(services.settings, services.settings.data_dir / "session.key")
        app = build_api(services, auth)
        install_guards(app, services.settings, auth)
        gr.mount_gradio_app(app, build_page(services, user_of), path="/", **mount_options())
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        running.append(uvicorn.Server(config))
        await running[0].serve([listener])

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not (running and running[0].started):
        assert time.monotonic() < deadline and thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}/", services, store, engine)
    finally:
        running[0].should_exit = True
        thread.join(15)
        listener.close()
        store.close()


def scripted(**how: object) -> ScriptedEngine:
    engine = ScriptedEngine(answer, **{"delay_s": 0.02, "context_tokens": 2048, **how})
    engine.info = replace(
        engine.info,
        title="SmolLM2 135M",
        model="smollm2-135m",
        languages=("en",),
        licence="Apache-2.0",
    )
    return engine
