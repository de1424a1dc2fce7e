"""Numbered changes of what the rows look like. Append only: never edit or remove one.

Each runs once, in order, as one commit together with the new schema number. A row gets new fields
with defaults by the readers in `records`; a migration is for what a default cannot do.
"""

from __future__ import annotations

from collections.abc import Callable

from javis.core.errors import StoreError
from javis.store.journal import Change, JournalDB

Migration = Callable[[JournalDB, Change], None]


def m001_first_layout(db: JournalDB, change: Change) -> None:
    """Tables conversations, turns, feedback, preferences and meta; there was nothing before."""


MIGRATIONS: tuple[Migration, ...] = (m001_first_layout,)


def migrate(db: JournalDB, migrations: tuple[Migration, ...] = MIGRATIONS) -> int:
    """Bring the rows up to date and return the schema number.

    Raises StoreError when a newer JAVIS has been here.
    """
    if db.storage.schema == len(migrations):
        return len(migrations)
    with db.storage.exclusive():
        if db.storage.schema > len(migrations):
            raise StoreError(
                "store_too_new",
                "The data was written by a newer JAVIS; update JAVIS to open it.",
            )
        for number in range(db.storage.schema, len(migrations)):
            with db.change() as change:
                migrations[number](db, change)
                change.set_schema(number + 1)
    return len(migrations)
