"""Reads rows of the export's formats, edited or made elsewhere. Trusts nothing in them."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from javis.core.errors import UserInputError
from javis.core.learning import Example, Judged, Pair
from javis.core.types import MAX_MESSAGE_CHARS, Message, Role, check_text
from javis.dataset import csv_cells
from javis.dataset.export import CSV_COLUMNS

MAX_LINE_BYTES = 4 << 20
"""Of a row; the store could not keep a much longer one."""
MAX_ID_CHARS = 100
_ROLES: dict[object, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "human": "user",
    "gpt": "assistant",
}
Row = Example | Pair | Judged
Problem = tuple[int, str, str]
"""Line, code of the error, and its sentence."""


def read(blocks: Iterable[bytes], problems: list[Problem]) -> Iterator[tuple[int, Row]]:
    """The good rows with their line numbers; the bad ones become problems."""
    lines = _lines(blocks, problems)
    first = next(lines, None)
    if first is None:
        return
    rest = itertools.chain([first], lines)
    if first[1].lstrip().lstrip('"').startswith("turn_id"):
        yield from _read_csv(rest, problems)
        return
    for number, line in rest:
        if line.strip():
            row = _attempt(number, partial(_json_row, line), problems)
            if row is not None:
                yield number, row


def key_of(row: Row) -> str:
    """A hash of what a row says, whoever it comes from."""
    if isinstance(row, Example):
        said: list[Any] = ["example", _said(row.messages)]
    elif isinstance(row, Pair):
        said = ["pair", _said(row.prompt), row.chosen, row.rejected]
    else:
        said = ["judged", _said(row.prompt), row.completion, row.label]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _said(messages: Iterable[Message]) -> list[list[str]]:
    return [[message.role, message.content] for message in messages]


# -- lines -----------------------------------------------------------------------------------


def _lines(blocks: Iterable[bytes], problems: list[Problem]) -> Iterator[tuple[int, str]]:
    """Lines with their ends; a line that is too long or no UTF-8 becomes a problem."""
    number, rest, skipping = 0, b"", False
    for block in blocks:
        pieces = (rest + block).split(b"\n")
        rest = pieces.pop()
        for piece in pieces:
            number += 1
            if skipping:
                skipping = False
            else:
                yield from _line(number, piece + b"\n", problems)
        if len(rest) > MAX_LINE_BYTES:
            if not skipping:
                problems.append(_problem(number + 1, _too_long()))
            rest, skipping = b"", True
    if rest and not skipping:
        yield from _line(number + 1, rest, problems)


def _line(number: int, line: bytes, problems: list[Problem]) -> Iterator[tuple[int, str]]:
    if len(line) > MAX_LINE_BYTES:
        problems.append(_problem(number, _too_long()))
        return
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        error = UserInputError("row_not_utf8", "This line is no UTF-8 text.")
        problems.append(_problem(number, error))
        return
    yield number, text.removeprefix("\ufeff") if number == 1 else text


def _too_long() -> UserInputError:
    return UserInputError("row_too_long", "This row is too long.")


def _problem(number: int, error: UserInputError) -> Problem:
    return number, error.code, str(error)


def _attempt(number: int, make: Callable[[], Row], problems: list[Problem]) -> Row | None:
    try:
        row = make()
    except UserInputError as error:
        problems.append(_problem(number, error))
        return None
    return row


# -- CSV -------------------------------------------------------------------------------------


def _read_csv(
    lines: Iterator[tuple[int, str]], problems: list[Problem]
) -> Iterator[tuple[int, Row]]:
    records = csv_cells.read(text for _, text in lines)
    try:
        _, header = next(records)
        for number, cells in records:
            named = dict(zip(header, cells, strict=False))
            row = _attempt(number, partial(_csv_row, named), problems)
            if row is not None:
                yield number, row
    except csv.Error:
        error = UserInputError("row_not_csv", "From here on this is no CSV that can be read.")
        problems.append(_problem(0, error))


def _csv_row(cells: Mapping[str, str]) -> Row:
    missing = [name for name in ("message", "target") if name not in cells]
    if missing or not set(cells) <= set(CSV_COLUMNS):
        raise UserInputError(
            "row_columns", "The columns are not those of an export. Keep its first line."
        )
    try:
        turns = json.loads(cells.get("history") or "[]")
    except (ValueError, RecursionError):
        turns = None
    if not isinstance(turns, list) or not all(_is_pair(pair) for pair in turns):
        raise UserInputError("row_history", "The history must be a list of pairs of texts.")
    prompt = _prompt(cells.get("system", ""), turns, cells["message"])
    if not cells["target"].strip() and cells.get("source") == "disliked":
        return _judged(prompt, cells.get("answer", ""), False, cells)
    return _example([*prompt, Message("assistant", cells["target"])], cells)


# -- JSON ------------------------------------------------------------------------------------


def _json_row(line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UserInputError("row_not_json", "This line is no JSON.") from None
    if not isinstance(row, dict):
        raise UserInputError("row_not_object", "This line is no JSON object.")
    if "chosen" in row:
        return _pair(_messages(row.get("prompt")), row)
    if "completion" in row:
        label = row.get("label")
        if not isinstance(label, bool):
            raise UserInputError("row_label", "label must be true or false.")
        return _judged(_messages(row.get("prompt")), _answer(row["completion"]), label, row)
    if "messages" in row or "conversations" in row:
        messages = _messages(row.get("messages", row.get("conversations")))
    elif "instruction" in row:
        messages = _from_alpaca(row)
    else:
        raise UserInputError(
            "row_format", "This row is of no known format: see docs/data.md for those there are."
        )
    if row.get("source") == "disliked":
        _check_roles(messages, ends="assistant")
        return _judged(messages[:-1], messages[-1].content, False, row)
    return _example(messages, row)


def _messages(value: object) -> list[Message]:
    """A list of messages in TRL's or ShareGPT's words; a text is one message of the user."""
    if isinstance(value, str):
        return [Message("user", value)]
    if not isinstance(value, list) or not value:
        raise UserInputError("row_messages", "The messages must be a list with at least one.")
    found = []
    for item in value:
        if not isinstance(item, dict):
            raise UserInputError("row_message", "Each message needs a role and a content.")
        role = _ROLES.get(str(item.get("role", item.get("from"))))
        content = item.get("content", item.get("value"))
        if role is None or not isinstance(content, str):
            raise UserInputError("row_message", "Each message needs a role and a content.")
        found.append(Message(role, content))
    return found


def _answer(value: object) -> str:
    """The text of an answer: TRL's list of one message, or a text."""
    if isinstance(value, str):
        return value
    messages = _messages(value)
    if len(messages) != 1 or messages[0].role != "assistant":
        raise UserInputError("row_answer", "An answer must be one message of the assistant.")
    return messages[0].content


def _from_alpaca(row: dict[str, Any]) -> list[Message]:
    history = row.get("history") or []
    if not isinstance(history, list) or not all(_is_pair(pair) for pair in history):
        raise UserInputError("row_history", "The history must be a list of pairs of texts.")
    texts = [row.get("system") or "", row["instruction"], row.get("input") or "", row.get("output")]
    if not all(isinstance(text, str) for text in texts):
        raise UserInputError("row_alpaca", "instruction, input and output must be texts.")
    system, instruction, more, output = texts
    message = f"{instruction}\n\n{more}" if more else instruction
    return [*_prompt(system, history, message), Message("assistant", output)]


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(isinstance(item, str) for item in value)
    )


def _prompt(system: str, history: Iterable[Sequence[str]], message: str) -> list[Message]:
    messages = [Message("system", system)] if system.strip() else []
    for question, answer in history:
        messages += [Message("user", question), Message("assistant", answer)]
    return [*messages, Message("user", message)]


# -- rows ------------------------------------------------------------------------------------


def _check_roles(messages: list[Message], *, ends: Role) -> None:
    """A system message at most at the start, then user and assistant in turns."""
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    wanted: list[Role] = ["user", "assistant"]
    good = bool(turns) and turns[-1].role == ends
    good = good and all(m.role == wanted[i % 2] for i, m in enumerate(turns))
    if not good:
        raise UserInputError(
            "row_roles", "User and assistant must take turns, and the assistant has the last word."
        )


def _check_texts(messages: Iterable[Message]) -> None:
    for message in messages:
        check_text(message.content, message.role, MAX_MESSAGE_CHARS)


def _example(messages: list[Message], row: Mapping[str, Any]) -> Example:
    _check_roles(messages, ends="assistant")
    _check_texts(messages)
    return Example(tuple(messages), *_ids(row), "import")


def _pair(prompt: list[Message], row: Mapping[str, Any]) -> Pair:
    chosen, rejected = _answer(row["chosen"]), _answer(row.get("rejected"))
    _check_roles(prompt, ends="user")
    _check_texts((*prompt, Message("assistant", chosen), Message("assistant", rejected)))
    if chosen.strip() == rejected.strip():
        raise UserInputError("row_same", "The chosen and the rejected answer are the same.")
    return Pair(tuple(prompt), chosen, rejected, *_ids(row), "import")


def _judged(prompt: list[Message], completion: str, label: bool, row: Mapping[str, Any]) -> Judged:
    _check_roles(prompt, ends="user")
    _check_texts((*prompt, Message("assistant", completion)))
    return Judged(tuple(prompt), completion, label, *_ids(row), "import")


def _ids(row: Mapping[str, Any]) -> tuple[str, str]:
    """Turn and conversation that a row says it is from; "" where it says none."""
    found = []
    for name in ("turn_id", "conversation_id"):
        value = row.get(name) or ""
        if not isinstance(value, str) or len(value) > MAX_ID_CHARS:
            raise UserInputError("row_ids", "turn_id and conversation_id must be short texts.")
        found.append(check_text(value, name, MAX_ID_CHARS, empty_ok=True))
    return found[0], found[1]
