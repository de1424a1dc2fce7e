"""Small tools that really work, described by JSON Schemas as models are told about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from javis.eval.agent.calculator import calculate
from javis.eval.agent.schema import faults

_DATE = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$", "description": "YYYY-MM-DD"}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNITS: Mapping[str, tuple[str, float]] = {
    **{"mm": ("length", 0.001), "cm": ("length", 0.01), "m": ("length", 1.0)},
    **{"km": ("length", 1000.0), "inch": ("length", 0.0254), "mile": ("length", 1609.344)},
    **{"g": ("mass", 0.001), "kg": ("mass", 1.0), "pound": ("mass", 0.45359237)},
    **{"ml": ("volume", 0.001), "l": ("volume", 1.0)},
    **{"second": ("time", 1.0), "minute": ("time", 60.0), "hour": ("time", 3600.0)},
    **{"celsius": ("temperature", 1.0), "fahrenheit": ("temperature", 1.0)},
}
"""Of each unit, what it measures, and how many of that measure's base unit it is."""
TABLES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "products": {
        "A100": {"name": "desk lamp", "price": 24, "stock": 7},
        "B205": {"name": "notebook", "price": 3.5, "stock": 120},
        "C310": {"name": "office chair", "price": 89, "stock": 0},
        "D420": {"name": "water bottle", "price": 12, "stock": 33},
    },
    "trains": {
        "T1": {"to": "Harbor", "departs": "09:40", "platform": 3, "minutes": 55},
        "T2": {"to": "Airport", "departs": "10:15", "platform": 1, "minutes": 38},
        "T3": {"to": "Old Town", "departs": "11:05", "platform": 7, "minutes": 72},
    },
    "staff": {
        "kim": {"name": "Kim Jisoo", "room": "412", "extension": 2251},
        "lee": {"name": "Lee Minho", "room": "307", "extension": 2190},
        "park": {"name": "Park Sora", "room": "118", "extension": 2304},
    },
}
"""Made up, so that no model can know the answers without asking."""


@dataclass(frozen=True, slots=True)
class Tool:
    """`run` gets arguments that fit `parameters`; it raises ValueError where there is no result."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[..., Any]

    def described(self) -> str:
        """As a model is told of it."""
        told = {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
        }
        return json.dumps(told, ensure_ascii=False)


def call(name: str, arguments: Any, allowed: Sequence[str]) -> tuple[Any, str]:
    """The result, and what was wrong with the call or "" if nothing was."""
    if name not in allowed or name not in TOOLS:
        return None, f"there is no tool {name}; there are {', '.join(allowed)}"
    found = faults(arguments, TOOLS[name].parameters)
    if found:
        return None, "; ".join(found)
    try:
        return TOOLS[name].run(**arguments), ""
    except ValueError as error:
        return None, str(error)
    except OverflowError:
        return None, "too large a number"


def _convert(value: float, from_unit: str, to_unit: str) -> float:
    measures, size = UNITS[from_unit]
    other, other_size = UNITS[to_unit]
    if measures != other:
        raise ValueError(f"{from_unit} is a unit of {measures}, {to_unit} of {other}")
    if from_unit == to_unit:
        found = float(value)
    elif to_unit == "fahrenheit":
        found = value * 9 / 5 + 32
    elif to_unit == "celsius":
        found = (value - 32) * 5 / 9
    else:
        found = value * size / other_size
    found = round(found, 6)
    return int(found) if found == int(found) else found


def _add_days(start: str, days: int) -> str:
    return (date.fromisoformat(start) + timedelta(days=days)).isoformat()


def _days_between(start: str, end: str) -> int:
    return (date.fromisoformat(end) - date.fromisoformat(start)).days


def _weekday(day: str) -> str:
    return _DAYS[date.fromisoformat(day).weekday()]


def _look_up(table: str, key: str) -> Mapping[str, Any]:
    rows = TABLES[table]
    if key not in rows:
        raise ValueError(f"{table} has no {key}; it has {', '.join(rows)}")
    return rows[key]


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_UNIT = {"type": "string", "enum": list(UNITS)}
_TOOLS = (
    Tool(
        "calculator",
        "Works out an expression with + - * / ** and brackets.",
        _object(expression={"type": "string"}),
        calculate,
    ),
    Tool(
        "convert",
        "Converts a value from one unit to another.",
        _object(value={"type": "number"}, from_unit=_UNIT, to_unit=_UNIT),
        _convert,
    ),
    Tool(
        "add_days",
        "The date so many days after a date (before it, if negative).",
        _object(start=_DATE, days={"type": "integer"}),
        _add_days,
    ),
    Tool(
        "days_between",
        "How many days lie between two dates.",
        _object(start=_DATE, end=_DATE),
        _days_between,
    ),
    Tool("weekday", "The day of the week of a date.", _object(day=_DATE), _weekday),
    Tool(
        "look_up",
        "One row of a table, by its key.",
        _object(table={"type": "string", "enum": list(TABLES)}, key={"type": "string"}),
        _look_up,
    ),
)
TOOLS: Mapping[str, Tool] = {tool.name: tool for tool in _TOOLS}
