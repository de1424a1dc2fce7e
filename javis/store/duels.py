"""Blind comparisons: which two answers stand against each other, who wrote them, and the votes.

The rows hold no text, only ids; they stay when a conversation is purged, as votes still count.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, fields, replace

from javis.core.arena import HIDDEN, Duel, End, Side
from javis.core.errors import NotFound, StoreError, UserInputError
from javis.core.types import Conversation, Timings, Turn
from javis.store.codec import Row
from javis.store.journal import Change, JournalDB
from javis.store.records import (
    CONVERSATIONS,
    TURNS,
    conversation_to_row,
    now_iso,
    turn_to_row,
)

DUELS = "duels"
_FIELDS = tuple(field.name for field in fields(Duel))


def new_duel_id() -> str:
    return "d_" + uuid.uuid4().hex


def hidden(turn: Turn) -> Turn:
    """The turn without a word of who wrote it. What is cached tells the version that answered
    before, and so does how soon it began: no timings either."""
    return replace(turn, version=HIDDEN, version_sha256=None, timings=Timings())


class DuelStore:
    """Comparisons by conversation. Every change is one commit."""

    def __init__(self, db: JournalDB) -> None:
        self._db = db
        self._table = db.table(DUELS, index=("id", "conversation_id"))
        self._turns = db.table(TURNS, index=("id", "conversation_id"))
        self._conversations = db.table(CONVERSATIONS, index=("id", "owner"))

    def open(self, duel: Duel, left: Turn, right: Turn, new: Conversation | None = None) -> None:
        """Keep a comparison with its two turns, unnamed; the left one is shown.

        `new` is the conversation when it begins with them.
        """
        with self._db.change() as change:
            found = self._conversations.peek_by("id", duel.conversation_id)
            if not new and (not found or found[0][1].get("deleted_at")):
                raise NotFound("no_conversation", "There is no such conversation.")
            for turn in (left, right):
                if self._turns.peek_by("id", turn.id):
                    raise StoreError("id_taken", "{id} is already in the store.", id=turn.id)
                change.insert(TURNS, turn_to_row(hidden(turn)))
            if new:
                change.insert(CONVERSATIONS, conversation_to_row(replace(new, head=left.id)))
            else:
                doc_id, row = found[0]
                updated_at = max(now_iso(), row.get("updated_at", ""))
                change.put(CONVERSATIONS, doc_id, row | {"head": left.id, "updated_at": updated_at})
            change.insert(DUELS, asdict(duel))

    def end(self, duel_id: str, end: End, show: Side, *, early: bool = False) -> Duel:
        """Keep how a comparison ended, name both versions, and go on from the side to `show`.

        The same end again changes nothing. A vote can be taken back (`skipped`), never changed:
        it would no longer be blind. UserInputError for anything else that comes too late.
        """
        with self._db.change() as change:
            doc_id, duel = self._find(duel_id)
            if duel.end == end:
                return duel
            if not duel.is_open and end != "skipped":
                raise UserInputError(
                    "already_voted", "This comparison has ended; its vote can only be taken back."
                )
            was_open = duel.is_open
            duel = replace(duel, end=end, ended_at=now_iso(), early=early)
            row = self._table.peek()[doc_id]
            change.put(DUELS, doc_id, {**row, **asdict(duel)})
            if was_open:
                self._reveal(change, duel, row)
                self._show(change, duel, show)
        return duel

    def keep_timings(self, duel_id: str, turn: Turn) -> None:
        """What a turn took, until its comparison ends and names it."""
        with self._db.change() as change:
            doc_id, duel = self._find(duel_id)
            row = self._table.peek()[doc_id]
            side: Side = "left" if turn.id == duel.left else "right"
            change.put(DUELS, doc_id, {**row, _timings(side): turn_to_row(turn)["timings"]})

    def pass_over(self, conversation_id: str) -> None:
        """End the conversation's open comparison without a vote, as its user went on."""
        duel = self.open_in(conversation_id)
        if duel is not None:
            self.end(duel.id, "skipped", duel.main)

    def get(self, duel_id: str, owner: str) -> Duel:
        """Raises NotFound also for somebody else's."""
        _, duel = self._find(duel_id)
        if duel.owner != owner:
            raise _no_duel()
        return duel

    def open_in(self, conversation_id: str) -> Duel | None:
        """The comparison that waits for a vote; there is one at most."""
        return next((duel for duel in self.of_conversation(conversation_id) if duel.is_open), None)

    def of_conversation(self, conversation_id: str) -> list[Duel]:
        """All comparisons of a conversation, oldest first."""
        rows = self._table.peek_by("conversation_id", conversation_id)
        return [_from_row(row) for _, row in rows]

    def all(self) -> list[Duel]:
        """Everybody's, oldest first."""
        return [_from_row(row) for _, row in sorted(self._table.peek().items())]

    # -- inside ----------------------------------------------------------------------------

    def _find(self, duel_id: str) -> tuple[int, Duel]:
        found = self._table.peek_by("id", duel_id)
        if not found:
            raise _no_duel()
        return found[0][0], _from_row(found[0][1])

    def _reveal(self, change: Change, duel: Duel, kept: Row) -> None:
        sides: tuple[Side, ...] = ("left", "right")
        for side in sides:
            for doc_id, row in self._turns.peek_by("id", duel.turn(side)):
                sha256 = duel.left_sha256 if side == "left" else duel.right_sha256
                named: Row = {"version": duel.version(side), "version_sha256": sha256}
                if took := kept.get(_timings(side)):
                    named["timings"] = took
                change.put(TURNS, doc_id, {**row, **named})

    def _show(self, change: Change, duel: Duel, side: Side) -> None:
        for doc_id, row in self._conversations.peek_by("id", duel.conversation_id):
            # Whoever looks at another branch by now stays there.
            if row.get("head") in (duel.left, duel.right):
                change.put(CONVERSATIONS, doc_id, {**row, "head": duel.turn(side)})


def _timings(side: Side) -> str:
    """The key of what a side took, in the comparison's row."""
    return f"{side}_timings"


def _from_row(row: Row) -> Duel:
    """Fields of a newer program are left alone."""
    return Duel(**{name: row[name] for name in _FIELDS if name in row})


def _no_duel() -> NotFound:
    return NotFound("no_duel", "There is no such comparison.")
