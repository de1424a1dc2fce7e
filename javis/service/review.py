"""Review: which rated turns may be learned from. For admins: it shows everybody's turns."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from javis.core.errors import NotFound, UserInputError
from javis.core.learning import (
    ACTIONS,
    FLAG_KINDS,
    Action,
    Approved,
    Decision,
    ReviewRow,
)
from javis.core.protocols import Engine
from javis.core.types import MAX_MESSAGE_CHARS, Message, check_text
from javis.dataset import pii
from javis.dataset.candidates import Candidate, Reader, Row, judgement_of
from javis.dataset.control import ControlTokens, literals_in
from javis.dataset.readiness import Readiness
from javis.engine.template import ChatTemplate
from javis.service.approved import Frozen, collect
from javis.service.preferences import Preferences
from javis.service.review_index import ReviewIndex, status_count
from javis.service.review_rows import Masked, RowReader
from javis.service.review_search import ReviewFilters, similar_to, test_of
from javis.service.voted import voted_pairs
from javis.store import Store, now_iso

__all__ = ["Masked", "ReviewFilters", "ReviewPage", "ReviewService", "control_tokens_of"]

MAX_PAGE = 500
TRUSTED = ("local",)
"""Owners whose ratings count unseen however many they are: the admin."""


@dataclass(frozen=True, slots=True)
class ReviewPage:
    rows: list[ReviewRow]
    total: int
    """Rows that pass the filters."""
    counts: dict[str, int]
    """Of all rated turns: rated, approved, pending, excluded, flagged, and each kind of flag."""


def control_tokens_of(model: Engine | ChatTemplate) -> set[str]:
    """The literals that a model's chat template writes around messages."""
    messages = [Message("user", "?"), Message("assistant", "!")]
    return literals_in("".join(text for text, _ in model.training_text(messages)))


class ReviewService:
    """Rated turns with their flags, and what reviewers decide about them."""

    def __init__(
        self,
        store: Store,
        preferences: Preferences,
        control_tokens: Iterable[str] = (),
        trusted: Iterable[str] = TRUSTED,
    ) -> None:
        self._store = store
        self._preferences = preferences
        self._rows = RowReader(store)
        self._lock = threading.RLock()
        control = ControlTokens(control_tokens)
        self._trusted = frozenset(trusted)
        self._index = ReviewIndex(store, control, self._trusted)
        self._reader = Reader(control)

    # Looking -------------------------------------------------------------------------------

    def page(self, filters: ReviewFilters, offset: int = 0, limit: int = 50) -> ReviewPage:
        """Rows that pass the filters, the last rated first."""
        everything = self._preferences.review_everything()
        with self._lock:
            self._index.refresh()
            found = self._found(filters, everything)
            start = max(0, offset)
            shown = found[start : start + max(0, min(limit, MAX_PAGE))]
            return ReviewPage(
                self._rows.rows(shown, everything), len(found), self._counts(everything)
            )

    def get(self, turn_id: str) -> ReviewRow:
        """Raises NotFound for a turn that is not rated, or deleted."""
        with self._lock:
            return self._row(self._candidate(turn_id))

    def history(self, turn_id: str) -> list[Decision]:
        """All decisions about a turn, oldest first."""
        self._candidate(turn_id)
        return self._store.reviews.history(turn_id)

    def messages(self, turn_id: str) -> list[Message]:
        """The prompt and the answer that would be learned (else the model's), for a look at the
        text that training sees."""
        row = self.get(turn_id)
        answer = row.reply if row.target is None else row.target
        return [*row.prompt, Message("assistant", answer)]

    def readiness(self) -> Readiness:
        """How many rated turns are usable for training, against the goal."""
        everything = self._preferences.review_everything()
        goal = self._preferences.readiness_goal()
        with self._lock:
            self._index.refresh()
            tally = self._index.tally
            return Readiness(
                rated=tally["rated",],
                good=tally["rating", "good"],
                bad=tally["rating", "bad"],
                corrected=tally["corrected",],
                conflicts=tally["open", "conflict"],
                personal=tally["open", "personal"],
                need_a_look=status_count(tally, "pending", everything),
                usable=status_count(tally, "approved", everything)
                + self._store.reviews.count_foreign(),
                goal=goal,
            )

    def warm(self) -> None:
        """Read everything now, so that the first one who asks need not wait."""
        with self._lock:
            self._index.refresh()

    # Deciding ------------------------------------------------------------------------------

    def decide(
        self,
        turn_id: str,
        action: Action,
        *,
        user: str | None = None,
        target: str | None = None,
        by: str = "",
    ) -> ReviewRow:
        """Approve, exclude, take a decision back, or change what will be learned.

        `user` is the new text of the prompt's last message, `target` the answer; None leaves it.
        """
        _check_action(action)
        if action == "edit":
            if user is None and target is None:
                raise UserInputError("empty_edit", "An edit needs a message or an answer.")
            for text, what in ((user, "The message"), (target, "The answer")):
                if text is not None:
                    check_text(text, what, MAX_MESSAGE_CHARS)
        elif user is not None or target is not None:
            raise UserInputError("edit_only", "Only an edit takes new texts.")
        with self._lock:
            decision = self._decision(self._candidate(turn_id), action, user, target, by)
            self._store.reviews.add([decision])
            return self.get(turn_id)

    def bulk(
        self,
        action: Action,
        turn_ids: Sequence[str] | None,
        filters: ReviewFilters | None,
        by: str = "",
    ) -> int:
        """Approve, exclude or reset many turns in one step; returns how many it changes.

        Raises NotFound, and changes nothing, when one of the turns is not there.
        """
        _check_action(action)
        if action == "edit":
            raise UserInputError("no_bulk_edit", "Many turns cannot be edited in one step.")
        if (turn_ids is None) == (filters is None):
            raise UserInputError("turns_or_filters", "Name the turns, or filters, not both.")
        everything = self._preferences.review_everything()
        with self._lock:
            self._index.refresh()
            if filters is not None:
                candidates = self._found(filters, everything)
            else:
                candidates = [self._candidate(i) for i in dict.fromkeys(turn_ids or ())]
            decisions = [
                self._decision(candidate, action, None, None, by)
                for candidate in candidates
                if candidate.state != ("open" if action == "reset" else action)
            ]
            if decisions:
                self._store.reviews.add(decisions)
            return len(decisions)

    def masked(self, turn_id: str) -> Masked:
        """The row's message and answer with personal data masked; `decide("edit")` keeps it."""
        return self._rows.masked(self._candidate(turn_id))

    def similar(self, turn_id: str) -> list[ReviewRow]:
        """Rows with the same answer, or with nearly the same prompt; the last rated first."""
        with self._lock:
            candidate = self._candidate(turn_id)
            found = similar_to(candidate, self._index)
            return self._rows.rows(found, self._preferences.review_everything())

    def apply_to_similar(self, turn_id: str, turn_ids: Sequence[str], by: str = "") -> int:
        """Do to these turns what was done to this one; returns how many.

        A new answer is put in their place too. Where the edit only masked personal data, each gets
        its own texts masked. Without a decision, the user's correction is the new answer.
        """
        with self._lock:
            source = self._candidate(turn_id)
            known = {candidate.turn_id for candidate in similar_to(source, self._index)}
            chosen = [i for i in dict.fromkeys(turn_ids) if i != turn_id]
            for other in chosen:
                if other not in known:
                    raise UserInputError(
                        "not_similar", "The message {turn} is not similar to this one.", turn=other
                    )
            decisions = [self._alike(source, self._candidate(i), by) for i in chosen]
            if decisions:
                self._store.reviews.add(decisions)
            return len(decisions)

    # What may be learned from --------------------------------------------------------------

    def frozen(self) -> Frozen:
        """The approved turns as of one moment, while everything goes on."""
        with self._lock, ExitStack() as stack:
            for attempt in range(6):
                if attempt == 5:
                    # Somebody writes without a pause: keep them out for this moment.
                    stack.enter_context(self._store.db.storage.exclusive())
                before = self._store.reviews.learning_revision
                snapshot = self._store.reviews.snapshot()
                self._index.refresh()
                if before == self._index.revision == self._store.reviews.learning_revision:
                    break
            everything = self._preferences.review_everything()
            candidates = self._index.candidates.copy()
            voted = voted_pairs(
                self._store.duels.all(),
                snapshot,
                candidates,
                self._reader,
                everything=everything,
                trusted=self._trusted,
            )
            return Frozen(snapshot, candidates, everything, voted)

    def approved(self) -> Approved:
        """Everything that may be learned from, as of one moment."""
        return collect(self.frozen())

    # Inside --------------------------------------------------------------------------------

    def _candidate(self, turn_id: str) -> Candidate:
        with self._lock:
            self._index.refresh()
            candidate = self._index.candidates.get(turn_id)
        if candidate is None:
            raise NotFound("no_turn", "There is no such message.")
        return candidate

    def _found(self, filters: ReviewFilters, everything: bool) -> list[Candidate]:
        passes = test_of(filters, everything)
        return [candidate for candidate in self._index.newest_first() if passes(candidate)]

    def _counts(self, everything: bool) -> dict[str, int]:
        tally = self._index.tally
        counts = {"rated": tally["rated",]}
        for status in ("approved", "pending", "excluded"):
            counts[status] = status_count(tally, status, everything)
        counts["flagged"] = tally["flagged",]
        return counts | {kind: tally["flag", kind] for kind in FLAG_KINDS}

    def _row(self, candidate: Candidate) -> ReviewRow:
        return self._rows.rows([candidate], self._preferences.review_everything())[0]

    def _decision(
        self,
        candidate: Candidate,
        action: Action,
        user: str | None,
        target: str | None,
        by: str,
    ) -> Decision:
        return Decision(
            turn_id=candidate.turn_id,
            created_at=now_iso(),
            action=action,
            judgement=judgement_of(candidate.feedback),
            user=user,
            target=target,
            flags=tuple(flag.kind for flag in candidate.flags),
            by=by,
        )

    def _alike(self, source: Candidate, other: Candidate, by: str) -> Decision:
        """The decision for `other` that does to it what was done to `source`."""
        if source.state in ("approve", "exclude"):
            return self._decision(other, source.state, None, None, by)
        edit = source.decision if source.state == "edit" else None
        if edit is not None and self._only_masks(source, edit):
            masked = self._rows.masked(other)
            return self._decision(other, "edit", masked.user, masked.target, by)
        target = (edit or {}).get("target") or source.correction
        if not target:
            raise UserInputError(
                "nothing_to_apply", "Nothing was decided or corrected here that could be applied."
            )
        message = self._row(other).prompt[-1].content
        user = pii.mask(message) if edit and edit.get("user") and pii.kinds(message) else None
        return self._decision(other, "edit", user, str(target), by)

    def _only_masks(self, source: Candidate, edit: Row) -> bool:
        """Whether an edit did no more than take personal data out."""
        user = self._rows.message(source)
        answer = source.correction or str(source.turn.get("reply", ""))
        texts = ((edit.get("user"), user), (edit.get("target"), answer))
        changed = [(new, old) for new, old in texts if new and new != old]
        return bool(changed) and all(new == pii.mask(old) for new, old in changed)


def _check_action(action: str) -> None:
    if action not in ACTIONS:
        raise UserInputError("bad_action", "'{action}' is no decision.", action=action)
