"""`javis bench eval`: the suites asked several questions at once, against one at a time; and
whether an evaluation that was killed asks anything again."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from javis.bench.report import Row, row
from javis.core.errors import VersionError
from javis.core.evaluation import Asker, Item, ItemResult, Subject, Suite
from javis.core.types import Version
from javis.engine import catalog, hardware
from javis.engine.fetch import Say
from javis.engine.llamacpp import LlamaCppEngine
from javis.eval.asker import askers
from javis.eval.cache import ResultCache
from javis.eval.runner import run as run_suites
from javis.eval.suites import suites

PARALLEL = 16
CONTEXT = 4096
SHARE = 0.3
"""Of each suite, so that they weigh as they do in the whole."""
KILL_SAMPLE, KILL_AFTER = 24, 8
BASE = Subject("base", "", catalog.EMBEDDED, "llama.cpp", "")


def run(models_dir: Path, share: float = SHARE, say: Say = print) -> list[Row]:
    """All rows; about twelve minutes on two cores."""
    gguf = catalog.prepare_embedded(models_dir, say)
    known = list(suites().values())
    chosen = [list(suite.items()[: math.ceil(share * len(suite.items()))]) for suite in known]
    whole = list(zip(known, chosen, strict=True))
    halves = [[(suite, items[half::2]) for suite, items in whole] for half in (0, 1)]
    # An engine for each way: what the other way read is not in its cache.
    one, many = (_engine(gguf, parallel) for parallel in (1, PARALLEL))
    try:
        # In the middle of the other, as the load of a machine changes.
        first = _asked(halves[0], one, 1, say)
        ours = _asked(whole, many, PARALLEL, say)
        second = _asked(halves[1], one, 1, say)
    finally:
        one.close()
        many.close()
    reference = Took(first.seconds + second.seconds, first.tokens + second.tokens)
    questions = sum(map(len, chosen))
    rows = [
        row(
            f"{questions} questions of all suites, {PARALLEL} at once : one",
            reference.seconds / ours.seconds,
            1,
            "times as fast",
            "ratio >= 2",
            reference.seconds >= 2 * ours.seconds,
        ),
        row("they took, all at once : one", ours.seconds, reference.seconds, "s", "said"),
        row(
            "written, all at once : one",
            ours.tokens / ours.seconds,
            reference.tokens / reference.seconds,
            "tok/s",
            "said",
        ),
    ]
    return [*rows, _after_a_kill(gguf)]


@dataclass(frozen=True, slots=True)
class Took:
    """What some questions cost."""

    seconds: float
    tokens: int


def _asked(
    parts: Sequence[tuple[Suite, Sequence[Item]]], engine: LlamaCppEngine, workers: int, say: Say
) -> Took:
    """Ask these questions of each suite, all in one line."""
    asked = [_Part(suite, items) for suite, items in parts]
    with tempfile.TemporaryDirectory() as scratch:
        cache = ResultCache(Path(scratch))
        began = time.perf_counter()
        run_suites(asked, askers(engine), BASE, cache, workers=workers)
        seconds = time.perf_counter() - began
        found = [cache.read(BASE, part.name, part.data_version) for part in asked]
    tokens = sum(result.tokens for results in found for result in results.values())
    say(f"{sum(map(len, found))} questions, {workers} at once: {seconds:.0f} s, {tokens} tokens")
    return Took(seconds, tokens)


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
            run_suites([part], askers(engine), BASE, cache, workers=PARALLEL)
        finally:
            engine.close()
        done = cache.read(BASE, part.name, part.data_version)
    again = sum(item in finished for item in part.asked)
    whole = again == 0 and len(done) == len(part.items())
    name = f"asked again after a kill at {len(finished)} of {len(part.items())}"
    return row(name, again, None, "questions", "= 0", whole)


def _knowledge() -> _Part:
    suite = suites()["knowledge"]
    return _Part(suite, suite.items()[:KILL_SAMPLE])


def _engine(gguf: Path, parallel: int = PARALLEL) -> LlamaCppEngine:
    def no_adapter(version: Version) -> Path:
        raise VersionError("no_adapter", "There is no adapter here.")

    return LlamaCppEngine(
        gguf,
        model=catalog.EMBEDDED,
        title="",
        adapter_file=no_adapter,
        context=CONTEXT,
        parallel=parallel,
        threads=hardware.detect().cores,
    )


def _be_killed(argv: Sequence[str]) -> Any:
    """What the process does that is killed."""
    engine = _engine(Path(argv[0]))
    part, cache = _knowledge(), ResultCache(Path(argv[1]))
    run_suites([part], askers(engine), BASE, cache, workers=PARALLEL)


if __name__ == "__main__":
    _be_killed(sys.argv[1:])
