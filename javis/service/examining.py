"""Asks a run's adapter the suites of the gate, until it is cancelled or the program ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from javis.core.errors import EngineError, VersionError
from javis.core.evaluation import ItemResult, SuiteName
from javis.core.learning import TrainJob
from javis.train.events import EventLog

LOG = logging.getLogger("javis.training")
_POLL_S = 0.2
_ITEM_S = 1.8
"""A question, until it was measured here: with the embedded model on two cores."""
_TELL_S = 1.0
"""Between two words about how far it is."""

Answers = Mapping[str, Mapping[SuiteName, Sequence[ItemResult]] | None]
Progress = Callable[[int, int], None]


class Offered(Protocol):
    """A suite that can be asked."""

    @property
    def name(self) -> SuiteName: ...

    @property
    def items(self) -> int: ...

    @property
    def seconds_per_item(self) -> float | None: ...


class Evaluator(Protocol):
    """Asks suites of an adapter that is no version yet (EvalService)."""

    def names(self) -> Sequence[Offered]: ...

    def of_candidate(
        self,
        job_id: str,
        adapter: Path,
        suites: Sequence[SuiteName],
        sample: int | None,
        stop: threading.Event,
        progress: Progress | None = None,
    ) -> Answers: ...


class Interrupted(Exception):
    """The program ends: the run stays as it is, and the next start goes on with it."""


class CannotAnswer(Exception):
    """This engine cannot answer with an adapter of this kind."""


class Examiner:
    """Brings a candidate before the suites. `opened` gives what asks them, for as long as needed:
    the server's engine, or one that is loaded for this alone."""

    def __init__(self, opened: Callable[[], AbstractContextManager[Evaluator]]) -> None:
        self._opened = opened
        self._leaving = threading.Event()

    def start(self) -> None:
        """Nothing goes on by itself; with `stop` it is one of the program's watchers."""

    def stop(self) -> None:
        """The program ends: let go of the engine. What was asked is kept."""
        self._leaving.set()

    def seconds(self, samples: Mapping[SuiteName, int]) -> float:
        """About how long it takes to ask so many questions of each suite. Cheap where a server has
        the engine loaded anyway."""
        with self._opened() as evaluator:
            return sum(
                min(suite.items, samples[suite.name]) * _seconds_each(suite)
                for suite in evaluator.names()
                if suite.name in samples
            )

    def answers(
        self,
        job: TrainJob,
        folder: Path,
        samples: Mapping[SuiteName, int],
        cancelled: Callable[[], bool],
    ) -> Answers | None:
        """The results of the candidate in the run's `folder`, of the base and of the version in
        use, on so many questions of each suite; None when there is nothing to ask, or `cancelled`
        came true.

        Raises EngineError when the model fails, CannotAnswer, and Interrupted after `stop`.
        """
        with _events(folder) as events, self._opened() as evaluator:
            offered = {suite.name: suite.items for suite in evaluator.names() if suite.items}
            wanted = {name: min(offered[name], n) for name, n in samples.items() if name in offered}
            if not wanted:
                return None

            def ask(stop: threading.Event) -> Answers:
                return _all_of(
                    evaluator, job.id, folder / "adapter", wanted, stop, _telling(events)
                )

            return self._asked(job, ask, cancelled)

    def _asked(
        self,
        job: TrainJob,
        ask: Callable[[threading.Event], Answers],
        cancelled: Callable[[], bool],
    ) -> Answers | None:
        try:
            return self._until(cancelled, ask)
        except EngineError:
            if self._leaving.is_set():
                raise Interrupted from None
            if cancelled():
                return None
            raise
        except VersionError as error:
            LOG.warning("run %s: the suites cannot be asked: %s", job.id, error)
            raise CannotAnswer from error

    def _until(
        self, cancelled: Callable[[], bool], ask: Callable[[threading.Event], Answers]
    ) -> Answers:
        """What `ask` finds; its event is set when it is to stop, whatever process says so."""
        stop = threading.Event()
        with ThreadPoolExecutor(1, "examining") as pool:
            asked = pool.submit(ask, stop)
            try:
                while not wait([asked], _POLL_S).done:
                    if self._leaving.is_set() or cancelled():
                        stop.set()
            finally:
                stop.set()  # Also when the user interrupts the command.
            return asked.result()


def _seconds_each(suite: Offered) -> float:
    """What was asked before is kept, so it is the candidate alone that is asked; at first the base
    is, too."""
    return suite.seconds_per_item or 2 * _ITEM_S


def _all_of(
    evaluator: Evaluator,
    job_id: str,
    adapter: Path,
    wanted: Mapping[SuiteName, int],
    stop: threading.Event,
    tell: Progress,
) -> Answers:
    """Ask so many questions of each suite; those of which equally many are wanted go together."""
    found: dict[str, dict[SuiteName, Sequence[ItemResult]] | None] = {}
    before = 0
    for sample in sorted(set(wanted.values())):
        suites = [name for name, n in wanted.items() if n == sample]
        own = len(suites) * sample
        told = _part(tell, before, own, sum(wanted.values()))
        answers = evaluator.of_candidate(job_id, adapter, suites, sample, stop, told)
        for subject, results in answers.items():
            known = found.setdefault(subject, None if results is None else {})
            if known is not None and results is not None:
                known.update(results)
        before += own
    return found


def _part(tell: Progress, before: int, own: int, everything: int) -> Progress:
    """The progress of `own` questions as that of the whole; each version is asked all of them."""

    def told(done: int, total: int) -> None:
        versions = total // own
        tell(before * versions + done, everything * versions)

    return told


@contextmanager
def _events(folder: Path) -> Iterator[EventLog]:
    """The run's events go on where the trainer, now dead, left them."""
    events = EventLog(folder)
    try:
        events.add("phase", phase="evaluating")
        yield events
    finally:
        events.close()


def _telling(events: EventLog) -> Progress:
    """Says in the run's events how far it is, and how long it will take."""
    began = told = time.monotonic()
    first: int | None = None

    def tell(done: int, total: int) -> None:
        nonlocal told, first
        now = time.monotonic()
        first = done if first is None else first
        if now - told < _TELL_S and done < total:
            return
        told = now
        # What an earlier try had asked costs no time.
        asked = done - first
        eta_s = (now - began) / asked * (total - done) if asked else None
        events.add("questions", done=done, total=total, eta_s=eta_s)

    return tell
