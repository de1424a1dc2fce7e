"""What readers see of the tables, from any thread, while a writer changes them."""

from __future__ import annotations

import threading
from typing import Any

from javis.store.codec import Op, Row
from javis.store.rows import Tables


class Memory:
    """The tables behind a lock that is held for moments only.

    Every row that comes out is the live one: never change it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fields: dict[str, list[str]] = {}
        self._tables = Tables(self._fields)

    @property
    def tables(self) -> Tables:
        """For the writer, who holds the journal's lock and is the only one to change them."""
        return self._tables

    def apply(self, ops: list[Op], size: int) -> None:
        """Carry out a record of `size` bytes."""
        with self._lock:
            self._tables.apply(ops, size)

    def successor(self) -> Tables:
        """Empty tables for a reload; nobody sees them before `replace`."""
        return Tables(self._fields, self._tables.changes + 1)

    def replace(self, tables: Tables) -> None:
        with self._lock:
            self._tables = tables
            # One may have been named while the file was read.
            for name, fields in self._fields.items():
                for field in fields:
                    self._index(name, field)

    def add_index(self, name: str, field: str) -> None:
        """Keep an index of the field, from now on and after every reload."""
        with self._lock:
            fields = self._fields.setdefault(name, [])
            if field not in fields:
                fields.append(field)
            self._index(name, field)

    def _index(self, name: str, field: str) -> None:
        table = self._tables.tables.get(name)
        if table is not None:
            table.add_index(field)

    def rows(self, name: str) -> dict[int, Row]:
        """The rows of a table by id, as of now."""
        return self.rows_of(name)[0]

    def rows_of(self, *names: str) -> list[dict[int, Row]]:
        """The rows of several tables as of one moment."""
        with self._lock:
            tables = [self._tables.tables.get(name) for name in names]
            return [dict(table.rows) if table else {} for table in tables]

    def everything(self) -> dict[str, dict[int, Row]]:
        """The rows of all tables as of one moment."""
        with self._lock:
            return {name: dict(table.rows) for name, table in self._tables.tables.items()}

    def row(self, name: str, doc_id: int) -> Row | None:
        with self._lock:
            table = self._tables.tables.get(name)
            return table.rows.get(doc_id) if table else None

    def rows_by(self, name: str, field: str, value: Any) -> list[tuple[int, Row]]:
        """The rows with this value of an indexed field, lowest id first."""
        with self._lock:
            table = self._tables.tables.get(name)
            if table is None:
                return []
            return [(doc_id, table.rows[doc_id]) for doc_id in table.ids_by(field, value)]

    def count(self, name: str) -> int:
        """How many rows the table has."""
        with self._lock:
            table = self._tables.tables.get(name)
            return len(table.rows) if table else 0

    def names(self) -> list[str]:
        """Names of the tables."""
        with self._lock:
            return list(self._tables.tables)

    def next_id(self, name: str) -> int:
        """The id the next row gets; never one that was used before."""
        with self._lock:
            return self._tables.next_id(name)

    def revision(self, name: str) -> int:
        """A number that differs after every change of the table, for caches."""
        with self._lock:
            return self._tables.revision(name)
