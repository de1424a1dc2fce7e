"""Saves from a damaged journal what can be proven whole. The original is only read."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from javis.core.errors import StoreError
from javis.store.codec import MAGIC, Record, decode_record, stated_crc
from javis.store.file import JournalFile
from javis.store.fs import OsFS
from javis.store.migrations import MIGRATIONS
from javis.store.rows import Tables

_HEADER = re.compile(rb"JVS1 [0-9a-f]{8} \d+ \[")
_HEADER_BYTES = len(MAGIC) + 9
_MOST_SEEDS = 16
_MOST_CUTS = 64


@dataclass(slots=True)
class RepairReport:
    """What was saved and what was not."""

    source: str
    out: str
    records: int = 0
    """Proven and taken over."""
    lost_records: list[tuple[int, int]] = field(default_factory=list)
    """First and last number of each gap. Records lost at the very end have no number."""
    lost_bytes: int = 0
    damaged_at: list[int] = field(default_factory=list)
    """Byte of each damaged or doubled stretch."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of each table in the new file."""

    def __str__(self) -> str:
        rows = ", ".join(f"{count} {name}" for name, count in self.rows.items()) or "no rows"
        lines = [f"{self.out} holds {rows}, from {self.records} whole records of {self.source}."]
        if not self.damaged_at and not self.lost_records:
            return lines[0] + " No damage was found."
        places = ", ".join(map(str, self.damaged_at[:20])) or "none"
        lines.append(f"Left out: {self.lost_bytes} bytes (damage at byte {places}).")
        for first, last in self.lost_records:
            lines.append(f"Lost: record {first}" + (f" to {last}." if last > first else "."))
        return "\n".join(lines)


def repair(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> RepairReport:
    """Write every record of `path` that can be proven whole to the new file `out`.

    Proof is the chain of checksums. Behind a damaged line it goes on from the checksum that line
    states, or from the one its content gives. A record behind one that is missing altogether
    cannot be proven, but the one after it can. Raises StoreError when `path` cannot be read or
    `out` is there.
    """
    source, target, fs = Path(path).resolve(), Path(out).resolve(), OsFS()
    if fs.exists(target):
        raise StoreError(
            "file_exists", "{path} is already there; nothing was overwritten.", path=str(target)
        )
    salvage = _Salvage(RepairReport(str(source), str(target)))
    try:
        with source.open("rb") as file:
            for line in file:
                salvage.take(line)
        if not salvage.report.records:
            raise StoreError("nothing_to_repair", "{path} holds no whole record.", path=str(source))
        new = JournalFile(target, fs)
        new.rewrite(salvage.finish())
        new.close()
    except OSError as error:
        raise StoreError(
            "file_failed",
            "{path} could not be read or written: {reason}.",
            path=str(error.filename or source),
            reason=error.strerror or str(error),
        ) from error
    return salvage.report


class _Salvage:
    """Goes through the lines and keeps the possible checksums of the record before."""

    def __init__(self, report: RepairReport) -> None:
        self.report = report
        self.tables = Tables({})
        self._seeds = [0]
        self._seq: int | None = None
        self._offset = 0
        self._bad_until = -1

    def take(self, line: bytes) -> None:
        """Take over what is whole in a line; as a rule all of it.

        Where a newline was lost, records have run together. A header in the line may also be
        something a user wrote, so every piece between two of them is tried, longest first.
        """
        body = line.removesuffix(b"\n")
        starts = [match.start() for match in _HEADER.finditer(body) if match.start()]
        cuts = [0, *starts[:_MOST_CUTS], len(line)]
        place = 0
        while place < len(cuts) - 1:
            begin = cuts[place]
            stop = next(
                (s for s in range(len(cuts) - 1, place, -1) if self._whole(line, begin, cuts[s])),
                None,
            )
            if stop is None:
                self._reject(line[begin : cuts[place + 1]])
            place = stop or place + 1
        if self._bad_until == self._offset:
            self._remember(body)

    def _whole(self, line: bytes, begin: int, end: int) -> bool:
        """Accept line[begin:end] if it is a record and its newline, or what became of that."""
        record = self._prove(line[begin : end - 1])
        if record is None and end == len(line):
            record = self._prove(line[begin:])
        if record is not None:
            self._accept(record, end - begin)
        return record is not None

    def finish(self) -> Tables:
        self.report.rows = {name: len(table.rows) for name, table in self.tables.tables.items()}
        if not self.tables.schema:
            self.tables.schema = len(MIGRATIONS)
        return self.tables

    def _prove(self, line: bytes) -> Record | None:
        for seed in self._seeds:
            record = decode_record(line, None, seed)
            if record is not None and (self._seq is None or record.seq > self._seq):
                return record
        return None

    def _accept(self, record: Record, length: int) -> None:
        self.tables.apply(record.ops, length)
        expected = 1 if self._seq is None and self.report.damaged_at else (self._seq or 0) + 1
        if record.seq > expected and (self._seq is not None or self.report.damaged_at):
            self.report.lost_records.append((expected, record.seq - 1))
        self._seq, self._seeds = record.seq, [record.crc]
        self.report.records += 1
        self._offset += length

    def _reject(self, piece: bytes) -> None:
        if self._bad_until != self._offset:
            self.report.damaged_at.append(self._offset)
        self.report.lost_bytes += len(piece)
        self._remember(piece.removesuffix(b"\n"))
        self._offset += len(piece)
        self._bad_until = self._offset

    def _remember(self, bad: bytes) -> None:
        """Note what the next record may have started its checksum from."""
        seeds = [crc32(bad[_HEADER_BYTES:], seed) for seed in self._seeds[:2]]
        stated = stated_crc(bad)
        if stated is not None:
            seeds.append(stated)
        # The last proven one stays in front: a doubled line may stand in between.
        self._seeds = self._seeds[:1] + (self._seeds[1:] + seeds)[-_MOST_SEEDS:]
