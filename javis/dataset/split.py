"""Which conversations are learned from and which are held out, decided by their ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

HELD_OUT = 8
"""Conversations that the gate gets at least, if there are four times as many: with fewer it could
not tell learning from luck."""
_VALID, _TEST = 0.1, 0.2


class HasConversation(Protocol):
    @property
    def conversation_id(self) -> str: ...


Row = TypeVar("Row", bound=HasConversation | Mapping[str, Any])


def split(rows: Iterable[Row], seed: int = 0) -> tuple[list[Row], list[Row], list[Row]]:
    """(train, valid, test), about 80, 10 and 10 % of the conversations; the order stays.

    A conversation is never on two sides, and stays on its side when others come, but for small
    sets: there, more are taken to `valid`, and go back to learning once there are enough others.
    """
    rows = list(rows)
    places = {_conversation(row): 0.0 for row in rows}
    places = {name: _place(name, seed) for name in places}
    valid = {name for name, place in places.items() if place < _VALID}
    test = {name for name, place in places.items() if _VALID <= place < _TEST}
    wanted = min(HELD_OUT, max(len(places) // 4, 1 if len(places) > 1 else 0))
    for name in sorted(places, key=lambda n: (places[n], n)):
        if len(valid) >= wanted:
            break
        valid.add(name)
    test -= valid
    if places and valid | test == places.keys():
        # Something must be left to learn from.
        back = max(places, key=lambda n: (places[n], n))
        valid.discard(back)
        test.discard(back)
    parts: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
    for row in rows:
        name = _conversation(row)
        parts[1 if name in valid else 2 if name in test else 0].append(row)
    return parts


def _conversation(row: HasConversation | Mapping[str, Any]) -> str:
    return str(row["conversation_id"] if isinstance(row, Mapping) else row.conversation_id)


def _place(name: str, seed: int) -> float:
    """From 0 to 1, by chance but always the same."""
    digest = hashlib.sha256(f"{seed}:{name}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
