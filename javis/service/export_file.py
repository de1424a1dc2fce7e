"""An export on the disk: file and manifest, both whole or not there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from javis.core.errors import StoreError, UserInputError
from javis.store import now_iso
from javis.store.fs import OsFS, write_all

MANIFEST = ".manifest.json"


class ExportFile:
    """A file to be written in the exports folder, or at `target`, which is never overwritten."""

    def __init__(
        self, folder: Path, format: str, feedback_filter: str, target: Path | None = None
    ) -> None:
        self.format, self.feedback_filter = format, feedback_filter
        self._ending = ".csv" if format == "csv" else ".jsonl"
        stamp = now_iso().replace(":", "").replace("-", "").replace(".", "-").rstrip("Z")
        name = f"javis-{format}-{feedback_filter}-{stamp}{self._ending}"
        self._own_name = target is None
        self.path = folder / name if target is None else target
        self._fs = OsFS()
        self._finished = False
        if target is not None and (target.exists() or manifest_of(target).exists()):
            raise UserInputError(
                "export_exists",
                "{path} is already there; nothing was overwritten.",
                path=str(target),
            )

    @contextmanager
    def writing(self) -> Iterator[Callable[[bytes], None]]:
        """Gives a function that appends. Unless `finish` was called, nothing is left behind."""
        with self._failures():
            if self._own_name:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Unique by the time; two in one millisecond must not meet.
            number = 0
            while True:
                self._partial = self.path.with_name(f".{self.path.name}.{number}.partial")
                try:
                    self._fd = self._fs.create(self._partial)
                    break
                except FileExistsError:
                    number += 1
        try:
            yield self._append
        finally:
            self._fs.close(self._fd)
            if not self._finished:
                with contextlib.suppress(OSError):
                    self._fs.remove(self._partial)

    def finish(self, manifest: dict[str, Any]) -> tuple[Path, Path]:
        """Put the file and then its manifest in place; returns where they are."""
        same = self._same_as(manifest["sha256"]) if self._own_name else None
        if same is not None:
            # The last one said the same: `writing` throws this one away.
            return same, manifest_of(same)
        with self._failures():
            self._fs.sync(self._fd)
            while self._own_name and self.path.exists():
                self.path = self.path.with_name(f"{self.path.stem}-again{self._ending}")
            self._put_in_place({"file": self.path.name} | manifest)
        self._finished = True
        return self.path, manifest_of(self.path)

    def _append(self, block: bytes) -> None:
        with self._failures():
            write_all(self._fs, self._fd, block)

    def _same_as(self, sha256: str) -> Path | None:
        """The newest export of this kind, if it has the same content."""
        pattern = f"javis-{self.format}-{self.feedback_filter}-*{self._ending}"
        for path in sorted(self.path.parent.glob(pattern), reverse=True)[:1]:
            try:
                found = json.loads(manifest_of(path).read_text("utf-8"))
            except (OSError, ValueError):
                return None
            if isinstance(found, dict) and found.get("sha256") == sha256:
                return path
        return None

    def _put_in_place(self, manifest: dict[str, Any]) -> None:
        """Both or, with OSError, none of them."""
        path = manifest_of(self.path)
        partial = path.with_name(f".{path.name}.partial")
        try:
            # Written first: only renaming is left to fail then, which needs no room on the disk.
            self._write(partial, manifest)
            self._partial.rename(self.path)
            try:
                self._fs.replace(partial, path)
                self._fs.sync_dir(path.parent.resolve())
            except OSError:
                for done in (self.path, path):
                    self._fs.remove(done)
                raise
        except OSError:
            with contextlib.suppress(OSError):
                self._fs.remove(partial)
            raise

    def _write(self, path: Path, manifest: dict[str, Any]) -> None:
        self._fs.remove(path)
        fd = self._fs.create(path)
        try:
            text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
            write_all(self._fs, fd, text.encode("utf-8"))
            self._fs.sync(fd)
        finally:
            self._fs.close(fd)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                "export_failed",
                "The export could not be written to {path}: {why}. Nothing was changed.",
                path=str(self.path.parent),
                why=error.strerror or str(error),
            ) from error


def manifest_of(path: Path) -> Path:
    """Where the manifest of an export lies."""
    return path.with_name(path.name + MANIFEST)
