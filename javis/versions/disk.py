"""Every change to the disk that publishing makes, so that a test can let each one fail."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from javis.core.errors import Busy
from javis.engine.files import fsync_dir, fsync_file, try_lock

LOCK_WAIT_S = 20.0
_NAP_S = 0.01


class Disk:
    """The real one. Tests pass one whose calls fail or kill the process."""

    def make_dir(self, path: Path) -> None:
        path.mkdir()

    def copy(self, source: Path, target: Path) -> None:
        shutil.copyfile(source, target)

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def append(self, path: Path, data: bytes) -> None:
        """Add to the end and return once it is on the disk."""
        with path.open("ab") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())

    def sync(self, path: Path) -> None:
        """Return once the file's data is on the disk."""
        fsync_file(path)

    def sync_dir(self, path: Path) -> None:
        """Make the names in this folder survive a power cut."""
        fsync_dir(path)

    def seal(self, path: Path) -> None:
        """Take the right to write away."""
        path.chmod(0o555 if path.is_dir() else 0o444)

    def rename(self, source: Path, target: Path) -> None:
        """Fails when there is something at `target`."""
        if target.exists():
            raise FileExistsError(17, "File exists", str(target))
        source.rename(target)

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)


def remove_tree(folder: Path) -> None:
    """Delete a folder that may be sealed; what cannot be deleted stays for the next time."""
    with contextlib.suppress(OSError):
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
            elif sys.platform == "win32":
                path.chmod(0o644)  # Windows deletes no read-only file.
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(models_dir: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Be the only one, of all processes and threads, to change the versions.

    The lock belongs to the open file, so one left behind by a crash locks nobody out. Raises Busy.
    """
    models_dir.mkdir(parents=True, exist_ok=True)
    fd = os.open(models_dir / ".lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        deadline = time.monotonic() + wait_s
        while not try_lock(fd):
            if time.monotonic() >= deadline:
                raise Busy(
                    "versions_busy",
                    "Another program has been changing the versions for {seconds} seconds; "
                    "try again.",
                    seconds=round(wait_s),
                )
            time.sleep(_NAP_S)
        yield
    finally:
        os.close(fd)
