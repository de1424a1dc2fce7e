"""CSV that no spreadsheet takes for formulas, and that reads back as it was.

A line of a cell that a spreadsheet could run gets an apostrophe in front; so does one that begins
with an apostrophe, or reading could not tell the two apart.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

_RISKY = re.compile(r"(?m)^(?:[\s\u200b-\u200f\u2060\ufeff]*[=+\-@＝＋－−＠]|[\t\r\x00]|')")
_LINE = re.compile(r"\r\n|\r|\n")

_FIELD_CHARS = 64 << 20
"""More than a whole import has."""


def safe(cell: str) -> str:
    """The cell with an apostrophe before each line that could be a formula."""
    if "\r" not in cell and not _RISKY.search(cell):
        return cell
    return _each_line(cell, lambda line: f"'{line}" if _RISKY.match(line) else line)


def plain(cell: str) -> str:
    """What `safe` was given."""
    return _each_line(cell, lambda line: line[1:] if line.startswith("'") else line)


def line_of(cells: Sequence[str]) -> str:
    """One record. Every cell is quoted, so no separator of any country ends it."""
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(map(safe, cells))
    return out.getvalue()


def read(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Records with the number of the line each begins on."""
    # Python's own limit is shorter than a message may be; it is the process's, not the reader's.
    csv.field_size_limit(max(_FIELD_CHARS, csv.field_size_limit()))
    reader = csv.reader(lines)
    start = 1
    for record in reader:
        if record:
            yield start, [plain(cell) for cell in record]
        start = reader.line_num + 1


def _each_line(cell: str, change: Callable[[str], str]) -> str:
    ends = [*_LINE.findall(cell), ""]
    return "".join(
        f"{change(line)}{end}" for line, end in zip(_LINE.split(cell), ends, strict=True)
    )
