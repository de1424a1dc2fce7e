"""How fast the journal is, with 1,000 and with 100,000 turns in it, against plain TinyDB.

    javis bench store

Sync times drift several-fold on a shared disk, so the stores that are compared are open at the
same time and take turns, one insert each.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from javis.bench.report import row
from javis.core.types import Conversation, Feedback, SamplingParams, Timings, Turn
from javis.store import Store, new_conversation_id, new_turn_id, now_iso, open_store
from javis.store.records import turn_to_row

SMALL, LARGE, STOCK = 1_000, 100_000, 10_000
INSERTS = 500
STOCK_INSERTS = 5
P99_GOAL_MS = 10.0
GROWTH_GOAL = 3.0
OPEN_GOAL_S = 5.0
_TURNS_PER_CONVERSATION = 20
_BATCH = 50
"""Conversations in one commit while the store is filled."""

_OPEN_SCRIPT = """
import sys, time
import psutil
from javis.store import open_store
process = psutil.Process()
before = process.memory_info().rss
start = time.perf_counter()
store = open_store(sys.argv[1])
print(time.perf_counter() - start, process.memory_info().rss - before,
      store.conversations.count_turns())
"""


@dataclass(frozen=True, slots=True)
class _Filled:
    store: Store
    conversation: Conversation


def run() -> list[dict[str, Any]]:
    """Measure and return one row for each number: name, ours, reference, ratio, unit, goal, holds.

    Takes about fifteen seconds and 200 MB in the folder for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="javis-bench-") as folder:
        small = _fill(Path(folder) / "small.jnl", SMALL)
        large = _fill(Path(folder) / "large.jnl", LARGE)
        small_ms, large_ms = _insert_in_turns(small, large)
        stock_ms = _stock_insert_ms(Path(folder) / "stock.json")
        bytes_ = large.store.db.storage.path.stat().st_size
        small.store.close()
        large.store.close()
        open_s, memory = _open(Path(folder) / "large.jnl", LARGE + INSERTS)
    small_median, large_median = statistics.median(small_ms), statistics.median(large_ms)
    return [
        row(f"insert a turn, median, {SMALL:,} turns", small_median, unit="ms"),
        row(
            f"insert a turn, median, {LARGE:,} turns",
            large_median,
            unit="ms",
            reference=small_median,
            goal=f"<= {GROWTH_GOAL:g} x the median at {SMALL:,}",
            holds=large_median <= GROWTH_GOAL * small_median,
        ),
        row(
            f"insert a turn, p99, {LARGE:,} turns",
            statistics.quantiles(large_ms, n=100)[98],
            unit="ms",
            goal=f"<= {P99_GOAL_MS:g} ms",
            holds=statistics.quantiles(large_ms, n=100)[98] <= P99_GOAL_MS,
        ),
        row(
            f"insert a turn against plain TinyDB with {STOCK:,}",
            large_median,
            unit="ms",
            reference=stock_ms,
            goal="faster",
            holds=large_median < stock_ms,
        ),
        row(
            f"open {LARGE:,} turns ({bytes_ / 1e6:.0f} MB)",
            open_s,
            unit="s",
            goal=f"< {OPEN_GOAL_S:g} s",
            holds=open_s < OPEN_GOAL_S,
        ),
        row(f"memory of {LARGE:,} turns", memory / 1e6, unit="MB"),
    ]


def turns(conversation_id: str, rng: random.Random) -> Iterator[Turn]:
    """Endless made-up turns of about 1.5 kB in the journal, a fifth of them Korean."""
    english = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=n % 8 + 2)) for n in range(900)]
    words = english + ["안녕하세요", "서울은", "비가", "옵니다", "그래서", "우산을", "그러면"] * 33
    texts = [" ".join(rng.choices(words, k=110)) for _ in range(200)]
    while True:
        text = rng.choice(texts)
        cut = rng.randrange(len(text) // 2)
        yield Turn(
            id=new_turn_id(),
            conversation_id=conversation_id,
            parent_id=None,
            created_at=now_iso(),
            user=text[:cut] or "Hi",
            reply=text[cut:],
            finish="stop",
            model="SmolLM2-135M-Instruct",
            engine="llama.cpp",
            quantization="Q4_1",
            system_prompt="You are a helpful assistant who answers briefly and politely.",
            sampling=SamplingParams(seed=rng.randrange(2**31)),
            timings=Timings(rng.randrange(900), 100, rng.randrange(900), 80.25, 2345.5),
        )


def _fill(path: Path, count: int) -> _Filled:
    store, rng = open_store(path), random.Random(0)
    source = turns("", rng)
    imports: list[tuple[Conversation, list[Turn], list[Feedback]]] = []
    conversation = Conversation("", "bench", "A conversation", now_iso(), now_iso())
    for _ in range(count // _TURNS_PER_CONVERSATION):
        conversation = replace(conversation, id=new_conversation_id())
        batch = [
            replace(next(source), conversation_id=conversation.id)
            for _ in range(_TURNS_PER_CONVERSATION)
        ]
        imports.append((conversation, batch, []))
    for start in range(0, len(imports), _BATCH):
        store.conversations.import_many(imports[start : start + _BATCH])
    return _Filled(store, conversation)


def _insert_in_turns(*stores: _Filled) -> list[list[float]]:
    """Milliseconds of each insert of each store, one after the other."""
    times: list[list[float]] = [[] for _ in stores]
    sources = [turns(filled.conversation.id, random.Random(1)) for filled in stores]
    for _ in range(INSERTS):
        for filled, source, found in zip(stores, sources, times, strict=True):
            turn = next(source)
            found.append(_timed(partial(filled.store.conversations.add_turn, turn)))
    return times


def _stock_insert_ms(path: Path) -> float:
    from tinydb import TinyDB

    source = turns("c_stock", random.Random(2))
    with TinyDB(path) as db:
        db.insert_multiple(turn_to_row(next(source)) for _ in range(STOCK))
        rows = [turn_to_row(next(source)) for _ in range(STOCK_INSERTS)]
        return statistics.median(_timed(partial(db.insert, row)) for row in rows)


def _open(path: Path, expected: int) -> tuple[float, float]:
    """Seconds and bytes of memory of a fresh process that opens the store."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _OPEN_SCRIPT, str(path)],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    seconds, memory, count = map(float, done.stdout.split())
    if count != expected:
        raise RuntimeError(f"the store holds {count:.0f} turns, not {expected}")
    return seconds, memory


def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000
