"""`metadata.json` of a version: what it must say, and reading it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from javis.engine.adapter import broken
from javis.versions.history import now_iso

_COUNTS = ("total_conversations", "total_turns")
_MAX_TEXT = 20_000
_MOST = 1e15
"""JSON may hold integers that fit no float, and no page."""


def complete(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """`metadata` in the order of spec L7, checked, with what can be filled in. VersionError.

    More keys (parent, manifest_sha256, …) come after these.
    """
    found = {
        "base_model": _text(metadata, "base_model"),
        "created_at": metadata.get("created_at") or now_iso(),
        "training_data": _data(metadata.get("training_data")),
        "training_config": _config(metadata.get("training_config")),
        "notes": metadata.get("notes") or "",
    }
    if not found["base_model"]:
        raise broken("metadata.json does not say '{key}'.", key="base_model")
    for key in ("created_at", "notes"):
        if not isinstance(found[key], str) or len(found[key]) > _MAX_TEXT:
            raise broken("metadata.json has a value for '{key}' that is refused.", key=key)
    parent = metadata.get("parent")
    if parent is not None and not isinstance(parent, str):
        raise broken("metadata.json has a value for '{key}' that is refused.", key="parent")
    found["parent"] = parent
    return found | {k: v for k, v in metadata.items() if k not in found and k != "version"}


def _data(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise broken("metadata.json does not say '{key}'.", key="training_data")
    for key in _COUNTS:
        count = value.get(key)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= _MOST:
            raise broken("metadata.json does not say '{key}'.", key=f"training_data.{key}")
    dates = value.get("date_range")
    if not isinstance(dates, (list, tuple)) or len(dates) not in (0, 2):
        raise broken("metadata.json does not say '{key}'.", key="training_data.date_range")
    if not all(isinstance(date, str) for date in dates):
        raise broken("metadata.json does not say '{key}'.", key="training_data.date_range")
    return dict(value) | {"date_range": list(dates)}


def _config(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise broken("metadata.json does not say '{key}'.", key="training_config")
    config = dict(value)
    if not _text(config, "method"):
        raise broken("metadata.json does not say the training method.")
    for key in ("epochs", "learning_rate", "lora_r", "lora_alpha"):
        number = config.setdefault(key, None)
        good = isinstance(number, (int, float)) and not isinstance(number, bool)
        if number is not None and not (good and abs(number) <= _MOST):
            raise broken("metadata.json does not say '{key}'.", key=f"training_config.{key}")
    return config


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value.strip() if isinstance(value, str) and len(value) <= _MAX_TEXT else ""
