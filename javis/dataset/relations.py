"""What rated turns have to do with each other: opposite votes, and the same thing twice.

Kept up to date turn by turn: a vote costs the turns whose prompts are nearly the same, not all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from javis.core.learning import Flag
from javis.dataset.candidates import Candidate, message_of
from javis.dataset.dedupe import MAX_LOOKS, NearIndex, fold, near_same, numbers, salt_of

MAX_OTHERS = 20
"""More turns than these are not named in a flag."""
AUTO_APPROVED_PER_USER = 200
"""Ratings of one user that count unseen; the admin's are not limited."""


class Relations:
    """The candidates by prompt, with the flags that follow from it."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = frozenset(trusted)
        self._groups: dict[int, list[Candidate]] = {}
        """Candidates of one prompt, by its key."""
        self._near = NearIndex()
        self._links: dict[int, set[int]] = {}
        """Keys of prompts that are nearly the same; most have none."""
        self._owners: dict[str, dict[str, Candidate]] = defaultdict(dict)
        """Candidates of users who are not trusted blindly."""

    def update(self, gone: Sequence[Candidate], new: Sequence[Candidate]) -> set[str]:
        """Take candidates out and in; returns ids of turns whose flags may have changed."""
        keys = {candidate.prompt_key for candidate in (*gone, *new)}
        for candidate in gone:
            self._take_out(candidate)
        fresh = [key for key in keys if key not in self._groups]
        for candidate in new:
            self._groups.setdefault(candidate.prompt_key, []).append(candidate)
            if candidate.owner not in self._trusted:
                self._owners[candidate.owner][candidate.turn_id] = candidate
        self._link(fresh)
        for key in list(keys):
            keys |= self._links.get(key, set())
            if not self._groups.get(key):
                self._forget(key)
        touched, owners = set(), {c.owner for c in gone}
        for key in keys:
            self._flag_group(key)
            for candidate in self._groups.get(key, ()):
                touched.add(candidate.turn_id)
                owners.add(candidate.owner)
        for owner in owners - self._trusted:
            touched |= self._flag_owner(owner)
        return touched

    def alike(self, candidate: Candidate) -> list[Candidate]:
        """Candidates whose prompt is nearly the same, itself among them."""
        keys = (candidate.prompt_key, *self._links.get(candidate.prompt_key, ()))
        return [other for key in keys for other in self._groups.get(key, ())]

    def alike_before(self, candidate: Candidate) -> list[Candidate]:
        """Candidates whose prompt is nearly what this one's was before it was edited."""
        message = str(candidate.turn.get("user", ""))
        folded, salt = fold(message), salt_of(numbers(message), candidate.context)
        keys = {hash((folded, salt)), *self._near.candidates(folded, salt)}
        found = [other for key in keys for other in self._groups.get(key, ())]
        return [other for other in found if near_same(message_of(other), message)]

    # -- the groups ------------------------------------------------------------------------

    def _take_out(self, candidate: Candidate) -> None:
        group = self._groups.get(candidate.prompt_key, [])
        group[:] = [other for other in group if other.turn_id != candidate.turn_id]
        self._owners.get(candidate.owner, {}).pop(candidate.turn_id, None)

    def _forget(self, key: int) -> None:
        """Nobody has this prompt any more."""
        self._groups.pop(key, None)
        for other in self._links.pop(key, ()):
            self._links[other].discard(key)
        if len(self._near) > 1000 + 2 * len(self._groups):
            self._near.keep(self._groups.__contains__)

    def _link(self, fresh: Sequence[int]) -> None:
        """Find the prompts that nearly say the same as these, which were not known before."""
        firsts = (self._groups[key][0] for key in fresh)
        items = (
            (c.prompt_key, fold(said), salt_of(numbers(said), c.context))
            for c, said in ((first, message_of(first)) for first in firsts)
        )
        if not len(self._near):
            self._near.add(items)
            for one, other in self._near.pairs():
                self._link_pair(one, other)
            return
        for key, folded, salt in items:
            for other in self._near.candidates(folded, salt):
                self._link_pair(key, other)
            self._near.add([(key, folded, salt)])

    def _link_pair(self, one: int, other: int) -> None:
        first, second = self._groups.get(one), self._groups.get(other)
        if one == other or not first or not second or first[0].context != second[0].context:
            return
        if near_same(message_of(first[0]), message_of(second[0])):
            self._links.setdefault(one, set()).add(other)
            self._links.setdefault(other, set()).add(one)

    # -- the flags -------------------------------------------------------------------------

    def _flag_group(self, key: int) -> None:
        members = self._groups.get(key)
        if not members:
            return
        if len(members) == 1 and key not in self._links:
            # Nearly all: alone with its prompt.
            members[0].related = _flood(members[0])
            return
        pool = [c for c in self.alike(members[0]) if c.state != "exclude"]
        pool.sort(key=lambda c: c.order)
        votes = {vote: [c for c in pool if c.vote == vote] for vote in ("good", "bad")}
        firsts = _firsts(pool)
        for candidate in members:
            flags = (_conflict(candidate, votes), _duplicate(candidate, firsts))
            candidate.related = (*(flag for flag in flags if flag), *_flood(candidate))

    def _flag_owner(self, owner: str) -> set[str]:
        """Let what a user rated beyond the limit wait for a look."""
        mine = self._owners.get(owner, {})
        counted, touched = 0, set()
        for candidate in sorted(mine.values(), key=lambda c: c.order):
            clean = candidate.state == "open" and not candidate.own
            clean = clean and all(flag.kind == "flood" for flag in candidate.related)
            counted += clean
            flooded = clean and counted > AUTO_APPROVED_PER_USER
            if flooded != bool(_flood(candidate)):
                rest = tuple(flag for flag in candidate.related if flag.kind != "flood")
                limit = (Flag("flood", str(AUTO_APPROVED_PER_USER)),) if flooded else ()
                candidate.related = (*rest, *limit)
                touched.add(candidate.turn_id)
        return touched


def _flood(candidate: Candidate) -> tuple[Flag, ...]:
    return tuple(flag for flag in candidate.related if flag.kind == "flood")


def _conflict(candidate: Candidate, votes: dict[str, list[Candidate]]) -> Flag | None:
    """Opposite votes on nearly the same prompt.

    Not between different answers to one message: one liked and one disliked are a lesson.
    """
    vote = candidate.vote
    if vote is None:
        return None
    others = []
    for other in votes["bad" if vote == "good" else "good"]:
        sibling = (
            other.conversation_id == candidate.conversation_id
            and other.sibling_of == candidate.sibling_of
        )
        if not sibling or near_same(other.learned, candidate.learned):
            others.append(other.turn_id)
            if len(others) == MAX_OTHERS:
                break
    return Flag("conflict", "", tuple(others)) if others else None


Firsts = dict[tuple[str, bool], Candidate]


def _firsts(pool: Sequence[Candidate]) -> Firsts:
    """For each answer, and whether it is to be learned or avoided, who had it first."""
    firsts: Firsts = {}
    for candidate in pool:
        firsts.setdefault((candidate.learned.strip(), candidate.target is not None), candidate)
    return firsts


def _duplicate(candidate: Candidate, firsts: Firsts) -> Flag | None:
    """The same lesson, nearly word for word, that an earlier turn holds already."""
    if candidate.wants_text:
        return None
    learned, wanted = candidate.learned.strip(), candidate.target is not None
    same = firsts.get((learned, wanted))
    if same is not None and same.order < candidate.order:
        return Flag("duplicate", "", (same.turn_id,))
    looks = 0
    for (said, target), other in firsts.items():
        if other.order >= candidate.order or looks == MAX_LOOKS:
            break
        if target == wanted and said != learned:
            looks += 1
            if near_same(said, learned):
                return Flag("duplicate", "", (other.turn_id,))
    return None
