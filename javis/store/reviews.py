"""What reviewers decided, and the rows that were taken in from files. Both are histories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from javis.core.learning import ACTIONS, Decision, Example, Judged, Pair, TakenRow
from javis.core.types import Message
from javis.store.codec import Row
from javis.store.duels import DUELS
from javis.store.journal import JournalDB
from javis.store.records import CONVERSATIONS, FEEDBACK, TURNS

REVIEWS = "reviews"
TAKEN_IN = "taken_in"
_KINDS = {Example: "example", Pair: "pair", Judged: "judged"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows as of one moment, by id. They are the live ones: never change them."""

    sequence: int
    """Number of the last commit that is in it."""
    conversations: dict[int, Row]
    turns: dict[int, Row]
    feedback: dict[int, Row]
    reviews: dict[int, Row]
    taken_in: dict[int, Row]


class ReviewStore:
    """Decisions by turn, and taken-in rows by batch."""

    def __init__(self, db: JournalDB) -> None:
        self._db = db
        self._table = db.table(REVIEWS, index=("turn_id",))
        self._taken = db.table(TAKEN_IN, index=("key", "turn_id", "batch", "judgement"))
        # Looked up below; the other stores index these as well.
        db.table(CONVERSATIONS, index=("id",))
        db.table(TURNS, index=("id", "conversation_id"))
        db.table(FEEDBACK, index=("turn_id",))

    def add(self, decisions: Sequence[Decision]) -> None:
        """Append to the histories of the turns, in one commit."""
        self._table.insert_multiple([decision_to_row(decision) for decision in decisions])

    def current(self, turn_id: str) -> Decision | None:
        """The newest decision, which may be a `reset`."""
        rows = self._table.peek_by("turn_id", turn_id)
        return decision_from_row(rows[-1][1]) if rows else None

    def history(self, turn_id: str) -> list[Decision]:
        """All decisions of a turn, oldest first."""
        return [decision_from_row(row) for _, row in self._table.peek_by("turn_id", turn_id)]

    def take(self, rows: Sequence[TakenRow]) -> None:
        """Keep rows of a file, in one commit.

        They replace what was taken in before in the same places (see `place_of`).
        """
        places = {place_of(taken.row) for taken in rows}
        with self._db.change() as change:
            for turn_id in {turn_id for turn_id, _ in places}:
                older = self._taken.peek_by("turn_id", turn_id)
                gone = [i for i, row in older if place_of(taken_from_row(row)) in places]
                change.remove(TAKEN_IN, gone)
            for taken in rows:
                change.insert(TAKEN_IN, taken_to_row(taken))

    def is_taken(self, key: str) -> bool:
        """Whether this very row has been taken in already."""
        return bool(self._taken.peek_by("key", key))

    def batches(self) -> dict[str, tuple[str, int]]:
        """When each file was taken in and how many of its rows are there, oldest first."""
        found: dict[str, tuple[str, int]] = {}
        for row in self._taken.peek().values():
            at, count = found.get(row["batch"], (row.get("created_at", ""), 0))
            found[row["batch"]] = (at, count + 1)
        return found

    def taken(self, batch: str) -> list[Example | Pair | Judged]:
        """What came with a file, in its order."""
        return [taken_from_row(row) for _, row in self._taken.peek_by("batch", batch)]

    def count_foreign(self) -> int:
        """Rows that stand for no turn of this store."""
        return len(self._taken.peek_by("judgement", ""))

    def forget(self, batch: str) -> int:
        """Remove what came with a file; returns how many rows."""
        with self._db.change() as change:
            ids = [doc_id for doc_id, _ in self._taken.peek_by("batch", batch)]
            change.remove(TAKEN_IN, ids)
            return len(ids)

    @property
    def revision(self) -> tuple[int, int]:
        """Differs after every change, by any process; for caches."""
        return self._table.revision, self._taken.revision

    @property
    def learning_revision(self) -> tuple[int, ...]:
        """Differs after every change of anything that review looks at."""
        memory = self._db.storage.fresh()
        names = (CONVERSATIONS, TURNS, FEEDBACK, REVIEWS, TAKEN_IN, DUELS)
        return tuple(memory.revision(name) for name in names)

    def snapshot(self) -> Snapshot:
        """Everything that review looks at, as of one moment."""
        names = (CONVERSATIONS, TURNS, FEEDBACK, REVIEWS, TAKEN_IN)
        sequence, rows = self._db.storage.snapshot(*names)
        return Snapshot(sequence, *rows)

    def current_rows(self) -> Snapshot:
        """Like `snapshot`, for a quick look: without a lock, and without the number."""
        names = (CONVERSATIONS, TURNS, FEEDBACK, REVIEWS, TAKEN_IN)
        return Snapshot(0, *self._db.storage.fresh().rows_of(*names))

    # Raw rows, for what looks at all of them: never change what comes out.

    def turns_of(self, conversation_id: str) -> list[tuple[int, Row]]:
        """The turns of a conversation, oldest first."""
        return self._rows_by(TURNS, "conversation_id", conversation_id)

    def conversation_row(self, conversation_id: str) -> tuple[int, Row] | None:
        found = self._rows_by(CONVERSATIONS, "id", conversation_id)
        return found[0] if found else None

    def conversation_of(self, turn_id: str) -> str | None:
        """The conversation that a turn belongs to."""
        found = self._rows_by(TURNS, "id", turn_id)
        return str(found[0][1]["conversation_id"]) if found else None

    def rows_of_turn(self, table: str, turn_id: str) -> list[tuple[int, Row]]:
        """The turn's history in the table of feedback or of reviews, oldest first."""
        return self._rows_by(table, "turn_id", turn_id)

    def _rows_by(self, table: str, field: str, value: str) -> list[tuple[int, Row]]:
        return self._db.storage.fresh().rows_by(table, field, value)


def place_of(row: Example | Pair | Judged) -> tuple[str, str]:
    """Turn and kind of a row: what is taken in replaces what was taken in at this place."""
    if isinstance(row, Judged):
        return row.turn_id, "liked" if row.label else "disliked"
    return row.turn_id, _KINDS[type(row)]


def decision_to_row(decision: Decision) -> Row:
    return {
        "turn_id": decision.turn_id,
        "created_at": decision.created_at,
        "action": decision.action,
        "judgement": decision.judgement,
        "user": decision.user,
        "target": decision.target,
        "flags": list(decision.flags),
        "by": decision.by,
    }


def decision_from_row(row: Row) -> Decision:
    get = row.get
    action = get("action")
    return Decision(
        turn_id=row["turn_id"],
        created_at=get("created_at", ""),
        # What a newer program decided in its own way waits for a look.
        action=action if action in ACTIONS else "reset",
        judgement=get("judgement", ""),
        user=get("user"),
        target=get("target"),
        flags=tuple(get("flags") or ()),
        by=get("by", ""),
    )


def taken_to_row(taken: TakenRow) -> Row:
    row = taken.row
    out: dict[str, Any] = {
        "key": taken.key,
        "batch": taken.batch,
        "created_at": taken.created_at,
        "by": taken.by,
        "judgement": taken.judgement,
        "kind": _KINDS[type(row)],
        "turn_id": row.turn_id,
        "conversation_id": row.conversation_id,
        "source": row.source,
    }
    if isinstance(row, Example):
        return out | {"messages": _listed(row.messages)}
    out["prompt"] = _listed(row.prompt)
    if isinstance(row, Pair):
        return out | {"chosen": row.chosen, "rejected": row.rejected}
    return out | {"completion": row.completion, "label": row.label}


def taken_from_row(row: Row) -> Example | Pair | Judged:
    ids = (row["turn_id"], row["conversation_id"], row.get("source", "import"))
    if row["kind"] == "example":
        return Example(_messages(row["messages"]), *ids)
    prompt = _messages(row["prompt"])
    if row["kind"] == "pair":
        return Pair(prompt, row["chosen"], row["rejected"], *ids)
    return Judged(prompt, row["completion"], bool(row["label"]), *ids)


def _listed(messages: Iterable[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _messages(rows: Iterable[dict[str, Any]]) -> tuple[Message, ...]:
    return tuple(Message(row["role"], row["content"]) for row in rows)
