"""The evaluations since the program started: how far they are, and how they ended."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from javis.core.errors import NotFound
from javis.core.evaluation import SuiteName
from javis.store import now_iso

_KEPT = 50
RunState = Literal["running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class EvalRun:
    """An evaluation that was started; its results are on disk, whatever became of it."""

    id: str
    created_at: str
    owner: str
    versions: tuple[str, ...]
    suites: tuple[SuiteName, ...]
    sample: int | None
    """The first so many items of each suite; None: all of them."""
    state: RunState = "running"
    done: int = 0
    """Items, those known from before included."""
    total: int = 0
    eta_s: float | None = None
    """None before it can be said, and after the end."""
    version: str = ""
    """What is being asked now."""
    suite: str = ""
    error: str | None = None
    """Code of why it failed; `error_values` fill its sentence, `message` is the English one."""
    error_values: Mapping[str, Any] | None = None
    message: str = ""
    ended_at: str = ""


class EvalRuns:
    """Keeps them, and the events that end them. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, EvalRun] = {}
        self._stops: dict[str, threading.Event] = {}

    def add(
        self,
        owner: str,
        versions: tuple[str, ...],
        suites: tuple[SuiteName, ...],
        sample: int | None,
        total: int,
    ) -> EvalRun:
        """A new one, running."""
        run = EvalRun(
            "e_" + uuid.uuid4().hex, now_iso(), owner, versions, suites, sample, total=total
        )
        with self._lock:
            self._runs[run.id] = run
            self._stops[run.id] = threading.Event()
            for old in list(self._runs)[:-_KEPT]:
                del self._runs[old], self._stops[old]
        return run

    def all(self) -> list[EvalRun]:
        """The newest first."""
        with self._lock:
            return list(reversed(self._runs.values()))

    def get(self, run_id: str) -> EvalRun:
        with self._lock:
            found = self._runs.get(run_id)
        if found is None:
            raise NotFound("no_evaluation", "There is no such evaluation.")
        return found

    def change(self, run_id: str, **changed: Any) -> None:
        with self._lock:
            self._runs[run_id] = replace(self._runs[run_id], **changed)

    def stop_of(self, run_id: str) -> threading.Event:
        """What ends it when it is set."""
        self.get(run_id)
        return self._stops[run_id]

    def stop_all(self) -> None:
        for event in list(self._stops.values()):
            event.set()


class Clock:
    """How long the rest will take, by what was asked since it began."""

    def __init__(self, left: int) -> None:
        """`left`: how many items are still to be asked."""
        self._start = time.monotonic()
        self._left = left
        self._asked = 0
        self._skip = False

    def next_version(self) -> None:
        """The next tick only tells what was known before."""
        self._skip = True

    def tick(self) -> float | None:
        """One more was asked; the seconds that the rest will take, None before the first."""
        self._asked += not self._skip
        self._skip = False
        if not self._asked:
            return None
        pace = (time.monotonic() - self._start) / self._asked
        return pace * max(0, self._left - self._asked)
