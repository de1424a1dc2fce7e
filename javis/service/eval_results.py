"""What is known of versions: the results on disk, and the reports made from them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from javis.core.evaluation import ItemResult, Subject, Suite, SuiteName, SuiteReport
from javis.core.protocols import Engine
from javis.core.types import EngineInfo, Version
from javis.eval import runner
from javis.eval.cache import ResultCache
from javis.eval.harness_results import HarnessResults
from javis.eval.report import make_report

Results = dict[SuiteName, list[ItemResult]]


def subject_of(info: EngineInfo, version: str, sha256: str) -> Subject:
    """What is asked when this engine answers with a version."""
    return Subject(version, sha256, info.model, info.engine, info.quantization)


class EvalResults:
    """Reads what was answered with this engine's model. Safe from any thread."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.cache = ResultCache(folder)
        self.harness = HarnessResults(folder)
        self._engine = engine
        self._lock = threading.Lock()
        self._made: dict[object, tuple[object, SuiteReport | None]] = {}
        """The newest report of each suite and subject, with what it was made of."""

    def subject(self, version: Version) -> Subject:
        return subject_of(self._engine.info, version.name, version.sha256 or "")

    def results(self, suite: Suite, subject: Subject, sample: int | None) -> list[ItemResult]:
        known = self.cache.read(subject, suite.name, suite.data_version)
        return [known[i.id] for i in runner.sampled(suite, sample) if i.id in known]

    def all_of(self, suites: Sequence[Suite], of: Version, sample: int | None) -> Results:
        return {s.name: self.results(s, self.subject(of), sample) for s in suites}

    def report(self, suite: Suite, subject: Subject, sample: int | None) -> SuiteReport | None:
        stamp = self.cache.stamp(subject, suite.name, suite.data_version)
        # The user's own questions come and go without another data version.
        items = tuple(item.id for item in runner.sampled(suite, sample))
        where = (subject, suite.name, sample)
        with self._lock:
            state, made = self._made.get(where, (None, None))
        if state != (suite.data_version, stamp, items):
            made = None
            if stamp[1] and (results := self.results(suite, subject, sample)):
                at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp[0]))
                made = make_report(suite, subject, results, len(items), at)
            with self._lock:
                # One for each place, so that old ones do not pile up.
                self._made[where] = ((suite.data_version, stamp, items), made)
        return made

    def left(self, versions: Sequence[Version], suites: Sequence[Suite], sample: int | None) -> int:
        """How many items are still to be asked."""
        subjects = [self.subject(version) for version in versions]
        pairs = [(suite, subject) for suite in suites for subject in subjects]
        return sum(runner.missing(s, subject, self.cache, sample) for s, subject in pairs)

    def pace(self, suite: Suite, subjects: Sequence[Subject], workers: int) -> float | None:
        """Seconds of an item with so many at once; None before the first."""
        reports = [r for s in subjects if (r := self.report(suite, s, None)) and r.seconds]
        paces = [report.seconds / report.done for report in reports]
        return median(paces) / workers if paces else None
