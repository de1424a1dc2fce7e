"""Training runs. Several processes (server, command line, trainer) look at the same rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from javis.core.errors import AlreadyTraining, NotFound
from javis.core.learning import TERMINAL, TrainJob
from javis.store.codec import Row, copy_row
from javis.store.journal import JournalDB
from javis.store.preferences import PreferenceStore

JOBS = "jobs"
_DISCARDED = "discarded_run"
_FIELDS = tuple(field.name for field in fields(TrainJob))


def new_job_id() -> str:
    return "j_" + uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Began:
    """What a run began with."""

    created_at: str
    approved: Sequence[str] | None
    """The turns that were approved; None when only their number is known."""
    count: int

    @classmethod
    def of(cls, job: TrainJob, approved: Iterable[str] | None) -> Began:
        turns = None if approved is None else sorted(approved)
        return cls(job.created_at, turns, int(job.data.get("approved", 0)))


class JobStore:
    """Every change is one commit, so that a crash leaves the row before it or the row after."""

    def __init__(self, db: JournalDB) -> None:
        self._db = db
        self._table = db.table(JOBS, index=("id",))
        self._meta = PreferenceStore(db, "meta")

    def add(self, job: TrainJob) -> None:
        """Append a run. AlreadyTraining while another one has not ended."""
        with self._db.change() as change:
            if any(row.get("state") not in TERMINAL for row in self._table.peek().values()):
                raise AlreadyTraining()
            change.insert(JOBS, asdict(job))

    def put(self, job: TrainJob) -> None:
        """Replace the run of the same id."""
        with self._db.change() as change:
            doc_id, row = self._find(job.id)
            change.put(JOBS, doc_id, {**row, **asdict(job)})

    def update(self, job_id: str, **changed: Any) -> TrainJob:
        """Change some fields of what is stored now, and return the whole."""
        with self._db.change() as change:
            doc_id, row = self._find(job_id)
            job = replace(_from_row(row), **changed)
            change.put(JOBS, doc_id, {**row, **asdict(job)})
        return job

    def end(self, job_id: str, **changed: Any) -> TrainJob:
        """Like `update`, unless the run has ended already: an end is never overwritten."""
        with self._db.storage.exclusive():
            job = self.get(job_id)
            return job if job.state in TERMINAL else self.update(job_id, **changed)

    def reopen(self, job_id: str, **changed: Any) -> TrainJob:
        """Let an ended run go on. AlreadyTraining while another one has not ended."""
        with self._db.storage.exclusive():
            if self.active() is not None:
                raise AlreadyTraining()
            return self.update(job_id, **changed)

    def get(self, job_id: str) -> TrainJob:
        """Raises NotFound."""
        return _from_row(self._find(job_id)[1])

    def all(self) -> list[TrainJob]:
        """Every run, the newest first."""
        rows = sorted(self._table.peek().items(), reverse=True)
        return [_from_row(row) for _, row in rows]

    def active(self) -> TrainJob | None:
        """The run that has not ended; there is one at most."""
        return next((job for job in self.all() if job.state not in TERMINAL), None)

    def discard(self, job_id: str, approved: Iterable[str] | None) -> None:
        """Forget a run; of the newest it stays known when it began, and which turns were
        `approved` then, so that nothing counts as new again."""
        with self._db.storage.exclusive():
            job = self.get(job_id)
            known = self.discarded()
            later = [o.created_at for o in self.all() if not o.dry_run and o.id != job_id]
            later += [known.created_at] if known else []
            if not job.dry_run and all(at <= job.created_at for at in later):
                self._meta.set(_DISCARDED, asdict(Began.of(job, approved)))
            with self._db.change() as change:
                change.remove(JOBS, [self._find(job_id)[0]])

    def discarded(self) -> Began | None:
        """How the newest of the runs began that were discarded while they were the newest."""
        known = self._meta.get(_DISCARDED)
        return Began(**known) if known else None

    @property
    def revision(self) -> int:
        """Differs after every change, by any process."""
        return self._table.revision

    def _find(self, job_id: str) -> tuple[int, Row]:
        found = self._table.peek_by("id", job_id)
        if not found:
            raise NotFound("no_job", "There is no such training run.")
        return found[0]


def _from_row(row: Row) -> TrainJob:
    """Fields of a newer program are left alone; those an older one did not know get defaults."""
    row = copy_row(row)
    return TrainJob(**{name: row[name] for name in _FIELDS if name in row})
