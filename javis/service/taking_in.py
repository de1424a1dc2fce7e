"""Takes rows of a file in: what is new, what is known, and what is bad."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from javis.core.learning import Example, Judged, Pair, TakenRow
from javis.dataset import pii
from javis.dataset.candidates import judgement_of
from javis.dataset.control import ControlTokens
from javis.dataset.take_in import Problem, Row, key_of, read
from javis.service.approved import Frozen
from javis.store import Store, now_iso

_KIND = {Example: "example", Pair: "pair", Judged: "judged"}


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

    def run(self, blocks: Iterable[bytes], *, dry_run: bool) -> TakenIn:
        bad: list[Problem] = []
        rows = list(read(blocks, bad))
        known = self._known({row.turn_id for _, row in rows})
        at = now_iso()
        batch = f"i_{at}"
        taken: list[TakenRow] = []
        flagged = []
        seen: set[str] = set()
        for line, row in rows:
            key = key_of(row)
            if key in seen or key in known or self._store.reviews.is_taken(key):
                seen.add(key)
                continue
            seen.add(key)
            taken.append(self._placed(row, key, batch, at))
            found = self._speaks_against(row)
            if found:
                flagged.append((line, found))
        if taken and not dry_run:
            self._store.reviews.take(taken)
        bad.sort()
        return TakenIn(
            accepted=len(taken),
            bad=bad,
            unchanged=len(rows) - len(taken),
            flagged=tuple(flagged),
            batch=batch if taken and not dry_run else "",
        )

    def _known(self, turn_ids: set[str]) -> set[str]:
        """Keys of what these turns teach as they are."""
        keys: set[str] = set()
        if not turn_ids & self._frozen.turn_ids:
            return keys
        for lessons in self._frozen.conversations():
            mine = [one for one in lessons if one.candidate.turn_id in turn_ids]
            if mine:
                keys.update(map(key_of, self._frozen.examples(mine)))
                keys.update(map(key_of, self._frozen.pairs(lessons)))
                keys.update(map(key_of, self._frozen.judged(mine)))
        return keys

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
            turn_id=f"i_{key[:32]}",
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
