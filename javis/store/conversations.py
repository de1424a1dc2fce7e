"""Conversations and their turns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from javis.core.errors import NotFound
from javis.core.types import Conversation, Turn
from javis.store.codec import Row
from javis.store.golden import GOLDEN
from javis.store.imports import Import, id_taken, import_many
from javis.store.journal import Change, JournalDB
from javis.store.preferences import PreferenceStore
from javis.store.records import (
    CONVERSATIONS,
    FEEDBACK,
    TURNS,
    conversation_from_row,
    conversation_to_row,
    new_conversation_id,
    now_iso,
    turn_from_row,
    turn_to_row,
)
from javis.store.reviews import REVIEWS, TAKEN_IN

_PURGE_PENDING = "purge_pending"
PURGED = "purged"
"""Ids of turns that were removed for good: what still has a copy of one is told so."""


class ConversationStore:
    """Every method that takes an `owner` treats what belongs to others as not there."""

    def __init__(self, db: JournalDB) -> None:
        self._db = db
        self._conversations = db.table(CONVERSATIONS, index=("id", "owner"))
        self._turns = db.table(TURNS, index=("id", "conversation_id"))
        self._by_turn = {
            name: db.table(name, index=("turn_id",))
            for name in (FEEDBACK, REVIEWS, TAKEN_IN, GOLDEN)
        }
        self._purged = db.table(PURGED, index=("id",))
        self._meta = PreferenceStore(db, "meta")

    # -- conversations ---------------------------------------------------------------------

    def create(self, owner: str, title: str = "", *, created_at: str | None = None) -> Conversation:
        """A new, empty conversation."""
        at = created_at or now_iso()
        conversation = Conversation(
            id=new_conversation_id(), owner=owner, title=title, created_at=at, updated_at=at
        )
        self._conversations.insert(conversation_to_row(conversation))
        return conversation

    def get(self, conversation_id: str, owner: str) -> Conversation:
        """Raises NotFound when it is missing, deleted or somebody else's."""
        _, row = self._find(conversation_id, owner)
        return conversation_from_row(row)

    def page(
        self,
        owner: str,
        query: str = "",
        offset: int = 0,
        limit: int = 50,
        *,
        deleted: bool = False,
    ) -> tuple[list[Conversation], int]:
        """The conversations from `offset` on, last changed first, and how many there are in all.

        `query` is looked for in titles and in the texts of the turns, whatever the case. With
        `deleted`, those that were deleted and not yet purged.
        """
        rows = [
            (row.get("updated_at", ""), doc_id, row)
            for doc_id, row in self._conversations.peek_by("owner", owner)
            if bool(row.get("deleted_at")) == deleted
        ]
        wanted = _folded(query.strip())
        if wanted:
            rows = [entry for entry in rows if self._mentions(entry[2], wanted)]
        rows.sort(key=lambda entry: entry[:2], reverse=True)
        shown = rows[max(0, offset) : max(0, offset) + max(0, limit)]
        return [conversation_from_row(row) for _, _, row in shown], len(rows)

    def rename(self, conversation_id: str, owner: str, title: str, *, titled: bool = True) -> None:
        """Set the title; `titled` False when the program chose it, not the user."""
        with self._db.change() as change:
            doc_id, row = self._find(conversation_id, owner)
            change.put(CONVERSATIONS, doc_id, {**row, "title": title, "titled": titled})

    def delete(self, conversation_id: str, owner: str) -> None:
        """Hide it. `restore` brings it back until `purge` removes it for good."""
        with self._db.change() as change:
            doc_id, row = self._find(conversation_id, owner)
            change.put(CONVERSATIONS, doc_id, {**row, "deleted_at": now_iso()})

    def restore(self, conversation_id: str, owner: str) -> None:
        """Take a deletion back; fine when there was none."""
        with self._db.change() as change:
            doc_id, row = self._find(conversation_id, owner, deleted=True)
            if row.get("deleted_at"):
                change.put(CONVERSATIONS, doc_id, {**row, "deleted_at": None})

    def purge(self, older_than_s: float) -> int:
        """Remove for good what was deleted at least `older_than_s` ago; returns how many.

        Turns, feedback, reviews and golden marks go with it, and the file is written anew, so that
        the text is no longer in it; of the turns their ids stay (`was_purged`). When that second
        step fails (StoreError), the next purge makes up for it. Backups and `.torn-…` files made
        before keep the text.
        """
        limit = now_iso(older_than_s)
        with self._db.storage.exclusive():
            gone = {
                doc_id: row["id"]
                for doc_id, row in self._conversations.peek().items()
                if row.get("deleted_at") and row["deleted_at"] <= limit
            }
            if gone:
                # Noted first: a crash before the file is rewritten must not leave the text there.
                self._meta.set(_PURGE_PENDING, True)
                with self._db.change() as change:
                    change.remove(CONVERSATIONS, gone)
                    self._remove_turns(change, gone.values())
            if self._meta.get(_PURGE_PENDING, False):
                self._db.storage.compact()
                self._meta.set(_PURGE_PENDING, False)
        return len(gone)

    def was_purged(self, turn_id: str) -> bool:
        """Whether there was such a turn once, and it was removed for good."""
        return bool(self._purged.peek_by("id", turn_id))

    def set_head(self, conversation_id: str, turn_id: str | None) -> None:
        """Show the branch that ends at this turn. NotFound when it is not of the conversation."""
        with self._db.change() as change:
            doc_id, row = self._conversation(conversation_id)
            if turn_id is not None:
                _, turn = self._turn(turn_id)
                if turn["conversation_id"] != conversation_id:
                    raise _no_turn()
            change.put(CONVERSATIONS, doc_id, {**row, "head": turn_id})

    # -- turns -----------------------------------------------------------------------------

    def add_turn(self, turn: Turn, *, head: bool = False) -> None:
        """Append a turn, with `head` as the end of the branch shown; one commit.

        The conversation counts as changed now.
        """
        with self._db.change() as change:
            doc_id, row = self._conversation(turn.conversation_id)
            if row.get("deleted_at"):
                raise _no_conversation()
            self._check_new(turn.id)
            change.insert(TURNS, turn_to_row(turn))
            # Not earlier than before, also when the clock was set back.
            updated_at = max(now_iso(), row.get("updated_at", ""))
            changed = {"updated_at": updated_at} | ({"head": turn.id} if head else {})
            change.put(CONVERSATIONS, doc_id, row | changed)

    def put_turn(self, turn: Turn) -> None:
        """Replace the turn of the same id. NotFound when it has been purged meanwhile."""
        with self._db.change() as change:
            doc_id, row = self._turn(turn.id)
            # Fields of a newer program stay.
            change.put(TURNS, doc_id, {**row, **turn_to_row(turn)})

    def get_turn(self, turn_id: str, owner: str) -> Turn:
        """Raises NotFound also when its conversation is deleted or somebody else's."""
        _, row = self._turn(turn_id)
        if not self._shown(row, owner):
            raise _no_turn()
        return turn_from_row(row)

    def turns(self, conversation_id: str) -> list[Turn]:
        """All branches, in the order they were added."""
        rows = self._turns.peek_by("conversation_id", conversation_id)
        return [turn_from_row(row) for _, row in rows]

    def turns_by_id(self, turn_ids: Iterable[str], *, deleted: bool = False) -> dict[str, Turn]:
        """Those of the turns that are there, by id; deleted conversations only with `deleted`."""
        found = (row for id_ in turn_ids for _, row in self._turns.peek_by("id", id_))
        return {row["id"]: turn_from_row(row) for row in found if deleted or self._shown(row)}

    def owners(self, conversation_ids: Iterable[str]) -> dict[str, str]:
        """Who owns each of the conversations that are there and not deleted."""
        found = (
            row for id_ in conversation_ids for _, row in self._conversations.peek_by("id", id_)
        )
        return {row["id"]: row["owner"] for row in found if not row.get("deleted_at")}

    @property
    def revision(self) -> int:
        """Differs after every added turn and every change of a conversation, by any process."""
        return self._conversations.revision

    def mark_interrupted(self) -> int:
        """Finish the answers a crash cut short; returns how many.

        Only while no other server uses the store: its running answers look the same.
        """
        with self._db.change() as change:
            for doc_id, row in self._turns.peek().items():
                if row.get("finish") is None:
                    change.put(TURNS, doc_id, {**row, "finish": "interrupted"})
            return len(change.ops)

    def count_turns(self) -> int:
        """Turns of all conversations that are not deleted."""
        turns, gone = len(self._turns), 0
        for row in self._conversations.peek().values():
            if row.get("deleted_at"):
                gone += len(self._turns.peek_by("conversation_id", row["id"]))
        return turns - gone

    def iter_turns(
        self, owner: str | None = None, *, deleted: bool = False, since: str = ""
    ) -> Iterator[Turn]:
        """Turns as of the moment of the call, oldest first; of one owner, or of all.

        Those of deleted conversations only with `deleted`; with `since`, a time as the store
        writes it, only those made at or after it.
        """
        conversations, turns = self._db.storage.fresh().rows_of(CONVERSATIONS, TURNS)
        wanted = {
            row["id"]
            for row in conversations.values()
            if (owner is None or row["owner"] == owner) and (deleted or not row.get("deleted_at"))
        }
        rows = (
            row
            for _, row in sorted(turns.items())
            if row["conversation_id"] in wanted and row.get("created_at", "") >= since
        )
        return map(turn_from_row, rows)

    def import_many(self, imports: Iterable[Import]) -> None:
        """Add whole conversations in one commit: all of them or, with StoreError, none."""
        import_many(self._db, imports)

    # -- inside ----------------------------------------------------------------------------

    def _check_new(self, turn_id: str) -> None:
        if self._turns.peek_by("id", turn_id):
            raise id_taken(turn_id)

    def _conversation(self, conversation_id: str) -> tuple[int, Row]:
        found = self._conversations.peek_by("id", conversation_id)
        if not found:
            raise _no_conversation()
        return found[0]

    def _find(self, conversation_id: str, owner: str, *, deleted: bool = False) -> tuple[int, Row]:
        doc_id, row = self._conversation(conversation_id)
        if row["owner"] != owner or (row.get("deleted_at") and not deleted):
            raise _no_conversation()
        return doc_id, row

    def _turn(self, turn_id: str) -> tuple[int, Row]:
        found = self._turns.peek_by("id", turn_id)
        if not found:
            raise _no_turn()
        return found[0]

    def _shown(self, turn: Row, owner: str | None = None) -> bool:
        found = self._conversations.peek_by("id", turn["conversation_id"])
        return any(
            not row.get("deleted_at") and (owner is None or row["owner"] == owner)
            for _, row in found
        )

    def _mentions(self, conversation: Row, wanted: str) -> bool:
        if wanted in _folded(conversation.get("title", "")):
            return True
        turns = self._turns.peek_by("conversation_id", conversation["id"])
        return any(
            wanted in _folded(row.get("user", "")) or wanted in _folded(row.get("reply", ""))
            for _, row in turns
        )

    def _remove_turns(self, change: Change, conversation_ids: Iterable[str]) -> None:
        for conversation_id in conversation_ids:
            turns = self._turns.peek_by("conversation_id", conversation_id)
            change.remove(TURNS, [doc_id for doc_id, _ in turns])
            for _, turn in turns:
                change.insert(PURGED, {"id": turn["id"]})
                for name, table in self._by_turn.items():
                    entries = table.peek_by("turn_id", turn["id"])
                    change.remove(name, [doc_id for doc_id, _ in entries])


def _folded(text: str) -> str:
    # macOS types Hangul as single letters (NFD); they are to match whole syllables.
    return unicodedata.normalize("NFC", text).casefold()


def _no_conversation() -> NotFound:
    return NotFound("no_conversation", "There is no such conversation.")


def _no_turn() -> NotFound:
    return NotFound("no_turn", "There is no such message.")
