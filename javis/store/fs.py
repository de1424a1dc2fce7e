"""Every call the store makes to the operating system, so that a test can let each one fail."""

from __future__ import annotations

import errno
import os
import stat as stat_bits
import sys
from dataclasses import dataclass
from pathlib import Path

PRIVATE = 0o600
"""Mode of every file the store makes: conversations are nobody else's business."""

_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_LOCK_BYTE = 1 << 30
"""Windows locks a byte range; this byte lies behind anything ever written to the lock file."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells whether a file is still the one that was read, and how far."""

    device: int
    inode: int
    size: int
    private: bool = True


class OsFS:
    """The real file system. Tests pass a `CrashFS` with the same methods."""

    def open_append(self, path: Path) -> int:
        """Open an existing file for reading and appending."""
        return os.open(path, os.O_RDWR | os.O_APPEND | _BINARY)

    def open_read(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY | _BINARY)

    def create(self, path: Path) -> int:
        """Make a new private file; FileExistsError when there is one."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | _BINARY, PRIVATE)

    def open_lock(self, path: Path) -> int:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, PRIVATE)
        except OSError as error:
            # On a disk that can only be read any more, a journal can still be read.
            if error.errno not in (errno.EROFS, errno.EACCES):
                raise
            return os.open(path, os.O_RDONLY | _BINARY)

    def close(self, fd: int) -> None:
        os.close(fd)

    def read(self, fd: int, offset: int, count: int) -> bytes:
        """Up to `count` bytes at `offset`; fewer at the end of the file."""
        if sys.platform == "win32":
            os.lseek(fd, offset, os.SEEK_SET)
            return os.read(fd, count)
        return os.pread(fd, count, offset)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Append; may write less than all of it."""
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        """Return once the file's data is on the disk."""
        if sys.platform == "darwin":
            import fcntl

            # fsync on macOS stops at the drive's own cache.
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        elif hasattr(os, "fdatasync"):
            os.fdatasync(fd)
        else:
            os.fsync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Delete the file; fine when it is not there."""
        path.unlink(missing_ok=True)

    def sync_dir(self, path: Path) -> None:
        """Make a rename or a new name in this folder survive a power cut."""
        if sys.platform == "win32":
            return  # Windows has no such call; NTFS journals the names itself.
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_dirs(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def exists(self, path: Path) -> bool:
        return path.exists()

    def stat(self, path: Path) -> FileState:
        return _state(path.stat())

    def fstat(self, fd: int) -> FileState:
        return _state(os.fstat(fd))

    def try_lock(self, fd: int, *, shared: bool) -> bool:
        """Take the lock if it is free. Windows knows no shared lock: readers queue there."""
        if sys.platform == "win32":
            import msvcrt

            os.lseek(fd, _LOCK_BYTE, os.SEEK_SET)
            try:
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            except OSError:
                return False
            return True
        import fcntl

        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, fd: int) -> None:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(fd, _LOCK_BYTE, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
            return
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_UN)


def _state(result: os.stat_result) -> FileState:
    others = result.st_mode & (stat_bits.S_IRWXG | stat_bits.S_IRWXO)
    private = sys.platform == "win32" or not others
    return FileState(result.st_dev, result.st_ino, result.st_size, private)


def write_all(fs: OsFS, fd: int, data: bytes) -> None:
    """Write every byte, however short the single writes are."""
    rest = memoryview(data)
    while rest:
        rest = rest[fs.write(fd, rest) :]
