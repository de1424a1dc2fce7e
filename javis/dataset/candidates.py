"""A rated turn as something to learn from: what would be learned, what speaks against it, and
whether it may be used.

Works on the raw rows of the store, as it runs over every rated turn there is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from javis.core.learning import Flag, Status
from javis.dataset.control import ControlTokens
from javis.dataset.dedupe import fold, numbers, salt_of
from javis.dataset.pii import kinds
from javis.dataset.repetition import repeated

Row = Mapping[str, Any]
State = Literal["open", "approve", "edit", "exclude", "lapsed"]
"""`open`: nobody decided; `lapsed`: an edit or exclusion was made on an older judgement."""
CUT = ("length", "cancelled", "error", "interrupted")
"""Ends of an answer that teach the model to stop in the middle."""
CONTEXT_CHARS = 200
"""Of what was said before, so much of the end tells one prompt from another."""


@dataclass(slots=True, eq=False)
class Candidate:
    """A rated turn. All but the last two fields is fixed: a change makes a new one.

    There may be 100,000 of them, so what can be read from the rows is not kept twice.
    """

    turn_id: str
    conversation_id: str
    owner: str
    order: int
    """Place of its newest judgement among all."""
    turn_doc: int
    turn: Row
    feedback: Row
    decision: Row | None
    state: State
    target: str | None
    context: int
    """Stands for system prompt and what was said before."""
    prompt_key: int
    """Equal for prompts that are the same but for blanks and sentence marks."""
    own: tuple[Flag, ...] = ()
    """Flags that follow from the turn itself."""
    related: tuple[Flag, ...] = ()
    """Flags that follow from other rated turns."""
    counted: tuple[tuple[str, ...], ...] = ()
    """As what it is in the index's tally."""

    @property
    def sibling_of(self) -> tuple[str | None, str]:
        """Parent and message: equal for other answers to the same message."""
        return self.turn.get("parent_id"), str(self.turn.get("user", ""))

    @property
    def rating(self) -> str | None:
        rating = self.feedback.get("rating")
        return rating if rating in ("good", "bad") else None

    @property
    def correction(self) -> str | None:
        return self.feedback.get("correction") or None

    @property
    def learned(self) -> str:
        """The answer that counts: the one to be learned, else the one that was disliked."""
        return self.target if self.target is not None else str(self.turn.get("reply", ""))

    @property
    def flags(self) -> tuple[Flag, ...]:
        return (*self.related, *self.own)

    @property
    def vote(self) -> str | None:
        """The rating, if it is one of the answer as it stands: a new answer settles its turn."""
        settled = self.correction is not None or (
            self.state == "edit" and self.decision is not None and self.decision.get("target")
        )
        return None if settled else self.rating

    @property
    def wants_text(self) -> bool:
        """True when there is no answer to learn from at all."""
        return not self.learned.strip()

    def status(self, review_everything: bool) -> Status:
        """Whether it may be learned from."""
        if self.state in ("approve", "edit"):
            return "approved"
        if self.state == "exclude":
            return "excluded"
        waits = self.state == "lapsed" or self.related or self.own or self.wants_text
        return "pending" if waits or review_everything else "approved"


def is_rated(feedback: Row) -> bool:
    """Whether a judgement says something about the answer."""
    return feedback.get("rating") in ("good", "bad") or bool(feedback.get("correction"))


def judgement_of(feedback: Row) -> str:
    """A short name of rating and correction: a decision holds as long as it stays the same."""
    said = json.dumps([feedback.get("rating"), feedback.get("correction") or None])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def state_of(decision: Row | None, feedback: Row) -> State:
    """What a decision is worth once the user may have judged anew.

    An approval falls back to the rule. An edit and an exclusion wait for a new look: an edit must
    not hide a newer correction, and what was kept out must not come in unseen.
    """
    action = decision.get("action") if decision else None
    if decision is None or action not in ("approve", "edit", "exclude"):
        return "open"
    if decision.get("judgement") == judgement_of(feedback):
        state: State = action
        return state
    return "open" if action == "approve" else "lapsed"


def target_of(turn: Row, feedback: Row, decision: Row | None, state: State) -> str | None:
    """The answer to be learned: the reviewer's, else the user's, else a liked one."""
    if state == "edit" and decision and decision.get("target"):
        return str(decision["target"])
    if feedback.get("correction"):
        return str(feedback["correction"])
    reply = str(turn.get("reply", ""))
    return reply if feedback.get("rating") == "good" and reply.strip() else None


class Reader:
    """Makes the candidates of one conversation after the other."""

    def __init__(self, control: ControlTokens) -> None:
        self._control = control
        self._prompts: dict[str, tuple[str, ...]] = {}

    def read(
        self,
        conversation: Row,
        turns: Sequence[tuple[int, Row]],
        vote_of: Callable[[str], tuple[int, Row] | None],
        decision_of: Callable[[str], Row | None],
    ) -> list[Candidate]:
        """The rated turns of a conversation that have been answered to the end."""
        by_id = {row["id"]: row for _, row in turns}
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        made = []
        for doc, turn in turns:
            vote = vote_of(turn["id"])
            if vote is None or turn.get("finish") is None or not is_rated(vote[1]):
                continue
            path = path_of(turn, by_id)
            decision = decision_of(turn["id"])
            made.append(
                self._candidate(conversation, doc, turn, path, vote, decision, decision_of, found)
            )
        return made

    def _candidate(
        self,
        conversation: Row,
        doc: int,
        turn: Row,
        path: list[Row],
        vote: tuple[int, Row],
        decision: Row | None,
        decision_of: Callable[[str], Row | None],
        found: dict[tuple[str, str], tuple[str, ...]],
    ) -> Candidate:
        order, feedback = vote
        state = state_of(decision, feedback)
        edit = decision if state == "edit" else None
        target = target_of(turn, feedback, decision, state)
        user = str((edit or {}).get("user") or turn.get("user", ""))
        system = str(turn.get("system_prompt", ""))
        context = salt_of(" ".join(system.split()), len(path), _context_of(path))
        salt = salt_of(numbers(user), context)
        finds = dict.fromkeys((*self._look(user), *self._look(target or "")))
        if edit is None:
            # An edit masks everything around it, so only what it says itself is looked at.
            if system.strip():
                finds |= dict.fromkeys(self._look_once(system))
            finds |= dict.fromkeys(self._look_into(turn, "reply", found))
            for earlier in path:
                finds |= dict.fromkeys(self._look_into(earlier, "user", found))
                finds |= dict.fromkeys(self._look_into(earlier, "reply", found))
        return Candidate(
            turn_id=turn["id"],
            conversation_id=turn["conversation_id"],
            owner=conversation["owner"],
            order=order,
            turn_doc=doc,
            turn=turn,
            feedback=feedback,
            decision=decision,
            state=state,
            target=target,
            context=context,
            prompt_key=hash((fold(user), salt)),
            own=_own_flags(turn, target, edit, tuple(finds), _shut_out(path, decision_of)),
        )

    def _look(self, text: str) -> tuple[str, ...]:
        """Kinds of personal data, and literals of control tokens behind a `!`."""
        if not text:
            return ()
        tokens = self._control.find(text)
        private = kinds(text)
        return (*private, *(f"!{token}" for token in tokens)) if tokens else private

    def _look_into(
        self, turn: Row, part: str, found: dict[tuple[str, str], tuple[str, ...]]
    ) -> tuple[str, ...]:
        key = (turn["id"], part)
        if key not in found:
            found[key] = self._look(str(turn.get(part, "")))
        return found[key]

    def _look_once(self, system: str) -> tuple[str, ...]:
        if system not in self._prompts:
            if len(self._prompts) > 1000:
                self._prompts.clear()
            self._prompts[system] = self._look(system)
        return self._prompts[system]


def path_of(turn: Row, by_id: Mapping[str, Row]) -> list[Row]:
    """The earlier turns that the model read, oldest first."""
    path: list[Row] = []
    parent, seen = turn.get("parent_id"), {turn["id"]}
    while parent is not None and parent in by_id and parent not in seen:
        seen.add(parent)
        path.append(by_id[parent])
        parent = by_id[parent].get("parent_id")
    path.reverse()
    return path[int(turn.get("dropped_turns") or 0) :]


def message_of(candidate: Candidate) -> str:
    """The message as it would be learned."""
    edit = candidate.decision if candidate.state == "edit" else None
    return str((edit or {}).get("user") or candidate.turn.get("user", ""))


def _context_of(path: Sequence[Row]) -> str:
    """The end of what was said before; how long it was is compared elsewhere."""
    for earlier in reversed(path):
        said = str(earlier.get("reply") or earlier.get("user") or "")
        if said.strip():
            return said[-CONTEXT_CHARS:]
    return ""


def _shut_out(path: Sequence[Row], decision_of: Callable[[str], Row | None]) -> bool:
    """Whether an earlier turn was excluded for what it says, not for being there twice."""
    decisions = (decision_of(earlier["id"]) for earlier in path)
    return any(
        decision.get("action") == "exclude" and "duplicate" not in (decision.get("flags") or ())
        for decision in decisions
        if decision
    )


def _own_flags(
    turn: Row, target: str | None, edit: Row | None, finds: tuple[str, ...], shut_out: bool
) -> tuple[Flag, ...]:
    flags = []
    private = [find for find in finds if not find.startswith("!")]
    tokens = [find[1:] for find in finds if find.startswith("!")]
    if private:
        flags.append(Flag("personal", ", ".join(private)))
    if tokens:
        flags.append(Flag("control", " ".join(tokens)))
    if target:
        phrase = repeated(target)
        if phrase:
            flags.append(Flag("repetition", phrase))
        as_it_came = edit is None and target == turn.get("reply")
        if as_it_came and turn.get("finish") in CUT:
            flags.append(Flag("cut", str(turn["finish"])))
    if shut_out:
        flags.append(Flag("context"))
    return tuple(flags)
