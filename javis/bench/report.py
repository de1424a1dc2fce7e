"""A bench's rows as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
COLUMNS = ("name", "ours", "reference", "ratio", "unit", "goal", "holds")


def row(
    name: str,
    ours: float,
    reference: float | None = None,
    unit: str = "",
    goal: str = "",
    holds: bool | None = None,
) -> Row:
    """A measurement against its reference; `holds` None where there is no goal."""
    return {
        "name": name,
        "ours": round(ours, 3),
        "reference": None if reference is None else round(reference, 3),
        "ratio": round(ours / reference, 4) if reference else None,
        "unit": unit,
        "goal": goal,
        "holds": holds,
    }


def table(rows: Sequence[Row]) -> str:
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
