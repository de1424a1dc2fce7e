"""The rows in memory, their ids and indexes, as the records of the journal make them.

A row is never changed in place: a put brings a new dict. So a shallow copy of a table is a
snapshot that stays as it is, and readers need the lock only for the moment of taking it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from javis.core.errors import StoreError
from javis.store.codec import Op, Row


class Rows:
    """One table."""

    def __init__(self, fields: Iterable[str], next_id: int) -> None:
        self.rows: dict[int, Row] = {}
        self.sizes: dict[int, int] = {}
        """Bytes in the journal of each row, to know what compaction would gain."""
        self.next_id = next_id
        self.revision = 0
        self.indexes: dict[str, dict[Any, int | list[int]]] = {field: {} for field in fields}

    def put(self, doc_id: int, row: Row, size: int) -> int:
        """Store the row; returns by how many bytes the live data grew."""
        old = self.rows.get(doc_id)
        for field, index in self.indexes.items():
            value = row.get(field)
            if old is not None:
                before = old.get(field)
                if _same(before, value):
                    continue
                _unlink(index, before, doc_id)
            _link(index, value, doc_id)
        self.rows[doc_id] = row
        grown = size if old is None else size - self.sizes[doc_id]
        self.sizes[doc_id] = size
        if doc_id >= self.next_id:
            self.next_id = doc_id + 1
        return grown

    def remove(self, doc_id: int) -> int:
        """Forget the row if it is there; returns by how many bytes the live data grew (< 0)."""
        row = self.rows.pop(doc_id, None)
        if row is None:
            return 0
        for field, index in self.indexes.items():
            _unlink(index, row.get(field), doc_id)
        return -self.sizes.pop(doc_id)

    def clear(self) -> int:
        """Forget all rows; ids go on from where they were."""
        lost = sum(self.sizes.values())
        # New dicts, as a reader may hold the old ones.
        self.rows, self.sizes = {}, {}
        self.indexes = {field: {} for field in self.indexes}
        return -lost

    def add_index(self, field: str) -> None:
        """Index `field` from now on."""
        if field in self.indexes:
            return
        index: dict[Any, int | list[int]] = {}
        for doc_id, row in self.rows.items():
            _link(index, row.get(field), doc_id)
        self.indexes[field] = index

    def ids_by(self, field: str, value: Any) -> list[int]:
        """Ids of the rows with this value, lowest first."""
        found = self.indexes[field].get(value, [])
        return [found] if isinstance(found, int) else sorted(found)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _indexable(value: Any) -> bool:
    return not isinstance(value, (dict, list))


def _link(index: dict[Any, int | list[int]], value: Any, doc_id: int) -> None:
    if not _indexable(value):
        return
    found = index.get(value)
    # Most values of an id field have one row: a bare int saves a list for each of them.
    if found is None:
        index[value] = doc_id
    elif isinstance(found, int):
        index[value] = [found, doc_id]
    else:
        found.append(doc_id)


def _unlink(index: dict[Any, int | list[int]], value: Any, doc_id: int) -> None:
    if not _indexable(value):
        return
    found = index[value]
    if isinstance(found, int):
        del index[value]
    else:
        found.remove(doc_id)
        if not found:
            del index[value]


class Tables:
    """All tables and the schema version, changed only by `apply`."""

    def __init__(self, fields: Mapping[str, Iterable[str]], changes: int = 0) -> None:
        self._fields = fields
        self._gone: dict[str, tuple[int, int]] = {}
        """Next id and revision of dropped tables: neither is used twice."""
        self._before = changes
        self.changes = changes
        """Counts ops. A reload goes on counting, so that every revision differs from before."""
        self.tables: dict[str, Rows] = {}
        self.schema = 0
        self.live_bytes = 0

    def apply(self, ops: list[Op], size: int) -> None:
        """Carry out a record of `size` bytes. StoreError when a newer program wrote it."""
        share = size // max(1, len(ops))
        for op in ops:
            self.changes += 1
            if op[0] == "put" and len(op) == 4:
                # Nearly every op of a large journal, so it is not left to the slower matching.
                _, name, doc_id, row = op
                table = self._table(name)
                self.live_bytes += table.put(doc_id, row, share)
                table.revision = self.changes
            else:
                self._apply(op)

    def revision(self, name: str) -> int:
        """A number that differs after every change of the table."""
        table = self.tables.get(name)
        return table.revision if table else self._gone.get(name, (1, self._before))[1]

    def next_id(self, name: str) -> int:
        table = self.tables.get(name)
        return table.next_id if table else self._gone.get(name, (1, 0))[0]

    def snapshot_ops(self) -> list[Op]:
        """Ops without rows that a compacted journal starts with."""
        ops: list[Op] = [["schema", self.schema]]
        for name, (next_id, _) in self._gone.items():
            ops += [["next", name, next_id], ["drop", name]]
        return ops + [["next", name, table.next_id] for name, table in self.tables.items()]

    def resize(self, sizes: dict[str, dict[int, int]]) -> None:
        """Take over what each row takes up in a compacted file."""
        for name, table in self.tables.items():
            table.sizes = sizes[name]
        self.live_bytes = sum(sum(of_table.values()) for of_table in sizes.values())

    def _apply(self, op: Op) -> None:
        match op:
            case ["del", str(name), list(ids)]:
                table = self._table(name)
                self.live_bytes += sum(table.remove(doc_id) for doc_id in ids)
            case ["clear", str(name)]:
                table = self._table(name)
                self.live_bytes += table.clear()
            case ["next", str(name), int(next_id)]:
                table = self._table(name)
                table.next_id = max(table.next_id, next_id)
            case ["drop", str(name)]:
                table = self._table(name)
                self.live_bytes += table.clear()
                self._gone[name] = (table.next_id, self.changes)
                del self.tables[name]
            case ["schema", int(version)]:
                self.schema = version
                return
            case _:
                raise StoreError(
                    "store_too_new",
                    "The data was written by a newer JAVIS; update JAVIS to open it.",
                )
        table.revision = self.changes

    def _table(self, name: str) -> Rows:
        table = self.tables.get(name)
        if table is None:
            next_id, _ = self._gone.pop(name, (1, 0))
            table = self.tables[name] = Rows(self._fields.get(name, ()), next_id)
        return table
