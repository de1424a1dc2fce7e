"""TinyDB's table on the journal: the same calls, with a flat cost for one row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from tinydb.table import Document, Table

from javis.store.codec import Op, Row, copy_row
from javis.store.storage import JournalStorage


class JournalTable(Table):  # type: ignore[misc]
    """A TinyDB table whose changes are one record each and whose results are deep copies.

    `index` names fields to look rows up by with `find_by` and `get_by`, at the cost of the rows
    found.
    """

    def __init__(
        self,
        storage: JournalStorage,
        name: str,
        cache_size: int = 0,
        persist_empty: bool = False,
        index: Iterable[str] = (),
    ) -> None:
        self._issued = 0
        # The query cache knows nothing of what other processes write, so it stays off.
        super().__init__(storage, name, cache_size=0, persist_empty=persist_empty)
        for field in index:
            storage.memory.add_index(name, field)

    def find_by(self, field: str, value: Any) -> list[Document]:
        """Copies of the rows with this value of an indexed field, oldest id first."""
        rows = self._storage.fresh().rows_by(self.name, field, value)
        return [Document(copy_row(row), doc_id) for doc_id, row in rows]

    def get_by(self, field: str, value: Any) -> Document | None:
        """A copy of the first row with this value of an indexed field."""
        rows = self._storage.fresh().rows_by(self.name, field, value)
        return Document(copy_row(rows[0][1]), rows[0][0]) if rows else None

    def peek_by(self, field: str, value: Any) -> list[tuple[int, Row]]:
        """Like `find_by` without the copies: never change what comes out."""
        found: list[tuple[int, Row]] = self._storage.fresh().rows_by(self.name, field, value)
        return found

    def peek(self) -> dict[int, Row]:
        """All rows by id as of now, not copied: never change what comes out."""
        rows: dict[int, Row] = self._storage.fresh().rows(self.name)
        return rows

    @property
    def revision(self) -> int:
        """A number that differs after every change of the table, by any process."""
        return int(self._storage.fresh().revision(self.name))

    # -- TinyDB's own calls; what reads and writes holds the lock from the first to the last ---

    def insert(self, document: Mapping[str, Any]) -> int:
        with self._changing():
            return int(super().insert(document))

    def insert_multiple(self, documents: Iterable[Mapping[str, Any]]) -> list[int]:
        with self._changing():
            return list(super().insert_multiple(documents))

    def update(self, fields: Any, cond: Any = None, doc_ids: Any = None) -> list[int]:
        with self._changing():
            return list(super().update(fields, cond, doc_ids))

    def update_multiple(self, updates: Iterable[Any]) -> list[int]:
        with self._changing():
            return list(super().update_multiple(updates))

    def upsert(self, document: Mapping[str, Any], cond: Any = None) -> list[int]:
        with self._changing():
            return list(super().upsert(document, cond))

    def remove(self, cond: Any = None, doc_ids: Any = None) -> list[int]:
        with self._changing():
            return list(super().remove(cond, doc_ids))

    def truncate(self) -> None:
        with self._changing():
            super().truncate()

    def get(self, cond: Any = None, doc_id: int | None = None, doc_ids: Any = None) -> Any:
        if doc_id is not None:
            row = self._storage.fresh().row(self.name, doc_id)
            return None if row is None else Document(copy_row(row), doc_id)
        if doc_ids is not None:
            doc_ids = list(doc_ids)
        return super().get(cond, None, doc_ids)

    def __len__(self) -> int:
        return int(self._storage.fresh().count(self.name))

    def _read_table(self) -> Mapping[str, Row]:
        return _Copies(self._storage.fresh().rows(self.name))

    def _get_next_id(self) -> int:
        self._issued = max(self._storage.memory.next_id(self.name), self._issued + 1)
        return self._issued

    def _update_table(self, updater: Callable[[Any], None]) -> None:
        with self._storage.exclusive():
            view = _Update(self, self._storage.fresh().rows(self.name))
            updater(view)
            self._storage.commit(view.ops())

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._storage.exclusive():
            self._issued = 0
            yield


class _Copies(Mapping[str, Row]):
    """Rows under their ids as text, as TinyDB reads them; each is copied when it is read."""

    def __init__(self, rows: dict[int, Row]) -> None:
        self._rows = rows

    def __getitem__(self, key: str) -> Row:
        return copy_row(self._rows[int(key)])

    def __iter__(self) -> Iterator[str]:
        return map(str, self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class _Update(MutableMapping[int, Row]):
    """What a TinyDB updater sees of a table: notes which rows it changes."""

    def __init__(self, table: JournalTable, rows: dict[int, Row]) -> None:
        self._table = table
        self._old = rows
        self._new: dict[int, Row] = {}
        self._gone: dict[int, None] = {}
        self._cleared = False

    def __getitem__(self, doc_id: int) -> Row:
        if doc_id in self._new:
            return self._new[doc_id]
        if doc_id in self._gone:
            raise KeyError(doc_id)
        # The updater may change what it reads, so it gets a copy, compared in `ops`.
        row = self._new[doc_id] = copy_row(self._old[doc_id])
        return row

    def __setitem__(self, doc_id: int, row: Row) -> None:
        self._gone.pop(doc_id, None)
        self._new[doc_id] = row
        self._table._issued = max(self._table._issued, doc_id)

    def __delitem__(self, doc_id: int) -> None:
        if doc_id not in self:
            raise KeyError(doc_id)
        self._new.pop(doc_id, None)
        if doc_id in self._old:
            self._gone[doc_id] = None

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self._new or (doc_id in self._old and doc_id not in self._gone)

    def __iter__(self) -> Iterator[int]:
        yield from (doc_id for doc_id in self._old if doc_id not in self._gone)
        yield from (doc_id for doc_id in list(self._new) if doc_id not in self._old)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def clear(self) -> None:
        self._cleared = True
        self._old, self._new, self._gone = {}, {}, {}

    def ops(self) -> list[Op]:
        """The record that brings the change about."""
        name = self._table.name
        ops: list[Op] = [["clear", name]] if self._cleared else []
        if self._gone:
            ops.append(["del", name, list(self._gone)])
        for doc_id, row in self._new.items():
            old = self._old.get(doc_id)
            # `==` would take 1 for True and 1.0, which the file tells apart.
            if old is None or old != row or repr(old) != repr(row):
                ops.append(["put", name, doc_id, row])
        return ops
