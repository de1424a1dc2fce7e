"""A real `javis serve` in its own process, and the clients that a bench asks it with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from javis.core.errors import EngineError


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    address: str
    pid: int
    healthy_after_s: float

    def rss_bytes(self) -> int:
        import psutil

        return int(psutil.Process(self.pid).memory_info().rss)


@dataclass(frozen=True, slots=True)
class Streamed:
    """One streamed answer, timed by the client. Seconds from the request."""

    text: str
    tokens: int
    first_s: float
    last_s: float

    @property
    def decode_per_s(self) -> float:
        """Tokens per second after the first."""
        return (self.tokens - 1) / max(self.last_s - self.first_s, 1e-9)


@contextmanager
def serving(models_dir: Path, data_dir: Path, **environment: str) -> Iterator[Served]:
    """Start `javis serve` on a free port; wait until `/health` answers; end it afterwards."""
    command = [sys.executable, "-m", "javis", "serve", "--port", "0", "--no-browser",
               "--models-dir", str(models_dir), "--data-dir", str(data_dir)]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )  # fmt: skip
    try:
        address = _address(process)
        with urllib.request.urlopen(f"{address}/health", timeout=10) as reply:  # noqa: S310
            json.load(reply)
        yield Served(address, process.pid, time.perf_counter() - start)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[str]) -> str:
    said: list[str] = []
    for line in process.stdout or ():
        said.append(line)
        if "http://" in line:
            # What it prints later must not fill the pipe.
            threading.Thread(target=lambda: list(process.stdout or ()), daemon=True).start()
            return "http://" + line.split("http://")[1].split()[0]
    raise EngineError("bench_server", "The server did not start:\n{said}", said="".join(said))


def stream(address: str, path: str, body: dict[str, Any]) -> Streamed:
    """POST `body` with `stream: true`; understands `/v1` and `/api/chat`."""
    extra = {"stream_options": {"include_usage": True}} if path.startswith("/v1") else {}
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{address}{path}",
        data=json.dumps({**body, "stream": True, **extra}).encode(),
        headers={"Content-Type": "application/json"},
    )
    start = time.perf_counter()
    first = last = 0.0
    text, tokens = "", 0
    with urllib.request.urlopen(request, timeout=600) as reply:  # noqa: S310
        for line in reply:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            delta = _delta(event)
            if delta:
                last = time.perf_counter() - start
                first = first or last
                text += delta
            if event.get("usage"):
                tokens = event["usage"]["completion_tokens"]
    return Streamed(text, tokens, first, last)


def _delta(event: dict[str, Any]) -> str:
    if event.get("choices"):
        return str(event["choices"][0]["delta"].get("content") or "")
    return str(event.get("text") or "")


def post(address: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{address}{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as reply:  # noqa: S310
        return json.load(reply)
