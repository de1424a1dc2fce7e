"""The journal as a file: read on, append, mend its end, write it anew. Knows no locks."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from javis.core.errors import StoreCorrupt, StoreError
from javis.store.codec import Op, Record, Row, encode_record
from javis.store.fs import FileState, OsFS, write_all
from javis.store.reader import Position, Scanner, corrupt
from javis.store.rows import Tables

_BUFFER_BYTES = 1 << 20
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class SyncFailed(StoreError):
    """What is on the disk is no longer known; only reading it anew helps."""


class JournalFile:
    """The open journal and how far it has been read (`position`)."""

    def __init__(self, path: Path, fs: OsFS) -> None:
        self.path, self.fs = path, fs
        self.position = Position()
        self._new_path = path.with_name(path.name + ".new")
        self._fd: int | None = None
        self._ident: tuple[int, int] | None = None

    def close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            self.fs.close(fd)
        self._ident = None

    def stat(self) -> FileState:
        """Raises StoreCorrupt when the file is gone."""
        try:
            return self.fs.stat(self.path)
        except FileNotFoundError:
            raise StoreCorrupt(
                "store_gone",
                "The data file {path} has disappeared. Put it back and restart JAVIS.",
                path=str(self.path),
            ) from None

    def is_same(self, state: FileState) -> bool:
        """False when another file was put in its place. StoreCorrupt when it has shrunk.

        Only under the lock: otherwise a writer may be past `state` already.
        """
        if (state.device, state.inode) != self._ident:
            return False
        if state.size < self.position.offset:
            raise corrupt(state.size)
        return True

    @property
    def end(self) -> tuple[int, int, int] | None:
        """Device, inode and size of the file as far as it has been read."""
        return None if self._ident is None else (*self._ident, self.position.offset)

    def create(self) -> None:
        """Make a new, empty journal unless there is one, and clear what a crash left behind."""
        self.fs.remove(self._new_path)
        if not self.fs.exists(self.path):
            self.rewrite(Tables({}))

    def load(self, tables: Tables, *, mend: bool) -> None:
        """Open the file that now has the name and read all of it into `tables`."""
        self.close()
        self.position = Position()
        fd = self._fd = self.fs.open_append(self.path)
        state = self.fs.fstat(fd)
        if state.size == 0:
            raise corrupt(0)
        for record, length in self.records(state.size, mend=mend):
            tables.apply(record.ops, length)
        # Only now: after a failure on the way, the next look starts from the beginning again.
        self._ident = (state.device, state.inode)

    def records(self, size: int, *, mend: bool) -> Iterator[tuple[Record, int]]:
        """The records up to `size`; with `mend`, a torn end is then copied away and cut off."""
        fd = self._need_fd()
        scanner = Scanner(lambda at, count: self.fs.read(fd, at, count), self.position, size)
        for record, length in scanner.records():
            self.position = scanner.position
            yield record, length
        if not scanner.tail or not mend:
            return
        if scanner.unended:
            self.fs.truncate(fd, self.position.offset + len(scanner.unended))
            write_all(self.fs, fd, b"\n")
            self.fs.sync(fd)
            yield from self.records(self.fs.fstat(fd).size, mend=False)
        else:
            self._keep_torn(scanner.tail)
            self.fs.truncate(fd, self.position.offset)
            self.fs.sync(fd)

    def append(self, payload: bytes) -> int:
        """Write one record and return its length once it is on the disk.

        Raises StoreError when nothing was changed, SyncFailed when that is not known.
        """
        fd = self._need_fd()
        here = self.position
        seq = (here.seq or 0) + 1
        line, crc = encode_record(payload, seq, here.crc)
        try:
            write_all(self.fs, fd, line)
        except OSError as error:
            try:
                self.fs.truncate(fd, here.offset)
            except OSError:
                raise _sync_failed(error) from error
            raise StoreError(
                "not_saved",
                "This could not be saved: {reason}. What was saved before is untouched.",
                reason=error.strerror or str(error),
            ) from error
        try:
            self.fs.sync(fd)
        except OSError as error:
            # After a failed sync the system may call the pages clean and a second sync succeed
            # without having written them. So the record is taken back and no more is written.
            with contextlib.suppress(OSError):
                self.fs.truncate(fd, here.offset)
            raise _sync_failed(error) from error
        self.position = Position(here.offset + len(line), seq, crc)
        return len(line)

    def rewrite(self, tables: Tables) -> None:
        """Write the live rows to a new file and put it in place of the old one.

        OSError before that leaves the old file as it is; SyncFailed may come after.
        """
        try:
            position, sizes = self._write_new(tables)
            self.close()  # Windows renames no file over an open one.
            self.fs.replace(self._new_path, self.path)
        except OSError:
            with contextlib.suppress(OSError):
                self.fs.remove(self._new_path)
            raise
        try:
            self.fs.sync_dir(self.path.parent)
            self._fd = self.fs.open_append(self.path)
            state = self.fs.fstat(self._fd)
        except OSError as error:
            raise _sync_failed(error) from error
        self._ident = (state.device, state.inode)
        self.position = position
        tables.resize(sizes)

    def copy_to(self, path: Path) -> None:
        """Write what has been read to a new file; FileExistsError when there is one."""
        source = self._need_fd()
        fd = self.fs.create(path)
        try:
            offset = 0
            while offset < self.position.offset:
                count = min(_BUFFER_BYTES, self.position.offset - offset)
                chunk = self.fs.read(source, offset, count)
                if not chunk:
                    raise corrupt(offset)
                write_all(self.fs, fd, chunk)
                offset += len(chunk)
            self.fs.sync(fd)
        except BaseException:
            self.fs.close(fd)
            self.fs.remove(path)
            raise
        self.fs.close(fd)
        self.fs.sync_dir(path.parent)

    def _write_new(self, tables: Tables) -> tuple[Position, dict[str, dict[int, int]]]:
        """The new file on the disk under its temporary name: its end and the size of each row."""
        self.fs.remove(self._new_path)
        fd = self.fs.create(self._new_path)
        try:
            offset, seq, crc = 0, self.position.seq or 0, 0
            sizes: dict[str, dict[int, int]] = {name: {} for name in tables.tables}
            buffer = bytearray()
            for op in _snapshot(tables):
                payload = _ENCODER.encode(op).encode("utf-8")
                seq += 1
                line, crc = encode_record(payload, seq, crc)
                offset += len(line)
                buffer += line
                if op[0][0] == "put":
                    sizes[op[0][1]][op[0][2]] = len(line)
                if len(buffer) >= _BUFFER_BYTES:
                    write_all(self.fs, fd, bytes(buffer))
                    buffer.clear()
            write_all(self.fs, fd, bytes(buffer))
            self.fs.sync(fd)
        finally:
            self.fs.close(fd)
        return Position(offset, seq, crc), sizes

    def _keep_torn(self, tail: bytes) -> None:
        base = f"{self.path.name}.torn-{self.position.offset}"
        path, number = self.path.with_name(base), 1
        while self.fs.exists(path):
            path, number = self.path.with_name(f"{base}-{number}"), number + 1
        fd = self.fs.create(path)
        try:
            write_all(self.fs, fd, tail)
            self.fs.sync(fd)
        finally:
            self.fs.close(fd)
        self.fs.sync_dir(path.parent)

    def _need_fd(self) -> int:
        if self._fd is None:
            raise StoreError("store_closed", "The data file has been closed.")
        return self._fd


def _snapshot(tables: Tables) -> Iterator[list[Op]]:
    """The records of a compacted journal. One row each, so that damage costs one row."""
    yield tables.snapshot_ops()
    for name, table in tables.tables.items():
        rows: dict[int, Row] = table.rows
        for doc_id, row in rows.items():
            yield [["put", name, doc_id, row]]


def _sync_failed(error: OSError) -> SyncFailed:
    return SyncFailed(
        "sync_failed",
        "This could not be saved: {reason}. Nothing more is saved until JAVIS is restarted.",
        reason=error.strerror or str(error),
    )
