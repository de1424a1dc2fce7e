"""`javis bench eval`: the suites asked several questions at once, against one at a time; and
whether an evaluation that was killed asks anything again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from javis.bench.report import Row, row
from javis.core.errors import VersionError
from javis.core.evaluation import Asker, Item, ItemResult, Subject, Suite, SuiteName
from javis.core.types import Version
from javis.engine import catalog, hardware
from javis.engine.fetch import Say
from javis.engine.llamacpp import LlamaCppEngine
from javis.eval.asker import askers
from javis.eval.cache import ResultCache
from javis.eval.runner import run as ask_suite
from javis.eval.suites import suites

PARALLEL = 16
CONTEXT = 4096
SAMPLE = 48
"""Questions of each suite: enough that the last ones, which run alone, weigh little."""
KILL_AFTER = 8
BASE = Subject("base", "", catalog.EMBEDDED, "llama.cpp", "")
Taken = dict[SuiteName, float]


def run(models_dir: Path, sample: int = SAMPLE, say: Say = print) -> list[Row]:
    """All rows; about twelve minutes on two cores."""
    gguf = catalog.prepare_embedded(models_dir, say)
    known = suites()
    # An engine for each way: what the other way read is not in its cache.
    ways = {workers: _engine(gguf) for workers in (1, PARALLEL)}
    took: dict[int, Taken] = {workers: {} for workers in ways}
    tokens: dict[int, int] = defaultdict(int)
    try:
        for number, (name, suite) in enumerate(known.items()):
            questions = suite.items()[:sample]
            # In turns, and the other way round the next time: the load of a machine changes.
            for workers in sorted(ways, reverse=bool(number % 2)):
                seconds, wrote = _asked(suite, questions, ways[workers], workers)
                took[workers][name] = seconds
                tokens[workers] += wrote
                say(f"{name}, {len(questions)} questions, {workers} at once: {seconds:.0f} s")
    finally:
        for engine in ways.values():
            engine.close()
    one, many = (_full(took[workers], known, sample) for workers in ways)
    rows = [
        row(
            f"all suites, {PARALLEL} questions at once : one",
            sum(one.values()) / sum(many.values()),
            1,
            "times as fast",
            "ratio >= 2",
            sum(one.values()) >= 2 * sum(many.values()),
        ),
        *(
            row(f"{name}, {len(suite.items())} questions", many[name], one[name], "s", "said")
            for name, suite in known.items()
        ),
        row(
            "written, all at once : one",
            tokens[PARALLEL] / sum(took[PARALLEL].values()),
            tokens[1] / sum(took[1].values()),
            "tok/s",
            "said",
        ),
    ]
    return [*rows, _after_a_kill(gguf)]


def _asked(
    suite: Suite, questions: Sequence[Item], engine: LlamaCppEngine, workers: int
) -> tuple[float, int]:
    """Seconds for these questions, and how many tokens were written."""
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        part = _Part(suite, questions)
        report = ask_suite(part, askers(engine), BASE, ResultCache(Path(scratch)), workers=workers)
        return time.perf_counter() - began, report.tokens


def _full(taken: Taken, known: Mapping[SuiteName, Suite], sample: int) -> Taken:
    """What the whole suites take, by the questions that were asked of each."""
    sizes = {name: len(suite.items()) for name, suite in known.items()}
    return {name: s / min(sample, sizes[name]) * sizes[name] for name, s in taken.items()}


class _Part:
    """Some questions of a suite, and a list of those that were asked."""

    def __init__(self, suite: Suite, items: Sequence[Item]) -> None:
        self.name, self.data_version = suite.name, suite.data_version
        self.asked: list[str] = []
        self._suite, self._items = suite, items

    def items(self) -> Sequence[Item]:
        return self._items

    def run(self, item: Item, ask: Asker) -> ItemResult:
        self.asked.append(item.id)
        return self._suite.run(item, ask)


def _after_a_kill(gguf: Path) -> Row:
    """Kill an evaluation in the middle, and see what the next one asks."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        process = subprocess.Popen(
            [sys.executable, "-m", "javis.bench.eval", str(gguf), str(folder)],
            env=os.environ | {"OMP_WAIT_POLICY": "passive"},
        )
        cache, part = ResultCache(folder), _knowledge()
        try:
            while len(cache.read(BASE, part.name, part.data_version)) < KILL_AFTER:
                if process.poll() is not None:
                    raise RuntimeError("the evaluation ended by itself")
                time.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        finished = cache.read(BASE, part.name, part.data_version)
        engine = _engine(gguf)
        try:
            report = ask_suite(part, askers(engine), BASE, cache, workers=PARALLEL)
        finally:
            engine.close()
    again = sum(item in finished for item in part.asked)
    whole = again == 0 and report.done == len(part.items())
    name = f"asked again after a kill at {len(finished)} of {len(part.items())}"
    return row(name, again, None, "questions", "= 0", whole)


def _knowledge() -> _Part:
    suite = suites()["knowledge"]
    return _Part(suite, suite.items()[:SAMPLE])


def _engine(gguf: Path) -> LlamaCppEngine:
    def no_adapter(version: Version) -> Path:
        raise VersionError("no_adapter", "There is no adapter here.")

    return LlamaCppEngine(
        gguf,
        model=catalog.EMBEDDED,
        title="",
        adapter_file=no_adapter,
        context=CONTEXT,
        parallel=PARALLEL,
        threads=hardware.detect().cores,
    )


def _be_killed(argv: Sequence[str]) -> Any:
    """What the process does that is killed."""
    engine = _engine(Path(argv[0]))
    ask_suite(_knowledge(), askers(engine), BASE, ResultCache(Path(argv[1])), workers=PARALLEL)


if __name__ == "__main__":
    _be_killed(sys.argv[1:])
