"""A real server with a scripted engine: the page in a browser, without a model."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import gradio as gr
import uvicorn

from javis.api.app import build_api
from javis.api.auth import LOCAL, Auth
from javis.api.guards import install_guards
from javis.core.sentence import Sentence
from javis.core.settings import Settings
from javis.core.types import Message, SamplingParams, Version
from javis.engine.scripted import ScriptedEngine
from javis.service.services import Services, join
from javis.service.training_plan import TrainBase
from javis.store import Store, open_store
from javis.train.supervisor import Supervisor
from javis.ui.app import mount_page
from javis.versions.publish import Publisher
from javis.versions.registry import Registry

FAKE_WORKER = Path(__file__).parents[1] / "train" / "fake_worker.py"
Build = Callable[[Path, ScriptedEngine], tuple[Services, Store]]

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
    settings, store = open_data(root)
    why = [
        Sentence("no_card", "No CUDA card was found: the embedded model runs on any computer."),
        Sentence("fastest", "llama.cpp is the fastest engine on a processor."),
    ]
    return join(settings, store, engine, TwoVersions(settings.models_dir), None, why), store


def open_data(root: Path) -> tuple[Settings, Store]:
    settings = Settings(
        data_dir=root / "data",
        models_dir=root / "models",
        exports_dir=root / "exports",
        _env_file=None,
    )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return settings, open_store(settings.data_dir)


@dataclass
class Trainer:
    """Services that train: real processes and real versions, but a trainer without a model."""

    words: list[str] = field(default_factory=list)
    """What the trainer of the next run is told (`tests/train/fake_worker.py`)."""

    def __call__(self, root: Path, engine: ScriptedEngine) -> tuple[Services, Store]:
        settings, store = open_data(root)
        # The losses alone decide here: what the suites do to a run is tested elsewhere.
        (settings.data_dir / "gate.json").write_text('{"suites": []}')
        services = join(
            settings,
            store,
            engine,
            Registry(settings.models_dir),
            base=TrainBase(engine.info.model, root / "base", None, "none", "cpu", 1_000_000),
            publisher=Publisher(settings.models_dir),
            supervisor=Supervisor(settings.data_dir / "runs", self._command),
        )
        return services, store

    def _command(self, folder: Path) -> list[str]:
        return [sys.executable, str(FAKE_WORKER), str(folder), *self.words]


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
    before_end: list[Callable[[], object]] = field(default_factory=list)
    """Called before the server ends: an open page would ask it again and find nobody."""


@contextmanager
def serve(
    root: Path, engine: ScriptedEngine, port: int = 0, build: Build = build_services
) -> Iterator[Served]:
    # Gradio sums its own statistics up with pandas after every event; not in tests.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
    services, store = build(root, engine)
    watchers = services.learning.watchers()
    for watcher in watchers:
        watcher.start()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    running: list[uvicorn.Server] = []

    async def run() -> None:
        # Gradio makes an event loop of its own, and leaves it, where none is running.
        auth = Auth.from_settings(services.settings, services.settings.data_dir / "session.key")
        app = build_api(services, auth)
        install_guards(app, services.settings, auth)
        mount_page(app, services, user_of)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        running.append(uvicorn.Server(config))
        await running[0].serve([listener])

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not (running and running[0].started):
        assert time.monotonic() < deadline and thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    served = Served(address, services, store, engine)
    try:
        yield served
    finally:
        for close in served.before_end:
            close()
        running[0].should_exit = True
        thread.join(15)
        listener.close()
        settle(services)
        for watcher in watchers:
            watcher.stop()
        services.recall.wait(10)
        store.close()


def settle(services: Services) -> None:
    """Let cut-off answers be stored, as the program does before it closes its store."""
    services.chat.stop_all()
    deadline = time.monotonic() + 5
    while not services.chat.idle and time.monotonic() < deadline:
        # A generator that the server dropped ends when it is collected.
        gc.collect()
        time.sleep(0.02)


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
