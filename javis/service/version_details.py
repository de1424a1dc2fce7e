"""A version as the Versions page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from javis.core.types import Version
from javis.service.thumbs import Thumbs
from javis.versions import history
from javis.versions.registry import Registry


@dataclass(frozen=True, slots=True)
class VersionDetails:
    """Where a version came from, how it was judged, and how it does."""

    version: Version
    current: bool
    usable: bool
    """The engine answers with it."""
    refused: str | None
    """Why it cannot be used, in English: damaged, for another base, not for this engine."""
    parent: str | None = None
    """The version that was in use when it was trained."""
    promoted_at: str = ""
    """When it last went live; empty when it never did."""
    promoted_by: str = ""
    training_data: Mapping[str, Any] = field(default_factory=dict)
    training_config: Mapping[str, Any] = field(default_factory=dict)
    curve: Sequence[Mapping[str, Any]] = ()
    """Steps and losses of its training."""
    samples: Sequence[Mapping[str, Any]] = ()
    """prompt, before, after."""
    verdict: Mapping[str, Any] | None = None
    """What the gate said, each check with its numbers."""
    overridden_by: str = ""
    """Who published it against the gate."""
    proof: Mapping[str, Any] | None = None
    """What was measured before it was published: that it changes answers, alike in both engines."""
    thumbs: Thumbs = field(default_factory=Thumbs)
    """Since it last went live."""
    can_delete: bool = False
    kept_because: str = ""
    """Code of the error that deleting it would raise; empty when it can be deleted."""


def describe(
    version: Version,
    registry: Registry,
    events: Sequence[history.Event],
    pinned: Path | None = None,
    **state: Any,
) -> VersionDetails:
    """The details of a version; `pinned` and `state` are what only the running program knows."""
    metadata, report = registry.metadata(version.name), registry.report(version.name)
    keeper = registry.keeper(version.name, pinned)
    live = [
        e for e in events if e.after == version.name and e.reason in ("promoted", "rolled_back")
    ]
    return VersionDetails(
        version=version,
        parent=_text(metadata.get("parent")) or None,
        promoted_at=live[-1].at if live else "",
        promoted_by=live[-1].by if live else "",
        training_data=_object(metadata.get("training_data")),
        training_config=_object(metadata.get("training_config")),
        curve=_rows(report.get("curve")),
        samples=_rows(report.get("samples")),
        verdict=_object(report.get("verdict")) or None,
        overridden_by=_text(report.get("overridden_by")),
        proof=_object(report.get("proof")) or None,
        can_delete=keeper is None,
        kept_because=keeper.code if keeper else "",
        **state,
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _rows(value: object) -> tuple[dict[str, Any], ...]:
    rows = value if isinstance(value, list) else []
    return tuple(row for row in rows if isinstance(row, dict))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
