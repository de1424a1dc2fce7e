"""Comparison reports in the exports folder: written whole or not at all, listed, read, deleted."""

from __future__ import annotations

import contextlib
import io
import json
import re
import secrets
import shutil
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from javis.core.errors import NotFound, StoreError
from javis.store import now_iso

ID = re.compile(r"compare-\d{8}T\d{6}-[0-9a-f]{6}")
NAMES = re.compile(r"[a-z_]+\.(?:csv|json|html|png)")
_LEFT_OVER_S = 3600.0


@dataclass(frozen=True, slots=True)
class SavedReport:
    """A report that lies in the exports folder."""

    id: str
    created_at: str
    versions: tuple[str, ...]
    files: tuple[str, ...]


class Reports:
    """The folder `exports/reports`."""

    def __init__(self, exports_dir: Path) -> None:
        self._folder = exports_dir / "reports"

    def save(self, files: Mapping[str, bytes]) -> Path:
        """Write the files into a new folder; it is there with all of them or not at all."""
        stamp = now_iso().replace("-", "").replace(":", "").partition(".")[0]
        report_id = f"compare-{stamp}-{secrets.token_hex(3)}"
        partial = self._folder / f".{report_id}.partial"
        self._clean_up()
        try:
            partial.mkdir(parents=True, mode=0o700)
            for name, data in files.items():
                (partial / name).write_bytes(data)
            return partial.rename(self._folder / report_id)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise StoreError(
                "report_failed",
                "The report could not be written to {path}: {why}. Nothing was changed.",
                path=str(self._folder),
                why=error.strerror or str(error),
            ) from error

    def _clean_up(self) -> None:
        """Delete what a program that died left half written."""
        for path in self._folder.glob(".compare-*.partial"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFT_OVER_S:
                    shutil.rmtree(path, ignore_errors=True)

    def all(self) -> list[SavedReport]:
        """The newest first."""
        if not self._folder.is_dir():
            return []
        ids = sorted((p.name for p in self._folder.iterdir() if ID.fullmatch(p.name)), reverse=True)
        return [self._describe(report_id) for report_id in ids]

    def get(self, report_id: str) -> SavedReport:
        """Raises NotFound."""
        self.folder(report_id)
        return self._describe(report_id)

    def file(self, report_id: str, name: str) -> Path:
        """One of a report's files. Raises NotFound."""
        path = self.folder(report_id) / name
        if not NAMES.fullmatch(name) or not path.is_file():
            raise NotFound("no_report", "There is no such report.")
        return path

    def folder(self, report_id: str) -> Path:
        """Raises NotFound."""
        path = self._folder / report_id
        if not ID.fullmatch(report_id) or not path.is_dir():
            raise NotFound("no_report", "There is no such report.")
        return path

    def archive(self, report_id: str) -> bytes:
        """All files as a zip file."""
        folder = self.folder(report_id)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in _names(folder):
                archive.write(folder / name, f"{report_id}/{name}")
        return out.getvalue()

    def delete(self, report_id: str) -> None:
        """Raises NotFound."""
        shutil.rmtree(self.folder(report_id), ignore_errors=True)

    def _describe(self, report_id: str) -> SavedReport:
        folder = self._folder / report_id
        found = _read(folder / "report.json")
        rows = found.get("rows")
        versions = [str(r.get("version", "")) for r in rows] if isinstance(rows, list) else []
        return SavedReport(
            id=report_id,
            created_at=str(found.get("created_at", "")),
            versions=tuple(versions),
            files=_names(folder),
        )


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in folder.iterdir() if NAMES.fullmatch(p.name)))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
