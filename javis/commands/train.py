"""`javis train` and `javis jobs`: training without a server, or beside a running one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from javis.commands.evaluate import opened
from javis.commands.model import control_tokens, token_counter
from javis.commands.versions import promote, why_unfit
from javis.core.learning import TERMINAL, JobState, TrainEvent, TrainJob
from javis.core.settings import Settings
from javis.core.types import BASE, Version
from javis.engine import catalog, hardware
from javis.engine.catalog import Choice
from javis.service.examining import Examiner
from javis.service.golden import GoldenService
from javis.service.learning import Learning, join_learning, train_base
from javis.service.own_suites import OwnSuites, judge_of
from javis.service.preferences import Preferences
from javis.service.publishing import publisher_for
from javis.service.review import ReviewService
from javis.service.services import public_suites
from javis.service.training import TrainingService
from javis.store import Store
from javis.versions.registry import Registry

OWNER = "local"
_POLL_S = 0.5
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DiskShelf:
    """The versions on disk, as a server with these settings and this model would serve them."""

    settings: Settings
    registry: Registry
    choice: Choice

    def all(self) -> list[Version]:
        pinned = self._pinned()
        found = [*self.registry.versions(), *([pinned] if pinned else [])]
        return [Version(BASE, None, "", None), *{v.name: v for v in found}.values()]

    def current(self) -> str:
        pinned = self._pinned()
        name = pinned.name if pinned else self.registry.current()
        fits = [v.name for v in self.all() if why_unfit(v, self.choice) is None]
        return name if name in fits else BASE

    def _pinned(self) -> Version | None:
        path = self.settings.adapter_path
        return self.registry.from_path(path) if path else None

    def refresh(self) -> None:
        """Everything is read from disk anyway; a running server looks by itself."""

    def promote(self, name: str, by: str, note: str = "") -> Version:
        promote(self.settings, name)
        return self.registry.get(name)


def open_learning(settings: Settings, store: Store, say: Say) -> Learning:
    """The training loop on the model that a server with these settings would serve."""
    choice = catalog.resolve(settings, hardware.detect())
    path = catalog.obtain(choice, settings, say)
    preferences = Preferences(store, choice.model.sampling)
    review = ReviewService(store, preferences, control_tokens(settings))
    own = OwnSuites(store, review, GoldenService(store, review), preferences, judge_of(settings))
    base = train_base(choice, path)
    return join_learning(
        settings,
        store,
        review,
        preferences,
        DiskShelf(settings, Registry(settings.models_dir), choice),
        base,
        publisher_for(settings.models_dir, choice, path),
        # Its engine is loaded only then, when the trainer's memory is free.
        examiner=Examiner(lambda: opened(settings, own.beside(public_suites), say)),
        count_tokens=token_counter(base.path),
    )


def run(settings: Settings, store: Store, say: Say, *, follow: bool, **options: Any) -> JobState:
    """Start a run and, with `follow`, bring it to its end; returns the state it is left in."""
    learning = open_learning(settings, store, say)
    try:
        job = start(learning, say, **options)
        if not follow:
            say("A running server brings it to its end; `javis jobs` shows it.")
            return job.state
        try:
            job = watch(learning, job, say)
        except KeyboardInterrupt:
            say("It goes on. A running server brings it to its end; `javis jobs` shows it.")
            return job.state
        for line in outcome(learning.training, job):
            say(line)
        return job.state
    finally:
        learning.training.let_go()


def start(
    learning: Learning,
    say: Say,
    *,
    method: str | None,
    preset: str,
    promote: str,
    dataset: str | None,
    dry_run: bool,
) -> TrainJob:
    """Start a run; without a method, with the one that suits the data."""
    training = learning.training
    # One whose server died may still count as going on.
    learning.keeper.tick()
    if method is None:
        method = training.propose().method
    form = training.form(method, preset)
    job = training.start(
        OWNER,
        method,
        hyperparameters=form.values,
        dataset=dataset,
        promote=promote,
        dry_run=dry_run,
    )
    say(f"Run {job.id}: {method} on {job.data['rows']['train']} rows, base {job.base_model}.")
    return job


def watch(learning: Learning, job: TrainJob, say: Say) -> TrainJob:
    """Say what happens until the run has ended, and bring it to its end."""
    training = learning.training
    seen = 0
    while True:
        learning.keeper.tick()
        job = training.get(job.id)
        for event in training.events(job.id, seen):
            seen = event.number
            if line := _line(event):
                say(line)
        if job.state in TERMINAL:
            return job
        time.sleep(_POLL_S)


def outcome(training: TrainingService, job: TrainJob) -> Iterator[str]:
    """How a run ended, in a line or two."""
    if job.state == "succeeded":
        if job.dry_run:
            yield "The dry run went well: a real run would work."
        else:
            yield f"It is version {job.version} now."
            if job.promote == "never":
                yield f"`javis promote {job.version}` lets it answer."
            elif job.reason:
                yield f"It was not put to use. {job.reason_values.get('message', '')}"
            else:
                yield "It answers from the next message on."
        return
    yield f"It ended as {job.state}. {job.reason_values.get('message', '')}".rstrip()
    for check in (job.verdict or {}).get("checks", ()):
        if not check["passed"]:
            yield check["text"]
    if job.state == "failed" and (tail := training.job(job.id).log_tail.strip()):
        yield tail.splitlines()[-1]


def listing(store: Store) -> Iterator[str]:
    """A line for each run, the newest first."""
    jobs = store.jobs.all()
    if not jobs:
        yield "Nothing has been trained yet."
    for job in jobs:
        what = job.version or job.reason or job.phase
        yield f"{job.id}  {job.created_at[:16]}  {job.method:<13}  {job.state:<9}  {what}".rstrip()


def _line(event: TrainEvent) -> str:
    values = event.values
    if event.kind == "phase":
        return f"{values.get('phase', '')} …"
    if event.kind == "step":
        loss, eta = values.get("loss"), values.get("eta_s")
        line = f"step {values.get('step')}/{values.get('total')}"
        line += f"  loss {loss:.3f}" if isinstance(loss, (int, float)) else ""
        return line + (f"  {eta:.0f} s left" if isinstance(eta, (int, float)) else "")
    if event.kind == "eval" and isinstance(values.get("loss"), (int, float)):
        return f"held-out loss {values['loss']:.3f}"
    if event.kind == "warning" and values.get("code") == "rows_too_long":
        return (
            f"warning: {values.get('rows')} answers do not fit into {values.get('limit')} tokens "
            "and were left out; a larger max_length takes them in"
        )
    if event.kind == "warning":
        return f"warning: {values.get('message') or values.get('code') or ''}"
    return ""
