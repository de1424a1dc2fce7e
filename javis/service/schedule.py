"""Training by itself, if the user wants that: after so many new approved turns, or so many days."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from dataclasses import dataclass

from javis.core.errors import AlreadyTraining, JavisError, NotEnoughData
from javis.core.learning import TrainJob
from javis.service.preferences import Preferences
from javis.service.run_files import turn_ids
from javis.service.training import TrainingService
from javis.service.training_plan import Planner
from javis.store import Store
from javis.store.jobs import Began

LOG = logging.getLogger("javis.training")
LOOK_S = 60.0
OWNER = "schedule"
_DAY_S = 24 * 3600.0

Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True, slots=True)
class Due:
    """How far the next run by itself is."""

    new_turns: int
    """Approved since the last run began."""
    days: float
    """Since the last run began, or since the first rating; 0 when there is none."""
    is_due: bool


class Schedule:
    """Starts a run when it is time. Nothing happens until the user turns it on."""

    def __init__(
        self,
        training: TrainingService,
        planner: Planner,
        store: Store,
        preferences: Preferences,
        clock: Clock = utc_now,
    ) -> None:
        self._training = training
        self._planner = planner
        self._store = store
        self._preferences = preferences
        self._clock = clock
        self._looked: tuple[object, datetime.date] | None = None

    def due(self) -> Due:
        """Counted from the newest run, however that ended: one that fails is not tried again
        and again."""
        plan = self._preferences.schedule()
        approved = self._planner.approved()
        last = self._last()
        new = self._new(turn_ids(approved), last)
        since = last.created_at if last else approved.first_at
        days = self._days_since(since)
        by_turns = plan.turns > 0 and new >= plan.turns
        # Without anything new a run would only make the same version again.
        by_days = plan.days > 0 and days >= plan.days and new > 0
        return Due(new, days, by_turns or by_days)

    def tick(self) -> TrainJob | None:
        """Start a run if one is due."""
        plan = self._preferences.schedule()
        if not plan.on or self._store.jobs.active() or not self._changed():
            return None
        if not self.due().is_due:
            return None
        try:
            proposal = self._training.propose()
            job = self._training.start(OWNER, proposal.method)
        except (NotEnoughData, AlreadyTraining):
            return None
        except JavisError as error:
            LOG.warning("the scheduled run could not be started: %s", error)
            return None
        LOG.info("run %s was started by the schedule", job.id)
        return job

    def _last(self) -> Began | None:
        """How the newest run began, discarded or not."""
        job = next((job for job in self._store.jobs.all() if not job.dry_run), None)
        discarded = self._store.jobs.discarded()
        if job is None or (discarded and discarded.created_at > job.created_at):
            return discarded
        return Began.of(job, self._training.approved_at(job.id))

    @staticmethod
    def _new(approved: set[str], last: Began | None) -> int:
        """How many of the approved turns were not approved when the last run began."""
        if last is None:
            return len(approved)
        if last.approved is None:
            # Kept by none that could not start; those of earlier programs kept the number alone.
            return max(0, len(approved) - last.count)
        return len(approved.difference(last.approved))

    def _changed(self) -> bool:
        """Whether anything that counts has changed since the last look; looking is not cheap."""
        plan = self._preferences.schedule()
        state = (self._planner.revision, self._store.jobs.revision, plan)
        hour = self._clock().replace(minute=0, second=0, microsecond=0)
        if self._looked == (state, hour):
            return False
        self._looked = (state, hour)
        return True

    def _days_since(self, at: str) -> float:
        if not at:
            return 0.0
        try:
            then = datetime.datetime.fromisoformat(at)
        except ValueError:
            return 0.0
        if then.tzinfo is None:
            then = then.replace(tzinfo=datetime.UTC)
        return max(0.0, (self._clock() - then).total_seconds() / _DAY_S)
