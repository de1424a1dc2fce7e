"""One commit as one line: `JVS1 <crc32> <seq> <json>` and a newline.

The crc covers `<seq> <json>` and starts from the crc of the line before, so a line that was lost,
moved, doubled or spliced in fails. JSON escapes newlines, so a newline only ever ends a record.
"""

from __future__ import annotations

import json
import math
from sys import intern
from typing import Any, NamedTuple
from zlib import crc32

from javis.core.errors import StoreError

MAGIC = b"JVS1 "
MAX_DEPTH = 100
MAX_ROW_BYTES = 8 << 20
MAX_RECORD_BYTES = 1 << 30
MAX_DOC_ID = 2**53
_MAX_INT = 2**63
_SHORT = 20
_HEADER_BYTES = len(MAGIC) + 9

Row = dict[str, Any]
Op = list[Any]
"""`[put, table, id, row]`, `[del, table, [ids]]`, `[clear, table]`, `[drop, table]`,
`[next, table, id]` or `[schema, version]`."""

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
)


def _shared(pairs: list[tuple[str, Any]]) -> Row:
    """A JSON object whose field names and short texts (a model, a rating) are stored only once.

    100,000 turns take a third less memory by it, and not more time.
    """
    return {
        intern(key): intern(value) if type(value) is str and len(value) <= _SHORT else value
        for key, value in pairs
    }


_DECODER = json.JSONDecoder(object_pairs_hook=_shared)


class Record(NamedTuple):
    """A record that has been proven whole."""

    seq: int
    crc: int
    ops: list[Op]


def check_value(value: object, depth: int = 0) -> None:
    """Raise StoreError unless `value` comes back from JSON as it is (tuples as lists)."""
    if value is None or isinstance(value, (str, bool)):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _bad(f"a key is of the type {type(key).__name__}, not text")
            _check_nested(item, depth)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_nested(item, depth)
    elif isinstance(value, int):
        if not -_MAX_INT <= value < _MAX_INT:
            raise _bad("a whole number has more than 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _bad("a number is not finite")
    else:
        raise _bad(f"a value is of the type {type(value).__name__}")


def _check_nested(item: object, depth: int) -> None:
    if type(item) is str:
        return
    if depth >= MAX_DEPTH:
        raise _bad(f"it is nested more than {MAX_DEPTH} levels deep")
    check_value(item, depth + 1)


def _bad(why: str) -> StoreError:
    return StoreError("bad_value", "This cannot be stored: {why}.", why=why)


def encode_payload(ops: list[Op]) -> bytes:
    """The JSON of a commit. Raises StoreError before anything is written if a value is bad."""
    parts: list[bytes] = []
    for op in ops:
        if op[0] == "put":
            check_value(op[3])
            _check_id(op[2])
        try:
            part = _ENCODER.encode(op).encode("utf-8")
        except UnicodeEncodeError:
            raise _bad("a text holds a lone surrogate, which is no valid character") from None
        if op[0] == "put" and len(part) > MAX_ROW_BYTES:
            raise StoreError(
                "row_too_large",
                "This cannot be stored: it has {size} bytes; at most {limit} are possible.",
                size=f"{len(part):,}",
                limit=f"{MAX_ROW_BYTES:,}",
            )
        parts.append(part)
    payload = b"[" + b",".join(parts) + b"]"
    if len(payload) > MAX_RECORD_BYTES:
        raise StoreError(
            "commit_too_large",
            "This is too much to be saved in one step: {size} bytes; at most {limit} are possible.",
            size=f"{len(payload):,}",
            limit=f"{MAX_RECORD_BYTES:,}",
        )
    return payload


def _check_id(doc_id: object) -> None:
    if type(doc_id) is not int or not 0 <= doc_id < MAX_DOC_ID:
        raise _bad(f"{doc_id!r:.40} is no document id")


def decode_payload(payload: bytes) -> list[Op]:
    """The ops of a payload; ValueError when it is none."""
    ops = _DECODER.decode(str(payload, "utf-8"))
    if not isinstance(ops, list):
        raise ValueError("not a list of ops")
    return ops


def encode_record(payload: bytes, seq: int, previous_crc: int) -> tuple[bytes, int]:
    """The line to append, newline included, and its crc."""
    body = b"%d %b" % (seq, payload)
    crc = crc32(body, previous_crc)
    return b"%b%08x %b\n" % (MAGIC, crc, body), crc


def decode_record(line: bytes, seq: int | None, previous_crc: int) -> Record | None:
    """The record in `line` (without its newline), or None when it is not proven whole.

    `seq` None accepts any number, as in the first record of a compacted file.
    """
    body = line[_HEADER_BYTES:]
    crc = crc32(body, previous_crc)
    # Compared as text: int() would take `0X`, `_` and capital letters for the same number.
    if line[:_HEADER_BYTES] != b"%b%08x " % (MAGIC, crc):
        return None
    number, space, payload = body.partition(b" ")
    if not space or not number.isdigit() or (seq is not None and int(number) != seq):
        return None
    try:
        ops = decode_payload(payload)
    except (ValueError, RecursionError):
        return None
    return Record(int(number), crc, ops)


def stated_crc(line: bytes) -> int | None:
    """The crc a line claims to have, for checking the line after a damaged one."""
    text = line[len(MAGIC) : _HEADER_BYTES - 1]
    if not line.startswith(MAGIC) or len(text) != 8 or text.strip(b"0123456789abcdef"):
        return None
    return int(text, 16)


def copy_row(row: Row) -> Row:
    """A deep copy of a row, several times faster than copy.deepcopy as rows are plain JSON."""
    copy = dict(row)
    for key, value in row.items():
        if type(value) is dict or type(value) is list:
            copy[key] = _copy(value)
    return copy


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    if type(value) is list:
        return [_copy(item) for item in value]
    return value
