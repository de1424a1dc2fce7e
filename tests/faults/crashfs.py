"""File systems for tests: one in memory that can lose power, one on the disk whose calls can fail.

After SQLite's test6.c: nothing is safe until it is synced. At a crash each unsynced write is kept,
dropped, cut short, left blank by the sector or turned to garbage; unsynced names may be lost.
"""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass, field
from pathlib import Path

from javis.store.fs import FileState, OsFS

SECTOR = 512
FATES = ("kept", "dropped", "cut", "blank", "garbage")


class Crash(BaseException):
    """The power went off: nothing below may catch this."""


@dataclass
class _File:
    inode: int
    data: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    pending: list[tuple[str, int, bytes]] = field(default_factory=list)


class CrashFS(OsFS):
    """Counts the calls that change the disk and crashes at number `crash_at`."""

    def __init__(self, crash_at: int | None = None) -> None:
        self.crash_at = crash_at
        self.calls = 0
        self.dead = False
        self._inodes = 0
        self._names: dict[str, _File] = {}
        self._safe_names: dict[str, _File] = {}
        self._pending_names: list[tuple[str, _File | None]] = []
        self._open: dict[int, _File] = {}
        self._fds = 100

    # -- crashing --------------------------------------------------------------------------

    def _step(self) -> bool:
        """True when the crash is to happen in this very call."""
        if self.dead:
            raise Crash
        self.calls += 1
        if self.calls == self.crash_at:
            self.dead = True
        return self.dead

    def names_pending(self) -> int:
        return len(self._pending_names)

    def after_crash(self, fate: str, names_kept: int, rng: random.Random) -> CrashFS:
        """What the next start finds on the disk."""
        disk = CrashFS()
        disk._inodes = self._inodes
        names = dict(self._safe_names)
        for name, file in self._pending_names[:names_kept]:
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file
        for name, file in names.items():
            data = bytearray(file.safe)
            for kind, offset, content in file.pending:
                _apply(data, kind, offset, content, fate, rng)
            disk._names[name] = _File(file.inode, data, bytes(data))
        disk._safe_names = dict(disk._names)
        return disk

    # -- OsFS ------------------------------------------------------------------------------

    def _fd(self, file: _File) -> int:
        self._fds += 1
        self._open[self._fds] = file
        return self._fds

    def _named(self, path: Path) -> _File:
        if self.dead:
            raise Crash
        if str(path) not in self._names:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        return self._names[str(path)]

    def open_append(self, path: Path) -> int:
        return self._fd(self._named(path))

    open_read = open_append

    def create(self, path: Path) -> int:
        if str(path) in self._names:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        if self._step():
            raise Crash
        self._inodes += 1
        file = self._names[str(path)] = _File(self._inodes)
        self._pending_names.append((str(path), file))
        return self._fd(file)

    def open_lock(self, path: Path) -> int:
        if str(path) not in self._names:
            self._inodes += 1
            self._names[str(path)] = _File(self._inodes)
        return self._fd(self._names[str(path)])

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)

    def read(self, fd: int, offset: int, count: int) -> bytes:
        return bytes(self._open[fd].data[offset : offset + count])

    def write(self, fd: int, data: bytes | memoryview) -> int:
        crashing = self._step()
        file = self._open[fd]
        file.pending.append(("write", len(file.data), bytes(data)))
        file.data += data
        if crashing:
            raise Crash
        return len(data)

    def sync(self, fd: int) -> None:
        if self._step():
            raise Crash
        self._make_safe(self._open[fd])

    def _make_safe(self, file: _File) -> None:
        file.safe = bytes(file.data)
        file.pending.clear()

    def truncate(self, fd: int, size: int) -> None:
        crashing = self._step()
        file = self._open[fd]
        file.pending.append(("truncate", size, b""))
        del file.data[size:]
        if crashing:
            raise Crash

    def replace(self, source: Path, target: Path) -> None:
        crashing = self._step()
        file = self._names.pop(str(source))
        self._names[str(target)] = file
        self._pending_names += [(str(target), file), (str(source), None)]
        if crashing:
            raise Crash

    def remove(self, path: Path) -> None:
        if self.dead:
            raise Crash
        if str(path) in self._names:
            if self._step():
                raise Crash
            del self._names[str(path)]
            self._pending_names.append((str(path), None))

    def sync_dir(self, path: Path) -> None:
        if self._step():
            raise Crash
        self._safe_names = dict(self._names)
        self._pending_names.clear()

    def make_dirs(self, path: Path) -> None:
        pass

    def exists(self, path: Path) -> bool:
        return str(path) in self._names

    def stat(self, path: Path) -> FileState:
        file = self._named(path)
        return FileState(1, file.inode, len(file.data))

    def fstat(self, fd: int) -> FileState:
        file = self._open[fd]
        return FileState(1, file.inode, len(file.data))

    def try_lock(self, fd: int, *, shared: bool) -> bool:
        return True

    def unlock(self, fd: int) -> None:
        pass


def _apply(
    data: bytearray, kind: str, offset: int, content: bytes, fate: str, rng: random.Random
) -> None:
    if fate == "dropped":
        return
    if kind == "truncate":
        del data[offset:]
        return
    if fate == "cut":
        content = content[: rng.randrange(len(content) + 1)]
    elif fate in ("blank", "garbage"):
        content = _spoil(offset, content, fate, rng)
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(content)] = content


def _spoil(offset: int, content: bytes, fate: str, rng: random.Random) -> bytes:
    """Replace at least one of the sectors the content lies in."""
    first, last = offset // SECTOR, (offset + len(content) - 1) // SECTOR
    hit = {rng.randint(first, last)} | {s for s in range(first, last + 1) if rng.random() < 0.3}
    spoiled = bytearray(content)
    for sector in hit:
        begin = max(0, sector * SECTOR - offset)
        end = min(len(content), (sector + 1) * SECTOR - offset)
        spoiled[begin:end] = bytes(end - begin) if fate == "blank" else rng.randbytes(end - begin)
    return bytes(spoiled)


class FailingFS(OsFS):
    """The real file system; `fail(call, error, after)` makes later calls fail."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[int, int]] = {}
        self.most_bytes: int | None = None
        """The most that one write takes."""

    def fail(self, call: str, error: int = errno.EIO, after: int = 0) -> None:
        self._rules[call] = (error, after)

    def heal(self) -> None:
        self._rules.clear()

    def _check(self, call: str) -> None:
        if call in self._rules:
            error, after = self._rules[call]
            if after <= 0:
                raise OSError(error, errno.errorcode[error])
            self._rules[call] = (error, after - 1)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        self._check("write")
        return super().write(fd, data[: self.most_bytes])

    def sync(self, fd: int) -> None:
        self._check("sync")
        super().sync(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._check("truncate")
        super().truncate(fd, size)

    def replace(self, source: Path, target: Path) -> None:
        self._check("replace")
        super().replace(source, target)

    def sync_dir(self, path: Path) -> None:
        self._check("sync_dir")
        super().sync_dir(path)

    def read(self, fd: int, offset: int, count: int) -> bytes:
        self._check("read")
        return super().read(fd, offset, count)

    def create(self, path: Path) -> int:
        self._check("create")
        return super().create(path)

    def open_append(self, path: Path) -> int:
        self._check("open_append")
        return super().open_append(path)
