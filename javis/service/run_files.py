"""What a run learns from: rows in TRL's formats, split by conversation, with their hashes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from javis.core.errors import UserInputError
from javis.core.learning import Approved, Example, Judged, Method, Pair
from javis.core.types import Message
from javis.dataset.dedupe import fold
from javis.dataset.split import Side, joined, sides
from javis.engine.files import sha256_file

Row = dict[str, Any]
PREFERENCE: tuple[Method, ...] = ("dpo", "kto")
SEED = 0
"""Of the split: the same from run to run."""
JUDGED = 8
"""Conversations that the gate gets at least, where there are four times as many."""
DISLIKED = 4
"""The same of KTO's conversations with disliked answers; JUDGED counts those with liked ones."""
MANIFEST = "data/manifest.json"
"""In a run's folder; names turns and holds no text."""
LINE = "line-"
"""What a row of a file is called that has no ids: by its place."""
MAX_FILE_BYTES = 1 << 30
MAX_BAD_LINES = 5


@dataclass(frozen=True, slots=True)
class RunData:
    """The rows of one method, and what is known about them."""

    rows: Sequence[Row]
    replay: Sequence[Row] = ()
    """DPO: good answers that are mixed in, so that it does not forget how to answer."""
    first_at: str = ""
    last_at: str = ""
    approved: Set[str] = frozenset()
    """Approved turns of any kind, learned from or not; the schedule counts from here."""


def from_approved(method: Method, approved: Approved) -> RunData:
    """The rows that a method learns from."""
    replay: list[Row] = []
    if method == "dpo":
        rows = [pair_row(pair) for pair in approved.pairs]
        # What the other methods hold out is not learned here either.
        replay = divide(from_approved("sft-lora", approved)).train
    elif method == "kto":
        rows = [judged_row(judged) for judged in approved.judged]
    else:
        rows = [example_row(example) for example in approved.examples]
    return RunData(rows, replay, approved.first_at, approved.last_at, turn_ids(approved))


def turn_ids(approved: Approved) -> set[str]:
    """The turns that anything is learned from."""
    kinds: tuple[Iterable[Example | Pair | Judged], ...] = (
        approved.examples,
        approved.pairs,
        approved.judged,
    )
    return {row.turn_id for rows in kinds for row in rows}


def example_row(example: Example) -> Row:
    return {"messages": [_message(m) for m in example.messages]} | _origin(example)


def pair_row(pair: Pair) -> Row:
    row: Row = {"prompt": [_message(m) for m in pair.prompt]}
    for name in ("chosen", "rejected"):
        row[name] = [{"role": "assistant", "content": getattr(pair, name)}]
    return row | _origin(pair)


def judged_row(judged: Judged) -> Row:
    completion = [{"role": "assistant", "content": judged.completion}]
    row: Row = {"prompt": [_message(m) for m in judged.prompt], "completion": completion}
    return row | {"label": judged.label} | _origin(judged)


def _message(message: Message) -> Row:
    return {"role": message.role, "content": message.content}


def _origin(row: Example | Pair | Judged) -> Row:
    return {
        "turn_id": row.turn_id,
        "conversation_id": row.conversation_id,
        "source": row.source,
    }


# -- a file of one's own -----------------------------------------------------------------------


def from_file(method: Method, name: str, exports_dir: Path) -> RunData:
    """The rows of a JSONL file in the exports folder. Raises UserInputError."""
    path = _inside(name, exports_dir)
    # Others may be called as one of ours is, and be of another kind.
    columns = {"turn_id", "conversation_id", "source", "label"}
    columns.update(name for name, _ in _PARTS.get(method, _MESSAGES))
    rows: list[Row] = []
    bad: list[str] = []
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            if not line.strip():
                continue
            row = _parsed(line)
            if row is None or (why := _wrong(method, row)):
                bad.append(f"{number} ({why if row is not None else 'no JSON object'})")
                if len(bad) == MAX_BAD_LINES:
                    break
                continue
            # Without ids each row is a conversation of its own.
            own = dict.fromkeys(("turn_id", "conversation_id"), f"{LINE}{number}")
            said = {name: value for name, value in row.items() if name in columns and value != ""}
            rows.append({**own, "source": "import", **said})
    if bad:
        raise UserInputError(
            "bad_dataset",
            "{name} is no data set for {method}; bad lines: {lines}.",
            name=path.name,
            method=method,
            lines=", ".join(bad),
        )
    return RunData(rows)


def _inside(name: str, exports_dir: Path) -> Path:
    """The file, if it lies in the exports folder: no other file is ever opened."""
    folder = exports_dir.resolve()
    try:
        path = (folder / name).resolve()
        good = path.is_relative_to(folder) and path.suffix == ".jsonl" and path.is_file()
        good = good and path.stat().st_size <= MAX_FILE_BYTES
    except (OSError, ValueError):
        good = False
    if not good:
        raise UserInputError(
            "no_dataset",
            "There is no JSONL file '{name}' in the exports folder.",
            name=name[:100],
        )
    return path


def _parsed(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


_MESSAGES = (("messages", "assistant"),)
_PARTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "dpo": (("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant")),
    "kto": (("prompt", "user"), ("completion", "assistant")),
}
"""Where the messages of a row are, and whose the last one must be."""


def _wrong(method: Method, row: Mapping[str, Any]) -> str:
    """What is wrong with a row for a method; empty when nothing is."""
    for name, last in _PARTS.get(method, _MESSAGES):
        if not _are_messages(row.get(name), last):
            return f"'{name}' must be messages, the last of the {last}"
    if method == "kto" and not isinstance(row.get("label"), bool):
        return "'label' must be true or false"
    for name in ("turn_id", "conversation_id"):
        if not isinstance(row.get(name, ""), str):
            return f"'{name}' must be text"
    return ""


def _are_messages(value: object, last: str) -> bool:
    if not isinstance(value, list) or not value:
        return False
    for message in value:
        if not isinstance(message, dict) or set(message) - {"role", "content"}:
            return False
        if message.get("role") not in ("system", "user", "assistant"):
            return False
        if not isinstance(message.get("content"), str) or not _is_text(message["content"]):
            return False
    return bool(value[-1]["role"] == last)


def _is_text(text: str) -> bool:
    # A lone surrogate comes through JSON, and would break the file that is written.
    return bool(text.strip()) and not any("\ud800" <= c <= "\udfff" for c in text)


# -- the run's folder --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parts:
    """The rows of a run by what they are for."""

    train: list[Row]
    valid: list[Row]
    test: list[Row]
    replay: list[Row]


def divide(data: RunData) -> Parts:
    """By conversation: nothing of a conversation that is learned from is held out, nor is what
    another conversation says word for word (a fix applied to similar turns, a duplicate).

    Of few conversations more than a tenth is held out, at most a quarter: the gate cannot tell
    learning from luck on two or three. They are learned from once there are enough others.
    """
    group = _groups([*data.rows, *data.replay])
    side = sides((group[row["conversation_id"]] for row in data.rows), SEED)
    for label, at_least in ((True, JUDGED), (False, DISLIKED)):
        names = {group[r["conversation_id"]] for r in data.rows if r.get("label", True) is label}
        _hold_out(names, min(at_least, len(names) // 4), side)
    _learn_both_thumbs(data.rows, group, side)
    parts = Parts([], [], [], [])
    learned = {_said(row) for row in data.rows if side[group[row["conversation_id"]]] == "train"}
    for row in data.rows:
        name = group[row["conversation_id"]]
        if side[name] != "train" and _said(row) in learned:
            continue  # What is said everywhere proves nothing.
        if side[name] == "valid":
            # The gate takes what is alike for one piece of evidence.
            row = row | {"group": name}
        getattr(parts, side[name]).append(row)
    apart = {_said(row) for row in (*parts.valid, *parts.test)}
    for row in data.replay:
        where = side.get(group[row["conversation_id"]], "train")
        if where == "train" and _said(row) not in apart:
            parts.replay.append(row)
    return parts


def _hold_out(names: Set[str], at_least: int, side: dict[str, Side]) -> None:
    """Let so many of these conversations be for validation."""
    held_out = sum(side[name] == "valid" for name in names)
    # Those that are held out anyway first, then by chance, but the same each time.
    others = sorted((side[n] == "train", _digest(n), n) for n in names if side[n] != "valid")
    for _, _, name in others[: max(0, at_least - held_out)]:
        side[name] = "valid"


def _groups(rows: Sequence[Row]) -> dict[str, str]:
    """By conversation the name of its group: conversations that say one thing word for word.

    Where a courtesy ties most of them together, there would be nothing to divide: they stand alone.
    """
    group = joined((row["conversation_id"], _said(row)) for row in rows)
    size = Counter(group.values())
    return {talk: name if 2 * size[name] <= len(group) else talk for talk, name in group.items()}


def _learn_both_thumbs(
    rows: Sequence[Row], group: Mapping[str, str], side: dict[str, Side]
) -> None:
    """KTO learns from likes and dislikes: of neither may all be held out."""
    for label in (True, False):
        names = {group[row["conversation_id"]] for row in rows if row.get("label") is label}
        if names and all(side[name] != "train" for name in names):
            side[min(names, key=_digest)] = "train"


def _said(row: Row) -> tuple[str, str]:
    """The last message of a row and its answer, folded."""
    said = [m for name in ("prompt", "messages", "chosen", "completion") for m in row.get(name, ())]
    return fold(said[-2]["content"]) if len(said) > 1 else "", fold(said[-1]["content"])


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


def write(folder: Path, method: Method, data: RunData, parts: Parts) -> dict[str, Any]:
    """Write the rows and the manifest; returns what the job keeps of it."""
    target = folder / "data"
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    files: dict[str, Sequence[Row]] = {
        "train": parts.train,
        "valid": parts.valid,
        "test": parts.test,
    }
    if parts.replay:
        files["replay"] = parts.replay
    manifest: dict[str, Any] = {
        "method": method,
        "split": {"by": "conversation", "seed": SEED},
        "rows": {name: len(rows) for name, rows in files.items()},
        "conversations": len({row["conversation_id"] for row in data.rows}),
        "turns": len({row["turn_id"] for row in data.rows}),
        "date_range": [data.first_at, data.last_at] if data.last_at else [],
        "sha256": {},
        "turn_ids": {name: [row["turn_id"] for row in rows] for name, rows in files.items()},
        "approved": sorted(data.approved),
    }
    for name, rows in files.items():
        path = target / f"{name}.jsonl"
        with path.open("w", encoding="utf-8") as out:
            for row in rows:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        manifest["sha256"][name] = sha256_file(path)
    text = json.dumps(manifest, ensure_ascii=False, indent=2)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")
    kept = ("rows", "conversations", "turns", "date_range")
    summary = {key: manifest[key] for key in kept}
    manifest_sha256 = sha256_file(folder / MANIFEST)
    return summary | {"approved": len(data.approved), "manifest_sha256": manifest_sha256}


def turns_of(folder: Path) -> dict[str, list[str]]:
    """The turns in each file of a run's folder; none where no manifest says so (any more)."""
    try:
        found = json.loads((folder / MANIFEST).read_text("utf-8"))
        return {name: [*map(str, ids)] for name, ids in found["turn_ids"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def approved_at(folder: Path) -> set[str] | None:
    """The turns that were approved when a run began; None where no manifest says so."""
    try:
        return set(map(str, json.loads((folder / MANIFEST).read_text("utf-8"))["approved"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None
