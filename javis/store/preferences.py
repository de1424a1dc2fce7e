"""What a user sets while the program runs: defaults, the readiness goal, …"""

from __future__ import annotations

from typing import Any

from javis.store.codec import copy_row
from javis.store.journal import JournalDB


class PreferenceStore:
    """Values of any JSON type by name."""

    def __init__(self, db: JournalDB, table: str = "preferences") -> None:
        self._db = db
        self._table = db.table(table, index=("key",))

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` when none was set."""
        row = self._table.get_by("key", key)
        return default if row is None else row.get("value", default)

    def set(self, key: str, value: Any) -> None:
        """Save the value. StoreError when it is no JSON."""
        with self._db.change() as change:
            rows = self._table.peek_by("key", key)
            row = {"key": key, "value": value}
            if rows:
                change.put(self._table.name, rows[0][0], row)
            else:
                change.insert(self._table.name, row)

    def all(self) -> dict[str, Any]:
        """Every value that was set."""
        rows = map(copy_row, self._table.peek().values())
        return {row["key"]: row.get("value") for row in rows}
