"""Candidates as the rows that a reviewer looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from javis.core.learning import ReviewRow
from javis.dataset import pii
from javis.dataset.candidates import Candidate
from javis.service.prompts import Branches
from javis.store import Store


@dataclass(frozen=True, slots=True)
class Masked:
    """A row's texts without personal data, to look at before they are kept."""

    user: str
    target: str | None
    found: list[str]
    """Kinds that were found, in the earlier messages too."""


class RowReader:
    """Reads the texts of candidates from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self, candidates: Sequence[Candidate], everything: bool) -> list[ReviewRow]:
        branches: dict[str, Branches] = {}
        rows = []
        for candidate in candidates:
            conversation = candidate.conversation_id
            if conversation not in branches:
                branches[conversation] = self._branches(conversation)
            rows.append(_review_row(candidate, branches[conversation], everything))
        return rows

    def message(self, candidate: Candidate) -> str:
        """The last message of the prompt as the model read it."""
        return self._branches(candidate.conversation_id).message(candidate)

    def masked(self, candidate: Candidate) -> Masked:
        """Message and answer without personal data."""
        (row,) = self.rows([candidate], False)
        texts = [m.content for m in row.prompt] + [row.reply, row.target or ""]
        there = {kind for text in texts for kind in pii.kinds(text)}
        return Masked(
            user=pii.mask(row.prompt[-1].content),
            target=None if row.target is None else pii.mask(row.target),
            found=[kind for kind in pii.KINDS if kind in there],
        )

    def _branches(self, conversation_id: str) -> Branches:
        turns = self._store.reviews.turns_of(conversation_id)
        return Branches({row["id"]: row for _, row in turns})


def _review_row(candidate: Candidate, branches: Branches, everything: bool) -> ReviewRow:
    turn, feedback = candidate.turn, candidate.feedback
    return ReviewRow(
        turn_id=candidate.turn_id,
        conversation_id=candidate.conversation_id,
        owner=candidate.owner,
        created_at=str(feedback.get("created_at", "")),
        prompt=branches.prompt(candidate),
        reply=str(turn.get("reply", "")),
        rating=feedback.get("rating") if candidate.rating else None,
        reasons=tuple(feedback.get("reasons") or ()),
        comment=str(feedback.get("comment") or ""),
        correction=candidate.correction,
        target=candidate.target,
        version=str(turn.get("version", "")),
        model=str(turn.get("model", "")),
        status=candidate.status(everything),
        decided=candidate.state in ("approve", "edit", "exclude"),
        edited=candidate.state == "edit",
        flags=candidate.flags,
    )
