"""A process in a session of its own: who it is, what it may see, and how it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import javis
from javis.core.pages import HUGE_PAGES

_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES",
    "HF_HOME",
    "XDG_CACHE_HOME",
    # Windows cannot start Python without these.
    "SYSTEMROOT",
    "USERPROFILE",
    "LOCALAPPDATA",
    "TEMP",
    "TMP",
)
"""What the child sees of the environment: no password, no key."""
_SET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "OMP_WAIT_POLICY": "passive",
    "GLIBC_TUNABLES": HUGE_PAGES,
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
    # A file in the working directory must never stand in for a library.
    "PYTHONSAFEPATH": "1",
}
_NICE = 10
"""The chat comes first: at this priority a busy chat leaves the trainer a tenth."""
_SAME_S = 0.5
"""Two readings of one start time agree within this."""
_PER_BOOT_S = 1e9
"""More seconds than any computer runs for."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_POLL_S = 0.05
_KILLED_S = 5.0
"""How long the system may take to clear a killed process away."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process for as long as it lives: pids are used again, start times are not."""

    pid: int
    started: float


def spawn(argv: Sequence[str], folder: Path, keep_open: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start a program in `folder` with low priority; what it prints goes to log.txt there.

    `keep_open` are file descriptors that it inherits. Raises OSError.
    """
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = (
            subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        )
    else:
        options |= {"start_new_session": True, "pass_fds": tuple(keep_open)}
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            close_fds=True,
            **options,
        )
    _step_back(process.pid)
    return process


def environment() -> dict[str, str]:
    """What the child gets to see."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # Where this very program lies, also when it runs from a folder that was never installed.
    root = str(Path(javis.__file__).resolve().parents[1])
    return {**passed, **_SET, "PYTHONPATH": root}


def _step_back(pid: int) -> None:
    if sys.platform == "win32":
        return
    with suppress(psutil.Error, OSError):
        psutil.Process(pid).nice(_NICE)
    # Desktop Linux shares the processor by session first, so a niceness counts only in there.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(_NICE), "ascii")


def started_at(pid: int) -> float | None:
    """When the living process of this pid began, in seconds; None when there is none.

    On Linux counted from a moment that each boot has for itself: neither setting the clock must
    make another process of it, nor a boot the same one of another.
    """
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
        except OSError:
            return None
        # The name in parentheses may hold anything, blanks and parentheses among it.
        fields = text.rpartition(")")[2].split()
        # While other threads of it still die, its files (the lock) are not closed yet.
        if not fields or (fields[0] in "ZX" and int(fields[17]) <= 1):
            return None
        return _boot() * _PER_BOOT_S + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def _boot() -> int:
    """A number of 16 bits that this boot has been given: exact in a float beside the seconds."""
    try:
        text = _BOOT_ID.read_text("ascii")
    except OSError:
        return 0
    return zlib.crc32(text.encode()) & 0xFFFF


def is_alive(worker: Worker) -> bool:
    """Whether this very process still runs; another one with its pid does not count."""
    now = started_at(worker.pid)
    if now is None:
        return False
    if worker.started < _PER_BOOT_S:
        # Noted by an earlier program, which told no boot from another: its trainer is still ours.
        now %= _PER_BOOT_S
    return abs(now - worker.started) < _SAME_S


def end(worker: Worker, grace_s: float) -> None:
    """Ask the process and its children to end, and kill what is left after `grace_s`."""
    if not is_alive(worker):
        return
    _signal(worker, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if sys.platform == "win32":
        if is_alive(worker):
            psutil.Process(worker.pid).kill()
        return
    # Also when the leader obeyed: it may have left children behind in its group.
    _signal(worker, signal.SIGKILL)
    deadline = time.monotonic() + _KILLED_S
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _signal(worker: Worker, number: int) -> None:
    if sys.platform == "win32":
        with suppress(psutil.Error):
            psutil.Process(worker.pid).terminate()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, number)
