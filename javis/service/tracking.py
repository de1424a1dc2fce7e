"""Tells an experiment tracker of training runs, while they go on, and of evaluations.

It looks at what the program keeps anyway, and notes on disk how far it has told, so that training
never waits for a tracker, and a restart tells nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, Protocol

from javis.core.evaluation import Subject, SuiteReport
from javis.core.learning import TERMINAL, TrainEvent, TrainJob
from javis.core.settings import Settings
from javis.engine.files import atomic_file
from javis.service.eval_runs import EvalRun
from javis.service.repeating import Repeating
from javis.service.tracking_clients import TrackedRun, TrackingClient, is_installed, make_client

LOG = logging.getLogger("javis.tracking")
LOOK_S = 5.0
MAX_WAIT_S = 600.0
"""Between two tries while the tracker fails."""
_END_S = 10.0
_STEP = ("loss", "learning_rate", "tokens_per_s", "memory_bytes", "epoch")
Told = tuple[int, str]
"""Up to which event or state, and the end that was told."""
_COST = ("seconds", "total_seconds", "steps", "tokens", "peak_memory_bytes", "cost")


class Runs(Protocol):
    """Training runs (TrainingService)."""

    def jobs(self) -> Sequence[TrainJob]: ...

    def events(self, job_id: str, after: int = 0) -> list[TrainEvent]: ...


class Evaluations(Protocol):
    """What versions were found to do (EvalService)."""

    def runs(self) -> Sequence[EvalRun]: ...

    def reports(self) -> Sequence[SuiteReport]: ...


class Tracking:
    """Looked after by one thread."""

    def __init__(
        self,
        client: TrackingClient,
        runs: Runs,
        evaluations: Evaluations,
        folder: Path,
        *,
        evaluations_every_s: float = 60.0,
    ) -> None:
        self._client = client
        self._evaluations_every_s = evaluations_every_s
        self._next_evaluations = 0.0
        self._runs = runs
        self._evaluations = evaluations
        self._path = folder / "told.json"
        self._told: dict[str, Told] = _read(self._path)
        self._open: dict[str, TrackedRun] = {}
        self._failures = 0
        self._wait_until = 0.0

    def watcher(self) -> Watcher:
        """What tells by itself while the program runs."""
        return Watcher(self)

    def tick(self) -> None:
        """Tell what is new. A tracker that fails is left alone for a while."""
        if time.monotonic() < self._wait_until:
            return
        try:
            for job in reversed(self._runs.jobs()):
                self._tell_run(job)
            if time.monotonic() >= self._next_evaluations:
                self._tell_evaluations()
                self._next_evaluations = time.monotonic() + self._evaluations_every_s
            self._failures = 0
        except Exception:
            # The client is another house's: whatever it throws must not reach training or chat.
            self._failures += 1
            wait_s = min(MAX_WAIT_S, LOOK_S * 2**self._failures)
            self._wait_until = time.monotonic() + wait_s
            LOG.warning("The tracker failed; next try in %.0f s.", wait_s, exc_info=True)
            self._open.clear()

    def close(self) -> None:
        """Write out what is pending; the next start goes on with runs that have not ended."""
        for run_id, run in list(self._open.items()):
            del self._open[run_id]
            try:
                run.finish({})
            except Exception:
                LOG.warning("The tracker failed at its end.", exc_info=True)

    # -- training ----------------------------------------------------------------------------

    def _tell_run(self, job: TrainJob) -> None:
        count, end = self._told.get(job.id, (0, ""))
        now = f"{job.state} {job.version} {job.ended_at}" if job.state in TERMINAL else ""
        # An end may change: a run is resumed, or published after all.
        if job.dry_run or job.state == "queued" or (now and now == end):
            return
        events = self._runs.events(job.id, count)
        if not events and not now:
            return
        run = self._open.get(job.id)
        if run is None:
            name = f"{job.method} {job.created_at[:19]}"
            run = self._open[job.id] = self._client.open(job.id, name, config_of(job))
        for step, values in steps_of(events):
            run.log(values, step)
        count = events[-1].number if events else count
        self._note(job.id, count, "")
        if now:
            self._open.pop(job.id).finish(summary_of(job))
            self._note(job.id, count, now)

    # -- evaluations -------------------------------------------------------------------------

    def _tell_evaluations(self) -> None:
        if any(run.state == "running" for run in self._evaluations.runs()):
            return  # it would change with every look
        found: dict[Subject, list[SuiteReport]] = defaultdict(list)
        for report in self._evaluations.reports():
            if report.done:
                found[report.subject].append(report)
        for subject, reports in found.items():
            self._tell_subject(subject, reports)

    def _tell_subject(self, subject: Subject, reports: Sequence[SuiteReport]) -> None:
        run_id = f"eval-{_digest(astuple(subject))[:16]}"
        values = {k: v for report in reports for k, v in scores_of(report).items()}
        state = _digest(sorted(values.items()))
        count, before = self._told.get(run_id, (0, ""))
        if state == before:
            return
        run = self._client.open(
            run_id,
            f"evaluation {subject.version}",
            {
                "version": subject.version,
                "model": subject.model,
                "engine": subject.engine,
                "quantization": subject.quantization,
                "data": {report.suite: report.data_version for report in reports},
            },
        )
        run.log(values, count + 1)
        run.finish({})
        self._note(run_id, count + 1, state)

    def _note(self, run_id: str, count: int, state: str) -> None:
        if self._told.get(run_id) == (count, state):
            return
        self._told[run_id] = count, state
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._path) as temporary:
            temporary.write_text(json.dumps(self._told), "utf-8")


class Watcher(Repeating):
    """Tells every few seconds, and at the end what is pending."""

    def __init__(self, tracking: Tracking) -> None:
        super().__init__(name="tracking", every_s=LOOK_S, act=tracking.tick)
        self._tracking = tracking

    def stop(self) -> None:
        super().stop()
        # Without a network a client may wait for very long.
        closing = threading.Thread(target=self._tracking.close, name="tracking-end", daemon=True)
        closing.start()
        closing.join(_END_S)


def tracking_watchers(
    settings: Settings, runs: Runs, evaluations: Evaluations, say: Callable[[str], None]
) -> list[Watcher]:
    """The watcher of the tracker that the settings name; none without one."""
    name = settings.tracking
    if not name:
        return []
    if not is_installed(name):
        say(
            f"TRACKING is {name}, which is not installed, so nothing is tracked. "
            f"Install it with: {sys.executable} -m pip install -r requirements-tracking.txt"
        )
        return []
    folder = settings.data_dir / "tracking"
    client = make_client(name, folder, settings.tracking_project, offline=settings.offline)
    return [Tracking(client, runs, evaluations, folder).watcher()]


def config_of(job: TrainJob) -> dict[str, Any]:
    """What a run was started with. No texts, and no names of people."""
    counts = job.data.get("rows")
    return {
        "method": job.method,
        "base_model": job.base_model,
        "promote": job.promote,
        "hyperparameters": dict(job.hyperparameters),
        "rows": dict(counts) if isinstance(counts, Mapping) else {},
        "conversations": job.data.get("conversations"),
    }


def summary_of(job: TrainJob) -> dict[str, Any]:
    """How a run ended: its version, the gate, the losses, and what it cost."""
    found: dict[str, Any] = {"state": job.state, "version": job.version or ""}
    if job.reason:
        found["reason"] = job.reason
    if job.verdict is not None:
        found["gate_passed"] = int(bool(job.verdict.get("passed")))
        losses = job.verdict.get("losses")
        for name, loss in (losses if isinstance(losses, Mapping) else {}).items():
            found |= _numbers({f"loss_{name}": loss})
    return found | _numbers({f"took_{name}": job.took.get(name) for name in _COST})


def steps_of(events: Sequence[TrainEvent]) -> Iterator[tuple[int, dict[str, float]]]:
    """The numbers of each step, in order. Samples and messages stay here."""
    steps: dict[int, dict[str, float]] = defaultdict(dict)
    for event in events:
        step = event.values.get("step")
        if not isinstance(step, int):
            continue
        if event.kind == "step":
            steps[step] |= _numbers({f"train/{name}": event.values.get(name) for name in _STEP})
        elif event.kind == "eval":
            steps[step] |= _numbers({"eval/loss": event.values.get("loss")})
    return ((step, values) for step, values in sorted(steps.items()) if values)


def scores_of(report: SuiteReport) -> dict[str, float]:
    """What is said of a suite, as flat numbers."""
    values: dict[str, object] = {"done": report.done, **report.figures}
    if report.score is not None:
        values |= {
            "score": report.score.value,
            "score_low": report.score.low,
            "score_high": report.score.high,
        }
    for kind, estimates in (("group", report.groups), ("language", report.languages)):
        values |= {f"{kind}/{name}": estimate.value for name, estimate in estimates.items()}
    return _numbers({f"{report.suite}/{name}": value for name, value in values.items()})


def _numbers(values: Mapping[str, object]) -> dict[str, float]:
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _read(path: Path) -> dict[str, Told]:
    """How far was told; nothing when the file is not there, or is none of ours."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return {str(run_id): (int(count), str(end)) for run_id, (count, end) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
