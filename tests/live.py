"""A real `javis serve` with the real model, for tests that kill it or follow the README."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent


class Live:
    """A server process on a folder of its own; `start` after `kill` is a restart."""

    def __init__(
        self, data_dir: Path, port: str = "0", models_dir: Path | None = None, **environment: str
    ) -> None:
        self.data_dir = data_dir
        self._models_dir = models_dir or ROOT / "models"
        self._environment = environment
        self._port = port
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "javis",
            "serve",
            "--port",
            self._port,
            "--no-browser",
            "--data-dir",
            str(self.data_dir),
            "--models-dir",
            str(self._models_dir),
        ]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment},
        )
        said = []
        assert self.process.stdout
        for line in self.process.stdout:
            said.append(line)
            if "http://" in line:
                break
        else:
            self.process.wait(20)
            self.process.stdout.close()
            raise AssertionError("".join(said))
        self.said = said
        self.address = "http://" + line.split("http://")[1].split()[0]
        self._reader = threading.Thread(target=self._drain)
        self._reader.start()
        self.http = httpx.Client(base_url=self.address, timeout=120)

    def _drain(self) -> None:
        assert self.process.stdout
        self.said += list(self.process.stdout)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(20)
        self._reader.join(20)
        assert self.process.stdout
        self.process.stdout.close()
