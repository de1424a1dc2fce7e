"""Starts of the program on one folder, with a small trainer or the real one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from javis.core.evaluation import Suite, SuiteName
from javis.core.learning import TERMINAL, Approved, Example, Judged, Pair, TrainJob
from javis.core.settings import Settings
from javis.core.types import Message
from javis.engine.hardware import Hardware
from javis.engine.pausing import PausingEngine
from javis.engine.scripted import ScriptedEngine
from javis.service.admission import Admission
from javis.service.evaluation import EvalService
from javis.service.examining import Examiner
from javis.service.learning import Learning, join_learning
from javis.service.preferences import Preferences
from javis.service.training import TrainingService
from javis.service.training_plan import TrainBase
from javis.service.versions import VersionService
from javis.store import Store, open_store
from javis.train.process import Worker
from javis.train.supervisor import Supervisor, train_command
from javis.versions.disk import Disk
from javis.versions.publish import Proof, Publisher
from javis.versions.registry import Registry

FAKE = Path(__file__).parents[1] / "train" / "fake_worker.py"
BIG = Hardware(cores=2, ram_total=1 << 40, ram_available=1 << 40)


def approved(count: int = 40) -> Approved:
    """So many conversations with a liked answer, a pair and a thumb each."""
    question = Message("user", "차를 추천해 줘")
    examples, pairs, judged = [], [], []
    for i in range(count):
        origin = (f"t_{i}", f"c_{i}", "liked")
        examples.append(Example((question, Message("assistant", f"녹차 {i}")), *origin))
        pairs.append(Pair((question,), f"녹차 {i}", "no", f"t_{i}", f"c_{i}", "correction"))
        judged.append(Judged((question,), f"녹차 {i}", i % 2 == 0, *origin))
    dates = ("2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z")
    return Approved(tuple(examples), tuple(pairs), tuple(judged), *dates)


@dataclass
class Source:
    """What was approved, as the review would say."""

    rows: Approved = field(default_factory=approved)
    asked: int = 0

    def approved(self) -> Approved:
        self.asked += 1
        return self.rows


@dataclass
class Site:
    """One start of the program on a folder; another one is a restart."""

    store: Store
    supervisor: Supervisor
    learning: Learning
    versions: VersionService
    registry: Registry
    source: Source
    settings: Settings

    @property
    def training(self) -> TrainingService:
        return self.learning.training

    def start(self, method: str = "sft-lora", **options: Any) -> TrainJob:
        return self.training.start("local", method, **options)

    def get(self, job: TrainJob) -> TrainJob:
        return self.store.jobs.get(job.id)

    def finished(self, job: TrainJob, within_s: float = 15.0) -> TrainJob:
        """Watch the run as the server does, until it has ended."""
        self.until(lambda: self.get(job).state in TERMINAL, within_s)
        return self.get(job)

    def until(self, holds: Callable[[], object], within_s: float = 15.0) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, "it never came true"
            self.learning.keeper.tick()
            time.sleep(0.02)

    def steps(self, job: TrainJob) -> int:
        return self.training.job(job.id).progress.step or 0

    def lay_rule(self, **rule: object) -> None:
        (self.settings.data_dir / "gate.json").write_text(json.dumps(rule))


Make = Callable[..., Site]


@pytest.fixture
def make_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    made: list[Site] = []
    monkeypatch.setattr("javis.service.training_plan.detect", lambda: BIG)

    def build(
        *words: str,
        source: Source | None = None,
        disk: Disk | None = None,
        prove: Proof | None = None,
        real: Path | None = None,
        chat: PausingEngine | None = None,
        device: Literal["cpu", "cuda"] = "cpu",
        engine: ScriptedEngine | None = None,
        suites: Mapping[SuiteName, Suite] | None = None,
        model: str = "scripted",
        **options: Any,
    ) -> Site:
        settings = Settings(
            _env_file=None,
            data_dir=tmp_path / "data",
            models_dir=tmp_path / "models",
            exports_dir=tmp_path / "exports",
        )
        settings.data_dir.mkdir(exist_ok=True)
        store = open_store(settings.journal)
        registry = Registry(settings.models_dir)
        publisher = Publisher(settings.models_dir, prove=prove, disk=disk or Disk())
        engine = engine or ScriptedEngine()
        versions = VersionService(engine, registry, store=store, publisher=publisher)

        def fake(folder: Path) -> list[str]:
            return [sys.executable, str(FAKE), str(folder), *words]

        command = train_command if real else fake
        supervisor = Supervisor(settings.data_dir / "runs", command, **options)
        path = real or tmp_path / "base"
        base = TrainBase(model, path, None, "4bit", device, 1_000_000)
        source = source or Source()
        preferences = Preferences(store)
        examiner = None
        if suites is not None:
            line = Admission(engine.info.parallel, 8)
            folder = settings.data_dir / "eval"
            evaluation = EvalService(engine, versions, line, folder, lambda: suites)
            examiner = Examiner(lambda: nullcontext(evaluation))
        learning = join_learning(
            settings,
            store,
            source,
            preferences,
            versions,
            base,
            publisher,
            supervisor,
            chat,
            examiner,
        )
        site = Site(store, supervisor, learning, versions, registry, source, settings)
        made.append(site)
        return site

    yield build
    for site in made:
        job = site.store.jobs.active()
        if job and job.pid:
            site.supervisor.stop(Worker(job.pid, job.pid_started or 0))
        site.training.let_go()
        site.store.close()
