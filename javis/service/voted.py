"""Votes in blind comparison as pairs to learn from: the chosen answer against the other one.

A vote says no more than which of two answers is better, so neither becomes an example: only a
pair. What would keep a rated turn waiting (personal data, control tokens, repetition, an answer
that broke off, a reviewer who excluded it) keeps a pair out, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping

from javis.core.arena import Duel, other
from javis.core.learning import Pair
from javis.dataset.candidates import Candidate, Reader, Row
from javis.dataset.dedupe import near_same
from javis.dataset.relations import AUTO_APPROVED_PER_USER
from javis.service.prompts import Branches
from javis.store.reviews import Snapshot

SOURCE = "vote"


def voted_pairs(
    duels: Iterable[Duel],
    snapshot: Snapshot,
    rated: Mapping[str, Candidate],
    reader: Reader,
    *,
    everything: bool,
    trusted: Container[str],
) -> list[Pair]:
    """One pair for each vote that may be learned from, in the order of the votes.

    `rated` are the turns that have thumbs of their own; with `everything` only what a reviewer
    approved is used, so both answers must be among them.
    """
    won = [duel for duel in duels if duel.winner]
    if not won:
        return []
    conversations = _Conversations(snapshot, {duel.conversation_id for duel in won})
    decisions = _newest_decisions(snapshot)
    used: Counter[str] = Counter()
    pairs = []
    for duel in won:
        if _spoken_for(duel, rated, everything=everything):
            continue
        pair = conversations.pair(duel, reader, decisions)
        if pair is None:
            continue
        used[duel.owner] += 1
        if duel.owner in trusted or used[duel.owner] <= AUTO_APPROVED_PER_USER:
            pairs.append(pair)
    return pairs


def _spoken_for(duel: Duel, rated: Mapping[str, Candidate], *, everything: bool) -> bool:
    """Whether thumbs and reviewers have said something that comes before the vote."""
    both = [rated.get(duel.left), rated.get(duel.right)]
    known = [candidate for candidate in both if candidate is not None]
    if any(candidate.state in ("exclude", "edit", "lapsed") for candidate in known):
        return True
    if any(candidate.correction for candidate in known):
        return True
    if everything and not all(c is not None and c.state == "approve" for c in both):
        return True
    # Two thumbs make a pair of their own, or say the opposite by now.
    return len({candidate.rating for candidate in known} & {"good", "bad"}) == 2


class _Conversations:
    """The conversations with votes, as of one moment."""

    def __init__(self, snapshot: Snapshot, wanted: set[str]) -> None:
        self._rows = {
            row["id"]: row
            for row in snapshot.conversations.values()
            if row["id"] in wanted and not row.get("deleted_at")
        }
        self._turns: dict[str, list[tuple[int, Row]]] = defaultdict(list)
        for doc, row in snapshot.turns.items():
            if row["conversation_id"] in self._rows:
                self._turns[row["conversation_id"]].append((doc, row))

    def pair(self, duel: Duel, reader: Reader, decisions: Mapping[str, Row]) -> Pair | None:
        conversation = self._rows.get(duel.conversation_id)
        if conversation is None or duel.winner is None:
            return None
        turns = self._turns[duel.conversation_id]
        # As if the one had got a thumb up and the other one a thumb down.
        thumbs = {
            duel.turn(duel.winner): (0, {"rating": "good"}),
            duel.turn(other(duel.winner)): (0, {"rating": "bad"}),
        }
        read = reader.read(conversation, turns, thumbs.get, decisions.get)
        found = {candidate.turn_id: candidate for candidate in read}
        good, bad = (found.get(turn_id) for turn_id in thumbs)
        if good is None or bad is None or not good.target or not str(bad.turn.get("reply")).strip():
            return None
        if any(candidate.status(False) != "approved" for candidate in (good, bad)):
            return None
        rejected = str(bad.turn["reply"])
        if near_same(good.target, rejected):
            return None
        prompt = Branches({row["id"]: row for _, row in turns}).prompt(good)
        return Pair(prompt, good.target, rejected, good.turn_id, duel.conversation_id, SOURCE)


def _newest_decisions(snapshot: Snapshot) -> dict[str, Row]:
    return {
        snapshot.reviews[doc]["turn_id"]: snapshot.reviews[doc] for doc in sorted(snapshot.reviews)
    }
