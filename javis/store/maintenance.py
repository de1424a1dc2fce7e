"""Backups, exports to plain TinyDB, and looking whether all is well."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from javis.core.errors import StoreCorrupt, StoreError
from javis.store.fs import OsFS, write_all
from javis.store.journal import JournalDB
from javis.store.legacy import ImportReport, import_tinydb
from javis.store.locking import JournalLock
from javis.store.preferences import PreferenceStore
from javis.store.reader import Position, Scanner
from javis.store.records import now_iso
from javis.store.repair import RepairReport, repair
from javis.store.rows import Tables
from javis.store.storage import LOCK_TIMEOUT_S

__all__ = [
    "ImportReport",
    "RepairReport",
    "VerifyReport",
    "backup",
    "export_tinydb",
    "health",
    "import_tinydb",
    "repair",
    "verify",
]

_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a look at a journal found. `ok` is False only for damage."""

    path: str
    ok: bool
    records: int
    bytes: int
    unfinished_bytes: int
    """A record at the end that was never acknowledged; cut at the next start."""
    damaged_at: int | None = None
    """Byte of the first damage."""
    schema: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of each table, up to the damage."""

    def __str__(self) -> str:
        rows = ", ".join(f"{count} {name}" for name, count in self.rows.items()) or "no rows"
        text = f"{self.path}: {self.records} whole records, {self.bytes} bytes, {rows}."
        if self.damaged_at is not None:
            return f"DAMAGED at byte {self.damaged_at}. Before it: {text}"
        if self.unfinished_bytes:
            text += f" {self.unfinished_bytes} unfinished bytes at the end were never acknowledged."
        return text


def backup(db: JournalDB, path: str | os.PathLike[str]) -> Path:
    """Copy the store as of now to a new file (in a folder: under a name with the time).

    Returns the path once the copy is on the disk. Raises StoreError, and never overwrites.
    """
    target = Path(path)
    if target.is_dir():
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
        target = target / f"{db.storage.path.stem}-{stamp}{db.storage.path.suffix}"
    with _file_errors(target):
        db.storage.backup(target)
    PreferenceStore(db, "meta").set("last_backup", {"at": now_iso(), "path": str(target)})
    return target


def export_tinydb(db: JournalDB, path: str | os.PathLike[str]) -> Path:
    """Write all rows as of now to a new JSON file that plain TinyDB opens.

    Raises StoreError, and never overwrites.
    """
    target, fs = Path(path), OsFS()
    with _file_errors(target):
        fd = fs.create(target)
        try:
            buffer = bytearray()
            for text in _tinydb_json(db):
                buffer += text.encode("utf-8")
                if len(buffer) >= _BUFFER_BYTES:
                    write_all(fs, fd, bytes(buffer))
                    buffer.clear()
            write_all(fs, fd, bytes(buffer))
            fs.sync(fd)
        except BaseException:
            fs.close(fd)
            fs.remove(target)
            raise
        fs.close(fd)
        fs.sync_dir(target.resolve().parent)
    return target


def _tinydb_json(db: JournalDB) -> Iterator[str]:
    yield "{"
    for number, (name, rows) in enumerate(db.storage.fresh().everything().items()):
        yield f"{', ' if number else ''}{json.dumps(name)}: {{"
        for place, (doc_id, row) in enumerate(rows.items()):
            yield f'{", " if place else ""}"{doc_id}": {json.dumps(row)}'
        yield "}"
    yield "}"


def verify(path: str | os.PathLike[str]) -> VerifyReport:
    """Read a journal from end to end without changing it. StoreError when it cannot be read."""
    journal, fs = Path(path).resolve(), OsFS()
    lock = JournalLock(journal.with_name(journal.name + ".lock"), fs, LOCK_TIMEOUT_S)
    with _file_errors(journal):
        size = fs.stat(journal).size  # Before a lock file is made for a journal that is not there.
        try:
            with lock.held(shared=True):
                return _verify(journal, fs, max(size, fs.stat(journal).size))
        finally:
            lock.close()


def _verify(journal: Path, fs: OsFS, size: int) -> VerifyReport:
    fd = fs.open_read(journal)
    try:
        scanner = Scanner(lambda at, count: fs.read(fd, at, count), Position(), size)
        tables, records, damaged_at = Tables({}), 0, None
        try:
            for record, length in scanner.records():
                tables.apply(record.ops, length)
                records += 1
        except StoreCorrupt:
            damaged_at = scanner.position.offset
    finally:
        fs.close(fd)
    if not records and damaged_at is None:
        damaged_at = 0  # An empty file is a journal that lost everything.
    return VerifyReport(
        path=str(journal),
        ok=damaged_at is None,
        records=records,
        bytes=size,
        unfinished_bytes=0 if damaged_at is not None else len(scanner.tail),
        damaged_at=damaged_at,
        schema=tables.schema,
        rows={name: len(table.rows) for name, table in tables.tables.items()},
    )


def health(db: JournalDB) -> dict[str, Any]:
    """Rows of each table, size, how much of the file is dead, and the last backup."""
    usage = db.storage.usage()
    path = db.storage.path
    return {
        "path": str(path),
        "schema": db.storage.schema,
        "rows": {
            name: db.storage.fresh().count(name) for name in sorted(db.storage.fresh().names())
        },
        "bytes": usage.total,
        "dead_ratio": round(usage.dead_ratio, 3),
        "private": usage.private,
        "last_backup": PreferenceStore(db, "meta").get("last_backup"),
        "torn_files": sorted(torn.name for torn in path.parent.glob(path.name + ".torn-*")),
    }


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise StoreError(
            "file_exists", "{path} is already there; nothing was overwritten.", path=str(path)
        ) from None
    except OSError as error:
        raise StoreError(
            "file_failed",
            "{path} could not be read or written: {reason}.",
            path=str(path),
            reason=error.strerror or str(error),
        ) from error
