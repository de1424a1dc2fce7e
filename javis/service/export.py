"""Writes what is approved to files that trainers read, and takes edited files back in."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import javis
from javis.core.errors import UserInputError
from javis.core.learning import Example, Judged, Pair
from javis.dataset import export, pii
from javis.dataset.export import FILTERS, FORMATS, Encoder, Filter, Format
from javis.dataset.lessons import Lesson
from javis.service.approved import Frozen, Taken, as_judged
from javis.service.export_file import ExportFile
from javis.service.review import ReviewService
from javis.service.taking_in import TakenIn, Taking
from javis.store import Store, now_iso

__all__ = ["FILTERS", "FORMATS", "ExportService", "Exported", "Filter", "Format", "Writing"]

BLOCK_CHARS = 1 << 18


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export."""

    path: Path
    manifest: Path
    rows: int
    conversations: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """A file that was taken in."""

    name: str
    at: str
    rows: int
    """That are there; rows that a later file replaced do not count."""


@dataclass(slots=True)
class _Tally:
    """What went into a file, for its manifest."""

    row_ids: list[str] = field(default_factory=list)
    conversations: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, ids: dict[str, Any]) -> None:
        self.row_ids.append(ids["turn_id"])
        self.conversations.add(ids["conversation_id"])
        self.counts[ids["source"]] += 1


class ExportService:
    """Exports of everybody's approved turns: callers check that it is the admin who asks."""

    def __init__(self, store: Store, review: ReviewService, exports_dir: Path) -> None:
        self._store = store
        self._review = review
        self._folder = exports_dir

    def stream(self, format: Format, feedback_filter: Filter) -> Iterator[bytes]:
        """The file's content in blocks, without a file. As of the moment of the call."""
        _check(format, feedback_filter)
        return self._blocks(self._review.frozen(), format, feedback_filter, _Tally())

    def write(self, format: Format, feedback_filter: Filter) -> Exported:
        """Write the file and its manifest to the exports folder: both whole, or nothing.

        When the last such export said the same, that one is returned.
        """
        writing = self.open(format, feedback_filter)
        for _ in writing.blocks():
            pass
        return writing.exported

    def open(self, format: Format, feedback_filter: Filter, target: Path | None = None) -> Writing:
        """An export to be read while it is written, to `target` or into the exports folder."""
        _check(format, feedback_filter)
        frozen, tally = self._review.frozen(), _Tally()
        blocks = self._blocks(frozen, format, feedback_filter, tally)
        file = ExportFile(self._folder, format, feedback_filter, target)
        return Writing(file, blocks, frozen, tally)

    def take_in(
        self, data: bytes | Iterable[bytes], by: str = "", *, dry_run: bool = False
    ) -> TakenIn:
        """Take in rows of JSONL or CSV, edited or made elsewhere, to be learned from.

        Every good row is taken, in one commit; every bad one gets a line that says why. With
        `dry_run` nothing is taken, only said what would be.
        """
        blocks = [data] if isinstance(data, bytes) else data
        return Taking(self._store, self._review.frozen(), by).run(blocks, dry_run=dry_run)

    def batches(self) -> list[Batch]:
        """The files that were taken in, the newest first."""
        found = [
            Batch(name, at, rows) for name, (at, rows) in self._store.reviews.batches().items()
        ]
        return found[::-1]

    def taken(self, batch: str) -> list[Example | Pair | Judged]:
        """The rows that came with a file."""
        rows = self._store.reviews.taken(batch)
        if not rows:
            raise _no_batch()
        return rows

    def forget(self, batch: str) -> int:
        """Undo a take-in; returns how many rows it takes back."""
        count = self._store.reviews.forget(batch)
        if not count:
            raise _no_batch()
        return count

    # -- inside ----------------------------------------------------------------------------

    def _blocks(
        self, frozen: Frozen, format: Format, which: Filter, tally: _Tally
    ) -> Iterator[bytes]:
        """The lines, in blocks of some size."""
        lines: list[str] = [export.csv_header()] if format == "csv" else []
        size = 0
        for line in _lines(frozen, format, which, tally):
            lines.append(line)
            size += len(line)
            if size > BLOCK_CHARS:
                yield "".join(lines).encode("utf-8")
                lines, size = [], 0
        yield "".join(lines).encode("utf-8")


class Writing:
    """An export while it is written; `exported` is there once `blocks` came to its end."""

    def __init__(
        self, file: ExportFile, blocks: Iterator[bytes], frozen: Frozen, tally: _Tally
    ) -> None:
        self._file = file
        self._blocks = blocks
        self._frozen = frozen
        self._tally = tally
        self._exported: Exported | None = None

    @property
    def name(self) -> str:
        return self._file.path.name

    @property
    def exported(self) -> Exported:
        assert self._exported is not None, "the export has not been written to its end"
        return self._exported

    def blocks(self) -> Iterator[bytes]:
        """What is written, while it is written; left early, nothing stays."""
        digest = hashlib.sha256()
        with self._file.writing() as write:
            for block in self._blocks:
                digest.update(block)
                write(block)
                yield block
            manifest = self._manifest(digest.hexdigest())
            path, manifest_path = self._file.finish(manifest)
        self._exported = Exported(
            path, manifest_path, manifest["rows"], manifest["conversations"], manifest["sha256"]
        )

    def _manifest(self, sha256: str) -> dict[str, Any]:
        tally, frozen = self._tally, self._frozen
        return {
            "format": self._file.format,
            "feedback_filter": self._file.feedback_filter,
            "rows": len(tally.row_ids),
            "conversations": len(tally.conversations),
            "counts": dict(sorted(tally.counts.items())),
            "date_range": {"first": frozen.first_at, "last": frozen.last_at},
            "sha256": sha256,
            "journal_sequence": frozen.sequence,
            "app_version": javis.__version__,
            "created_at": now_iso(),
            "row_ids": tally.row_ids,
        }


def _lines(frozen: Frozen, format: Format, which: Filter, tally: _Tally) -> Iterator[str]:
    encoder = Encoder()
    for lessons in frozen.conversations():
        if format == "preference":
            yield from _pair_lines(frozen, lessons, which, tally, encoder)
        elif format == "kto":
            for row in frozen.judged(lessons):
                if export.keeps_judged(row, which):
                    ids = export.ids_of(row, "good" if row.label else "bad", row.source)
                    tally.add(ids)
                    yield encoder.kto(row, ids)
        else:
            yield from _answer_lines(lessons, format, which, tally, encoder)
        encoder.forget()
    for pair in frozen.voted if format == "preference" else ():
        if export.keeps_pair(pair, set(), which):
            ids = export.ids_of(pair, "", pair.source)
            tally.add(ids)
            yield encoder.preference(pair, ids)
        encoder.forget()
    for taken in frozen.foreign:
        yield from _foreign_lines(taken, format, which, tally, encoder)
        encoder.forget()


def _pair_lines(
    frozen: Frozen, lessons: list[Lesson], which: Filter, tally: _Tally, encoder: Encoder
) -> Iterator[str]:
    disliked = {one.candidate.turn_id for one in lessons if one.candidate.rating == "bad"}
    for pair in frozen.pairs(lessons):
        if export.keeps_pair(pair, disliked, which):
            ids = export.ids_of(pair, "", pair.source)
            tally.add(ids)
            yield encoder.preference(pair, ids)


def _answer_lines(
    lessons: list[Lesson], format: Format, which: Filter, tally: _Tally, encoder: Encoder
) -> Iterator[str]:
    for lesson, answer, good in export.wanted(lessons, which):
        source = lesson.source if good else "disliked"
        ids = export.ids_of(lesson, lesson.candidate.rating or "", source)
        tally.add(ids)
        if format == "csv":
            yield export.csv_line(lesson, answer if good else "", ids, pii.mask)
        else:
            make = getattr(encoder, format)
            yield make(lesson.prompt, answer, ids)


def _foreign_lines(
    taken: Taken, format: Format, which: Filter, tally: _Tally, encoder: Encoder
) -> Iterator[str]:
    """Rows that were taken in and belong to no turn here."""
    if isinstance(taken, Pair):
        if format == "preference":
            ids = export.ids_of(taken, "", taken.source)
            tally.add(ids)
            yield encoder.preference(taken, ids)
        return
    if isinstance(taken, Example):
        prompt, answer, label = taken.messages[:-1], taken.messages[-1].content, True
    else:
        prompt, answer, label = taken.prompt, taken.completion, taken.label
    if format in ("preference", "csv") or (which != "all" and label != (which == "good")):
        return
    ids = export.ids_of(taken, "good" if label else "bad", taken.source)
    if format == "kto":
        tally.add(ids)
        yield encoder.kto(as_judged(taken) if isinstance(taken, Example) else taken, ids)
    elif isinstance(taken, Example):
        tally.add(ids)
        yield getattr(encoder, format)(prompt, answer, ids)


def _no_batch() -> UserInputError:
    return UserInputError("no_batch", "Nothing was taken in under this name.")


def _check(format: str, feedback_filter: str) -> None:
    if format not in FORMATS or feedback_filter not in FILTERS:
        raise UserInputError(
            "bad_export",
            "The format is one of {formats}, the filter one of {filters}.",
            formats=", ".join(FORMATS),
            filters=", ".join(FILTERS),
        )
