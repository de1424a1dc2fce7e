"""Training, validation and test rows: by conversation, and the same again when data grows."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from typing import Literal, Protocol, TypeVar

Side = Literal["train", "valid", "test"]
VALID_SHARE, TEST_SHARE = 0.1, 0.1


class HasConversation(Protocol):
    @property
    def conversation_id(self) -> str: ...


T = TypeVar("T", bound=HasConversation)


def split(rows: Sequence[T], seed: int = 0) -> tuple[list[T], list[T], list[T]]:
    """Rows to train on, to judge by, and to keep unseen: about 80, 10 and 10 % of conversations.

    Several lists that belong together (examples and pairs of one run) need the sides of all their
    conversations: see `sides`.
    """
    side_of = sides((row.conversation_id for row in rows), seed)
    parts: dict[Side, list[T]] = {"train": [], "valid": [], "test": []}
    for row in rows:
        parts[side_of[row.conversation_id]].append(row)
    return parts["train"], parts["valid"], parts["test"]


def sides(conversation_ids: Iterable[str], seed: int = 0) -> dict[str, Side]:
    """The side of each conversation, from a hash of its id.

    So it stays on its side whatever comes later. A single conversation is for training. With two
    or more, valid and train are never empty: the conversation with the smallest hash is for
    validation, until one comes that is so by itself. None goes from train to valid as data grows,
    but for the very first one, or if the first few were all held out and one of them had to be
    trained on.
    """
    places = {i: _place(i, seed) for i in conversation_ids}
    found = {i: _side(place) for i, place in places.items()}
    ranked = sorted(places, key=lambda i: (places[i], i))
    if len(ranked) > 1:
        found[ranked[0]] = "valid"
    if ranked and "train" not in found.values():
        found[ranked[-1]] = "train"
    return found


def joined(said: Iterable[tuple[str, Hashable]]) -> dict[str, str]:
    """By conversation the name of its group: all that say one thing, directly or by others.

    `said`: conversation ids with what is said there. A group is named after its conversation that
    comes first, so that the name stays when later ones join.
    """
    leader: dict[str, str] = {}
    order: dict[str, int] = {}
    first_of: dict[Hashable, str] = {}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    for conversation_id, content in said:
        leader.setdefault(conversation_id, conversation_id)
        order.setdefault(conversation_id, len(order))
        one, other = find(conversation_id), find(first_of.setdefault(content, conversation_id))
        if one != other:
            early, late = (one, other) if order[one] < order[other] else (other, one)
            leader[late] = early
    return {name: find(name) for name in leader}


def _place(conversation_id: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{conversation_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _side(place: float) -> Side:
    if place < VALID_SHARE:
        return "valid"
    return "test" if place < VALID_SHARE + TEST_SHARE else "train"
