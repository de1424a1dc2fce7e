"""How many rated turns could be learned from, and how many need a look first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from javis.core.types import Feedback, Turn
from javis.dataset.pii import has_personal_data


@dataclass(frozen=True, slots=True)
class Readiness:
    rated: int
    """Turns with a thumb or a correction."""
    good: int
    bad: int
    corrected: int
    conflicts: int
    """Turns whose message got opposite votes."""
    personal: int
    """Turns that seem to hold personal data."""
    need_a_look: int
    """Turns with a conflict or personal data, each counted once."""
    usable: int
    """Turns that can be learned from as they are."""
    goal: int

    @property
    def share(self) -> float:
        """Usable turns over the goal, at most 1."""
        return min(1.0, self.usable / self.goal)


def measure(turns: Mapping[str, Turn], rated: Mapping[str, Feedback], goal: int) -> Readiness:
    """Count the rated turns. `turns` holds those of `rated` that still exist."""
    judged = {i: f for i, f in rated.items() if i in turns and (f.rating or f.correction)}
    votes: dict[str, set[str]] = {}
    for turn_id, feedback in judged.items():
        if feedback.rating and feedback.correction is None:
            votes.setdefault(_key(turns[turn_id].user), set()).add(feedback.rating)
    opposed = {key for key, ratings in votes.items() if len(ratings) > 1}
    conflicts = {
        i for i, f in judged.items() if f.correction is None and _key(turns[i].user) in opposed
    }
    personal = {i for i, f in judged.items() if _personal(turns[i], f)}
    return Readiness(
        rated=len(judged),
        good=sum(f.rating == "good" for f in judged.values()),
        bad=sum(f.rating == "bad" for f in judged.values()),
        corrected=sum(f.correction is not None for f in judged.values()),
        conflicts=len(conflicts),
        personal=len(personal),
        need_a_look=len(conflicts | personal),
        usable=len(judged) - len(conflicts | personal),
        goal=goal,
    )


def _key(text: str) -> str:
    return " ".join(text.casefold().split())


def _personal(turn: Turn, feedback: Feedback) -> bool:
    # A disliked answer without a correction is never learned word by word, but its message is.
    texts = (turn.user, feedback.correction or turn.reply)
    return any(has_personal_data(text) for text in texts)
