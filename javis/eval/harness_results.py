"""Numbers of lm-evaluation-harness, kept beside the results of our own suites.

    <folder>/<key of the subject>/harness.json

Newer numbers of a task take the place of older ones that were asked in the same way.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from javis.core.evaluation import Subject
from javis.eval.cache import begin, subject_key

FILE = "harness.json"


@dataclass(frozen=True, slots=True)
class Row:
    """One number of one task."""

    task: str
    metric: str
    value: float
    error: float | None
    """Standard error, as the harness reckons it."""
    items: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A number, and how it came about."""

    version: str
    """The name that it was asked under."""
    row: Row
    chat: bool
    """Whether the questions were put into the model's chat template."""
    limit: int | None
    """The first so many items of each task; None: all of them."""
    lm_eval: str
    at: str

    @property
    def place(self) -> tuple[str, str, bool, int | None]:
        """What a newer number replaces an older one by."""
        return (self.row.task, self.row.metric, self.chat, self.limit)

    def told(self, version: str) -> dict[str, Any]:
        """All of it in one flat row, under the name that the version has now."""
        whole = asdict(self)
        row: dict[str, Any] = whole.pop("row")
        return row | whole | {"version": version}


class HarnessResults:
    """Numbers by subject. Safe from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def of(self, subject: Subject) -> list[Kept]:
        """What is known, by task; nothing when the file cannot be read."""
        try:
            rows = json.loads((self._folder / subject_key(subject) / FILE).read_text("utf-8"))
            return [Kept(**row | {"row": Row(**row["row"])}) for row in rows]
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return []

    def keep(self, subject: Subject, fresh: Sequence[Kept]) -> None:
        """Add these. Raises OSError when the disk is full or may not be written."""
        folder = self._folder / subject_key(subject)
        with self._lock:
            known = {kept.place: kept for kept in (*self.of(subject), *fresh)}
            rows = [asdict(known[p]) for p in sorted(known, key=str)]
            if not folder.exists():
                begin(folder, subject)
            part = folder / f"{FILE}.{os.getpid()}.part"
            part.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")
            part.replace(folder / FILE)
