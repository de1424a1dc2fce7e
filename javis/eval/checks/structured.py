"""Answers that a program reads: JSON, tables, CSV, code."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from javis.eval.checks.text import unfenced, within

_TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "whole": (int,),
    "number": (int, float),
    "yes_no": (bool,),
    "list": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_FENCE = re.compile(r"^```([\w+-]*)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


class _Refused(ValueError):
    """Valid for Python's parser, but no JSON."""


def json_object(
    text: str,
    *,
    keys: Mapping[str, str],
    only: bool = True,
    lengths: Mapping[str, int] | None = None,
    values: Mapping[str, Sequence[Any]] | None = None,
) -> bool:
    """The whole answer is a JSON object, a fence around it allowed, with these keys and types.

    `lengths` says how many entries a list has, `values` which values a key may have; with `only`
    there are no other keys.
    """
    found = _parse(text)
    if not isinstance(found, dict) or (only and set(found) != set(keys)):
        return False
    return (
        all(key in found and _is(found[key], kind) for key, kind in keys.items())
        and all(len(found[key]) == count for key, count in (lengths or {}).items())
        and all(found[key] in allowed for key, allowed in (values or {}).items())
    )


def json_list(
    text: str,
    *,
    of: str,
    min: int = 1,
    max: int | None = None,
    keys: Mapping[str, str] | None = None,
) -> bool:
    """The whole answer is a JSON list of entries of one type; `keys` are those of objects."""
    found = _parse(text)
    if not isinstance(found, list) or not within(len(found), min, max):
        return False
    if not all(_is(entry, of) for entry in found):
        return False
    return keys is None or all(
        set(entry) == set(keys) and all(_is(entry[key], kind) for key, kind in keys.items())
        for entry in found
    )


def table(
    text: str,
    *,
    columns: int,
    min: int = 1,
    max: int | None = None,
    header: Sequence[str] | None = None,
) -> bool:
    """A Markdown table with so many columns in every row; the header's row does not count."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    if len(rows) < 3 or any(len(row) != columns for row in rows):
        return False
    if not all(re.fullmatch(r":?-+:?", cell) for cell in rows[1]):
        return False
    names = [cell.strip("* ").casefold() for cell in rows[0]]
    if header and names != [name.casefold() for name in header]:
        return False
    filled = all(any(map(str.isalnum, "".join(row))) for row in rows[2:])
    return filled and within(len(rows) - 2, min, max)


def csv_rows(
    text: str,
    *,
    columns: int,
    min: int = 1,
    max: int | None = None,
    header: Sequence[str] | None = None,
) -> bool:
    """The whole answer is CSV, a fence around it allowed; the header's row does not count."""
    try:
        rows = [row for row in csv.reader(io.StringIO(unfenced(text)), strict=True) if row]
    except csv.Error:
        return False
    if not rows or any(len(row) != columns or not all(c.strip() for c in row) for row in rows):
        return False
    if header and [c.strip().casefold() for c in rows[0]] != [h.casefold() for h in header]:
        return False
    return within(len(rows) - bool(header), min, max)


def code(text: str, *, language: str, contains: Sequence[str] = ()) -> bool:
    """One fenced block of the language with these words in it; Python must be valid too."""
    blocks = _FENCE.findall(text + "\n")
    if len(blocks) != 1:
        return False
    named, body = blocks[0]
    if named.casefold() != language or not all(word in body for word in contains):
        return False
    return _parses(body) if language == "python" else bool(body.strip())


def _parses(body: str) -> bool:
    try:
        return bool(ast.parse(body).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _parse(text: str) -> Any:
    try:
        return json.loads(unfenced(text), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Refused("a key comes twice")
    return found


def _refuse(name: str) -> Any:
    raise _Refused(name)


def _is(value: Any, kind: str) -> bool:
    """True is no number, and an empty text says nothing."""
    if isinstance(value, bool) and kind != "yes_no":
        return False
    return isinstance(value, _TYPES[kind]) and (not isinstance(value, str) or bool(value.strip()))
