"""Train: what the page asks about training runs. Admin only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from javis.core.learning import METHODS, TERMINAL, TrainEvent, TrainJob
from javis.service.services import Services
from javis.service.training_plan import thumbs_needed
from javis.ui.edge import Edge, Handler, Json, Payload, User, unexpected
from javis.ui.texts import Texts

MAX_JOBS = 50
"""Runs of the history that are sent."""
MAX_STEP_EVENTS = 600
"""Points of a curve that are sent at once; a longer one is thinned."""


class Training:
    """The handlers of Admin → Train."""

    def __init__(self, services: Services, texts: Texts) -> None:
        self._services = services
        self._training = services.training
        self._texts = texts

    def table(self) -> dict[str, Handler]:
        """The handlers by the `kind` that the page's script sends."""
        return {
            "train_state": self.state,
            "train_form": self.form,
            "train_estimate": self.estimate,
            "train_prices": self.prices,
            "train_start": self.start,
            "train_job": self.job,
            "train_cancel": self.cancel,
            "train_resume": self.resume,
            "train_override": self.override,
            "train_discard": self.discard,
            "train_schedule": self.schedule,
        }

    # Before a run --------------------------------------------------------------------------

    def state(self, user: User, payload: Payload) -> Json:
        """All that the section shows, but for a run's own progress."""
        Edge.require_admin(user)
        versions = self._services.versions
        return {
            "proposal": asdict(self._training.propose()),
            "thumbs": thumbs_needed(),
            "pending": self._services.feedback.readiness().need_a_look,
            "methods": list(METHODS),
            "first": len(versions.all()) == 1,
            "current": versions.current(),
            "prices": asdict(self._services.preferences.prices()),
            "schedule": self._schedule(),
            "jobs": [self._job(payload, j) for j in self._training.jobs()[:MAX_JOBS]],
        }

    def form(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        form = self._training.form(payload.text("method"), payload.text("preset"))
        fields = [
            {"name": name, "value": value, **form.ranges[name]}
            for name, value in form.values.items()
        ]
        return {"fields": fields, "presets": list(form.presets)}

    def estimate(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        method = payload.text("method")
        return asdict(self._training.estimate(method, self._hyperparameters(payload)))

    def prices(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        self._services.preferences.set_prices(fields_of(payload, "prices"))
        return {"prices": asdict(self._services.preferences.prices())}

    def schedule(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        self._services.preferences.set_schedule(payload.get("turns"), payload.get("days"))
        return self._schedule()

    # A run ---------------------------------------------------------------------------------

    def start(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        job = self._training.start(
            user.name,
            payload.text("method"),
            hyperparameters=self._hyperparameters(payload),
            promote=payload.text("promote"),
            dry_run=payload.get("dry_run") is True,
        )
        return self._job(payload, job)

    def job(self, user: User, payload: Payload) -> Json:
        """A run as it is now, and what happened after the event `after`."""
        Edge.require_admin(user)
        job_id = payload.id("job")
        after = payload.number("after", 0, 0, 2**53)
        events = self._training.events(job_id, after)
        # Read after the events: a run that has ended has no more of them.
        view = self._training.job(job_id)
        progress = asdict(view.progress)
        progress["total"] = progress.pop("total_steps")
        job = self._job(payload, view.job) | {
            "progress": progress,
            "resumable": view.resumable,
            "can_override": view.can_override,
        }
        return {
            "job": job,
            "events": [_event(e) for e in thinned(events)],
            "last": events[-1].number if events else after,
            "log": view.log_tail,
        }

    def cancel(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        return self._job(payload, self._training.cancel(payload.id("job")))

    def resume(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        return self._job(payload, self._training.resume(payload.id("job")))

    def override(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        job = self._training.override(payload.id("job"), user.name)
        if job.version and job.version != self._services.versions.current():
            # It was to wait for the user's word; this is it.
            self._services.versions.promote(job.version, user.name, f"run {job.id}")
        return self._job(payload, job)

    def discard(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        self._training.discard(payload.id("job"))
        return {}

    # Shapes --------------------------------------------------------------------------------

    def _hyperparameters(self, payload: Payload) -> dict[str, Any]:
        """Those of the preset, and what the user changed of them."""
        form = self._training.form(payload.text("method"), payload.text("preset"))
        return {**form.values, **fields_of(payload, "changed")}

    def _schedule(self) -> Json:
        plan = self._services.preferences.schedule()
        due = self._services.schedule.due()
        return {
            "turns": plan.turns,
            "days": plan.days,
            "new_turns": due.new_turns,
            "passed_days": due.days,
        }

    def _job(self, payload: Payload, job: TrainJob) -> Json:
        row = asdict(job)
        for name in ("pid", "pid_started"):
            del row[name]
        live = job.version is not None and job.version == self._services.versions.current()
        return {
            **row,
            "ended": job.state in TERMINAL,
            "live": live,
            # Let by against the gate, it has become a version like any other.
            "state": "succeeded" if job.overridden_by and job.version else job.state,
            "reason_text": self._reason(payload.language, job),
        }

    def _reason(self, language: str, job: TrainJob) -> str:
        """Why it ended so; empty for the gate's reasons, which the page words with its table."""
        key = f"error.{job.reason}"
        if not job.reason or key not in self._texts.tables[language]:
            return ""
        return self._texts.say(
            language, key, **self._texts.named(language, dict(job.reason_values))
        )


def thinned(events: list[TrainEvent]) -> list[TrainEvent]:
    """Everything but some of the steps of a very long run."""
    steps = sum(e.kind == "step" for e in events)
    if steps <= MAX_STEP_EVENTS:
        return events
    every = -(-steps // MAX_STEP_EVENTS)
    kept = []
    seen = 0
    for event in events:
        if event.kind == "step":
            seen += 1
            if seen % every and seen != steps:
                continue
        kept.append(event)
    return kept


def fields_of(payload: Payload, name: str) -> dict[str, Any]:
    """A small object of plain values."""
    value = payload.get(name)
    if not isinstance(value, dict) or len(value) > 50:
        raise unexpected(name)
    return dict(value)


def _event(event: TrainEvent) -> Mapping[str, Any]:
    return {"number": event.number, "kind": event.kind, "values": dict(event.values)}
