"""How many rated turns could be learned from, and how many need a look first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Readiness:
    rated: int
    """Turns with a thumb or a correction."""
    good: int
    bad: int
    corrected: int
    conflicts: int
    """Turns whose message got opposite votes, which nobody decided yet."""
    personal: int
    """Turns that seem to hold personal data, which nobody decided yet."""
    need_a_look: int
    """Turns that wait for a reviewer, whatever the reason."""
    usable: int
    """Turns that can be learned from as they are, and rows taken in from files."""
    goal: int

    @property
    def share(self) -> float:
        """Usable turns over the goal, at most 1."""
        return min(1.0, self.usable / self.goal)
