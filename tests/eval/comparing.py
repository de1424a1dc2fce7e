"""Versions as they lie on the disk, and what suites found, for tests of the comparison."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from javis.core.evaluation import ItemResult, Subject, SuiteName, SuiteReport
from javis.eval.comparison import Source
from javis.eval.report import make_report
from tests.eval.small_suite import SumSuite

SHA = {"base": "", "v1.0": "aa" * 32, "v1.1": "bb" * 32, "v2.0": "cc" * 32}


def report(
    candidate: float = 2.0, base: float = 4.0, rows: int = 8, seconds: float = 120.0, **more: Any
) -> dict[str, Any]:
    """report.json of a version."""
    return {
        "verdict": {
            "passed": True,
            "checks": [],
            "losses": {"base": base, "candidate": candidate},
            "rows": rows,
        },
        "curve": [
            {"step": 1, "loss": 4.5, "learning_rate": 0.0},
            {"step": 2, "loss": 3.0, "learning_rate": 1e-4},
            {"step": 2, "eval_loss": 2.5},
            {"step": 3, "loss": 2.0},
        ],
        "samples": [],
        "train": {
            "seconds": seconds,
            "steps": 3,
            "trainable_parameters": 4_884_480,
            "peak_memory_bytes": 2 << 30,
        },
    } | more


def metadata(name: str = "v1.0", method: str = "sft-lora", **more: Any) -> dict[str, Any]:
    return {
        "version": name,
        "base_model": "scripted",
        "created_at": "2026-11-01T00:00:00.000Z",
        "training_data": {"total_conversations": 10, "total_turns": 20, "date_range": []},
        "training_config": {"method": method, "epochs": 3.0, "learning_rate": 2e-4},
        "parent": None,
    } | more


def source(name: str = "v1.0", method: str = "sft-lora", **found: Any) -> Source:
    """A version; `base` is the base."""
    if name == "base":
        return Source("base", state="base", metadata={"base_model": "scripted"}, size_bytes=0)
    return Source(
        name,
        sha256=SHA[name],
        metadata=metadata(name, method),
        report=report(**found),
        size_bytes=39_000_000,
    )


class Exam:
    """Results that were made up, with the reports of them."""

    def __init__(self) -> None:
        self.reports: list[SuiteReport] = []
        self._results: dict[tuple[SuiteName, str, str], Sequence[ItemResult]] = {}

    def add(
        self,
        version: str,
        scores: Mapping[str, float | None],
        suite: SuiteName = "knowledge",
        *,
        engine: str = "scripted",
        data_version: str = "1",
        at: str = "2026-11-02T00:00:00Z",
        loss: float | None = None,
        losses: Mapping[str, float] | None = None,
    ) -> None:
        """The score of each item, by its id; one loss for all of them, or one for each."""
        losses = losses or ({} if loss is None else dict.fromkeys(scores, loss))
        results = []
        for item, score in scores.items():
            details = {"nll": losses[item] * 10, "tokens": 10} if item in losses else {}
            results.append(ItemResult(item, "en", "sums", score, ("x",), details))
        subject = Subject(version, SHA[version], "scripted", engine, "none")
        known = SumSuite(0, suite, data_version)
        self.reports.append(make_report(known, subject, results, 40, at))
        self._results[suite, version, engine] = results

    def results(self, of: SuiteReport) -> Sequence[ItemResult]:
        return self._results[of.suite, of.subject.version, of.subject.engine]


def drawn(right: float, count: int = 40, seed: int = 0) -> dict[str, float]:
    """Items of which about this share is right."""
    rng = random.Random(seed)
    return {f"i-{n:02}": float(rng.random() < right) for n in range(count)}
