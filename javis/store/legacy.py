"""Takes over a `feedback.json` of plain TinyDB, once."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from javis.core.errors import StoreError, UserInputError
from javis.core.types import (
    MAX_MESSAGE_CHARS,
    MAX_TITLE_CHARS,
    Conversation,
    Feedback,
    Rating,
    Turn,
    check_text,
)
from javis.store.fs import OsFS
from javis.store.journal import Change, JournalDB
from javis.store.records import (
    CONVERSATIONS,
    FEEDBACK,
    TURNS,
    conversation_to_row,
    feedback_to_row,
    new_conversation_id,
    new_turn_id,
    now_iso,
    turn_to_row,
)

IMPORTS = "imports"
_USER = ("prompt", "user", "question")
_REPLY = ("response", "assistant", "answer")
_RATING = ("rating", "feedback", "thumb")
_TIME = ("timestamp", "created_at")
_GOOD = frozenset({"good", "up", "1", "like", "true"})
_BAD = frozenset({"bad", "down", "-1", "dislike", "false"})
_SECONDS_LIMIT = 1e11
"""A larger number of seconds would be in the year 5138, so it is milliseconds."""


@dataclass(slots=True)
class ImportReport:
    """What came of an import. The file itself is kept, whatever it held."""

    imported: int = 0
    rated: int = 0
    already: bool = False
    """The same file had been imported before; nothing was added."""
    not_understood: list[str] = field(default_factory=list)
    """`table/id: why` of each row that was left out."""
    kept_as: str = ""

    def __str__(self) -> str:
        if self.already:
            return f"It had been imported before; it is kept as {self.kept_as}."
        lines = [
            f"{self.imported} answers imported, {self.rated} of them rated; "
            f"the file is kept as {self.kept_as}."
        ]
        if self.not_understood:
            lines.append(f"{len(self.not_understood)} rows were not understood:")
        return "\n  ".join(lines + self.not_understood)


def import_tinydb(
    db: JournalDB, path: str | os.PathLike[str], owner: str = "admin"
) -> ImportReport:
    """Add the rows of a plain TinyDB file as conversations of `owner`; rename it to `.imported`.

    All in one commit that also notes the file's checksum, so a crash before the renaming does not
    import it twice. StoreError when the file cannot be read; it then stays as it is.
    """
    source, report = Path(path), ImportReport()
    try:
        content = source.read_bytes()
        tables = _tables(json.loads(content.decode("utf-8-sig")))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(
            "import_unreadable",
            "{path} could not be read as a TinyDB file ({reason}). It was left as it is.",
            path=str(source),
            reason=str(error)[:200],
        ) from error
    sha256 = hashlib.sha256(content).hexdigest()
    imports = db.table(IMPORTS, index=("sha256",))
    with db.change() as change:
        report.already = bool(imports.peek_by("sha256", sha256))
        if not report.already:
            for name, row in _rows(tables):
                _take(change, row, name, owner, report)
            note = {"sha256": sha256, "at": now_iso(), "rows": report.imported}
            change.insert(IMPORTS, note | {"not_understood": report.not_understood})
    report.kept_as = str(_put_aside(source))
    return report


def _tables(content: Any) -> dict[str, dict[str, Any]]:
    if isinstance(content, dict) and all(isinstance(rows, dict) for rows in content.values()):
        return content
    raise ValueError("it holds no tables")


def _rows(tables: dict[str, dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for table, rows in tables.items():
        for doc_id, row in rows.items():
            yield f"{table}/{doc_id}", row


def _take(change: Change, row: Any, name: str, owner: str, report: ImportReport) -> None:
    try:
        conversation, turn, feedback = _understand(row, owner)
    except UserInputError as error:
        report.not_understood.append(f"{name}: {error}")
        return
    change.insert(CONVERSATIONS, conversation_to_row(conversation))
    change.insert(TURNS, turn_to_row(turn))
    report.imported += 1
    if not feedback.is_empty:
        change.insert(FEEDBACK, feedback_to_row(feedback))
        report.rated += 1


def _understand(row: Any, owner: str) -> tuple[Conversation, Turn, Feedback]:
    if not isinstance(row, dict):
        raise UserInputError("bad_row", "It is no row of fields.")
    user = check_text(_first(row, _USER), "The message", MAX_MESSAGE_CHARS)
    reply = check_text(_first(row, _REPLY), "The answer", MAX_MESSAGE_CHARS)
    at = _time(_first(row, _TIME))
    title = " ".join(user.split())[:MAX_TITLE_CHARS]
    turn_id = new_turn_id()
    # One conversation each: the rows do not say that one message followed another.
    conversation = Conversation(new_conversation_id(), owner, title, at, at, head=turn_id)
    turn = Turn(
        id=turn_id,
        conversation_id=conversation.id,
        parent_id=None,
        created_at=at,
        user=user,
        reply=reply,
        finish="imported",
        model=check_text(row.get("model") or "", "The model", 200, empty_ok=True),
        origin="import",
    )
    feedback = Feedback(
        turn_id=turn_id,
        created_at=at,
        rating=_rating(_first(row, _RATING)),
        comment=row.get("comment") or "",
        correction=row.get("correction") or None,
    )
    return conversation, turn, feedback


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _rating(value: Any) -> Rating | None:
    if value is None or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip().lower()
    if text in _GOOD:
        return "good"
    if text in _BAD:
        return "bad"
    raise UserInputError("bad_rating", "The rating '{value}' is unknown.", value=text[:40])


def _time(value: Any) -> str:
    """The time in our form; now when there is none or it cannot be read."""
    try:
        if isinstance(value, str):
            at = datetime.datetime.fromisoformat(value.strip())
        elif isinstance(value, (int, float)) and math.isfinite(value):
            seconds = value / 1000 if abs(value) > _SECONDS_LIMIT else value
            at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        else:
            return now_iso()
        at = at.astimezone(datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return now_iso()
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _put_aside(source: Path) -> Path:
    target, number = source.with_name(source.name + ".imported"), 1
    while target.exists():
        target = source.with_name(f"{source.name}.imported-{number}")
        number += 1
    try:
        source.rename(target)
        OsFS().sync_dir(target.resolve().parent)
    except OSError as error:
        raise StoreError(
            "file_failed",
            "{path} could not be read or written: {reason}.",
            path=str(source),
            reason=error.strerror or str(error),
        ) from error
    return target
