"""Which version was served when, and why: `models/history.jsonl`, one line per change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from javis.core.types import BASE
from javis.versions.disk import Disk

FILE = "history.jsonl"
_MAX_BYTES = 16 << 20

Reason = Literal["promoted", "rolled_back", "published", "deleted"]
_REASONS: tuple[str, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the history. `before` and `after` are versions' names."""

    at: str
    by: str
    """Who did it: a user's name, `cli` or the id of a training run."""
    before: str | None
    after: str | None
    reason: Reason
    note: str = ""


def now_iso() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(models_dir: Path) -> list[Event]:
    """All events, oldest first. Lines that cannot be read (a crash, an editor) are left out."""
    try:
        with (models_dir / FILE).open("rb") as handle:
            lines = handle.read(_MAX_BYTES).splitlines()
    except OSError:
        return []
    return [event for line in lines if (event := _event(line)) is not None]


def append(models_dir: Path, event: Event, disk: Disk) -> None:
    """Add an event. Call it under the lock."""
    path = models_dir / FILE
    row = asdict(event)
    row["from"], row["to"] = row.pop("before"), row.pop("after")
    data = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    disk.append(path, data if _ends_whole(path) else b"\n" + data)


def served(events: Iterable[Event], current: str) -> list[str]:
    """The versions a rollback steps back through, the current one last.

    Promoting adds one, rolling back takes one away. What `models/current` named has the last word,
    now and when each event was written: it may have been changed by hand, or the program may have
    died before the history was written.
    """
    stack = [BASE]
    for event in events:
        if event.reason not in ("promoted", "rolled_back") or event.after is None:
            continue
        if event.before is not None:
            _step_to(stack, event.before)
        if event.reason == "rolled_back":
            _step_to(stack, event.after)
        elif stack[-1] != event.after:
            stack.append(event.after)
    _step_to(stack, current)
    return stack


def _step_to(stack: list[str], name: str) -> None:
    """Make `name` the last one: back to where it was served, else one step further."""
    if name not in stack:
        stack.append(name)
    while stack[-1] != name:
        stack.pop()


def promoted_at(events: Sequence[Event], name: str) -> str:
    """When a version last began to be served; empty when it never was."""
    times = [e.at for e in events if e.after == name and e.reason in ("promoted", "rolled_back")]
    return times[-1] if times else ""


def _event(line: bytes) -> Event | None:
    try:
        row = json.loads(line)
        event = Event(
            row["at"], row["by"], row["from"], row["to"], row["reason"], row.get("note", "")
        )
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        return None
    texts = (event.at, event.by, event.note, event.before or "", event.after or "")
    return event if event.reason in _REASONS and all(isinstance(t, str) for t in texts) else None


def _ends_whole(path: Path) -> bool:
    """False when the last line was cut off by a crash."""
    try:
        with path.open("rb") as handle:
            if handle.seek(0, 2) == 0:
                return True
            handle.seek(-1, 2)
            return handle.read(1) == b"\n"
    except FileNotFoundError:
        return True
