"""Results on disk, a line per item, written as they come: what was asked is never asked again.

    <folder>/<key>/subject.json
    <folder>/<key>/<suite>-<data_version>.jsonl

The key names what was evaluated (model, engine, quantization, adapter) and not what it is called,
so a candidate's results are still there when it has become a version.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from javis.core.evaluation import ItemResult, Subject, SuiteName


def subject_key(subject: Subject) -> str:
    """Short hash of what was evaluated, whatever its name is."""
    parts = (subject.model, subject.engine, subject.quantization, subject.sha256)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


class ResultCache:
    """Results by subject and suite. Safe from any thread, and beside other processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def path(self, subject: Subject, suite: SuiteName, data_version: str) -> Path:
        """Where the results lie, whether there are any or not."""
        return self._folder / subject_key(subject) / f"{suite}-{data_version}.jsonl"

    def read(self, subject: Subject, suite: SuiteName, data_version: str) -> dict[str, ItemResult]:
        """The results so far, by item. A line that a crash tore is left out."""
        try:
            data = self.path(subject, suite, data_version).read_bytes()
        except FileNotFoundError:
            return {}
        found = (_result(line) for line in data.splitlines())
        return {result.item: result for result in found if result is not None}

    def stamp(self, subject: Subject, suite: SuiteName, data_version: str) -> tuple[float, int]:
        """When the results last changed (seconds since 1970), and their size; 0 without any."""
        try:
            found = self.path(subject, suite, data_version).stat()
        except FileNotFoundError:
            return 0.0, 0
        return found.st_mtime, found.st_size

    def append(
        self, subject: Subject, suite: SuiteName, data_version: str, result: ItemResult
    ) -> None:
        """Keep one result. Raises OSError when the disk is full or may not be written."""
        text = json.dumps(asdict(result), ensure_ascii=False)
        # Half a character of a model's, as JSON spells it.
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        path = self.path(subject, suite, data_version)
        with self._lock:
            if not path.exists():
                begin(path.parent, subject)
            with path.open("ab+") as file:
                # One write, so that lines of two processes never mix.
                file.write(line if _ends_whole(file) else b"\n" + line)


def begin(folder: Path, subject: Subject) -> None:
    """Make a subject's folder, which says whose it is."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(subject), indent=2, ensure_ascii=False)
    (folder / "subject.json").write_text(text + "\n", "utf-8")


def _ends_whole(file: Any) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _result(line: bytes) -> ItemResult | None:
    try:
        row = json.loads(line)
        score = row["score"]
        return ItemResult(
            item=str(row["item"]),
            language=str(row["language"]),
            group=str(row["group"]),
            score=None if score is None else float(score),
            answers=tuple(str(answer) for answer in row["answers"]),
            details=dict(row["details"]) if isinstance(row["details"], Mapping) else {},
            seconds=float(row["seconds"]),
            tokens=int(row["tokens"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
