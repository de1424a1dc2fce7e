"""Thumbs, reasons and corrections, and how far they are from a first training."""

from __future__ import annotations

from collections.abc import Sequence

from javis.core.types import Feedback, Rating
from javis.dataset.readiness import Readiness
from javis.service.recall import Recall
from javis.service.review import ReviewService
from javis.store import Store, now_iso


class FeedbackService:
    """Keeps every judgement; the newest one of a turn counts."""

    def __init__(self, store: Store, review: ReviewService, recall: Recall) -> None:
        self._store = store
        self._review = review
        self._recall = recall

    def rate(
        self,
        owner: str,
        turn_id: str,
        rating: Rating | None,
        reasons: Sequence[str] = (),
        comment: str = "",
        correction: str | None = None,
    ) -> Feedback:
        """Replace the judgement of a turn; the earlier ones stay in its history.

        Raises NotFound for a turn of somebody else, UserInputError for anything malformed.
        """
        turn = self._store.conversations.get_turn(turn_id, owner)
        if correction is not None and correction.strip() in ("", turn.reply.strip()):
            correction = None
        feedback = Feedback(turn_id, now_iso(), rating, tuple(reasons), comment, correction)
        self._store.feedback.add(feedback)
        if feedback.correction:
            self._recall.learn()
        return feedback

    def current(self, owner: str, turn_id: str) -> Feedback | None:
        """The judgement that counts, None when there is none or it was taken back."""
        self._store.conversations.get_turn(turn_id, owner)
        return self._store.feedback.current(turn_id)

    def history(self, owner: str, turn_id: str) -> list[Feedback]:
        """All judgements of a turn, oldest first."""
        self._store.conversations.get_turn(turn_id, owner)
        return self._store.feedback.history(turn_id)

    def readiness(self) -> Readiness:
        """How many rated turns are usable for training, against the goal."""
        return self._review.readiness()
