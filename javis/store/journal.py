"""TinyDB on a crash-safe journal.

    db = JournalDB("data/javis.jnl")
    turns = db.table("turns", index=("id", "conversation_id"))
    turns.insert({"id": "t_1", "conversation_id": "c_1"})
    turns.find_by("conversation_id", "c_1")

When a call that writes has returned, the row survives `kill -9` and a power cut; when it has
raised, nothing has changed. docs/store.md says how, and what is not promised.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tinydb import TinyDB

from javis.store.codec import Op
from javis.store.storage import JournalStorage
from javis.store.table import JournalTable

JOURNAL_NAME = "javis.jnl"


class Change:
    """Changes of several tables that are saved as one record when the `with` block ends well."""

    def __init__(self, storage: JournalStorage) -> None:
        self._storage = storage
        self._issued: dict[str, int] = {}
        self.ops: list[Op] = []

    def insert(self, table: str, row: Mapping[str, Any]) -> int:
        """Add a row and return its id."""
        doc_id = max(self._storage.memory.next_id(table), self._issued.get(table, 0) + 1)
        self._issued[table] = doc_id
        self.put(table, doc_id, row)
        return doc_id

    def put(self, table: str, doc_id: int, row: Mapping[str, Any]) -> None:
        """Replace a row."""
        self.ops.append(["put", table, doc_id, dict(row)])

    def remove(self, table: str, doc_ids: Iterable[int]) -> None:
        doc_ids = list(doc_ids)
        if doc_ids:
            self.ops.append(["del", table, doc_ids])

    def set_schema(self, version: int) -> None:
        self.ops.append(["schema", version])


class JournalDB(TinyDB):  # type: ignore[misc]
    """A TinyDB whose storage is a journal. Arguments are those of JournalStorage."""

    table_class = JournalTable
    default_storage_class = JournalStorage

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        super().__init__(path, **options)

    @property
    def storage(self) -> JournalStorage:
        storage: JournalStorage = self._storage
        return storage

    def table(self, name: str, **options: Any) -> JournalTable:
        """The table; `index=` may be given at any time, other options only at the first call."""
        for field in options.get("index", ()):
            self.storage.memory.add_index(name, field)
        table: JournalTable = super().table(name, **options)
        return table

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Change several rows or tables, all or nothing. Reads inside see the state before."""
        with self.storage.exclusive():
            change = Change(self.storage)
            yield change
            self.storage.commit(change.ops)

    def tables(self) -> set[str]:
        return set(self.storage.fresh().names())

    def drop_table(self, name: str) -> None:
        with self.storage.exclusive():
            self._tables.pop(name, None)
            if name in self.storage.fresh().names():
                self.storage.commit([["drop", name]])

    def drop_tables(self) -> None:
        with self.storage.exclusive():
            self._tables.clear()
            self.storage.commit([["drop", name] for name in self.storage.fresh().names()])
