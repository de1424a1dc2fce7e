"""Takes rows of a file in: what is new, what is known, and what is bad."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from javis.core.errors import UserInputError
from javis.core.learning import Example, Judged, Pair, TakenRow
from javis.dataset import pii
from javis.dataset.candidates import judgement_of
from javis.dataset.control import ControlTokens
from javis.dataset.take_in import Problem, Row, key_of, read
from javis.service.approved import Frozen, as_judged
from javis.store import Store, now_iso
from javis.store.reviews import place_of


def _each_once(rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[int, Row, str]]:
    """Lines, rows and their keys, without those that a line before said already."""
    seen: set[str] = set()
    for line, row in rows:
        key = key_of(row)
        if key not in seen:
            seen.add(key)
            yield line, row, key


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What came of a file."""

    accepted: int
    """Rows that are now learned from."""
    bad: list[Problem]
    """Line, code and sentence for each row that could not be taken."""
    unchanged: int = 0
    """Rows that say what is known already."""
    flagged: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """Lines of accepted rows that hold personal data or control tokens, and which."""
    batch: str = ""
    """Name to take it back by; "" when nothing was taken."""


class Taking:
    """One file on its way in."""

    def __init__(self, store: Store, frozen: Frozen, by: str) -> None:
        self._store = store
        self._frozen = frozen
        self._by = by
        self._control = ControlTokens()
        self._taken = {row.turn_id for row in frozen.foreign}
        self._voted = {row.turn_id for row in frozen.voted}

    def run(self, blocks: Iterable[bytes], *, dry_run: bool) -> TakenIn:
        bad: list[Problem] = []
        rows = [(line, row) for line, row in read(blocks, bad) if not self._is_gone(line, row, bad)]
        known = self._known({row.turn_id for _, row in rows})
        at = now_iso()
        batch = f"i_{at}"
        new = [entry for entry in _each_once(rows) if not self._is_known(*entry[1:], known)]
        new = [entry for entry in new if not self._store.reviews.is_taken(entry[2])]
        # Several pairs may come from one turn: a new one brings the others along, as what is taken
        # in for a turn replaces what there was.
        changed = {place_of(row) for _, row, _ in new if self._frozen.candidate(row.turn_id)}
        kept = [entry for entry in _each_once(rows) if place_of(entry[1]) in changed]
        wanted = {key: row for _, row, key in (*new, *kept)}
        taken = [self._placed(row, key, batch, at) for key, row in wanted.items()]
        against = [(line, self._speaks_against(row)) for line, row, _ in new]
        flagged = tuple((line, found) for line, found in against if found)
        if taken and not dry_run:
            self._store.reviews.take(taken)
        bad.sort()
        return TakenIn(
            accepted=len(new),
            bad=bad,
            unchanged=len(rows) - len(new),
            flagged=flagged,
            batch=batch if taken and not dry_run else "",
        )

    def _is_gone(self, line: int, row: Row, bad: list[Problem]) -> bool:
        """A row of an answer that its user deleted or judges no more must not come back by an
        export of before."""
        if self._frozen.candidate(row.turn_id) is not None or row.turn_id in self._voted:
            return False
        was_here = self._store.reviews.conversation_of(row.turn_id) is not None
        if not was_here and not self._store.conversations.was_purged(row.turn_id):
            return False
        error = UserInputError(
            "row_of_gone_turn", "This answer was deleted, or its rating was taken back."
        )
        bad.append((line, error.code, str(error)))
        return True

    def _known(self, turn_ids: set[str]) -> set[tuple[str, str]]:
        """Keys of all that is learned as it is: each by itself, and with its turn if that is one
        of these."""
        known: set[tuple[str, str]] = set()
        for row in self._learned():
            key = key_of(row)
            known.add(("", key))
            if row.turn_id in turn_ids:
                known.add((row.turn_id, key))
        return known

    def _learned(self) -> Iterator[Row]:
        for row in self._frozen.foreign:
            if isinstance(row, Example):
                yield as_judged(row)
        yield from self._frozen.voted
        for lessons in self._frozen.conversations():
            yield from self._frozen.examples(lessons)
            yield from self._frozen.pairs(lessons)
            yield from self._frozen.judged(lessons)

    def _is_known(self, row: Row, key: str, known: set[tuple[str, str]]) -> bool:
        """A row of a turn of this store may say what another turn says already: then it is an edit
        of its own turn all the same. From elsewhere, it would be learned twice."""
        is_own = self._frozen.candidate(row.turn_id) is not None
        return (row.turn_id if is_own else "", key) in known

    def _placed(self, row: Row, key: str, batch: str, at: str) -> TakenRow:
        """The row at its turn, or in a conversation of its own."""
        candidate = self._frozen.candidate(row.turn_id)
        if candidate is not None:
            row = replace(row, conversation_id=candidate.conversation_id)
            judgement = judgement_of(candidate.feedback)
            return TakenRow(row, key, batch, at, self._by, judgement)
        # The first message names the conversation, so that the same one is never on both sides of
        # a split.
        prompt = row.messages[:-1] if isinstance(row, Example) else row.prompt
        first = key_of(Judged(prompt[:2], "", True, "", "", ""))
        row = replace(
            row,
            turn_id=row.turn_id if row.turn_id in self._taken else f"i_{key[:32]}",
            conversation_id=row.conversation_id or f"i_{first[:32]}",
        )
        return TakenRow(row, key, batch, at, self._by)

    def _speaks_against(self, row: Row) -> tuple[str, ...]:
        prompt = row.messages if isinstance(row, Example) else row.prompt
        texts = [message.content for message in prompt]
        if isinstance(row, Pair):
            texts += [row.chosen, row.rejected]
        elif isinstance(row, Judged):
            texts.append(row.completion)
        private = {kind for text in texts for kind in pii.kinds(text)}
        control = any(self._control.find(text) for text in texts)
        return (*sorted(private), *(("control",) if control else ()))
