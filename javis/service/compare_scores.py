"""What suites have found about versions, read from the results on the disk.

No model is asked or loaded here, and results of every engine are found: a version that one engine
cannot serve may have been evaluated with another.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from javis.core.evaluation import Item, ItemResult, Subject, Suite, SuiteName, SuiteReport
from javis.engine.models import same_model
from javis.eval.cache import ResultCache
from javis.eval.comparison import BASE, Source
from javis.eval.report import make_report

Suites = Callable[[], Mapping[SuiteName, Suite]]


class Scores:
    """Reports and results of the suites as they are now: those of older questions do not count."""

    def __init__(self, folder: Path, suites: Suites) -> None:
        self._folder = folder
        self._suites = suites
        self._cache = ResultCache(folder)
        self._lock = threading.Lock()
        self._made: dict[tuple[Subject, SuiteName], tuple[object, SuiteReport]] = {}
        """The newest report of each, with the state of the results that it was made of."""

    def reports(self, sources: Sequence[Source]) -> list[SuiteReport]:
        """Of these versions and runs, named as they are; one for each engine that was asked."""
        subjects = self._subjects()
        if not subjects:
            return []
        suites = self._suites()
        found = []
        for source in sources:
            mine = (s for s in subjects if _is_of(source, s))
            for subject in (replace(s, version=source.name) for s in mine):
                found += [r for suite in suites.values() if (r := self._report(suite, subject))]
        return found

    def results(self, report: SuiteReport) -> list[ItemResult]:
        """What a report was made of, in the suite's order."""
        suite = self._suites().get(report.suite)
        if suite is None or suite.data_version != report.data_version:
            return []
        known = self._cache.read(report.subject, report.suite, report.data_version)
        return [known[item.id] for item in suite.items() if item.id in known]

    def items(self, suite: SuiteName) -> Sequence[Item]:
        """The questions of a suite; none for one that is not there now."""
        found = self._suites().get(suite)
        return found.items() if found else ()

    def _subjects(self) -> list[Subject]:
        """Everything that was ever evaluated here."""
        if not self._folder.is_dir():
            return []
        found = (_subject(path) for path in sorted(self._folder.glob("*/subject.json")))
        return [subject for subject in found if subject is not None]

    def _report(self, suite: Suite, subject: Subject) -> SuiteReport | None:
        stamp = self._cache.stamp(subject, suite.name, suite.data_version)
        if not stamp[1]:
            return None
        # The user's own questions come and go without another data version.
        asked = tuple(item.id for item in suite.items())
        key, state = (subject, suite.name), (suite.data_version, stamp, asked)
        with self._lock:
            made = self._made.get(key)
        if made and made[0] == state:
            return made[1]
        known = self._cache.read(subject, suite.name, suite.data_version)
        items = suite.items()
        results = [known[item.id] for item in items if item.id in known]
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp[0]))
        report = make_report(suite, subject, results, len(items), at)
        with self._lock:
            self._made[key] = state, report
        return report


def _is_of(source: Source, subject: Subject) -> bool:
    if source.name == BASE:
        model = str(source.metadata.get("base_model") or "")
        return not subject.sha256 and same_model(subject.model, model)
    return bool(source.sha256) and subject.sha256 == source.sha256


def _subject(path: Path) -> Subject | None:
    try:
        row = json.loads(path.read_text("utf-8"))
        return Subject(**{field.name: str(row[field.name]) for field in fields(Subject)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
