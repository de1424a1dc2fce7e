"""Evaluations: which suites there are, asking them of versions, and what came of it.

Everything asked is kept on disk (`eval.cache`), so an evaluation that was stopped, or died with
the program, is simply started again: it asks only what is missing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from javis.core.errors import Busy, EngineError, JavisError, NotFound, UserInputError
from javis.core.evaluation import ItemResult, Suite, SuiteName, SuiteReport
from javis.core.protocols import Engine
from javis.core.types import BASE, Version
from javis.engine.adapter import WEIGHTS
from javis.engine.files import sha256_file
from javis.eval import runner
from javis.eval.asker import AskerMaker, askers
from javis.service.admission import Admission
from javis.service.eval_results import EvalResults, Results
from javis.service.eval_runs import Clock, EvalRun, EvalRuns
from javis.service.versions import VersionService
from javis.store import now_iso

__all__ = ["CANDIDATE", "EvalRun", "EvalService", "SuiteInfo"]

LOG = logging.getLogger("javis.evaluation")
CANDIDATE = "candidate"
"""The name of a run's adapter before it is a version; it is in no list."""
_POLL_S = 0.2

Suites = Callable[[], Mapping[SuiteName, Suite]]


@dataclass(frozen=True, slots=True)
class SuiteInfo:
    """A suite as the page offers it."""

    name: SuiteName
    items: int
    data_version: str
    seconds_per_item: float | None
    """What an item took on this engine, several at once; None before the first."""


class EvalService:
    """Asks suites of versions, one evaluation at a time, and leaves a place free for the chat."""

    def __init__(
        self,
        engine: Engine,
        versions: VersionService,
        admission: Admission,
        folder: Path,
        suites: Suites,
        *,
        workers: int = 0,
    ) -> None:
        """`suites` is called anew for each use, as the user's own data change. `workers` is how
        many items are asked at once; 0: as many as the engine answers, but for one."""
        self._engine = engine
        self._versions = versions
        self._admission = admission
        self._suites = suites
        self._workers = workers or max(1, engine.info.parallel - 1)
        self._known = EvalResults(engine, folder)
        self._working = threading.Lock()
        """Held by the evaluation that is going on."""
        self._runs = EvalRuns()

    # -- what there is -----------------------------------------------------------------------

    def names(self) -> list[SuiteInfo]:
        """The suites that can be asked now."""
        subjects = [self._known.subject(version) for version in self._versions.all()]
        return [
            SuiteInfo(
                name,
                len(suite.items()),
                suite.data_version,
                self._known.pace(suite, subjects, self._workers),
            )
            for name, suite in self._suites().items()
        ]

    def current(self) -> str:
        """The version that answers when none is named."""
        return self._versions.current()

    def reports(
        self, versions: Sequence[str] | None = None, sample: int | None = None
    ) -> list[SuiteReport]:
        """What is known of these versions, or of all of them, by version and suite; with
        `sample`, by the first so many items of each suite."""
        suites = self._suites().values()
        found = (
            self._known.report(suite, self._known.subject(v), sample)
            for v in self._wanted(versions)
            for suite in suites
        )
        return [report for report in found if report is not None]

    def results(self, suite: SuiteName, version: str) -> list[ItemResult]:
        """Every result of a version, in the suite's order. Raises NotFound."""
        asked = self._suite(self._suites(), suite)
        known = next((v for v in self._known_by_hash() if v.name == version), None)
        if known is None:
            raise NotFound("no_version", "There is no version {name}.", name=version[:40])
        return self._known.results(asked, self._known.subject(known), None)

    def harness(self, versions: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Numbers of lm-evaluation-harness of these versions, or of all, a flat row for each."""
        return [
            kept.told(version.name)
            for version in self._wanted(versions)
            for kept in self._known.harness.of(self._known.subject(version))
        ]

    def _wanted(self, versions: Sequence[str] | None) -> list[Version]:
        return [v for v in self._known_by_hash() if versions is None or v.name in versions]

    def _known_by_hash(self) -> list[Version]:
        """Without damaged ones that have no hash: their results would be taken for the base's."""
        return [v for v in self._versions.all() if v.name == BASE or v.sha256]

    # -- evaluations -------------------------------------------------------------------------

    def start(
        self, versions: Sequence[str], suites: Sequence[SuiteName], sample: int | None, owner: str
    ) -> EvalRun:
        """Ask these suites of these versions in a thread. Raises Busy when one is going on.

        `sample` takes the first so many items of each suite.
        """
        if not versions or not suites:
            raise UserInputError(
                "nothing_to_evaluate", "Choose at least one version and one suite."
            )
        if sample is not None and sample < 1:
            raise UserInputError("bad_sample", "A sample has at least one item.")
        known = self._suites()
        chosen = [self._suite(known, name) for name in dict.fromkeys(suites)]
        served = [self._versions.serving(name) for name in dict.fromkeys(versions)]
        if not self._working.acquire(blocking=False):
            raise Busy("evaluating", "An evaluation is going on. Wait for its end, or cancel it.")
        try:
            total = len(served) * sum(len(runner.sampled(suite, sample)) for suite in chosen)
            names = tuple(version.name for version in served)
            run = self._runs.add(owner, names, tuple(suite.name for suite in chosen), sample, total)
            threading.Thread(
                target=self._work, args=(run, served, chosen), name="evaluation", daemon=True
            ).start()
        except BaseException:
            self._working.release()
            raise
        return run

    def runs(self) -> list[EvalRun]:
        """The evaluations since the program started, the newest first."""
        return self._runs.all()

    def run(self, run_id: str) -> EvalRun:
        """One of them. Raises NotFound."""
        return self._runs.get(run_id)

    def cancel(self, run_id: str) -> EvalRun:
        """End it; what is finished is kept. Nothing happens to one that has ended."""
        self._runs.stop_of(run_id).set()
        return self.run(run_id)

    def stop(self) -> None:
        """End whatever is going on, as the program ends."""
        self._runs.stop_all()

    def wait(self, run_id: str, timeout_s: float | None = None) -> EvalRun:
        """The evaluation when it has ended, or when the time is up."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (run := self.run(run_id)).state == "running":
            if deadline is not None and time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return run

    def of_candidate(
        self,
        job_id: str,
        adapter: Path,
        suites: Sequence[SuiteName],
        sample: int | None,
        stop: threading.Event,
        progress: runner.Progress | None = None,
    ) -> dict[str, Results | None]:
        """The results of a run's adapter (`candidate`), of `base` and of `current`, asking what
        is missing; `current` is None when the base is in use.

        Waits for an evaluation that is going on. Raises VersionError for an adapter that this
        engine cannot serve, EngineError `stopped` when `stop` was set.
        """
        known = self._suites()
        chosen = [self._suite(known, name) for name in suites]
        while not self._working.acquire(timeout=_POLL_S):
            if stop.is_set():
                raise _stopped()
        try:
            weights = sha256_file(adapter / WEIGHTS)
            model = self._engine.info.model
            candidate = Version(CANDIDATE, str(adapter), model, weights, notes=job_id)
            current = self._versions.serving(None)
            base = self._versions.serving(BASE)
            asked = [candidate, base] + ([current] if current.name != BASE else [])
            with self._versions.trial(candidate):
                for version in self._ask_all(asked, chosen, sample, stop, progress):
                    LOG.debug("%s: asking %s", job_id, version)
        finally:
            self._working.release()
        if stop.is_set():
            raise _stopped()
        return {
            CANDIDATE: self._known.all_of(chosen, candidate, sample),
            BASE: self._known.all_of(chosen, base, sample),
            "current": self._known.all_of(chosen, current, sample)
            if current.name != BASE
            else None,
        }

    # -- inside ------------------------------------------------------------------------------

    def _work(self, run: EvalRun, versions: Sequence[Version], suites: Sequence[Suite]) -> None:
        """One evaluation, in its own thread; every end of it is written into the run."""
        stop = self._runs.stop_of(run.id)

        def progress(done: int, total: int) -> None:
            self._runs.change(run.id, done=done, total=total, eta_s=clock.tick())

        def began(suite: SuiteName) -> None:
            self._runs.change(run.id, suite=suite)

        try:
            clock = Clock(self._known.left(versions, suites, run.sample))
            for version in self._ask_all(versions, suites, run.sample, stop, progress, began):
                clock.next_version()
                self._runs.change(run.id, version=version)
            ended: dict[str, object] = {"state": "cancelled" if stop.is_set() else "succeeded"}
        except JavisError as error:
            ended = {
                "state": "failed",
                "error": error.code,
                "error_values": error.values,
                "message": str(error),
            }
        except Exception as error:  # a thread's border: nobody else would hear of it
            LOG.exception("the evaluation %s failed", run.id)
            ended = {"state": "failed", "error": "internal", "message": str(error)}
        finally:
            self._working.release()
        self._runs.change(run.id, ended_at=now_iso(), eta_s=None, version="", suite="", **ended)

    def _ask_all(
        self,
        versions: Sequence[Version],
        suites: Sequence[Suite],
        sample: int | None,
        stop: threading.Event,
        progress: runner.Progress | None,
        began: runner.Began | None = None,
    ) -> Iterator[str]:
        """Ask the suites of every version; yields before each its name."""
        size = sum(len(runner.sampled(suite, sample)) for suite in suites)
        for number, version in enumerate(versions):
            if stop.is_set():
                return
            yield version.name
            runner.run(
                suites,
                self._asker(version.name, stop),
                self._known.subject(version),
                self._known.cache,
                sample=sample,
                workers=self._workers,
                stop=stop,
                progress=_ahead(progress, number * size, len(versions) * size),
                began=began,
            )

    def _asker(self, version: str, stop: threading.Event) -> AskerMaker:
        return askers(self._engine, version, stop, lambda: self._place(stop))

    @contextmanager
    def _place(self, stop: threading.Event) -> Iterator[None]:
        """A place in the line that the chat stands in too; a full line is waited for."""
        while True:
            if stop.is_set():
                raise _stopped()
            ticket = self._admission.ticket()
            try:
                place = ticket.__enter__()
            except Busy:
                stop.wait(_POLL_S)
                continue
            break
        try:
            while not place.ready.wait(_POLL_S):
                if stop.is_set():
                    raise _stopped()
            yield
        finally:
            ticket.__exit__(None, None, None)

    def _suite(self, known: Mapping[SuiteName, Suite], name: SuiteName) -> Suite:
        if name not in known:
            raise NotFound("no_suite", "There is no suite {name}.", name=str(name)[:40])
        return known[name]


def _ahead(progress: runner.Progress | None, before: int, total: int) -> runner.Progress | None:
    """The progress of one version as that of the whole."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def _stopped() -> EngineError:
    return EngineError("stopped", "It was stopped.")
