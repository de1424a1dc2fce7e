"""Training runs: proposed, started, watched, cancelled, resumed, and brought to their end.

One process trains at a time. Whoever sees its end (this server, the next one, the command line)
takes the run further, holding the same right that the trainer held, so that nobody does it twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from javis.core.errors import AlreadyTraining, JavisError, TrainError, UserInputError
from javis.core.learning import METHODS, TERMINAL, Method, Promote, TrainEvent, TrainJob
from javis.core.protocols import Pausable
from javis.service import run_files
from javis.service.outcome import CANCELLING, PROMOTING, Outcome, require_candidate
from javis.service.run_keeper import RunKeeper, worker_of
from javis.service.training_plan import Estimate, Form, Planner, Proposal
from javis.service.training_view import RESUMABLE, JobView, progress_of
from javis.store import Store, new_job_id, now_iso
from javis.train.config import TrainConfig
from javis.train.supervisor import Lock, Supervisor

LOG = logging.getLogger("javis.training")


class TrainingService:
    """Everything is the admin's; the callers check who asks."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        planner: Planner,
        outcome: Outcome,
        keeper: RunKeeper,
        exports_dir: Path,
        chat: Pausable | None = None,
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._planner = planner
        self._outcome = outcome
        self._exports_dir = exports_dir
        self._keeper = keeper
        self._chat = chat

    # -- before ----------------------------------------------------------------------------

    def propose(self) -> Proposal:
        """The method that suits what was approved, and why."""
        return self._planner.propose()

    def form(self, method: str, preset: str = "default") -> Form:
        """The hyperparameters to begin with, and what each may be."""
        return self._planner.form(_method(method), preset)

    def estimate(
        self,
        method: str,
        hyperparameters: Mapping[str, Any] | None = None,
        dataset: str | None = None,
    ) -> Estimate:
        """What a run would take, to the version it becomes: time, memory, disk, money."""
        method = _method(method)
        data = self._data(method, dataset)
        train = run_files.divide(data).train
        tried_out = self._outcome.publisher.prove is not None
        asking_s = self._outcome.asking_seconds()
        return self._planner.estimate(
            method, hyperparameters, data, train, asking_s, tried_out=tried_out
        )

    # -- a run -----------------------------------------------------------------------------

    def start(
        self,
        owner: str,
        method: str,
        *,
        hyperparameters: Mapping[str, Any] | None = None,
        base_model: str | None = None,
        dataset: str | None = None,
        promote: str = "gate",
        dry_run: bool = False,
    ) -> TrainJob:
        """Start a run on everything approved, or on a JSONL file of the exports folder.

        Raises NotEnoughData with what is missing, AlreadyTraining while another run goes on,
        TrainError when memory or disk do not suffice, UserInputError for anything malformed.
        """
        method = _method(method)
        data = self._data(method, dataset)
        self._planner.require_enough(method, data)
        current = self._planner.in_use()
        config = self._planner.config(
            new_job_id(),
            method,
            hyperparameters,
            base_model,
            data,
            current=current,
            dry_run=dry_run,
        )
        parts = run_files.divide(data)
        pauses = self._planner.check(config, parts.train)
        job = TrainJob(
            id=config.id,
            created_at=now_iso(),
            owner=owner,
            method=method,
            base_model=config.base_model,
            hyperparameters=config.hyperparameters.plain(),
            promote=_promote(promote),
            phase="preparing",
            dry_run=dry_run,
            dataset=dataset or "",
            # Here already: the schedule must not take a run that could not start for none.
            data={"approved": len(data.approved), "parent": current.name if current else None},
        )
        with self._supervisor.reserved() as lock:
            self._keeper.bury()
            self._store.jobs.add(job)
            try:
                if pauses and self._chat:
                    self._chat.pause()
                return self._launch(job, config, data, parts, lock, pauses_chat=pauses)
            except (JavisError, OSError) as error:
                self._not_started(job, error)
                raise

    def cancel(self, job_id: str) -> TrainJob:
        """End a run within 5 s, whatever it is doing. One that has ended stays as it is, and one
        whose version goes into use this moment comes to its end."""
        with self._store.db.storage.exclusive():
            job = self._store.jobs.get(job_id)
            if job.state in TERMINAL or job.phase == PROMOTING:
                return job
            job = self._store.jobs.update(job_id, phase=CANCELLING)
        if worker := worker_of(job):
            self._supervisor.stop(worker)
        # Whoever is getting it ready or publishing it just now sees this and stops.
        return self._outcome.end(job, "cancelled")

    def resume(self, job_id: str) -> TrainJob:
        """Go on with a run that failed or was cancelled, from its newest whole checkpoint."""
        job = self._store.jobs.get(job_id)
        folder = self._supervisor.folder(job_id)
        if job.state not in RESUMABLE or not (folder / "job.json").is_file():
            raise TrainError("not_resumable", "This run cannot be taken up again.")
        self._outcome.require_base(job)
        self._require_approved(job)
        with self._supervisor.reserved() as lock:
            self._keeper.bury()
            fresh: dict[str, Any] = {
                "reason": "",
                "reason_values": {},
                "ended_at": "",
                "verdict": None,
            }
            result = self._supervisor.result(job_id)
            if result and result["state"] == "trained":
                # Only what comes after the training went wrong: the next tick does it again.
                return self._store.jobs.reopen(job_id, state="running", phase="publishing", **fresh)
            # Another version may be in use by now: that is the one to be held against.
            current = self._planner.in_use()
            fresh["data"] = {**job.data, "parent": current.name if current else None}
            job = self._store.jobs.reopen(
                job_id, state="queued", phase="preparing", pid=None, pid_started=None, **fresh
            )
            try:
                if self._chat and job.data.get("pauses_chat"):
                    self._chat.pause()
                adapter = current.path if current else None
                config = replace(TrainConfig.read(folder), current_adapter=adapter, resume=True)
                config.write(folder)
                return self._run(job, lock)
            except (JavisError, OSError) as error:
                self._not_started(job, error)
                raise

    def override(self, job_id: str, by: str) -> TrainJob:
        """Publish a candidate that the gate refused, and put it to use. It is written down."""
        with self._store.db.storage.exclusive():
            job = self._store.jobs.get(job_id)
            if job.state != "rejected" or job.version:
                raise TrainError("not_rejected", "Only a run that the gate refused can be let by.")
            result = require_candidate(self._supervisor, job)
            self._outcome.require_base(job)
            self._require_approved(job)
            before = job.overridden_by
            job = self._store.jobs.update(job_id, overridden_by=by)
        LOG.warning("run %s is published against the gate by %s", job_id, by)
        try:
            self._outcome.publish(job, result, by, promote=True)
        except JavisError:
            if not self._store.jobs.get(job_id).version:
                self._store.jobs.update(job_id, overridden_by=before)
            raise
        return self._store.jobs.get(job_id)

    def discard(self, job_id: str) -> None:
        """Forget a run that has ended, with its files. A version made of it stays."""
        with self._store.db.storage.exclusive():
            job = self._store.jobs.get(job_id)
            if job.state not in TERMINAL:
                raise AlreadyTraining()
            approved = self.approved_at(job_id)
            # The files first: of a run that is no longer listed nobody would clear them away.
            # The gate has to know which turns a version learned from, however old its run is.
            self._supervisor.delete(job_id, keep=run_files.MANIFEST if job.version else "")
            self._store.jobs.discard(job_id, approved)

    # -- looking on ------------------------------------------------------------------------

    def jobs(self) -> list[TrainJob]:
        """Every run, the newest first."""
        return self._store.jobs.all()

    def get(self, job_id: str) -> TrainJob:
        """A run as it is stored. Raises NotFound."""
        return self._store.jobs.get(job_id)

    def job(self, job_id: str) -> JobView:
        """A run and how far it is. Raises NotFound."""
        job = self._store.jobs.get(job_id)
        progress = progress_of(self._supervisor.events(job_id))
        has_files = (self._supervisor.folder(job_id) / "job.json").is_file()
        return JobView(
            job=job,
            progress=progress,
            log_tail=self._supervisor.log_tail(job_id),
            resumable=job.state in RESUMABLE and has_files,
            can_override=job.state == "rejected" and not job.version,
        )

    def approved_at(self, job_id: str) -> set[str] | None:
        """The turns that were approved when a run began; None where it kept no list of them."""
        return run_files.approved_at(self._supervisor.folder(job_id))

    def events(self, job_id: str, after: int = 0) -> list[TrainEvent]:
        """What happened after the event of this number. Raises NotFound."""
        self._store.jobs.get(job_id)
        return self._supervisor.events(job_id, after)

    @property
    def pauses_chat(self) -> bool:
        """Whether the chat's model is put away just now, to make room."""
        return self._chat is not None and self._chat.paused

    def let_go(self) -> None:
        """This program ends; a run goes on without it."""
        self._supervisor.let_go()

    # -- inside ----------------------------------------------------------------------------

    def _data(self, method: Method, dataset: str | None) -> run_files.RunData:
        approved = self._planner.approved()
        if dataset:
            data = run_files.from_file(method, dataset, self._exports_dir)
            if purged := self._purged(row["turn_id"] for row in data.rows):
                raise UserInputError(
                    "dataset_of_purged",
                    "{name} has {count} answers of conversations that were deleted for good. "
                    "Export anew, and train on the new file.",
                    name=Path(dataset).name[:80],
                    count=len(purged),
                )
            return replace(data, approved=run_files.turn_ids(approved))
        return run_files.from_approved(method, approved)

    def _require_approved(self, job: TrainJob) -> None:
        """What was deleted or excluded since is not learned after all."""
        turn_ids = run_files.turns_of(self._supervisor.folder(job.id))
        learned = {turn for part in ("train", "replay") for turn in turn_ids.get(part, ())}
        if job.dataset:
            # Its rows need no approval, and may come from elsewhere.
            gone = self._purged(learned)
        else:
            gone = learned - run_files.turn_ids(self._planner.approved())
        if gone:
            raise TrainError(
                "turns_gone",
                "{count} of the answers that this run learned from were deleted since, or are not "
                "approved any more. Start a new run.",
                count=len(gone),
            )

    def _purged(self, turn_ids: Iterable[str]) -> set[str]:
        return {turn for turn in turn_ids if self._store.conversations.was_purged(turn)}

    def _launch(
        self,
        job: TrainJob,
        config: TrainConfig,
        data: run_files.RunData,
        parts: run_files.Parts,
        lock: Lock,
        *,
        pauses_chat: bool,
    ) -> TrainJob:
        folder = self._supervisor.folder(job.id)
        folder.mkdir(mode=0o700)
        about = run_files.write(folder, config.method, data, parts)
        about["pauses_chat"] = pauses_chat
        job = self._store.jobs.update(job.id, data={**job.data, **about})
        config.write(folder)
        return self._run(job, lock)

    def _run(self, job: TrainJob, lock: Lock) -> TrainJob:
        worker = self._supervisor.start(job.id, lock)
        with self._store.db.storage.exclusive():
            job = self._store.jobs.get(job.id)
            if job.state not in TERMINAL:
                return self._store.jobs.update(
                    job.id,
                    state="running",
                    phase="training" if job.phase != CANCELLING else CANCELLING,
                    pid=worker.pid,
                    pid_started=worker.started,
                    started_at=job.started_at or now_iso(),
                )
        # It was cancelled meanwhile.
        self._supervisor.stop(worker)
        return job

    def _not_started(self, job: TrainJob, error: JavisError | OSError) -> None:
        if isinstance(error, OSError):
            error = TrainError(
                "run_not_written",
                "The run's files could not be written: {why}.",
                why=error.strerror or str(error),
            )
        self._outcome.failed(job, error)


def _method(name: object) -> Method:
    for method in METHODS:
        if name == method:
            return method
    raise UserInputError(
        "bad_method",
        "'{method}' is no way to train; there are {methods}.",
        method=str(name)[:40],
        methods=", ".join(METHODS),
    )


def _promote(name: str) -> Promote:
    for choice in get_args(Promote):
        if name == choice:
            return name  # type: ignore[return-value]
    raise UserInputError("bad_promote", "A version is put to use by the 'gate' or 'never'.")
