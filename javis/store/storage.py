"""The storage under `JournalDB`: the journal file, the rows in memory and the lock, together."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tinydb.storages import Storage

from javis.core.errors import StoreCorrupt, StoreError
from javis.store.codec import Op, Row, copy_row, decode_payload, encode_payload
from javis.store.file import JournalFile, SyncFailed
from javis.store.fs import OsFS
from javis.store.locking import JournalLock
from javis.store.memory import Memory

COMPACT_AT_BYTES = 8 << 20
"""A smaller journal is not worth compacting."""
LOCK_TIMEOUT_S = 10.0


class Usage(NamedTuple):
    """What the journal holds, in bytes."""

    total: int
    live: int
    private: bool
    """False when other users of the computer can read the file."""

    @property
    def dead_ratio(self) -> float:
        return max(0.0, 1 - self.live / self.total) if self.total else 0.0


class JournalStorage(Storage):  # type: ignore[misc]
    """TinyDB storage on an append-only file. All methods may be called from any thread.

    Raises StoreError when something could not be saved (nothing changed then) and StoreCorrupt
    when the file is damaged. After a failed sync it is poisoned: it goes on reading what is in
    memory and refuses to write until `reopen`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fs: OsFS | None = None,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        compact_at_bytes: int = COMPACT_AT_BYTES,
    ) -> None:
        fs = fs or OsFS()
        # A rename over a symbolic link would leave the real file behind.
        self.path = Path(path).resolve()
        self._file = JournalFile(self.path, fs)
        lock_path = self.path.with_name(self.path.name + ".lock")
        self._lock = JournalLock(lock_path, fs, lock_timeout_s)
        self.memory = Memory()
        self._agreed: tuple[int, int, int] | None = None
        self._failure: StoreError | None = None
        self._closed = False
        self._compact_at_bytes = compact_at_bytes
        self._compact_next = compact_at_bytes
        try:
            with self._os_errors():
                fs.make_dirs(self.path.parent)
                with self._lock.held():
                    self._file.create()
                    self._load(mend=True)
        except BaseException:
            self.close()
            raise

    # -- reading ---------------------------------------------------------------------------

    def fresh(self) -> Memory:
        """The rows, with all that other processes wrote up to now."""
        self.refresh()
        return self.memory

    def refresh(self) -> None:
        """Take in what other processes wrote. Costs one stat when there is nothing new."""
        self._check_open()
        if self._lock.mine:
            return
        if isinstance(self._failure, StoreCorrupt):
            raise self._failure.with_traceback(None)
        if self._failure is not None or self._is_current():
            return
        with self._lock.held(shared=True):
            self._catch_up(mend=False)

    @property
    def schema(self) -> int:
        """The number of migrations the data has been through."""
        return self.memory.tables.schema

    def snapshot(self, *names: str) -> tuple[int, list[dict[int, Row]]]:
        """The rows of these tables as of one commit, and its number."""
        self.refresh()
        # Without the lock a commit could be in the number and not yet in the rows.
        with self._lock.held(shared=True):
            if self._failure is None and not self._lock.nested:
                self._catch_up(mend=False)
            return self._file.position.seq or 0, self.memory.rows_of(*names)

    def usage(self) -> Usage:
        self.refresh()
        state = self._file.stat()
        return Usage(self._file.position.offset, self.memory.tables.live_bytes, state.private)

    def read(self) -> dict[str, dict[str, Row]] | None:
        """The whole database as stock TinyDB wants it, copied."""
        tables = self.fresh().everything()
        if not tables:
            return None
        return {
            name: {str(doc_id): copy_row(row) for doc_id, row in rows.items()}
            for name, rows in tables.items()
        }

    def backup(self, path: Path) -> None:
        """Copy the journal as of now to a new file; FileExistsError when there is one."""
        self._check_open()
        with self._lock.held(shared=True):
            if not self._lock.nested:
                self._catch_up(mend=False)
            self._file.copy_to(path)

    # -- writing ---------------------------------------------------------------------------

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else writes meanwhile, so that what was read still holds when it is written.

        Each call inside is still its own commit; for all or nothing use `JournalDB.change`.
        """
        self._check_writable()
        with self._lock.held():
            self._check_writable()
            if not self._lock.nested:
                self._catch_up(mend=True)
            yield

    def commit(self, ops: list[Op]) -> None:
        """Save the ops as one record, all or nothing; returns once they are on the disk."""
        if not ops:
            return
        payload = encode_payload(ops)
        # What is in memory is what a restart would read, not what the caller may still change.
        ops = decode_payload(payload)
        with self.exclusive():
            with self._in_step():
                length = self._file.append(payload)
                self.memory.apply(ops, length)
                self._agree()
            self._compact_if_worth_it()

    def write(self, data: dict[str, dict[str, Row]]) -> None:
        """Make `data` the whole database, as stock TinyDB asks for; saves the differences."""
        with self.exclusive():
            ops: list[Op] = [["drop", name] for name in self.memory.names() if name not in data]
            for name, rows in data.items():
                new = {int(doc_id): row for doc_id, row in rows.items()}
                old = self.memory.rows(name)
                gone = [doc_id for doc_id in old if doc_id not in new]
                if gone:
                    ops.append(["del", name, gone])
                ops += [["put", name, i, row] for i, row in new.items() if old.get(i) != row]
            self.commit(ops)

    def compact(self) -> None:
        """Write the file anew without what was changed or deleted since.

        Raises StoreError when that fails; the old file is then still the one in use.
        """
        with self.exclusive():
            try:
                with self._in_step():
                    self._file.rewrite(self.memory.tables)
                    self._agree()
            except OSError as error:
                raise StoreError(
                    "not_compacted",
                    "The data file could not be tidied up: {reason}. Nothing is lost.",
                    reason=error.strerror or str(error),
                ) from error
            self._compact_next = self._compact_at_bytes

    def reopen(self) -> None:
        """Read everything anew from the disk; the way out after a failed write."""
        self._check_open()
        with self._lock.held(), self._os_errors():
            self._failure = None
            self._load(mend=True)

    def close(self) -> None:
        """Give back the file and the lock. Nothing is pending: commits are on the disk."""
        self._closed = True
        self._file.close()
        self._lock.close()

    # -- inside ----------------------------------------------------------------------------

    def _check_open(self) -> None:
        self._lock.check_process()
        if self._closed:
            raise StoreError("store_closed", "The data file has been closed.")

    def _check_writable(self) -> None:
        self._check_open()
        if isinstance(self._failure, StoreCorrupt):
            raise self._failure.with_traceback(None)
        if self._failure is not None:
            raise StoreError(
                "store_poisoned",
                "Saving failed before ({reason}), so nothing more is saved. Restart JAVIS.",
                reason=self._failure.values["reason"],
            )

    def _is_current(self) -> bool:
        """True when the file is as it was when `memory` last agreed with it. Needs no lock."""
        with self._os_errors():
            state = self._file.stat()
        return (state.device, state.inode, state.size) == self._agreed

    def _agree(self) -> None:
        """Tell readers that `memory` now holds all that is in the file up to its end."""
        self._agreed = self._file.end

    def _catch_up(self, *, mend: bool) -> None:
        """Bring the memory up to the file. The lock is held; `mend` needs it exclusively."""
        with self._os_errors():
            state = self._file.stat()
            if not self._file.is_same(state):
                self._load(mend=mend)
            elif state.size > self._file.position.offset:
                with self._in_step():
                    for record, length in self._file.records(state.size, mend=mend):
                        self.memory.apply(record.ops, length)
                self._agree()

    def _load(self, *, mend: bool) -> None:
        """Read the file from its start into new tables and use those."""
        tables = self.memory.successor()
        with _no_collection():
            self._file.load(tables, mend=mend)
        self.memory.replace(tables)
        self._agree()

    def _compact_if_worth_it(self) -> None:
        total = self._file.position.offset
        if total < self._compact_next or 2 * self.memory.tables.live_bytes >= total:
            return
        try:
            self.compact()
        except SyncFailed:
            raise
        except StoreError:
            # What was asked for is saved. Try again when the file has grown a good deal.
            self._compact_next = total + total // 4

    @contextmanager
    def _in_step(self) -> Iterator[None]:
        """Keep memory and file together, whatever stops the block (Ctrl-C too)."""
        try:
            yield
        except SyncFailed as error:
            self._failure = error
            raise
        except StoreError:
            raise
        except BaseException:
            # Nobody knows how far it came; without a file the next caller reads it all anew.
            self._file.close()
            raise

    @contextmanager
    def _os_errors(self) -> Iterator[None]:
        """Turn an OSError into a StoreError, and keep damage in mind."""
        try:
            yield
        except StoreCorrupt as error:
            self._failure = error
            raise
        except OSError as error:
            raise StoreError(
                "store_unreadable",
                "The data file {path} cannot be opened or read: {reason}.",
                path=str(self.path),
                reason=error.strerror or str(error),
            ) from error


@contextmanager
def _no_collection() -> Iterator[None]:
    """Many objects that all stay: looking for garbage among them doubles the time of loading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
