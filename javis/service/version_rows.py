"""Versions, thumbs and events as JSON, for the routes and the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from javis.eval.intervals import Interval
from javis.service.thumbs import Drop, Thumbs
from javis.service.version_details import VersionDetails
from javis.versions.history import Event


def version_json(details: VersionDetails) -> dict[str, Any]:
    """What every user may know of a version."""
    row = asdict(details.version)
    # Where it lies on the server's disk is nobody's business.
    del row["path"], row["damaged"]
    return row | {"usable": details.usable, "refused": details.refused}


def details_json(details: VersionDetails) -> dict[str, Any]:
    """What the admin may know of a version."""
    row = asdict(details)
    del row["version"]
    return version_json(details) | row | {"thumbs": thumbs_json(details.thumbs)}


def thumbs_json(thumbs: Thumbs) -> dict[str, Any]:
    return {"good": thumbs.good, "bad": thumbs.bad} | _interval(thumbs.rate, "rate")


def drop_json(drop: Drop) -> dict[str, Any]:
    return {
        "version": drop.version,
        "before": drop.before,
        "now": thumbs_json(drop.now),
        "then": thumbs_json(drop.then),
    } | _interval(drop.difference, "difference")


def event_json(event: Event) -> dict[str, Any]:
    row = asdict(event)
    row["from"], row["to"] = row.pop("before"), row.pop("after")
    return row


def _interval(interval: Interval, name: str) -> dict[str, float]:
    return {name: interval.value, "low": interval.low, "high": interval.high}
