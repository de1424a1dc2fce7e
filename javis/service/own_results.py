"""Results hold what the user asked and what was answered: they go when the conversation is gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from javis.engine.files import atomic_file
from javis.store import Store

_WITH_TEXTS = ("golden", "thumbs-down")
"""Of the held-out rows only numbers are kept."""


def forget_gone(folder: Path, store: Store) -> int:
    """Remove the results of turns that were purged; returns how many.

    OSError when a file cannot be written anew. What another process appends meanwhile may be lost,
    and will be asked again.
    """
    gone = 0
    for suite in _WITH_TEXTS:
        for path in sorted(folder.glob(f"*/{suite}-*.jsonl")):
            gone += _keep(path, lambda turn: store.reviews.conversation_of(turn) is not None)
    return gone


def _keep(path: Path, is_there: Callable[[str], bool]) -> int:
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if all(map(is_there, _turn_of(line)))]
    if len(kept) < len(lines):
        with atomic_file(path) as temporary:
            temporary.write_bytes(b"".join(kept))
    return len(lines) - len(kept)


def _turn_of(line: bytes) -> Iterator[str]:
    """The turn of a result; none in a line that a crash tore."""
    try:
        item = json.loads(line)["item"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    if isinstance(item, str):
        yield item.rpartition("-")[0]
