"""The part of JSON Schema that tools need, checked (draft 2020-12: type, enum, properties,
required, additionalProperties, minimum, maximum, pattern)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
}


def faults(value: Any, schema: Mapping[str, Any], at: str = "arguments") -> list[str]:
    """What of `value` breaks the schema, in plain words; empty when nothing does."""
    kind = schema.get("type", "")
    if kind and not _is(value, kind):
        return [f"{at} must be of type {kind}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at} must be one of {', '.join(map(str, schema['enum']))}")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{at} must be at least {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        found.append(f"{at} must be at most {schema['maximum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at} must match {schema['pattern']}")
    return found + (_of_object(value, schema, at) if kind == "object" else [])


def _of_object(value: dict[str, Any], schema: Mapping[str, Any], at: str) -> list[str]:
    parts: Mapping[str, Any] = schema.get("properties", {})
    found = [f"{at}.{name} is missing" for name in schema.get("required", ()) if name not in value]
    if schema.get("additionalProperties") is False:
        found += [f"{at}.{name} is unknown" for name in value if name not in parts]
    for name, part in parts.items():
        if name in value:
            found += faults(value[name], part, f"{at}.{name}")
    return found


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):  # which Python takes for a number
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])
