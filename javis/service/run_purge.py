"""What ended runs keep of the users' texts goes when the conversation is gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from javis.core.learning import TERMINAL
from javis.engine.files import atomic_file
from javis.service.run_files import turns_of
from javis.store import Store

_TURN = "t_"
"""So begin the turns of this store; rows that were taken in have other names."""
_UNREADABLE = ""
"""Of a damaged line nobody can say whose it was, so it goes as well."""


def forget_purged(runs_dir: Path, store: Store) -> int:
    """Remove the rows of turns that were purged, and the checkpoints of their runs; returns how
    many rows. Such a run cannot be taken up again.

    A run on a file may have rows from elsewhere: of these go the ones that are known to have been
    purged here. A run that goes on has its turn when it has ended. OSError when a file cannot be
    written anew.
    """

    def is_missing(turn_id: str) -> bool:
        if turn_id == _UNREADABLE:
            return True
        return turn_id.startswith(_TURN) and store.reviews.conversation_of(turn_id) is None

    def is_purged(turn_id: str) -> bool:
        return turn_id == _UNREADABLE or store.conversations.was_purged(turn_id)

    gone = 0
    for job in store.jobs.all():
        if job.state not in TERMINAL:
            continue
        is_gone = is_purged if job.dataset else is_missing
        folder = runs_dir / job.id
        if turns := turns_of(folder):
            parts = [name for name, ids in turns.items() if any(map(is_gone, ids))]
            files = [folder / "data" / f"{name}.jsonl" for name in parts]
        else:
            files = sorted((folder / "data").glob("*.jsonl"))
        found = sum(_forget(file, is_gone) for file in files)
        if found:
            for checkpoint in folder.glob("checkpoint-*"):
                shutil.rmtree(checkpoint, ignore_errors=True)
        gone += found
    return gone


def _forget(path: Path, is_gone: Callable[[str], bool]) -> int:
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if not is_gone(_turn_of(line))]
    if len(kept) < len(lines):
        with atomic_file(path) as temporary:
            temporary.write_bytes(b"".join(kept))
    return len(lines) - len(kept)


def _turn_of(line: bytes) -> str:
    try:
        return str(json.loads(line)["turn_id"])
    except (ValueError, LookupError, TypeError):
        return _UNREADABLE
