"""What the model read before it gave a rated answer, as it would be learned."""

from __future__ import annotations

from collections.abc import Mapping

from javis.core.types import Message, SamplingParams, Timings, Turn
from javis.dataset import pii
from javis.dataset.candidates import Candidate, Row, path_of
from javis.service.tree import messages_of

_SAMPLING, _TIMINGS = SamplingParams(), Timings()


class Branches:
    """The prompts of one conversation's turns."""

    def __init__(self, turns: Mapping[str, Row]) -> None:
        self._rows = turns
        self._read: dict[str, Turn] = {}

    def prompt(self, candidate: Candidate) -> tuple[Message, ...]:
        """System prompt, earlier turns and the message, with what a reviewer changed.

        In an edited row the rest is masked too: a reviewer who takes a phone number out of the
        message wants none in front of it.
        """
        messages = self._as_read(candidate)
        if candidate.state != "edit" or candidate.decision is None:
            return tuple(messages)
        user = candidate.decision.get("user")
        masked = [Message(m.role, pii.mask(m.content)) for m in messages[:-1]]
        return (*masked, Message("user", str(user)) if user else messages[-1])

    def message(self, candidate: Candidate) -> str:
        """The last message of the prompt as the model read it."""
        return self._as_read(candidate)[-1].content

    def _as_read(self, candidate: Candidate) -> list[Message]:
        path = [self._turn(row) for row in path_of(candidate.turn, self._rows)]
        turn = self._turn(candidate.turn)
        return messages_of(path, turn.system_prompt, turn.user)

    def _turn(self, row: Row) -> Turn:
        turn = self._read.get(row["id"])
        if turn is None:
            turn = self._read[row["id"]] = turn_of(row)
        return turn


def turn_of(row: Row) -> Turn:
    """Only what a prompt is made of: reading all of a turn takes several times as long."""
    return Turn(
        id=row["id"],
        conversation_id=row["conversation_id"],
        parent_id=row.get("parent_id"),
        created_at="",
        user=row.get("user", ""),
        reply=row.get("reply", ""),
        system_prompt=row.get("system_prompt", ""),
        sampling=_SAMPLING,
        timings=_TIMINGS,
    )


def rejected_of(candidate: Candidate) -> str:
    """The model's own answer, masked where a reviewer edited the row."""
    reply = str(candidate.turn.get("reply", ""))
    return pii.mask(reply) if candidate.state == "edit" else reply
