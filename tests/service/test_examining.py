"""The suites within a run: asked before it is published, and what comes of every other end."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from javis.core.errors import AlreadyTraining, NotFound
from javis.core.learning import TrainJob
from javis.core.types import Message, SamplingParams, Version
from javis.engine.scripted import ScriptedEngine
from tests.eval.small_suite import SumSuite
from tests.service.learning import Make, Site

RULE = {"names": ["knowledge"], "sample": 16}


def sums(good: Sequence[str], **options: Any) -> ScriptedEngine:
    """Only these versions can add."""

    def answer(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
        n = messages[-1].content.split("+")[0]
        return f"It is {2 * int(n)}" if version in good else "It is a secret"

    return ScriptedEngine(answer, **options)


def checks(job: TrainJob) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in (job.verdict or {})["checks"]}


def site_of(make: Make, suite: SumSuite, engine: ScriptedEngine, *words: str) -> Site:
    site = make(*words, engine=engine, suites={"knowledge": suite})
    site.lay_rule(suites=RULE)
    return site


def test_a_good_candidate_is_asked_and_published(make_training: Make) -> None:
    suite = SumSuite(20)
    site = site_of(make_training, suite, sums(["base", "candidate", "v1.0"]))
    job = site.finished(site.start())
    assert (job.state, job.version) == ("succeeded", "v1.0")
    # The first sixteen of the candidate and of the base.
    assert sorted(suite.asked) == sorted(2 * [f"sum-{n:03}" for n in range(16)])
    kept = checks(job)["gate.suite_kept"]
    assert kept["passed"] and kept["values"]["items"] == 16
    assert kept["text"].startswith("knowledge: 100.0 points of 100 on 16 questions, 100.0 before")
    report = site.registry.report("v1.0")
    assert report["verdict"]["suites"] == {"knowledge": {"candidate": 1.0, "base": 1.0}}
    metadata = site.registry.metadata("v1.0")
    assert metadata["eval"]["passed"] is True
    assert metadata["eval"]["suites"] == report["verdict"]["suites"]
    kinds = [e for e in site.training.events(job.id) if e.kind in ("phase", "questions")]
    assert [e.values["phase"] for e in kinds if e.kind == "phase"] == ["training", "evaluating"]
    assert kinds[-1].values["done"] == kinds[-1].values["total"] == 32
    progress = site.training.job(job.id).progress
    assert (progress.asked, progress.questions, progress.step) == (32, 32, 4)
    assert "candidate" not in [v.name for v in site.versions.all()]


def test_the_estimate_counts_the_questions_too(make_training: Make) -> None:
    suite = SumSuite(16)
    site = site_of(make_training, suite, sums(["base", "candidate"], delay_s=0.1))
    without = make_training().training.estimate("sft-lora")
    first = site.training.estimate("sft-lora").seconds - without.seconds
    assert first == pytest.approx(16 * 2 * 1.8)
    job = site.finished(site.start())
    # 1.5 s of steps, then 32 questions.
    assert job.took["seconds"] == 1.5
    assert job.took["total_seconds"] > 1.5 + 0.5
    (info,) = site.learning.examiner._opened().enter_result.names()
    assert info.seconds_per_item and info.seconds_per_item < 1
    asking = site.training._outcome.asking_seconds()
    assert asking == pytest.approx(16 * info.seconds_per_item)


def test_each_suite_has_its_own_number_of_questions(make_training: Make) -> None:
    suites = {
        "knowledge": SumSuite(30),
        "golden": SumSuite(9, "golden"),
        "agent": SumSuite(30, "agent"),
    }
    site = make_training(engine=sums(["base", "candidate"]), suites=suites)
    site.lay_rule(suites={"sample": {"knowledge": 10, "agent": 8}})
    job = site.finished(site.start())
    assert job.state == "succeeded", job
    asked = {name: len(suite.asked) for name, suite in suites.items()}
    assert asked == {"knowledge": 20, "golden": 18, "agent": 16}
    progress = site.training.job(job.id).progress
    assert (progress.asked, progress.questions) == (54, 54)
    told = [e.values for e in site.training.events(job.id) if e.kind == "questions"]
    assert [values["total"] for values in told] == [54] * len(told)
    assert sorted(v["done"] for v in told) == [v["done"] for v in told]


def test_the_next_one_is_held_against_the_version_in_use(make_training: Make) -> None:
    suite = SumSuite(16)
    can_add = ["candidate", "v1.0"]
    site = site_of(make_training, suite, sums(can_add))
    first = site.finished(site.start())
    suite.asked.clear()
    can_add.remove("candidate")
    # Other weights, or the first one's answers would count for it.
    site.supervisor._command = weights_of_its_own(site)
    second = site.finished(site.start())
    assert (first.version, second.state, second.reason) == ("v1.0", "rejected", "gate.suite_kept")
    assert second.reason_values["suite"] == "knowledge"
    assert (second.reason_values["other"], second.reason_values["candidate"]) == (100, 0)
    assert (second.verdict or {})["worse"] == {"knowledge": [f"sum-{n:03}" for n in range(16)]}
    # The base and v1.0, whose weights were asked as a candidate, are not asked again.
    assert len(suite.asked) == 16
    assert site.versions.current() == "v1.0"
    done = site.training.override(second.id, "ann")
    assert (done.version, site.versions.current()) == ("v1.1", "v1.1")
    assert site.registry.metadata("v1.1")["eval"]["passed"] is False


def weights_of_its_own(site: Site) -> Any:
    command = site.supervisor._command
    return lambda folder: [*command(folder), "other"]


def test_a_rule_without_suites_asks_nothing(make_training: Make) -> None:
    suite = SumSuite()
    site = site_of(make_training, suite, sums([]))
    site.lay_rule(suites=[])
    job = site.finished(site.start())
    assert (job.state, suite.asked) == ("succeeded", [])
    assert not any(name.startswith("gate.suite") for name in checks(job))


def test_a_suite_without_questions_is_passed_over(make_training: Make) -> None:
    site = make_training(suites={"golden": SumSuite(0, "golden")}, engine=sums([]))
    job = site.finished(site.start())
    assert job.state == "succeeded"
    assert "gate.same_items" not in checks(job)


def test_one_that_its_losses_stop_is_not_asked(make_training: Make) -> None:
    suite = SumSuite()
    site = site_of(make_training, suite, sums(["candidate", "base"]), "worse")
    job = site.finished(site.start())
    assert (job.state, job.reason, suite.asked) == ("rejected", "gate.better_than_base", [])


class CannotServe(ScriptedEngine):
    """As llama.cpp with an adapter for prompt tuning."""

    def use_versions(self, versions: Sequence[Version]) -> dict[str, str]:
        return {v.name: "It has no layers." for v in versions}


def test_an_engine_that_cannot_answer_with_it_leaves_it_to_the_losses(make_training: Make) -> None:
    suite = SumSuite()
    site = site_of(make_training, suite, CannotServe())
    job = site.finished(site.start())
    assert job.version == "v1.0"
    assert checks(job)["gate.suites_not_asked"]["passed"]
    assert suite.asked == []


# -- other ends --------------------------------------------------------------------------------


def slow_site(make: Make, suite: SumSuite) -> Site:
    return site_of(make, suite, sums(["base", "candidate"], delay_s=0.05))


def begun(site: Site, suite: SumSuite) -> TrainJob:
    """A run whose candidate is being asked now, as the watching thread of a server does it."""
    job = site.start()
    asking = threading.Event()

    def watch() -> None:
        # Looks until it is asked; the last look lasts as long as it is asked.
        while not asking.is_set():
            site.learning.keeper.tick()
            time.sleep(0.02)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    deadline = time.monotonic() + 15
    while len(suite.asked) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    asking.set()
    assert site.get(job).phase == "evaluating"
    return job


def settled(site: Site) -> None:
    """Nobody is bringing the run to its end any more."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with site.supervisor.reserved():
                return
        except AlreadyTraining:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_cancel_while_it_is_asked_and_go_on(make_training: Make) -> None:
    suite = SumSuite(16)
    site = slow_site(make_training, suite)
    job = begun(site, suite)
    start = time.monotonic()
    assert site.training.cancel(job.id).state == "cancelled"
    settled(site)
    assert time.monotonic() - start < 3
    assert len(suite.asked) < 32
    assert site.get(job).state == "cancelled" and site.registry.versions() == []
    finished = kept_of(site)
    suite.asked.clear()
    site.training.resume(job.id)
    assert site.finished(job).version == "v1.0"
    assert len(suite.asked) == 32 - finished


def kept_of(site: Site) -> int:
    """Results on disk."""
    files = (site.settings.data_dir / "eval").rglob("*.jsonl")
    return sum(len(file.read_text("utf-8").splitlines()) for file in files)


def test_the_program_ends_while_it_is_asked(make_training: Make) -> None:
    suite = SumSuite(16)
    first = slow_site(make_training, suite)
    job = begun(first, suite)
    for watcher in first.learning.watchers()[:1]:
        watcher.stop()
    settled(first)
    left = first.get(job)
    assert (left.state, left.phase, left.version) == ("running", "evaluating", None)
    finished = kept_of(first)
    assert 0 < finished < 32
    suite.asked.clear()
    second = slow_site(make_training, suite)
    assert second.finished(job).version == "v1.0"
    assert len(suite.asked) == 32 - finished


def test_a_model_that_fails_meanwhile(make_training: Make) -> None:
    suite = SumSuite(16)
    engine = sums(["base", "candidate"])
    site = site_of(make_training, suite, engine)
    engine.fail_after = 1
    job = site.finished(site.start())
    assert (job.state, job.reason) == ("failed", "engine_failed")
    assert site.versions.current() == "base" and site.training.job(job.id).resumable
    engine.fail_after = None
    site.training.resume(job.id)
    assert site.finished(job).version == "v1.0"


def test_a_run_that_was_forgotten_meanwhile(make_training: Make) -> None:
    suite = SumSuite(16)
    site = slow_site(make_training, suite)
    job = begun(site, suite)
    site.training.cancel(job.id)
    site.training.discard(job.id)
    settled(site)
    with pytest.raises(NotFound):
        site.get(job)
    assert site.registry.versions() == []
    assert site.finished(site.start()).state == "succeeded"
