"""The golden set: turns that every version has to answer well. For admins: it may hold any turn.

A mark names a turn; what counts as its answer follows from what was said of it since: the
reviewer's edit, else the correction, else the reply, unless that was disliked.
"""

from __future__ import annotations

from dataclasses import dataclass

from javis.core.errors import NotFound, UserInputError
from javis.core.types import Message
from javis.dataset.candidates import path_of
from javis.service.prompts import turn_of
from javis.service.review import ReviewService
from javis.service.tree import messages_of
from javis.store import Store
from javis.store.codec import Row
from javis.store.golden import GoldenMark


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """A marked turn, as it is asked."""

    turn_id: str
    conversation_id: str
    marked_at: str
    by: str
    prompt: tuple[Message, ...]
    """System prompt, earlier turns, and the user's message last."""
    reply: str
    """What the model answered then."""
    wanted: str | None
    """The answer that others are compared with; None while the reply is disliked and nobody
    wrote a better one."""
    version: str


class GoldenService:
    """Marks turns, and reads them as questions."""

    def __init__(self, store: Store, review: ReviewService) -> None:
        self._store = store
        self._review = review

    def mark(self, turn_id: str, by: str = "") -> GoldenRow:
        """Take a turn into the set. NotFound; UserInputError for one without an answer."""
        turn = self._turn(turn_id)
        if turn.get("finish") is None or not str(turn.get("reply", "")).strip():
            raise UserInputError(
                "golden_no_answer",
                "Only a message with a finished answer can be in the golden set.",
            )
        return self._row(self._store.golden.mark(turn_id, by))

    def unmark(self, turn_id: str) -> bool:
        """Take a turn out of the set; False when it was not in it."""
        return self._store.golden.unmark(turn_id)

    def ids(self) -> list[str]:
        """The marked turns that are there, the oldest mark first."""
        marks = self._store.golden.all()
        there = self._store.conversations.turns_by_id(mark.turn_id for mark in marks)
        return [mark.turn_id for mark in marks if mark.turn_id in there]

    def rows(self) -> list[GoldenRow]:
        """The set; turns of deleted conversations are left out until they are restored."""
        rows = []
        for mark in self._store.golden.all():
            try:
                rows.append(self._row(mark))
            except NotFound:
                continue
        return rows

    def _row(self, mark: GoldenMark) -> GoldenRow:
        turn = self._turn(mark.turn_id)
        prompt, wanted = self._said(turn)
        return GoldenRow(
            turn_id=mark.turn_id,
            conversation_id=turn["conversation_id"],
            marked_at=mark.created_at,
            by=mark.by,
            prompt=prompt,
            reply=str(turn.get("reply", "")),
            wanted=wanted,
            version=str(turn.get("version", "")),
        )

    def _said(self, turn: Row) -> tuple[tuple[Message, ...], str | None]:
        """The prompt, and the answer that counts."""
        try:
            row = self._review.get(turn["id"])
        except NotFound:  # not rated: the mark itself says that the answer is good
            rows = {row["id"]: row for _, row in self._turns_of(turn["conversation_id"])}
            path = [turn_of(earlier) for earlier in path_of(turn, rows)]
            asked = turn_of(turn)
            return tuple(messages_of(path, asked.system_prompt, asked.user)), asked.reply
        return row.prompt, row.target

    def _turn(self, turn_id: str) -> Row:
        """The row of a turn that is not deleted."""
        conversation_id = self._store.reviews.conversation_of(turn_id)
        found = conversation_id and self._store.reviews.conversation_row(conversation_id)
        if not conversation_id or not found or found[1].get("deleted_at"):
            raise NotFound("no_turn", "There is no such message.")
        return next(row for _, row in self._turns_of(conversation_id) if row["id"] == turn_id)

    def _turns_of(self, conversation_id: str) -> list[tuple[int, Row]]:
        return self._store.reviews.turns_of(conversation_id)
