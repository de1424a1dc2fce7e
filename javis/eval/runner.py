"""Asks the items of suites, several at once, and keeps each result as it comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from javis.core.errors import ContextOverflow, EngineError
from javis.core.evaluation import Item, ItemResult, Subject, Suite, SuiteName
from javis.eval.asker import AskerMaker
from javis.eval.cache import ResultCache

Progress = Callable[[int, int], None]
"""Called with how many items are done, and of how many; from any thread, one call at a time."""
Began = Callable[[SuiteName], None]
"""Called with the suite of an item that is asked now; from any thread, one call at a time."""
LONGEST_FIRST: tuple[SuiteName, ...] = (
    "agent",
    "instruction",
    "health",
    "thumbs-down",
    "golden",
    "held-out",
    "knowledge",
)
"""How long the answers are: short ones at the end leave no long one to run alone."""


def run(
    suites: Sequence[Suite],
    ask: AskerMaker,
    subject: Subject,
    cache: ResultCache,
    *,
    sample: int | None = None,
    workers: int = 1,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    began: Began | None = None,
) -> None:
    """Ask what has not been asked yet of this subject, the suites in one line, so that no place
    at the model is empty between them; stopping keeps what is finished.

    `sample` takes the first so many items of each. Raises EngineError when the model fails, with
    everything finished kept.
    """
    line: list[tuple[Suite, Item]] = []
    total = 0
    for suite in sorted(suites, key=lambda suite: LONGEST_FIRST.index(suite.name)):
        items = sampled(suite, sample)
        total += len(items)
        known = cache.read(subject, suite.name, suite.data_version)
        line += [(suite, item) for item in items if item.id not in known]
    stop = stop or threading.Event()
    _Run(ask, subject, cache, stop, progress, began, total).all(line, workers)


def sampled(suite: Suite, sample: int | None) -> Sequence[Item]:
    """The first `sample` items, or all."""
    items = suite.items()
    return items if sample is None else items[:sample]


def missing(suite: Suite, subject: Subject, cache: ResultCache, sample: int | None) -> int:
    """How many items are still to be asked."""
    known = cache.read(subject, suite.name, suite.data_version)
    return sum(item.id not in known for item in sampled(suite, sample))


@dataclass(slots=True)
class _Run:
    ask: AskerMaker
    subject: Subject
    cache: ResultCache
    stop: threading.Event
    progress: Progress | None
    began: Began | None
    total: int

    def all(self, items: Sequence[tuple[Suite, Item]], workers: int) -> None:
        """Every item in turn by `workers` threads; the first error ends all of them."""
        line = iter(items)
        lock = threading.Lock()
        failed = threading.Event()
        done = self.total - len(items)

        def work() -> None:
            nonlocal done
            while not failed.is_set() and not self.stop.is_set():
                with lock:
                    suite, item = next(line, (None, None))
                    if suite is None or item is None:
                        return
                    if self.began:
                        self.began(suite.name)
                try:
                    finished = self._one(suite, item)
                except BaseException:
                    failed.set()
                    raise
                with lock:
                    done += finished
                    if self.progress:
                        self.progress(done, self.total)

        if self.progress:
            self.progress(done, self.total)
        with ThreadPoolExecutor(max(1, min(workers, len(items))), "evaluation") as pool:
            working = [pool.submit(work) for _ in range(max(1, min(workers, len(items))))]
            wait(working)
        for error in _errors(working):
            raise error

    def _one(self, suite: Suite, item: Item) -> bool:
        """Ask one item and keep its result; False when it was stopped before its end."""
        asker = self.ask()
        start = time.perf_counter()
        try:
            result = suite.run(item, asker)
        except ContextOverflow as error:
            result = _skipped(item, error)
        except EngineError:
            # Broken off, or the model was closed under it at the program's end.
            if self.stop.is_set():
                return False
            raise
        seconds = time.perf_counter() - start
        result = replace(result, seconds=seconds, tokens=asker.tokens)
        self.cache.append(self.subject, suite.name, suite.data_version, result)
        return True


def _skipped(item: Item, error: ContextOverflow) -> ItemResult:
    """A question that this model has no room for says nothing about how well it answers."""
    details = {"skipped": error.code, "tokens_needed": error.tokens, "room": error.limit}
    return ItemResult(item.id, item.language, item.group, None, (), details)


def _errors(working: Sequence[Future[None]]) -> Iterator[BaseException]:
    for future in working:
        if (error := future.exception()) is not None:
            yield error
