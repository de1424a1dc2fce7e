"""What a run tells while it goes on: lines of `events.jsonl`, and a heartbeat."""

from __future__ import annotations

import json
import math
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EVENTS = "events.jsonl"
HEARTBEAT = "heartbeat"
_BEAT_S = 1.0


class EventLog:
    """Appends events, each a line that is written at once. A resumed run counts on."""

    def __init__(self, folder: Path) -> None:
        path = folder / EVENTS
        data = path.read_bytes() if path.is_file() else b""
        self._number = data.count(b"\n")
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if data and not data.endswith(b"\n"):
            # The process before died within a line: it stays a line of its own.
            os.write(self._fd, b"\n")
            self._number += 1

    def add(self, kind: str, **values: Any) -> None:
        """Append an event. OSError when the disk is full."""
        self._number += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        row = {"number": self._number, "at": at, "kind": kind, "values": finite(values)}
        line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
        os.write(self._fd, line.encode("utf-8", "replace"))

    def close(self) -> None:
        os.close(self._fd)


def finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: such a number becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return value


class Heartbeat:
    """Touches a file every second, whatever the main thread computes, until it is stopped."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HEARTBEAT
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(2 * _BEAT_S)

    def _beat(self) -> None:
        while True:
            with suppress(OSError):
                self._path.touch()
            if self._stopped.wait(_BEAT_S):
                return
