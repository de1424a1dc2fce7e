"""Asking a suite: everything once, several at a time, and never again after a crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from javis.core.errors import ContextOverflow, EngineError
from javis.core.evaluation import SUITES, Asker, Item, ItemResult, Subject, SuiteReport
from javis.core.types import Message, SamplingParams
from javis.engine.scripted import ScriptedEngine
from javis.eval import runner
from javis.eval.asker import AskerMaker, EngineAsker, askers
from javis.eval.cache import ResultCache, subject_key
from javis.eval.report import make_report
from javis.eval.runner import LONGEST_FIRST, missing, sampled
from tests.eval.small_suite import SumSuite

BASE = Subject("base", "", "scripted", "scripted", "none")


def run(
    suite: SumSuite,
    ask: AskerMaker,
    subject: Subject,
    cache: ResultCache,
    *,
    sample: int | None = None,
    **options: Any,
) -> SuiteReport:
    """One suite alone, and the report on what is known of it then."""
    runner.run([suite], ask, subject, cache, sample=sample, **options)
    items = sampled(suite, sample)
    known = cache.read(subject, suite.name, suite.data_version)
    found = [known[item.id] for item in items if item.id in known]
    return make_report(suite, subject, found, len(items))


def sums(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    n = int(messages[-1].content.partition("+")[0])
    return f"it is {2 * n} " if n % 3 else "who knows"


@pytest.fixture
def cache(tmp_path: Path) -> ResultCache:
    return ResultCache(tmp_path / "eval")


def test_every_item_is_asked_once_and_marked(cache: ResultCache) -> None:
    suite, engine = SumSuite(), ScriptedEngine(sums)
    seen: list[tuple[int, int]] = []
    report = run(
        suite, askers(engine), BASE, cache, workers=3, progress=lambda *now: seen.append(now)
    )
    assert sorted(suite.asked) == [item.id for item in suite.items()]
    assert seen == [(n, 12) for n in range(13)]
    assert (report.done, report.items) == (12, 12)
    assert report.score is not None
    assert report.score.value == pytest.approx(8 / 12)
    # What the scripted engine wrote: four words when it knows it, two otherwise.
    assert report.tokens == 8 * 4 + 4 * 2
    assert report.seconds > 0


def test_several_at_once_are_faster_and_find_the_same(cache: ResultCache, tmp_path: Path) -> None:
    engine = ScriptedEngine(sums, delay_s=0.01, parallel=8)
    took, found = [], []
    for workers in (1, 8):
        start = time.perf_counter()
        found.append(
            run(
                SumSuite(24),
                askers(engine),
                BASE,
                ResultCache(tmp_path / str(workers)),
                workers=workers,
            )
        )
        took.append(time.perf_counter() - start)
    assert took[0] > 2 * took[1]
    one, many = (replace(f, seconds=0, finished_at="") for f in found)
    assert one == many


class Slow(SumSuite):
    """Its first question is answered when another suite's last one is."""

    def __init__(self, other: SumSuite) -> None:
        super().__init__(1, "health")
        self.other = other

    def run(self, item: Item, ask: Asker) -> ItemResult:
        deadline = time.monotonic() + 5
        while len(self.other.asked) < len(self.other.items()):
            assert time.monotonic() < deadline, "the next suite waits for the end of this one"
            time.sleep(0.005)
        return super().run(item, ask)


def test_a_long_answer_keeps_no_other_suite_waiting(cache: ResultCache) -> None:
    sums_, engine = SumSuite(), ScriptedEngine(sums, parallel=2)
    seen: list[tuple[int, int]] = []
    began: list[str] = []
    runner.run(
        [sums_, Slow(sums_)],
        askers(engine),
        BASE,
        cache,
        workers=2,
        progress=lambda *now: seen.append(now),
        began=began.append,
    )
    assert seen == [(n, 13) for n in range(14)]
    assert began == ["health"] + ["knowledge"] * 12
    assert missing(sums_, BASE, cache, None) == missing(Slow(sums_), BASE, cache, None) == 0


def test_every_suite_has_its_place_in_the_line() -> None:
    assert sorted(LONGEST_FIRST) == sorted(SUITES)


def test_nothing_finished_is_asked_again(cache: ResultCache) -> None:
    first, second = SumSuite(), SumSuite()
    run(first, askers(ScriptedEngine(sums)), BASE, cache, sample=5)
    assert len(first.asked) == 5
    assert missing(second, BASE, cache, None) == 7
    report = run(second, askers(ScriptedEngine(sums)), BASE, cache)
    assert sorted(second.asked) == [item.id for item in second.items()[5:]]
    assert report.done == 12


def test_another_question_or_marking_is_asked_anew(cache: ResultCache) -> None:
    run(SumSuite(), askers(ScriptedEngine(sums)), BASE, cache)
    changed = SumSuite(data_version="2")
    assert missing(changed, BASE, cache, None) == 12


def test_a_result_belongs_to_what_was_asked_and_not_to_its_name(cache: ResultCache) -> None:
    candidate = Subject("candidate", "ab" * 32, "m", "llama.cpp", "Q4_1")
    run(SumSuite(), askers(ScriptedEngine(sums)), candidate, cache)
    assert missing(SumSuite(), replace(candidate, version="v1.3"), cache, None) == 0
    for other in (
        replace(candidate, sha256="cd" * 32),
        replace(candidate, model="n"),
        replace(candidate, engine="transformers"),
        replace(candidate, quantization="Q8_0"),
    ):
        assert missing(SumSuite(), other, cache, None) == 12
        assert subject_key(other) != subject_key(candidate)


def test_a_stop_keeps_what_is_finished_and_nothing_half(cache: ResultCache) -> None:
    suite, stop = SumSuite(40), threading.Event()
    engine = ScriptedEngine(sums, delay_s=0.02)

    def after(done: int, total: int) -> None:
        if done == 6:
            stop.set()

    report = run(
        suite, askers(engine, stop=stop), BASE, cache, workers=3, stop=stop, progress=after
    )
    assert 6 <= report.done <= 9
    assert engine.running == 0
    known = cache.read(BASE, suite.name, suite.data_version)
    assert len(known) == report.done
    # Each is whole: the model's answer is the one that it gives undisturbed.
    for result in known.values():
        n = int(result.item[-3:])
        assert result.answers == (sums([Message("user", f"{n}+{n}=?")], SamplingParams(), ""),)


def test_a_model_that_dies_ends_it_with_its_error(cache: ResultCache) -> None:
    suite = SumSuite(40)
    engine = ScriptedEngine(sums)

    def fail(done: int, total: int) -> None:
        engine.fail_after = 0 if done >= 10 else None

    with pytest.raises(EngineError, match="scripted"):
        run(suite, askers(engine), BASE, cache, workers=4, progress=fail)
    assert 10 <= len(cache.read(BASE, suite.name, suite.data_version)) <= 14
    assert len(suite.asked) < 20


class TooLong(SumSuite):
    def run(self, item: Item, ask: Asker) -> ItemResult:
        if item.data["n"] % 2:
            raise ContextOverflow(tokens=9000, limit=8192, drop=None)
        return super().run(item, ask)


def test_what_does_not_fit_the_model_says_nothing_about_its_answers(cache: ResultCache) -> None:
    report = run(TooLong(), askers(ScriptedEngine(lambda *_: "no idea")), BASE, cache)
    assert report.done == 12
    assert report.score is not None
    assert report.score.value == 0
    assert report.languages.keys() == {"en"}
    assert missing(TooLong(), BASE, cache, None) == 0


def test_a_torn_or_damaged_line_is_asked_again(cache: ResultCache) -> None:
    run(SumSuite(), askers(ScriptedEngine(sums)), BASE, cache)
    path = cache.path(BASE, "knowledge", "1")
    lines = path.read_bytes().splitlines(keepends=True)
    bad = [b"\x00" * 40 + b"\n", b"{}\n", b'{"item": 3}\n', b"[1]\n", b"\xff\xfe\n"]
    bad.append(lines[3].replace(b'"tokens": ', b'"tokens": 1e999, "was": '))
    path.write_bytes(b"".join([*lines[:4], *bad, lines[4], lines[5][:-9]]))
    suite = SumSuite()
    assert missing(suite, BASE, cache, None) == 7
    report = run(suite, askers(ScriptedEngine(sums)), BASE, cache)
    assert len(suite.asked) == 7
    assert report.done == 12
    assert len(ResultCache(path.parent.parent).read(BASE, "knowledge", "1")) == 12


def test_any_text_of_a_model_is_kept(cache: ResultCache) -> None:
    said = "a\nb\u2028c\x00d\ud800 안녕 \U0001f600"
    result = ItemResult("one", "ko", "g", 0.5, (said,), {"x": [1, None, "é"]}, 1.5, 3)
    cache.append(BASE, "agent", "1", result)
    cache.append(BASE, "agent", "1", replace(result, item="two"))
    assert cache.read(BASE, "agent", "1") == {"one": result, "two": replace(result, item="two")}


def test_two_processes_write_beside_each_other(cache: ResultCache, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from tests.eval.test_runner import BASE, ItemResult, ResultCache\n"
        "cache = ResultCache(pathlib.Path(sys.argv[1]))\n"
        "for n in range(200):\n"
        "    one = ItemResult(f'{sys.argv[2]}{n}', 'en', 'g', 1.0, ('x' * 3000,))\n"
        "    cache.append(BASE, 'agent', '1', one)\n"
    )
    folder = str(tmp_path / "eval")
    made = [subprocess.Popen([sys.executable, "-c", code, folder, who]) for who in "ab"]
    assert [process.wait(60) for process in made] == [0, 0]
    assert len(cache.read(BASE, "agent", "1")) == 400


def test_after_a_kill_only_the_rest_is_asked(cache: ResultCache, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from tests.eval.test_runner import *\n"
        "engine = ScriptedEngine(sums, delay_s=0.01)\n"
        "run(SumSuite(400), askers(engine), BASE, ResultCache(pathlib.Path(sys.argv[1])),"
        " workers=3, progress=lambda d, t: print(d, flush=True))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "eval")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 20:
            break
    os.kill(process.pid, 9)
    process.wait()
    process.stdout.close()
    known = cache.read(BASE, "knowledge", "1")
    assert len(known) >= 20
    suite = SumSuite(400)
    run(suite, askers(ScriptedEngine(sums)), BASE, cache, workers=4)
    assert not known.keys() & set(suite.asked)
    assert len(suite.asked) + len(known) == 400


def test_an_asker_is_greedy_and_counts(cache: ResultCache) -> None:
    asked: list[SamplingParams] = []

    def answer(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
        asked.append(sampling)
        return "one two three"

    asker = EngineAsker(ScriptedEngine(answer))
    assert asker.reply([Message("user", "hi")], max_tokens=2, stop=("x",)) == "one two"
    assert asker.reply([Message("user", "hi")]) == "one two three"
    assert asker.tokens == 5
    assert {s.temperature for s in asked} == {0}
    assert asked[0].seed == asked[1].seed is not None
    assert (asked[0].max_tokens, asked[0].stop) == (2, ("x",))


def test_the_folder_says_what_was_asked(cache: ResultCache) -> None:
    run(SumSuite(), askers(ScriptedEngine(sums)), BASE, cache)
    file = cache.path(BASE, "knowledge", "1").parent / "subject.json"
    assert json.loads(file.read_text("utf-8"))["model"] == "scripted"
