"""Writing a file whole or not at all, and knowing its hash without reading it every time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 1 << 20
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.part")
"""What `tempfile` makes of our prefix; a download that can go on has no such middle."""
_LEFT_OVER_S = 86_400.0


def fsync_dir(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut, where the system has such a call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_file(path: Path) -> None:
    with path.open("rb+") as handle:
        os.fsync(handle.fileno())


@contextlib.contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path in `target`'s folder; on success it becomes `target`, else it goes.

    Readers see the old file or the whole new one, also after a power cut.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        fsync_file(temporary)
        temporary.replace(target)
        fsync_dir(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; on success it becomes `target`, else it goes.

    When another process was faster, its folder stays and ours goes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                fsync_file(path)
        if not target.exists():
            temporary.chmod(0o755)
            temporary.rename(target)
            fsync_dir(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep(folder: Path) -> list[str]:
    """Delete what writers that crashed a day ago or more left in a folder and in those right in
    it; returns the names."""
    found = []
    for path in sorted([*folder.glob(".*.part"), *folder.glob("*/.*.part")]):
        with contextlib.suppress(OSError):
            old = time.time() - path.stat().st_mtime >= _LEFT_OVER_S
            if old and _TEMPORARY.fullmatch(path.name) and not path.is_symlink():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                found.append(path.name)
    return found


def sha256_file(path: Path) -> str:
    """The sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def identity(path: Path) -> tuple[int, int, int]:
    """(bytes, mtime in ns, inode): when these are the same, the content is taken to be."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def sha256_stamped(path: Path, stamp: Path) -> str:
    """The sha256 of a large file, from `stamp` when size, mtime and inode are as written there.

    An unreadable stamp is made anew; a folder that cannot be written to costs only time.
    """
    now = list(identity(path))
    try:
        known = json.loads(stamp.read_text("utf-8"))
        if known["identity"] == now and isinstance(known["sha256"], str):
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # No stamp, or none of ours.
    digest = sha256_file(path)
    with contextlib.suppress(OSError), atomic_file(stamp) as temporary:
        temporary.write_text(json.dumps({"identity": now, "sha256": digest}), "utf-8")
    return digest


def try_lock(fd: int) -> bool:
    """Lock an open file until it is closed; False when somebody else has it locked."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
