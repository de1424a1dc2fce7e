"""The whole store behind one call."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from javis.store.conversations import ConversationStore
from javis.store.duels import DuelStore
from javis.store.feedback import FeedbackStore
from javis.store.golden import GoldenStore
from javis.store.jobs import JobStore
from javis.store.journal import JOURNAL_NAME, JournalDB
from javis.store.migrations import migrate
from javis.store.preferences import PreferenceStore
from javis.store.reviews import ReviewStore


@dataclass(frozen=True, slots=True)
class Store:
    """An open store. Several processes may have the same one open."""

    db: JournalDB
    conversations: ConversationStore
    feedback: FeedbackStore
    preferences: PreferenceStore
    jobs: JobStore
    reviews: ReviewStore
    golden: GoldenStore
    duels: DuelStore

    def close(self) -> None:
        """Release the file. Nothing is pending: what was saved is on the disk."""
        self.db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_store(path: str | os.PathLike[str], **options: Any) -> Store:
    """Open or make the journal at `path` (a folder means `javis.jnl` in it).

    Options are those of JournalStorage. Raises StoreError when it cannot be opened, StoreCorrupt
    when it is damaged.
    """
    path = Path(path)
    if path.is_dir():
        path = path / JOURNAL_NAME
    db = JournalDB(path, **options)
    try:
        migrate(db)
        return Store(
            db,
            ConversationStore(db),
            FeedbackStore(db),
            PreferenceStore(db),
            JobStore(db),
            ReviewStore(db),
            GoldenStore(db),
            DuelStore(db),
        )
    except BaseException:
        db.close()
        raise
