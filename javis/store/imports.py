"""Adds whole conversations that come from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from javis.core.errors import StoreError
from javis.core.types import Conversation, Feedback, Turn
from javis.store.journal import Change, JournalDB
from javis.store.records import (
    CONVERSATIONS,
    FEEDBACK,
    TURNS,
    conversation_to_row,
    feedback_to_row,
    turn_to_row,
)

Import = tuple[Conversation, list[Turn], list[Feedback]]


def import_many(db: JournalDB, imports: Iterable[Import]) -> None:
    """Add all of them in one commit or, with StoreError, none."""
    with db.change() as change:
        importer = _Importer(db, change)
        for conversation, turns, feedback in imports:
            importer.add(conversation, turns, feedback)


class _Importer:
    def __init__(self, db: JournalDB, change: Change) -> None:
        self._conversations = db.table(CONVERSATIONS, index=("id",))
        self._turns = db.table(TURNS, index=("id",))
        self._change = change
        self._seen: set[str] = set()

    def add(self, conversation: Conversation, turns: list[Turn], feedback: list[Feedback]) -> None:
        known = {turn.id for turn in turns}
        foreign = [turn for turn in turns if turn.conversation_id != conversation.id]
        loose = [entry for entry in feedback if entry.turn_id not in known]
        if foreign or loose or (conversation.head is not None and conversation.head not in known):
            raise StoreError(
                "bad_import",
                "The conversation {id} refers to turns that are not in it.",
                id=conversation.id,
            )
        self._take(conversation.id, bool(self._conversations.peek_by("id", conversation.id)))
        self._change.insert(CONVERSATIONS, conversation_to_row(conversation))
        for turn in turns:
            self._take(turn.id, bool(self._turns.peek_by("id", turn.id)))
            self._change.insert(TURNS, turn_to_row(turn))
        for entry in feedback:
            self._change.insert(FEEDBACK, feedback_to_row(entry))

    def _take(self, id_: str, known: bool) -> None:
        if known or id_ in self._seen:
            raise id_taken(id_)
        self._seen.add(id_)


def id_taken(id_: str) -> StoreError:
    return StoreError("id_taken", "{id} is already in the store.", id=id_)
