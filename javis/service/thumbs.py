"""Thumbs by version: what users think of each version's answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from javis.core.types import BASE, Turn
from javis.eval.intervals import Interval, share_difference, wilson
from javis.store import Store

MIN_THUMBS = 10
"""Fewer on either side say nothing about a drop."""


@dataclass(frozen=True, slots=True)
class Thumbs:
    """Thumbs for the answers of one version, since it last went live."""

    good: int = 0
    bad: int = 0

    @property
    def total(self) -> int:
        return self.good + self.bad

    @property
    def rate(self) -> Interval:
        """The share of thumbs up, with Wilson's 95 % interval."""
        return wilson(self.good, self.total)


@dataclass(frozen=True, slots=True)
class Drop:
    """The version in use is liked clearly less than the one before it."""

    version: str
    before: str
    now: Thumbs
    then: Thumbs
    difference: Interval
    """Of the shares of thumbs up, with Newcombe's 95 % interval; wholly below 0."""


def written_here(turn: Turn) -> bool:
    """Whether the version that the turn names wrote its answer, and wrote it here.

    Imported answers and those that a program sent along were written elsewhere, edited ones by the
    user. The copies in a branch count once, where they were written.
    """
    if turn.edited_from is not None:
        return False
    return turn.origin in ("chat", "api") and turn.finish not in ("edited", "imported")


def maker(turn: Turn) -> str | None:
    """What tells apart those that had the same name: the base's model, an adapter's sha256.

    None where the turn does not say.
    """
    return (turn.model or None) if turn.version == BASE else turn.version_sha256


def find_drop(version: str, now: Thumbs, before: str, then: Thumbs) -> Drop | None:
    """A drop from `before` to `version` that is not chance; None when there is none."""
    if min(now.total, then.total) < MIN_THUMBS:
        return None
    difference = share_difference(now.good, now.total, then.good, then.total)
    return Drop(version, before, now, then, difference) if difference.high < 0 else None


class ThumbCounter:
    """Counts the newest vote of every answer, by version; remembers until something changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._state: object = None
        self._votes: dict[str, list[tuple[str, str | None, bool]]] = {}

    def of(self, name: str, sha256: str | None, since: str = "", model: str = "") -> Thumbs:
        """Thumbs for a version's answers given at or after `since`.

        Answers of another adapter that once had the same name are left out, and the base's own
        when it was another `model`; "" takes them all.
        """
        wanted = model if name == BASE else sha256
        counted = [
            good
            for at, made_by, good in self._by_version().get(name, [])
            if at >= since and (wanted == "" or made_by in (None, wanted))
        ]
        return Thumbs(sum(counted), len(counted) - sum(counted))

    def _by_version(self) -> dict[str, list[tuple[str, str | None, bool]]]:
        state = (self._store.feedback.revision, self._store.conversations.revision)
        with self._lock:
            if state != self._state:
                rated = self._store.feedback.all_current()
                turns = self._store.conversations.turns_by_id(rated)
                found: dict[str, list[tuple[str, str | None, bool]]] = {}
                for turn_id, turn in turns.items():
                    rating = rated[turn_id].rating
                    if rating is not None and written_here(turn):
                        vote = (turn.created_at, maker(turn), rating == "good")
                        found.setdefault(turn.version, []).append(vote)
                self._votes, self._state = found, state
            return self._votes
