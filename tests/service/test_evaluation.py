"""Evaluations beside the chat: one at a time, a place left free, a candidate in no list."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from javis.core.errors import Busy, EngineError, NotFound, UserInputError, VersionError
from javis.core.types import Message, SamplingParams, Version
from javis.engine.scripted import ScriptedEngine
from javis.service.admission import Admission
from javis.service.evaluation import EvalService
from javis.service.versions import VersionService
from javis.versions.registry import Registry
from tests.eval.small_suite import SumSuite

DELAY_S = 0.02


def sums(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    """The candidate knows every sum, v1.0 two of three, the base every other."""
    n = int(messages[-1].content.partition("+")[0])
    wrong = {"candidate": 99, "v1.0": 3}.get(version, 2)
    return "who knows" if n % wrong == 0 else str(2 * n)


class Shelf(Registry):
    """One version without files, which is in use."""

    now = "v1.0"

    def versions(self) -> list[Version]:
        return [Version("v1.0", "/models/v1.0", "scripted", "ab" * 32)]

    def current(self) -> str:
        return self.now


class Engine(ScriptedEngine):
    """Remembers how many answers ran at once, and serves just what it was given."""

    most = 0
    refuses = ""

    def use_versions(self, versions: Sequence[Version]) -> dict[str, str]:
        kept = [v.name for v in versions if v.name != self.refuses]
        self._versions = ["base", *kept]
        return {v.name: "It fits no engine." for v in versions if v.name == self.refuses}

    def score(self, *args: object, **options: object):  # type: ignore[no-untyped-def]
        self.most = max(self.most, self.running)
        return super().score(*args, **options)  # type: ignore[arg-type]


class Setup:
    def __init__(self, folder: Path, **options: object) -> None:
        self.engine = Engine(sums, **options)  # type: ignore[arg-type]
        self.shelf = Shelf(folder / "models")
        self.versions = VersionService(self.engine, self.shelf)
        self.admission = Admission(self.engine.info.parallel, 2)
        self.suite = SumSuite()
        self.folder = folder
        self.service = self.restarted()

    def restarted(self) -> EvalService:
        return EvalService(
            self.engine,
            self.versions,
            self.admission,
            self.folder / "eval",
            lambda: {"knowledge": self.suite},
        )

    def adapter(self, weights: bytes = b"weights") -> Path:
        folder = self.folder / "run" / "adapter"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "adapter_model.safetensors").write_bytes(weights)
        return folder

    def candidate(self, stop: threading.Event | None = None, **more: object):  # type: ignore[no-untyped-def]
        return self.service.of_candidate(
            "j_1", self.adapter(), ["knowledge"], None, stop or threading.Event(), **more
        )


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Setup]:
    made = Setup(tmp_path, delay_s=DELAY_S, parallel=4)
    yield made
    made.service.stop()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def test_an_evaluation_tells_how_far_it_is(slow: Setup) -> None:
    run = slow.service.start(["base", "v1.0"], ["knowledge"], None, "me")
    assert (run.state, run.done, run.total, run.owner) == ("running", 0, 24, "me")
    eventually(lambda: slow.service.run(run.id).done >= 3)
    middle = slow.service.run(run.id)
    assert middle.state == "running"
    assert (middle.version, middle.suite) == ("base", "knowledge")
    assert middle.eta_s is not None
    assert 0 < middle.eta_s < 10
    ended = slow.service.wait(run.id, 10)
    assert (ended.state, ended.done, ended.eta_s) == ("succeeded", 24, None)
    scores = {r.subject.version: r.score.value for r in slow.service.reports() if r.score}
    assert scores == {"base": pytest.approx(6 / 12), "v1.0": pytest.approx(8 / 12)}
    assert [r.id for r in slow.service.runs()] == [run.id]


def test_a_place_is_left_for_the_chat(slow: Setup) -> None:
    run = slow.service.start(["base"], ["knowledge"], None, "me")
    eventually(lambda: slow.engine.running == 3)
    with slow.admission.ticket() as ticket:
        assert ticket.ready.is_set()
    slow.service.wait(run.id, 10)
    assert slow.engine.most <= 3


def test_a_full_line_is_waited_for_and_not_an_error(slow: Setup) -> None:
    places = [slow.admission.ticket() for _ in range(6)]  # four answer, two wait
    for place in places:
        place.__enter__()
    run = slow.service.start(["base"], ["knowledge"], 2, "me")
    time.sleep(0.3)
    assert slow.service.run(run.id).done == 0
    for place in places:
        place.__exit__(None, None, None)
    assert slow.service.wait(run.id, 10).state == "succeeded"


def test_cancelled_while_it_waits_in_line(slow: Setup) -> None:
    places = [slow.admission.ticket() for _ in range(4)]
    for place in places:
        place.__enter__()
    run = slow.service.start(["base"], ["knowledge"], 2, "me")
    time.sleep(0.1)
    slow.service.cancel(run.id)
    assert slow.service.wait(run.id, 5).state == "cancelled"
    for place in places:
        place.__exit__(None, None, None)
    with slow.admission.ticket() as ticket:
        assert ticket.ready.is_set()


def test_one_at_a_time(slow: Setup) -> None:
    run = slow.service.start(["base"], ["knowledge"], None, "me")
    with pytest.raises(Busy, match="going on"):
        slow.service.start(["v1.0"], ["knowledge"], None, "you")
    slow.service.cancel(run.id)
    slow.service.wait(run.id, 5)
    assert slow.service.start(["v1.0"], ["knowledge"], 1, "you").state == "running"


def test_a_restart_goes_on_where_it_was(setup: Setup) -> None:
    setup.service.wait(setup.service.start(["base"], ["knowledge"], 5, "me").id, 5)
    again = setup.restarted()
    run = again.wait(again.start(["base"], ["knowledge"], None, "me").id, 5)
    assert run.done == 12
    assert len(setup.suite.asked) == 12
    assert len(again.results("knowledge", "base")) == 12
    # A sample is the first so many, whatever else is known.
    assert [r.items for r in again.reports(["base"], 5)] == [5]


def test_a_model_that_fails_ends_it_with_its_sentence(setup: Setup) -> None:
    setup.engine.fail_after = 0
    run = setup.service.wait(setup.service.start(["base"], ["knowledge"], None, "me").id, 5)
    assert (run.state, run.error, run.error_values) == (
        "failed",
        "engine_failed",
        {"e": "scripted"},
    )
    setup.engine.fail_after = None
    run = setup.service.wait(setup.service.start(["base"], ["knowledge"], None, "me").id, 5)
    assert run.state == "succeeded"


def test_results_that_cannot_be_read_are_an_end_and_the_next_one_begins(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(setup.service._known, "left", unreadable)
        run = setup.service.wait(setup.service.start(["base"], ["knowledge"], None, "me").id, 5)
        assert (run.state, run.error) == ("failed", "internal")
        broken.setattr(setup.service._runs, "add", unreadable)
        with pytest.raises(OSError, match="Input/output"):
            setup.service.start(["base"], ["knowledge"], None, "me")
    run = setup.service.wait(setup.service.start(["base"], ["knowledge"], None, "me").id, 5)
    assert run.state == "succeeded"


def test_an_error_in_a_suite_is_an_end_too(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(setup.suite, "run", lambda item, ask: 1 / 0)
    run = setup.service.wait(setup.service.start(["base"], ["knowledge"], None, "me").id, 5)
    assert (run.state, run.error) == ("failed", "internal")
    assert "ZeroDivisionError" in caplog.text


def test_what_cannot_be_asked_is_said_at_once(setup: Setup) -> None:
    for versions, suites, sample in (([], ["knowledge"], None), (["base"], ["knowledge"], 0)):
        with pytest.raises(UserInputError):
            setup.service.start(versions, suites, sample, "me")  # type: ignore[arg-type]
    with pytest.raises(UserInputError, match="no version v7"):
        setup.service.start(["v7"], ["knowledge"], None, "me")
    with pytest.raises(NotFound, match="no suite golden"):
        setup.service.start(["base"], ["golden"], None, "me")
    with pytest.raises(NotFound):
        setup.service.results("knowledge", "v7")
    with pytest.raises(NotFound):
        setup.service.run("e_1")
    # The right to evaluate was not lost on the way.
    assert setup.service.start(["base"], ["knowledge"], 1, "me").state == "running"


# -- candidates --------------------------------------------------------------------------------


def test_a_candidate_against_the_base_and_the_version_in_use(setup: Setup) -> None:
    seen: list[tuple[int, int]] = []
    found = setup.candidate(progress=lambda *now: seen.append(now))
    scores = {who: sum(r.score for r in results["knowledge"]) for who, results in found.items()}
    assert scores == {"candidate": 11, "base": 6, "current": 8}
    assert seen[-1] == (36, 36)
    order = [item.id for item in setup.suite.items()]
    assert [r.item for r in found["candidate"]["knowledge"]] == order


def test_without_a_version_in_use_there_is_no_current(setup: Setup) -> None:
    setup.shelf.now = "base"
    found = setup.candidate()
    assert found["current"] is None
    assert len(setup.suite.asked) == 24


def test_a_candidate_is_served_for_that_long_and_in_no_list(setup: Setup) -> None:
    names: list[list[str]] = []

    def look(done: int, total: int) -> None:
        setup.versions.refresh()  # as the watcher does when a file changes
        names.append([v.name for v in (*setup.versions.all(), *setup.versions.usable())])
        assert "candidate" in setup.engine.versions()

    setup.candidate(progress=look)
    assert names
    assert not any("candidate" in listed for listed in names)
    assert setup.engine.versions() == ("base", "v1.0")
    with pytest.raises(UserInputError):
        setup.versions.serving("candidate")


def test_what_the_candidate_answered_is_known_when_it_is_a_version(setup: Setup) -> None:
    setup.candidate()
    asked = len(setup.suite.asked)
    import hashlib

    sha256 = hashlib.sha256(b"weights").hexdigest()
    setup.shelf.versions = lambda: [Version("v1.1", "/m/v1.1", "scripted", sha256)]  # type: ignore[method-assign]
    setup.shelf.now = "v1.1"
    setup.versions.refresh()
    assert len(setup.service.results("knowledge", "v1.1")) == 12
    setup.service.wait(setup.service.start(["v1.1"], ["knowledge"], None, "me").id, 5)
    assert len(setup.suite.asked) == asked


def test_another_adapter_of_the_same_run_is_asked_anew(setup: Setup) -> None:
    setup.candidate()
    asked = len(setup.suite.asked)
    setup.service.of_candidate(
        "j_1", setup.adapter(b"other"), ["knowledge"], None, threading.Event()
    )
    assert len(setup.suite.asked) == asked + 12


def test_a_candidate_that_the_engine_cannot_serve_is_refused(setup: Setup) -> None:
    setup.engine.refuses = "candidate"
    with pytest.raises(VersionError, match="It fits no engine"):
        setup.candidate()
    assert setup.suite.asked == []
    assert setup.engine.versions() == ("base", "v1.0")
    assert setup.versions.refused == {}
    assert setup.service.start(["base"], ["knowledge"], 1, "me").state == "running"


def test_a_stop_ends_the_candidate_too(slow: Setup) -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(EngineError) as caught:
        slow.candidate(stop)
    assert caught.value.code == "stopped"
    assert slow.engine.running == 0
    assert "candidate" not in slow.engine.versions()
    before = len(slow.suite.asked)
    assert 0 < before < 30
    assert slow.candidate()["candidate"]
    # Those that were broken off are asked again, the finished ones are not.
    assert len(slow.suite.asked) <= 36 + 3


def test_a_candidate_waits_for_an_evaluation_and_can_be_stopped_meanwhile(slow: Setup) -> None:
    run = slow.service.start(["base", "v1.0"], ["knowledge"], None, "me")
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(EngineError, match="stopped"):
        slow.candidate(stop)
    assert slow.service.run(run.id).state == "running"
    assert slow.candidate()["current"]
    assert slow.service.wait(run.id, 5).state == "succeeded"
    assert len(slow.suite.asked) == 36
