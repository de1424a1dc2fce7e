"""Which turns the admin keeps as the golden set: what every version has to answer well."""

from __future__ import annotations

from dataclasses import dataclass

from javis.store.journal import JournalDB
from javis.store.records import now_iso

GOLDEN = "golden"


@dataclass(frozen=True, slots=True)
class GoldenMark:
    turn_id: str
    created_at: str
    by: str = ""


class GoldenStore:
    """One row for each marked turn. Whether the turn is still there is for the caller to check."""

    def __init__(self, db: JournalDB) -> None:
        self._db = db
        self._table = db.table(GOLDEN, index=("turn_id",))

    def mark(self, turn_id: str, by: str = "") -> GoldenMark:
        """Take the turn into the set; one that is in it stays as it was."""
        with self._db.change() as change:
            found = self._table.peek_by("turn_id", turn_id)
            if found:
                return _from_row(found[0][1])
            row = {"turn_id": turn_id, "created_at": now_iso(), "by": by}
            change.insert(GOLDEN, row)
            return _from_row(row)

    def unmark(self, turn_id: str) -> bool:
        """Take the turn out of the set; False when it was not in it."""
        with self._db.change() as change:
            ids = [doc_id for doc_id, _ in self._table.peek_by("turn_id", turn_id)]
            change.remove(GOLDEN, ids)
        return bool(ids)

    def is_marked(self, turn_id: str) -> bool:
        return bool(self._table.peek_by("turn_id", turn_id))

    def all(self) -> list[GoldenMark]:
        """Every mark, the oldest first."""
        return [_from_row(row) for _, row in sorted(self._table.peek().items())]

    @property
    def revision(self) -> int:
        """Differs after every change, by any process."""
        return self._table.revision


def _from_row(row: dict[str, str]) -> GoldenMark:
    return GoldenMark(row["turn_id"], row.get("created_at", ""), row.get("by", ""))
