"""CSV that no spreadsheet runs, and that reads back as it was."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from javis.dataset.csv_cells import line_of, plain, read, safe

RISKY = [
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "  =1", "\u00a0=1"),
    *("\u200b=1", "\ufeff+1", "＝1+1", "－1", "ok\n=1", "ok\r\n@x", "ok\r=1", "'=1", "''", "\tx"),
    *("\n=1", "−1", '=HYPERLINK("http://evil","x")'),
]
STARTS = tuple("=+-@\t\r＝＋－＠−")


@pytest.mark.parametrize("cell", RISKY)
def test_no_line_of_a_cell_is_a_formula(cell: str) -> None:
    made = safe(cell)
    for line in made.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        assert not line.lstrip(" \u00a0\u200b\ufeff").startswith(STARTS)
    assert plain(made) == cell


@pytest.mark.parametrize("cell", ["", "a", "1,5", "a=b", "안녕, =1", "don't", 'say "hi"'])
def test_ordinary_cells_stay_as_they_are(cell: str) -> None:
    assert safe(cell) == cell


cells = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00")) | st.sampled_from(RISKY),
    min_size=1,
    max_size=5,
)


@given(st.lists(cells, min_size=1, max_size=4))
def test_round_trip(rows: list[list[str]]) -> None:
    text = "".join(map(line_of, rows))
    found = list(read(io.StringIO(text, newline="")))
    assert [record for _, record in found] == rows
    lines = text.split("\r\n")
    assert len(lines) > len(rows)


def test_without_the_apostrophe_a_formula_would_come_through() -> None:
    """The broken variant: the csv module alone."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow(["=1+1"])
    assert next(csv.reader([out.getvalue()]))[0].startswith("=")
    assert next(csv.reader([line_of(["=1+1"])]))[0] == "'=1+1"


def test_a_cell_longer_than_pythons_own_limit_comes_back() -> None:
    row = ["a", "b" * 400_000]
    assert list(read([line_of(row)])) == [(1, row)]
