"""What users think of the answers. A history: nothing is changed, the newest entry counts."""

from __future__ import annotations

from collections.abc import Iterable

from javis.core.types import Feedback
from javis.store.journal import JournalDB
from javis.store.records import FEEDBACK, feedback_from_row, feedback_to_row


class FeedbackStore:
    """Feedback by turn. Whether the turn is the user's is for the caller to check."""

    def __init__(self, db: JournalDB) -> None:
        self._table = db.table(FEEDBACK, index=("turn_id",))

    def add(self, feedback: Feedback) -> None:
        """Append to the turn's history."""
        self._table.insert(feedback_to_row(feedback))

    def current(self, turn_id: str) -> Feedback | None:
        """The newest entry; None when there is none or it took everything back."""
        rows = self._table.peek_by("turn_id", turn_id)
        if not rows:
            return None
        newest = feedback_from_row(rows[-1][1])
        return None if newest.is_empty else newest

    def current_many(self, turn_ids: Iterable[str]) -> dict[str, Feedback]:
        """`current` of each turn that has one."""
        found = ((turn_id, self.current(turn_id)) for turn_id in turn_ids)
        return {turn_id: feedback for turn_id, feedback in found if feedback is not None}

    def history(self, turn_id: str) -> list[Feedback]:
        """All entries of a turn, oldest first."""
        return [feedback_from_row(row) for _, row in self._table.peek_by("turn_id", turn_id)]

    def all_current(self) -> dict[str, Feedback]:
        """`current` of every turn, as of one moment."""
        # By id, not by time: the clock may have been set back between two entries.
        newest = {row["turn_id"]: row for _, row in sorted(self._table.peek().items())}
        found = ((turn_id, feedback_from_row(row)) for turn_id, row in newest.items())
        return {turn_id: feedback for turn_id, feedback in found if not feedback.is_empty}

    @property
    def revision(self) -> int:
        """A number that differs after every change, by any process; for caches."""
        return self._table.revision
