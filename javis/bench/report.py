"""A bench's rows as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLUMNS = ("name", "ours", "reference", "ratio", "unit", "goal", "holds")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table, ready for docs/."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for row in rows:
        lines.append(f"| {' | '.join(_cell(row.get(column)) for column in COLUMNS)} |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)
