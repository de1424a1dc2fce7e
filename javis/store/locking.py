"""Who may touch the journal: one writer or many readers, over threads and processes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from javis.core.errors import StoreError
from javis.store.fs import OsFS

_FIRST_WAIT_S = 0.0005
_LONGEST_WAIT_S = 0.001
"""Longer naps starve: whoever just wrote writes again before the others wake up."""


class JournalLock:
    """A lock among the threads of this process and, by a file that is never renamed, among all.

    The holder may take it again; what it took first (shared or not) stays.
    """

    def __init__(self, path: Path, fs: OsFS, timeout_s: float) -> None:
        self._path, self._fs, self._timeout_s = path, fs, timeout_s
        self._threads = threading.RLock()
        self._fd: int | None = None
        self._depth = 0
        self._holder: int | None = None
        self._pid = os.getpid()

    @property
    def mine(self) -> bool:
        """True when this thread holds the lock."""
        return self._holder == threading.get_ident()

    @property
    def nested(self) -> bool:
        """True when the holder had it already before it last took it."""
        return self._depth > 1

    def check_process(self) -> None:
        """A lock outlives fork and would then belong to two processes, so the child is refused."""
        if os.getpid() != self._pid:
            raise StoreError(
                "store_forked",
                "The data file was opened by another process; open it again in this one.",
            )

    @contextmanager
    def held(self, *, shared: bool = False) -> Iterator[None]:
        """Wait for the lock, at most `timeout_s`; StoreError `store_locked` after that."""
        self.check_process()
        deadline = time.monotonic() + self._timeout_s
        if not self._threads.acquire(timeout=self._timeout_s):
            raise self._late()
        try:
            if self._depth == 0:
                self._lock_file(shared, deadline)
                self._holder = threading.get_ident()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._holder = None
                    if self._fd is not None:
                        self._fs.unlock(self._fd)
        finally:
            self._threads.release()

    def close(self) -> None:
        if self._fd is not None:
            self._fs.close(self._fd)
            self._fd = None

    def _lock_file(self, shared: bool, deadline: float) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            if self._fd is None:
                self._fd = self._fs.open_lock(self._path)
            if self._fs.try_lock(self._fd, shared=shared):
                if self._is_current():
                    return
                # Somebody deleted or replaced the lock file: ours locks nobody out any more.
                self.close()
                continue
            if time.monotonic() >= deadline:
                raise self._late()
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _is_current(self) -> bool:
        if self._fd is None:
            return False
        try:
            there = self._fs.stat(self._path)
        except FileNotFoundError:
            return False
        here = self._fs.fstat(self._fd)
        return (here.device, here.inode) == (there.device, there.inode)

    def _late(self) -> StoreError:
        return StoreError(
            "store_locked",
            "Another program has been using the data file for {seconds} seconds; try again.",
            seconds=f"{self._timeout_s:g}",
        )
