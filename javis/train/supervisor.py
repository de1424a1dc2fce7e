"""The runs on disk, `data/runs/<job>/`, and the one process that trains.

`data/runs/.lock` is taken before a run is made ready and handed to the trainer, which holds it
until it dies, however it dies. So the lock tells the truth over crashes of either side, and no
two trainers ever run at once. The trainer outlives the server; `is_alive` finds it again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from javis.core.errors import AlreadyTraining, NotFound, TrainError
from javis.core.learning import TrainEvent
from javis.engine.files import try_lock
from javis.train.process import Worker, end, is_alive, spawn, started_at

GRACE_S = 4.0
"""How long a trainer may take to stop by itself; cancelling takes 5 s at most."""
STALL_S = 60.0
"""A trainer whose heart has not beaten for so long is stuck. Importing torch may take 20 s."""
LOG_BYTES = 1 << 20
_TAIL_BYTES = 16 << 10
_JOB_ID = re.compile(r"j_[0-9a-f]{32}")

Command = Callable[[Path], Sequence[str]]


def train_command(folder: Path) -> list[str]:
    """The trainer of a run's folder."""
    return [sys.executable, "-m", "javis.train.launch", str(folder)]


@dataclass(slots=True)
class Lock:
    """The right to train, as long as it is open here or in the trainer."""

    fd: int


class Supervisor:
    """Starts, watches and ends trainers. Safe to call from any thread."""

    def __init__(
        self,
        runs_dir: Path,
        command: Command = train_command,
        *,
        grace_s: float = GRACE_S,
        stall_s: float = STALL_S,
    ) -> None:
        self._runs_dir = runs_dir
        self._command = command
        self._grace_s = grace_s
        self._stall_s = stall_s
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._beats: dict[str, tuple[int, float]] = {}
        self._events: dict[str, _EventFile] = {}
        self._lock = threading.Lock()

    # -- the right to train ----------------------------------------------------------------

    @contextmanager
    def reserved(self) -> Iterator[Lock]:
        """Hold the right to train. AlreadyTraining when a run, here or elsewhere, has it.

        A trainer started inside keeps it after the block.
        """
        self._runs_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self._runs_dir / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not try_lock(fd):
                raise AlreadyTraining()
            yield Lock(fd)
        finally:
            # Not unlocked: that would take it from the trainer too, which shares it.
            os.close(fd)

    def start(self, job_id: str, lock: Lock) -> Worker:
        """Start the trainer of a run that has been made ready. Raises TrainError."""
        folder = self.folder(job_id)
        (folder / "result.json").unlink(missing_ok=True)
        (folder / "heartbeat").unlink(missing_ok=True)
        try:
            process = spawn(self._command(folder), folder, [lock.fd])
        except OSError as error:
            raise TrainError(
                "no_trainer",
                "The training process could not be started: {why}.",
                why=error.strerror or error,
            ) from error
        self._beats.pop(job_id, None)
        self._children[process.pid] = process
        return Worker(process.pid, started_at(process.pid) or 0.0)

    # -- watching --------------------------------------------------------------------------

    def is_alive(self, worker: Worker) -> bool:
        """Whether the trainer runs, also one that an earlier server started."""
        if child := self._children.get(worker.pid):
            child.poll()
        return is_alive(worker)

    def exit_status(self, worker: Worker) -> int | None:
        """How it ended, if it was started here; negative: the signal that killed it."""
        child = self._children.get(worker.pid)
        if child is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            # A dead process cannot be waited for until its last thread is gone.
            child.wait(1)
        return child.returncode

    def is_stalled(self, job_id: str) -> bool:
        """Whether the heart has stood still for too long, as seen from here.

        Only the time while this process looked on counts, so that neither a computer that was
        asleep nor a clock that was set makes a healthy trainer look dead.
        """
        try:
            beat = (self.folder(job_id) / "heartbeat").stat().st_mtime_ns
        except OSError:
            beat = 0
        now = time.monotonic()
        seen, since = self._beats.setdefault(job_id, (beat, now))
        if beat != seen:
            self._beats[job_id] = (beat, now)
            return False
        return now - since > self._stall_s

    def stop(self, worker: Worker) -> None:
        """End the trainer within the grace time, by force if need be."""
        end(worker, self._grace_s)
        self.is_alive(worker)

    def let_go(self) -> None:
        """This process ends; the trainers go on."""
        for child in self._children.values():
            # Popen would complain about a child that nobody waited for.
            child.returncode = child.poll() or 0
        self._children.clear()

    # -- what is in the folder -------------------------------------------------------------

    def folder(self, job_id: str) -> Path:
        """Where a run keeps its files. Raises NotFound for what can be no run's id."""
        if not _JOB_ID.fullmatch(job_id):
            raise NotFound("no_job", "There is no such training run.")
        return self._runs_dir / job_id

    def result(self, job_id: str) -> dict[str, Any] | None:
        """What the trainer wrote at its very end; None when it did not come so far."""
        try:
            found = json.loads((self.folder(job_id) / "result.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and isinstance(found.get("state"), str) else None

    def events(self, job_id: str, after: int = 0) -> list[TrainEvent]:
        """The run's events with a number above `after`, oldest first."""
        with self._lock:
            path = self.folder(job_id) / "events.jsonl"
            file = self._events.setdefault(job_id, _EventFile(path))
            return file.read()[max(0, after) :]

    def log_tail(self, job_id: str) -> str:
        """The end of what the trainer printed."""
        try:
            with (self.folder(job_id) / "log.txt").open("rb") as handle:
                size = handle.seek(0, os.SEEK_END)
                handle.seek(max(0, size - _TAIL_BYTES))
                return handle.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def cap_log(self, job_id: str) -> None:
        """Keep only the end of a log that has grown large. The trainer appends meanwhile."""
        path = self.folder(job_id) / "log.txt"
        with suppress(OSError):
            if path.stat().st_size <= LOG_BYTES:
                return
            tail = self.log_tail(job_id)
            os.truncate(path, 0)
            with path.open("ab") as handle:
                handle.write(b"...\n" + tail.encode("utf-8"))

    def delete_checkpoints(self, job_id: str) -> None:
        """Free what only a resumed run would read; the adapter and the record stay."""
        for folder in self.folder(job_id).glob("checkpoint-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def delete(self, job_id: str, keep: str = "") -> None:
        """Remove the run's folder, or all that is in it but the file `keep`."""
        with self._lock:
            self._events.pop(job_id, None)
        folder = self.folder(job_id)
        if keep and (folder / keep).is_file():
            _remove_others(folder, folder / keep)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_others(folder: Path, kept: Path) -> None:
    """Remove what is in a folder but one file, there or deeper."""
    for path in [*folder.iterdir()]:
        if path in kept.parents:
            _remove_others(path, kept)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path != kept:
            with suppress(OSError):
                path.unlink()


class _EventFile:
    """events.jsonl, of which only what is new is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._events: list[TrainEvent] = []

    def read(self) -> list[TrainEvent]:
        try:
            with self._path.open("rb") as handle:
                if handle.seek(0, os.SEEK_END) < self._offset:
                    self._offset, self._events = 0, []
                handle.seek(self._offset)
                data = handle.read()
        except OSError:
            return self._events
        # The last line may be half written.
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            if event := _event(line, len(self._events) + 1):
                self._events.append(event)
        return self._events


def _event(line: bytes, number: int) -> TrainEvent | None:
    """An event, numbered by its place: a resumed trainer may count from one again."""
    try:
        # No NaN: it is no JSON, and a browser would choke on it.
        row = json.loads(line, parse_constant=lambda name: None)
        values = row.get("values") or {}
        return TrainEvent(number, str(row.get("at", "")), str(row["kind"]), dict(values))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # Cut short by a crash.
