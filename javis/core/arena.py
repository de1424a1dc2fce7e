"""The values of blind comparison that cross a border between layers. All frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from javis.core.evaluation import Estimate

HIDDEN = "hidden"
"""The version that a turn names as long as nobody voted: what is not there cannot leak."""

Vote = Literal["left", "right", "tie", "both_bad"]
VOTES: tuple[Vote, ...] = get_args(Vote)
End = Literal["", "left", "right", "tie", "both_bad", "skipped", "failed", "same"]
"""How a comparison ended: "" not yet; `skipped` the user went on without a vote; `failed` one of
the answers did; `same` both said the very same. The last three count for nobody."""
Side = Literal["left", "right"]
SHARE = 0.25
MIN_VOTES = 20
"""Below so many votes nothing is said about a version."""


@dataclass(frozen=True, slots=True)
class ArenaPlan:
    """Whether, how often and among which versions answers are compared."""

    on: bool = False
    share: float = SHARE
    """Of the prompts, 0 to 1."""
    versions: tuple[str, ...] = ()
    """Those that may stand against the one in use; empty: every version that can answer."""


@dataclass(frozen=True, slots=True)
class Duel:
    """Two answers to one message, written by two versions. Holds no text."""

    id: str
    conversation_id: str
    owner: str
    created_at: str
    left: str
    """Id of a turn; so is `right`. They are siblings in the conversation's tree."""
    right: str
    left_version: str
    right_version: str
    left_sha256: str | None
    right_sha256: str | None
    model: str
    """The base model of both."""
    main: Side
    """Which one was written by the version that the user would have asked anyway."""
    end: End = ""
    ended_at: str = ""
    early: bool = False
    """The vote came before both answers were complete."""

    @property
    def is_open(self) -> bool:
        return not self.end

    @property
    def winner(self) -> Side | None:
        return self.end if self.end in ("left", "right") else None

    def turn(self, side: Side) -> str:
        return self.left if side == "left" else self.right

    def version(self, side: Side) -> str:
        return self.left_version if side == "left" else self.right_version


def other(side: Side) -> Side:
    return "right" if side == "left" else "left"


@dataclass(frozen=True, slots=True)
class Match:
    """A vote as the statistics see it: sides are gone, versions are left."""

    first: str
    second: str
    result: Literal["first", "second", "tie", "both_bad"]
    group: str = ""
    """Votes of one group (a conversation) resemble each other and are drawn together."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a version did against all others."""

    version: str
    votes: int
    wins: int
    losses: int
    ties: int
    both_bad: int
    strength: Estimate | None
    """Log-odds against `reference` (0 is as good); None without enough votes."""
    beats: Estimate | None
    """The share of votes it would get against `reference`, ties counted half."""
    missing: int
    """Votes that are missing until something can be said."""
    connected: bool
    """Whether votes lead from it to `reference`, directly or by way of others."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """The votes between two versions."""

    first: str
    second: str
    first_wins: int
    second_wins: int
    ties: int
    both_bad: int


@dataclass(frozen=True, slots=True)
class Standings:
    """What the votes say so far, the strongest version first."""

    reference: str
    votes: int
    rows: tuple[Standing, ...] = ()
    pairings: tuple[Pairing, ...] = ()
    enough: bool = False
    """Whether anything can be said about at least two versions."""
    min_votes: int = MIN_VOTES
    skipped: int = 0
    """Comparisons that ended without a vote."""
    needed: Mapping[str, int] = field(default_factory=dict)
    """About how many votes tell a preference of 60, 70 or 80 % from chance."""
