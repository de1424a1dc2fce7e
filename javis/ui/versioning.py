"""Versions: what the page asks about adapter versions, and how it learns of new ones."""

from __future__ import annotations

import datetime

from javis.core.learning import TERMINAL
from javis.service.services import Services
from javis.service.version_details import VersionDetails
from javis.service.version_rows import details_json, drop_json, event_json
from javis.ui.edge import Edge, Handler, Json, Payload, User
from javis.ui.texts import Texts

MAX_EVENTS = 30
"""Lines of the history that are sent."""
BANNER_S = 24 * 3600
"""How long after a switch the chat's banner offers to undo it."""


class Versioning:
    """The handlers of Admin → Versions; `pulse` is for everybody."""

    def __init__(self, services: Services, texts: Texts) -> None:
        self._services = services
        self._versions = services.versions
        self._texts = texts

    def table(self) -> dict[str, Handler]:
        """The handlers by the `kind` that the page's script sends."""
        return {
            "pulse": self.pulse,
            "versions_state": self.state,
            "versions_refresh": self.refresh,
            "version_promote": self.promote,
            "version_rollback": self.rollback,
            "version_delete": self.delete,
        }

    def pulse(self, user: User, payload: Payload) -> Json:
        """Asked every few seconds by every open page; so it is quick."""
        return {
            "current": self._versions.current(),
            "versions": [v.name for v in self._versions.usable()],
            "live": self._live(),
            "paused": self._services.training.pauses_chat,
            "run": self._run() if user.is_admin else None,
        }

    # For the admin -------------------------------------------------------------------------

    def state(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        drop = self._versions.watch()
        return {
            "versions": [self._details(payload.language, d) for d in self._versions.details()],
            "current": self._versions.current(),
            "before": self._versions.before(),
            "pinned": self._versions.pinned,
            "notice": self._versions.notice(),
            "engine": self._services.admin.model.engine,
            "drop": None if drop is None else drop_json(drop),
            "history": [event_json(e) for e in reversed(self._versions.history()[-MAX_EVENTS:])],
        }

    def refresh(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        self._versions.refresh()
        return self.state(user, payload)

    def promote(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        version = self._versions.promote(payload.id("version"), user.name)
        return {"version": version.name}

    def rollback(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        before = self._versions.current()
        version = self._versions.rollback(user.name)
        return {"version": version.name, "before": before}

    def delete(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        self._versions.delete(payload.id("version"), user.name)
        return self.state(user, payload)

    # Shapes --------------------------------------------------------------------------------

    def _live(self) -> Json | None:
        """The switch of the last day that led to the version that answers now."""
        switches = [e for e in self._versions.history() if e.reason in ("promoted", "rolled_back")]
        if not switches or switches[-1].after != self._versions.current():
            return None
        last = switches[-1]
        if not _is_recent(last.at):
            return None
        can_undo = last.reason == "promoted" and self._versions.before() is not None
        return {"version": last.after, "at": last.at, "can_undo": can_undo}

    def _run(self) -> Json | None:
        for job in self._services.training.jobs()[:1]:
            if job.state not in TERMINAL:
                progress = self._services.training.job(job.id).progress
                return {"step": progress.step or 0, "total": progress.total_steps or 0}
        return None

    def _details(self, language: str, details: VersionDetails) -> Json:
        refused = details.refused and self._texts.reason(language, details.refused)
        return details_json(details) | {
            "kept": self._why_kept(language, details),
            "refused": refused,
        }

    def _why_kept(self, language: str, details: VersionDetails) -> str:
        key = f"error.{details.kept_because}"
        if key not in self._texts.tables[language]:
            return ""
        names = {"name": details.version.name, "current": self._versions.current()}
        return self._texts.say(language, key, **names)


def _is_recent(at: str) -> bool:
    try:
        then = datetime.datetime.fromisoformat(at)
    except ValueError:
        return False
    if then.tzinfo is None:
        then = then.replace(tzinfo=datetime.UTC)
    return (datetime.datetime.now(datetime.UTC) - then).total_seconds() < BANNER_S
