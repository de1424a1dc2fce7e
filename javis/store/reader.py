"""Reads the records of a journal in order and judges what stands at its end.

One writer and a sync before the next append mean: at most the last record can be unfinished. Only
that one is ever cut; anything else that does not fit is damage and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from javis.core.errors import StoreCorrupt
from javis.store.codec import Record, decode_record

CHUNK_BYTES = 4 << 20
SECTOR_BYTES = 512

ReadAt = Callable[[int, int], bytes]
"""(offset, count) -> bytes, fewer at the end of the file."""


class Position(NamedTuple):
    """The end of a proven record; seq None stands for the start of a file."""

    offset: int = 0
    seq: int | None = None
    crc: int = 0


class Scanner:
    """Yields proven records from `start` up to `size`, then says what is left.

    `position` is the end of the last record yielded. After `records()` ended, `tail` holds the
    bytes behind it, empty as a rule; `unended` is the whole record they start with when only its
    newline is missing.
    """

    def __init__(self, read: ReadAt, start: Position, size: int) -> None:
        self._read = read
        self._size = size
        self.position = start
        self.tail = b""
        self.unended = b""

    def records(self) -> Iterator[tuple[Record, int]]:
        """Each record with its length in bytes. Raises StoreCorrupt at damage."""
        offset, seq, crc = self.position
        for line in self._lines():
            record = decode_record(line, None if seq is None else seq + 1, crc)
            if record is None:
                self._judge(line + b"\n")
                return
            length = len(line) + 1
            offset += length
            seq, crc = record.seq, record.crc
            self.position = Position(offset, seq, crc)
            yield record, length
        if self.tail:
            self._judge(self.tail)

    def _lines(self) -> Iterator[bytes]:
        """Lines without their newline; what follows the last newline goes to `tail`."""
        offset, rest = self.position.offset, b""
        while offset < self._size:
            chunk = self._read(offset, min(CHUNK_BYTES, self._size - offset))
            if not chunk:
                break
            offset += len(chunk)
            if b"\n" not in chunk:
                rest += chunk
                continue
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
        self.tail = rest

    def _decode(self, line: bytes) -> Record | None:
        here = self.position
        seq = None if here.seq is None else here.seq + 1
        return decode_record(line, seq, here.crc)

    def _judge(self, bad: bytes) -> None:
        """Accept `bad` as the torn end of the file, or raise."""
        start = self.position.offset
        if start == 0:
            # The first record is written before the file gets its name, so it is never torn.
            raise corrupt(start)
        self.tail = bad
        if not bad.endswith(b"\n"):
            # The last newline may be missing, or be another byte after a flipped bit.
            whole = (body for body in (bad.rstrip(b"\0"), bad[:-1]) if self._decode(body))
            self.unended = next(whole, b"")
            return
        end = start + len(bad)
        if end == self._size and has_blank_sector(bad, start):
            return
        raise corrupt(start)


def corrupt(offset: int) -> StoreCorrupt:
    return StoreCorrupt(
        "store_corrupt",
        "The data file is damaged at byte {offset}. Nothing was changed. "
        "Run `javis store repair` to save what can be read into a new file.",
        offset=offset,
    )


def has_blank_sector(data: bytes, start: int) -> bool:
    """True when a whole disk sector of `data` (or its first part) was never written.

    A power cut can leave the last sectors of a write on the disk without the first ones. Text
    holds no NUL byte, so a sector of them is no rotten record but one that was never finished.
    """
    for run in re.finditer(rb"\0+", data):
        begins, ends = start + run.start(), start + run.end()
        first = -(-begins // SECTOR_BYTES) * SECTOR_BYTES
        if ends // SECTOR_BYTES * SECTOR_BYTES > first:
            return True
        if run.start() == 0 and ends % SECTOR_BYTES == 0:
            return True
    return False
