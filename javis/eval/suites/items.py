"""Reading the questions of a suite, and naming the state of them and of their marking."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from javis.core.evaluation import Item

DATA = Path(__file__).parent / "data"


def read_items(path: Path) -> tuple[Item, ...]:
    """The questions of a JSONL file, mixed: each line has `id`, `language` and `group`; the rest
    of it is the item's data."""
    items = []
    # Not `splitlines`, which cuts at U+2028 as well, and JSON leaves that as it is.
    for line in path.read_text("utf-8").split("\n"):
        if line.strip():
            row = json.loads(line)
            items.append(Item(row.pop("id"), row.pop("language"), row.pop("group"), row))
    return mixed(items)


def mixed(items: Iterable[Item]) -> tuple[Item, ...]:
    """In an order whose first N hold of each language and group what their share of all is.

    Within a language and group the order is drawn by the id's hash, so that it stays when
    questions are added elsewhere.
    """
    strata: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        strata[item.language, item.group].append(item)
    placed = []
    for (language, group), members in strata.items():
        members.sort(key=lambda item: _draw(item.id))
        # Half a step is drawn too: small groups would all come in the middle otherwise.
        start = _draw(f"{language}/{group}") / 2**64
        placed += [((at + start) / len(members), item.id, item) for at, item in enumerate(members)]
    return tuple(item for _, _, item in sorted(placed, key=lambda entry: entry[:2]))


def version_of(paths: Sequence[Path], marking: Sequence[ModuleType] = ()) -> str:
    """Short hash of the questions' files and of the modules that mark them.

    The modules' whole source counts: better to ask again after a reworded comment than to mix
    results of two markings.
    """
    digest = hashlib.sha256()
    for path in [*paths, *(Path(str(module.__file__)) for module in marking)]:
        digest.update(path.read_text("utf-8").encode())
        digest.update(b"\0")
    return digest.hexdigest()[:12]


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
