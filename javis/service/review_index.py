"""All rated turns with their flags, kept in step with the store turn by turn.

The first look reads everything. After that a vote costs the turns of its conversation and those
whose prompts are nearly the same, so the readiness meter can be asked after every vote.
"""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from javis.core.learning import Status
from javis.dataset.candidates import Candidate, Reader, Row
from javis.dataset.control import ControlTokens
from javis.dataset.relations import Relations
from javis.store import Store
from javis.store.records import FEEDBACK
from javis.store.reviews import REVIEWS, Snapshot

Newest = tuple[int, Row]
Tags = tuple[tuple[str, ...], ...]


class ReviewIndex:
    """Not safe from several threads: ReviewService holds a lock around it."""

    def __init__(self, store: Store, control: ControlTokens, trusted: Iterable[str]) -> None:
        self._store = store
        self._reader = Reader(control)
        self._trusted = tuple(trusted)
        self.candidates: dict[str, Candidate] = {}
        self.relations = Relations(self._trusted)
        self.tally: Counter[tuple[str, ...]] = Counter()
        """How many candidates there are of each kind; see `_tags`."""
        self._known_tags: dict[Tags, Tags] = {}
        """Each combination once, as there are few."""
        self._conversations: dict[str, tuple[int, Row]] = {}
        """Of those with rated turns: id of the row, and the row it was read from."""
        self._by_conversation: dict[str, list[str]] = {}
        self._waiting: set[str] = set()
        """Conversations with a rated turn that is still being written."""
        self._seen: tuple[int, ...] = ()
        self._last = {"feedback": 0, "reviews": 0}
        self._counts = {"feedback": 0, "reviews": 0}
        self._sorted: list[Candidate] | None = None

    @property
    def revision(self) -> tuple[int, ...]:
        """Of the store, as far as it has been looked at."""
        return self._seen

    def refresh(self) -> None:
        """Take in what has changed in the store."""
        revision = self._store.reviews.learning_revision
        if revision == self._seen:
            return
        rows = self._store.reviews.current_rows()
        if not self._seen or self._lost_rows(rows):
            with _no_collection():
                self._read_all(rows)
        else:
            for conversation_id in self._changed(rows):
                self._read_one(conversation_id, rows)
        for name, table in (("feedback", rows.feedback), ("reviews", rows.reviews)):
            self._last[name] = max(table, default=0)
            self._counts[name] = len(table)
        self._seen = revision

    def newest_first(self) -> list[Candidate]:
        """All candidates, the last judged first."""
        if self._sorted is None:
            self._sorted = sorted(self.candidates.values(), key=lambda c: -c.order)
        return self._sorted

    # -- what changed ----------------------------------------------------------------------

    def _lost_rows(self, rows: Snapshot) -> bool:
        """Whether judgements or decisions were removed, as a purge does."""
        tables = {"feedback": rows.feedback, "reviews": rows.reviews}
        return any(
            len(table) - sum(1 for _ in _newer(table, self._last[name])) != self._counts[name]
            for name, table in tables.items()
        )

    def _changed(self, rows: Snapshot) -> set[str]:
        """Ids of conversations whose rated turns have to be read again."""
        changed: set[str] = set()
        turns = self._store.reviews
        for name, table in (("feedback", rows.feedback), ("reviews", rows.reviews)):
            for row in _newer(table, self._last[name]):
                conversation_id = turns.conversation_of(row["turn_id"])
                if conversation_id is not None:
                    changed.add(conversation_id)
        for conversation_id, (doc, old) in self._conversations.items():
            now = rows.conversations.get(doc)
            if now is old:
                continue
            if now is None or _shown(now) != _shown(old) or now["owner"] != old["owner"]:
                changed.add(conversation_id)
            else:
                self._conversations[conversation_id] = doc, now
        for candidate in self.candidates.values():
            turn = rows.turns.get(candidate.turn_doc)
            if turn is not candidate.turn and turn != candidate.turn:
                changed.add(candidate.conversation_id)
        return changed | self._waiting

    # -- reading ---------------------------------------------------------------------------

    def _read_all(self, rows: Snapshot) -> None:
        self.candidates.clear()
        self.relations = Relations(self._trusted)
        self.tally.clear()
        self._conversations.clear()
        self._by_conversation.clear()
        self._waiting.clear()
        votes = _newest(rows.feedback)
        decisions = _newest(rows.reviews)
        rated = {row["conversation_id"] for row in rows.turns.values() if row["id"] in votes}
        turns: dict[str, list[int]] = defaultdict(list)
        for doc, row in rows.turns.items():
            if row["conversation_id"] in rated:
                turns[row["conversation_id"]].append(doc)

        def vote_of(turn_id: str) -> Newest | None:
            doc = votes.get(turn_id)
            return None if doc is None else (doc, rows.feedback[doc])

        def decision_of(turn_id: str) -> Row | None:
            doc = decisions.get(turn_id)
            return None if doc is None else rows.reviews[doc]

        new: list[Candidate] = []
        for doc, conversation in rows.conversations.items():
            docs = turns.get(conversation["id"])
            if docs:
                found = [(turn, rows.turns[turn]) for turn in docs]
                new += self._read(doc, conversation, found, vote_of, decision_of)
        votes.clear()
        turns.clear()
        self._replace((), new)

    def _read_one(self, conversation_id: str, rows: Snapshot) -> None:
        reviews = self._store.reviews
        there = reviews.conversation_row(conversation_id)
        new: list[Candidate] = []
        if there is not None:
            turns = reviews.turns_of(conversation_id)
            new = self._read(*there, turns, self._vote_of, self._decision_of)
        old = [self.candidates[i] for i in self._by_conversation.pop(conversation_id, ())]
        if there is None:
            self._conversations.pop(conversation_id, None)
        self._replace(old, new)

    def _read(
        self,
        doc: int,
        conversation: Row,
        turns: Sequence[tuple[int, Row]],
        vote_of: Callable[[str], Newest | None],
        decision_of: Callable[[str], Row | None],
    ) -> list[Candidate]:
        conversation_id = conversation["id"]
        self._conversations[conversation_id] = doc, conversation
        self._waiting.discard(conversation_id)
        if not _shown(conversation):
            return []
        if any(row.get("finish") is None and vote_of(row["id"]) for _, row in turns):
            # Rated while it was being written: to be looked at again once it is whole.
            self._waiting.add(conversation_id)
        return self._reader.read(conversation, turns, vote_of, decision_of)

    def _replace(self, old: Iterable[Candidate], new: Iterable[Candidate]) -> None:
        old, new = list(old), list(new)
        for candidate in old:
            self.candidates.pop(candidate.turn_id, None)
            self.tally.subtract(candidate.counted)
        for candidate in new:
            self.candidates[candidate.turn_id] = candidate
            self._by_conversation.setdefault(candidate.conversation_id, []).append(
                candidate.turn_id
            )
        for turn_id in self.relations.update(old, new):
            candidate = self.candidates[turn_id]
            tags = _tags(candidate)
            if tags != candidate.counted:
                self.tally.subtract(candidate.counted)
                self.tally.update(tags)
                candidate.counted = self._known_tags.setdefault(tags, tags)
        self._sorted = None

    def _vote_of(self, turn_id: str) -> Newest | None:
        found = self._store.reviews.rows_of_turn(FEEDBACK, turn_id)
        return found[-1] if found else None

    def _decision_of(self, turn_id: str) -> Row | None:
        found = self._store.reviews.rows_of_turn(REVIEWS, turn_id)
        return found[-1][1] if found else None


def _shown(conversation: Row) -> bool:
    return not conversation.get("deleted_at")


def _newer(table: dict[int, dict[str, Any]], last: int) -> Iterator[Row]:
    """Rows that were appended after the one with the id `last`."""
    for doc in reversed(table):
        if doc <= last:
            return
        yield table[doc]


def _newest(history: Mapping[int, Row]) -> dict[str, int]:
    """The entry that counts of each turn. By id: the clock may have been set back."""
    return {history[doc]["turn_id"]: doc for doc in sorted(history)}


def _tags(candidate: Candidate) -> Tags:
    """What a candidate adds to the tally."""
    quiet, strict = candidate.status(False), candidate.status(True)
    flags = sorted({flag.kind for flag in candidate.flags})
    tags: list[tuple[str, ...]] = [("rated",), ("status", quiet, strict)]
    if candidate.rating:
        tags.append(("rating", candidate.rating))
    if candidate.correction:
        tags.append(("corrected",))
    if flags:
        tags += [("flagged",), *(("flag", kind) for kind in flags)]
        if quiet == "pending":
            tags += [("open", kind) for kind in flags]
    return tuple(tags)


def status_count(tally: Counter[tuple[str, ...]], status: Status, everything: bool) -> int:
    """How many candidates have this status."""
    place = 2 if everything else 1
    return sum(n for tag, n in tally.items() if tag[0] == "status" and tag[place] == status)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Many objects that all stay: looking for garbage among them takes longer than making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
