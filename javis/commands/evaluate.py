"""`javis eval`: ask suites of versions with an engine of its own, also beside a running server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from javis.commands.engine import wide_engine
from javis.commands.model import control_tokens
from javis.core.evaluation import SUITES, Estimate, Suite, SuiteName, SuiteReport
from javis.core.settings import Settings
from javis.service.admission import Admission
from javis.service.eval_runs import EvalRun
from javis.service.evaluation import EvalService, Suites
from javis.service.golden import GoldenService
from javis.service.own_suites import OwnSuites, judge_of
from javis.service.preferences import Preferences
from javis.service.review import ReviewService
from javis.service.services import public_suites
from javis.service.versions import VersionService
from javis.store import Store, open_store
from javis.versions.registry import Registry

OWNER = "local"
_SHOW_S = 1.0
Say = Callable[[str], None]


@contextmanager
def opened(settings: Settings, suites: Suites, say: Say) -> Iterator[EvalService]:
    """What asks suites, with the model that a server with these settings would serve."""
    with wide_engine(settings, say) as engine:
        registry = Registry(settings.models_dir)
        pinned = registry.from_path(settings.adapter_path) if settings.adapter_path else None
        versions = VersionService(engine, registry, pinned)
        line = Admission(engine.info.parallel, settings.queue)
        folder = settings.data_dir / "eval"
        yield EvalService(engine, versions, line, folder, suites, workers=engine.info.parallel)


@contextmanager
def suites_of(settings: Settings) -> Iterator[Suites]:
    """All suites; those of the user's own data too, if there are any data yet."""
    if not settings.journal.is_file():
        yield public_suites
        return
    with open_store(settings.journal) as store:
        yield _own(settings, store).beside(public_suites)


def _own(settings: Settings, store: Store) -> OwnSuites:
    # The sampling of a model plays no part in what was approved.
    preferences = Preferences(store)
    review = ReviewService(store, preferences, control_tokens(settings))
    golden = GoldenService(store, review)
    return OwnSuites(store, review, golden, preferences, judge_of(settings))


def run(
    settings: Settings,
    say: Say,
    *,
    versions: Sequence[str],
    suites: Sequence[SuiteName],
    sample: int | None,
    json_file: Path | None = None,
) -> bool:
    """Ask and print; without names, every suite that has questions, of the version in use and
    the base. True when it came to its end."""
    with suites_of(settings) as known, opened(settings, known, say) as service:
        offered = known()
        chosen = suites or [name for name in SUITES if name in offered and offered[name].items()]
        names = list(versions) or list(dict.fromkeys((service.current(), "base")))
        ended = follow(service, service.start(names, chosen, sample, OWNER), say)
        reports = [r for r in service.reports(names, sample) if r.suite in chosen]
        for line in table(reports):
            say(line)
        if json_file:
            rows = [asdict(report) for report in reports]
            json_file.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if ended.state != "succeeded":
        say(f"It ended as {ended.state}. {ended.message}".rstrip())
        say("What was asked is kept: the same command goes on where it was.")
    return ended.state == "succeeded"


def follow(service: EvalService, run: EvalRun, say: Say) -> EvalRun:
    """Say how far it is until it has ended; Ctrl+C ends it."""
    said = ("", "", -1)
    try:
        while (run := service.wait(run.id, _SHOW_S)).state == "running":
            now = (run.version, run.suite, run.done)
            if now != said:
                left = "" if run.eta_s is None else f", {run.eta_s:.0f} s left"
                say(f"{run.version} {run.suite}: {run.done} of {run.total}{left}")
            said = now
    except KeyboardInterrupt:
        service.cancel(run.id)
        run = service.wait(run.id)
    return run


def table(reports: Sequence[SuiteReport]) -> Iterator[str]:
    """A line for each suite and version: score, interval, what so many items show, and how many
    would show 5 points."""
    head = f"{'suite':<12} {'version':<10} {'items':>9}  {'score':<22} {'shows':>7} {'for ±5':>7}"
    yield f"{head}  more"
    for report in sorted(reports, key=lambda r: (SUITES.index(r.suite), r.subject.version)):
        items = f"{report.done}/{report.items}"
        shows = "" if report.detects is None else f"±{100 * report.detects:.1f}"
        needed = "" if report.items_for_5_points is None else f"{report.items_for_5_points}"
        yield (
            f"{report.suite:<12} {report.subject.version:<10} {items:>9}  "
            f"{_score(report.score):<22} {shows:>7} {needed:>7}  {_figures(report.figures)}"
        ).rstrip()


def _score(score: Estimate | None) -> str:
    if score is None:
        return "-"
    return f"{100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"


def _figures(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in sorted(figures.items()))


def listing(known: Mapping[SuiteName, Suite]) -> Iterator[str]:
    """What can be asked."""
    for name in SUITES:
        if name in known:
            yield f"{name:<12} {len(known[name].items()):>5} items  data {known[name].data_version}"
