"""Looks after the run that has not ended, whoever started it."""

from __future__ import annotations

import logging
import threading

from javis.core.errors import AlreadyTraining, JavisError, TrainError
from javis.core.learning import TERMINAL, TrainEvent, TrainJob
from javis.core.protocols import Pausable
from javis.service.outcome import CANCELLING, STALLED, Outcome
from javis.store import Store
from javis.train.process import Worker
from javis.train.supervisor import Supervisor

LOG = logging.getLogger("javis.training")
WATCH_S = 0.5
"""Between two looks at a run."""


class RunKeeper:
    """Every process that has the store open may look; only one at a time acts."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        outcome: Outcome,
        chat: Pausable | None = None,
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._outcome = outcome
        self._chat = chat
        self._ticking = threading.Lock()

    def tick(self) -> None:
        """Look once. Called again and again."""
        with self._ticking:
            job = self._store.jobs.active()
            if job is None:
                self._bring_chat_back()
                return
            worker = worker_of(job)
            if worker and self._supervisor.is_alive(worker):
                self._look_after(job, worker)
                return
            try:
                with self._supervisor.reserved():
                    job = self._store.jobs.get(job.id)
                    if job.state not in TERMINAL:
                        self._bring_chat_back()
                        self._settle(job)
            except AlreadyTraining:
                # Somebody is getting it ready, or is bringing it to its end, right now.
                return

    def _bring_chat_back(self) -> None:
        if self._chat is None or not self._chat.paused:
            return
        try:
            self._chat.resume()
        except JavisError as error:
            # Tried again at the next look; the run's own end must not wait for it.
            LOG.warning("the chat could not be brought back yet: %s", error)

    def bury(self) -> None:
        """End a run whose process died unseen. One whose trainer came to its end goes first."""
        job = self._store.jobs.active()
        if job is None:
            return
        result = self._supervisor.result(job.id)
        if result and result["state"] == "trained":
            raise AlreadyTraining()
        self._outcome.settle(job)

    def _look_after(self, job: TrainJob, worker: Worker) -> None:
        self._supervisor.cap_log(job.id)
        if job.phase == CANCELLING:
            # Whoever asked for it may have died before it came to it.
            self._supervisor.stop(worker)
        elif self._supervisor.is_stalled(job.id):
            # Noted first, as another process may see it end before this one does.
            self._store.jobs.update(job.id, reason=STALLED)
            self._supervisor.stop(worker)
        else:
            phase = _phase(self._supervisor.events(job.id))
            if phase and phase != job.phase:
                with self._store.db.storage.exclusive():
                    if self._store.jobs.get(job.id).phase != CANCELLING:
                        self._store.jobs.update(job.id, phase=phase)

    def _settle(self, job: TrainJob) -> None:
        try:
            if self._outcome.settle(job).state in ("succeeded", "rejected"):
                self._supervisor.delete_checkpoints(job.id)
        except Exception as error:
            # A run must end, also by an error of ours; the log tells which.
            LOG.exception("run %s could not be brought to its end", job.id)
            self._outcome.failed(
                job,
                TrainError(
                    "run_end_failed", "The run could not be brought to its end: {why}", why=error
                ),
            )


def worker_of(job: TrainJob) -> Worker | None:
    """The trainer of a run, dead or alive."""
    return None if job.pid is None else Worker(job.pid, job.pid_started or 0.0)


def _phase(events: list[TrainEvent]) -> str:
    for event in reversed(events):
        if event.kind == "phase":
            return str(event.values.get("phase", ""))
    return ""
