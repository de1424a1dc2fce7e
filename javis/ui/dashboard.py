"""Dashboard: what the page asks about use, thumbs, speed and runs. Admin only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from javis.core.learning import TERMINAL, TrainJob
from javis.service.dashboard import MAX_DAYS, zone_named
from javis.service.services import Services
from javis.service.version_rows import thumbs_json
from javis.ui.edge import Edge, Handler, Json, Payload, User

DAYS = 30


class DashboardPage:
    """The handler of Admin → Dashboard."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def table(self) -> dict[str, Handler]:
        """The handlers by the `kind` that the page's script sends."""
        return {"dashboard": self.view}

    def view(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        zone = payload.get("zone")
        view = self._services.dashboard.view(
            payload.number("days", DAYS, 1, MAX_DAYS),
            zone_named(zone if isinstance(zone, str) else ""),
        )
        return {
            "days": [asdict(day) for day in view.days],
            "answers": view.answers,
            "conversations": view.conversations,
            "thumbs": thumbs_json(view.thumbs),
            "versions": [
                {"version": liked.version, **thumbs_json(liked.thumbs)} for liked in view.versions
            ],
            "speeds": [asdict(speed) for speed in view.speeds],
            "readiness": asdict(view.readiness) | {"share": view.readiness.share},
            "runs": [_run(job) for job in view.runs],
            "current": self._services.versions.current(),
        }


def _run(job: TrainJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "at": job.created_at,
        "method": job.method,
        "state": job.state,
        "ended": job.state in TERMINAL,
        "version": job.version,
        # As on the page of the training: with the questions of the gate.
        "seconds": job.took.get("total_seconds") or job.took.get("seconds"),
        "dry_run": job.dry_run,
    }
