"""What a tracker is told: numbers only, each once, and never at the cost of anything else."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from javis.core.evaluation import Estimate, Subject, SuiteReport
from javis.core.learning import TrainEvent, TrainJob
from javis.core.settings import Settings
from javis.service.eval_runs import EvalRun
from javis.service.tracking import Tracking, scores_of, tracking_watchers
from tests.service.learning import Make

SECRET = "my secret chat"
JOB = TrainJob(
    id="j_1",
    created_at="2026-01-01T00:00:00.000Z",
    owner="ann",
    method="sft-lora",
    base_model="smollm2",
    hyperparameters={"lora_r": 8},
    state="running",
    data={"rows": {"train": 30}, "conversations": 12, "date_range": ["a", "b"]},
)
REPORT = SuiteReport(
    suite="golden",
    data_version="abc",
    subject=Subject("v1.0", "ff", "smollm2", "llama.cpp", "Q4_1"),
    items=4,
    done=4,
    score=Estimate(0.5, 0.4, 0.6),
    groups={"never_learned": Estimate(0.25, 0.1, 0.4)},
    languages={"ko": Estimate(0.75, 0.5, 1.0)},
    figures={"chrf": 0.5, "perplexity": float("inf")},
    seconds=1.0,
    tokens=10,
    detects=0.3,
    finished_at="2026-01-01",
)


def events(*kinds: tuple[str, Mapping[str, Any]]) -> list[TrainEvent]:
    return [TrainEvent(n, "", kind, values) for n, (kind, values) in enumerate(kinds, 1)]


EVENTS = events(
    ("phase", {"phase": "training"}),
    ("step", {"step": 1, "loss": 2.0, "learning_rate": 1e-4, "eta_s": 9, "tokens_per_s": None}),
    ("sample", {"step": 1, "prompt": SECRET, "before": SECRET, "after": SECRET}),
    ("step", {"step": 2, "loss": 1.5, "learning_rate": float("nan")}),
    ("eval", {"step": 2, "loss": 1.75}),
    ("warning", {"message": SECRET}),
)


@dataclass
class Runs:
    job: TrainJob = JOB
    rows: list[TrainEvent] = field(default_factory=list)

    def jobs(self) -> list[TrainJob]:
        return [self.job]

    def events(self, job_id: str, after: int = 0) -> list[TrainEvent]:
        return self.rows[after:]


@dataclass
class Evaluations:
    found: list[SuiteReport] = field(default_factory=list)
    going_on: list[EvalRun] = field(default_factory=list)

    def runs(self) -> list[EvalRun]:
        return self.going_on

    def reports(self) -> list[SuiteReport]:
        return self.found


@dataclass
class Client:
    """Remembers what it was told; `broken` as a tracker without a network."""

    told: list[tuple[str, Any]] = field(default_factory=list)
    broken: bool = False

    def open(self, run_id: str, name: str, config: Mapping[str, Any]) -> Told:
        if self.broken:
            raise ConnectionError("no network")
        self.told.append((f"open {run_id}", dict(config)))
        return Told(self, run_id)


@dataclass
class Told:
    client: Client
    run_id: str

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.client.told.append((f"log {self.run_id} {step}", dict(values)))

    def finish(self, summary: Mapping[str, Any]) -> None:
        self.client.told.append((f"finish {self.run_id}", dict(summary)))


@dataclass
class Setting:
    folder: Path
    runs: Runs = field(default_factory=Runs)
    evaluations: Evaluations = field(default_factory=Evaluations)
    client: Client = field(default_factory=Client)

    def tracking(self) -> Tracking:
        """As after a start of the program."""
        return Tracking(
            self.client, self.runs, self.evaluations, self.folder, evaluations_every_s=0
        )

    def news(self) -> list[tuple[str, Any]]:
        told, self.client.told = self.client.told, []
        return told


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path / "tracking")


def test_a_run_is_told_while_it_goes_on_and_at_its_end(setting: Setting) -> None:
    tracking = setting.tracking()
    tracking.tick()
    assert setting.news() == [], "nothing has happened yet"
    setting.runs.rows = EVENTS[:3]
    tracking.tick()
    opened, first = setting.news()
    assert opened[0] == "open j_1"
    assert opened[1]["hyperparameters"] == {"lora_r": 8}
    assert opened[1]["rows"] == {"train": 30}
    assert first == ("log j_1 1", {"train/loss": 2.0, "train/learning_rate": 1e-4})
    setting.runs.rows = EVENTS
    verdict = {"passed": True, "losses": {"base": 2.5, "candidate": 1.75}, "checks": [SECRET]}
    setting.runs.job = replace(
        JOB,
        state="succeeded",
        version="v1.0",
        verdict=verdict,
        took={"seconds": 9.0, "total_seconds": 40.0},
    )
    tracking.tick()
    second, end = setting.news()
    assert second == ("log j_1 2", {"train/loss": 1.5, "eval/loss": 1.75})
    assert end[1] == {
        "state": "succeeded",
        "version": "v1.0",
        "gate_passed": 1,
        "loss_base": 2.5,
        "loss_candidate": 1.75,
        "took_seconds": 9.0,
        "took_total_seconds": 40.0,
    }
    tracking.tick()
    setting.tracking().tick()
    assert setting.news() == [], "an ended run is told once, over restarts too"


def test_no_text_and_no_name_ever_leaves(setting: Setting) -> None:
    setting.runs.rows = EVENTS
    setting.runs.job = replace(
        JOB, state="failed", reason="train_failed", reason_values={"why": SECRET}, dataset=SECRET
    )
    setting.evaluations.found = [REPORT]
    setting.tracking().tick()
    told = json.dumps(setting.news())
    assert "train_failed" in told
    assert SECRET not in told
    assert "ann" not in told


def test_a_restart_goes_on_where_it_was(setting: Setting) -> None:
    setting.runs.rows = EVENTS[:2]
    first = setting.tracking()
    first.tick()
    first.close()
    assert [what for what, _ in setting.news()] == ["open j_1", "log j_1 1", "finish j_1"]
    setting.runs.rows = EVENTS
    again = setting.tracking()
    again.tick()
    assert [what for what, _ in setting.news()] == ["open j_1", "log j_1 2"]
    setting.folder.joinpath("told.json").write_text("{broken")
    setting.tracking().tick()
    assert [what for what, _ in setting.news()] == ["open j_1", "log j_1 1", "log j_1 2"]


def test_a_run_that_goes_on_after_its_end_is_told_again(setting: Setting) -> None:
    tracking = setting.tracking()
    setting.runs.rows = EVENTS[:2]
    setting.runs.job = replace(JOB, state="failed", ended_at="1")
    tracking.tick()
    assert setting.news()[-1][1]["state"] == "failed"
    setting.runs.job = replace(JOB, state="running")
    setting.runs.rows = EVENTS
    tracking.tick()
    assert [what for what, _ in setting.news()] == ["open j_1", "log j_1 2"]
    setting.runs.job = replace(JOB, state="rejected", ended_at="2")
    tracking.tick()
    assert setting.news() == [("finish j_1", {"state": "rejected", "version": ""})]
    setting.runs.job = replace(JOB, state="succeeded", version="v1.0", ended_at="2")
    tracking.tick()
    assert setting.news()[-1][1]["version"] == "v1.0", "published against the gate"


def test_dry_and_waiting_runs_are_not_told(setting: Setting) -> None:
    setting.runs.rows = EVENTS
    for job in (replace(JOB, dry_run=True), replace(JOB, state="queued")):
        setting.runs.job = job
        setting.tracking().tick()
    assert setting.news() == []


def test_evaluations_are_told_when_they_change(setting: Setting) -> None:
    tracking = setting.tracking()
    setting.evaluations.found = [REPORT, replace(REPORT, suite="health", done=0)]
    setting.evaluations.going_on = [EvalRun("e_1", "", "ann", ("v1.0",), ("golden",), None)]
    tracking.tick()
    assert setting.news() == [], "it would change with every look"
    setting.evaluations.going_on = []
    tracking.tick()
    opened, logged, _ = setting.news()
    assert opened[1]["data"] == {"golden": "abc"}
    assert logged[1] == {
        "golden/done": 4,
        "golden/score": 0.5,
        "golden/score_low": 0.4,
        "golden/score_high": 0.6,
        "golden/chrf": 0.5,
        "golden/group/never_learned": 0.25,
        "golden/language/ko": 0.75,
    }
    tracking.tick()
    setting.tracking().tick()
    assert setting.news() == []
    setting.evaluations.found = [replace(REPORT, done=5)]
    tracking.tick()
    assert [what.split()[0] for what, _ in setting.news()] == ["open", "log", "finish"]


def test_a_tracker_that_fails_is_left_alone_for_a_while(
    setting: Setting, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("javis.service.tracking.time.monotonic", lambda: now[0])
    tracking = setting.tracking()
    setting.client.broken, setting.runs.rows = True, EVENTS
    waits = []
    for _ in range(10):
        tracking.tick()
        start = now[0]
        while not caplog.records or len(caplog.records) == len(waits):
            now[0] += 5
            tracking.tick()
        waits.append(now[0] - start)
    assert waits[1] < waits[3] < waits[5] <= 605
    assert max(waits) <= 605
    setting.client.broken = False
    now[0] += 601
    tracking.tick()
    assert [what for what, _ in setting.news()][:3] == ["open j_1", "log j_1 1", "log j_1 2"]


def test_a_report_as_flat_numbers_names_its_suite() -> None:
    assert all(name.startswith("golden/") for name in scores_of(REPORT))
    assert "golden/perplexity" not in scores_of(REPORT), "a tracker has no infinity"


def test_without_the_client_it_is_said_and_nothing_else_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    plain = Settings(_env_file=None, data_dir=tmp_path)
    assert tracking_watchers(plain, Runs(), Evaluations(), said.append) == []
    assert said == []
    monkeypatch.setattr("javis.service.tracking.is_installed", lambda name: False)
    wanted = Settings(_env_file=None, data_dir=tmp_path, tracking="wandb")
    assert tracking_watchers(wanted, Runs(), Evaluations(), said.append) == []
    assert f"{sys.executable} -m pip install -r requirements-tracking.txt" in said[0]


def test_a_real_run_is_told(make_training: Make, setting: Setting) -> None:
    site = make_training()
    job = site.finished(site.start())
    tracking = Tracking(setting.client, site.training, setting.evaluations, setting.folder)
    tracking.tick()
    told = setting.news()
    assert told[0][0] == f"open {job.id}"
    assert [v for what, v in told if what == f"log {job.id} 1" and "train/loss" in v]
    assert told[-1][1]["state"] == job.state


# -- the real clients, each in a process of its own, as they leave threads and files behind ----

CLIENT = """
import sys
import time
from pathlib import Path
from javis.core.settings import Settings
from javis.service.tracking import tracking_watchers
from tests.service.test_tracking import EVENTS, JOB, REPORT, Evaluations, Runs
from dataclasses import replace

settings = Settings(_env_file=None, data_dir=Path(sys.argv[2]), tracking=sys.argv[1], offline=True)
runs = Runs(JOB, EVENTS[:3])
for job, rows in ((JOB, EVENTS[:3]), (replace(JOB, state="succeeded", version="v1.0"), EVENTS)):
    runs.job, runs.rows = job, rows
    (watcher,) = tracking_watchers(settings, runs, Evaluations([REPORT]), print)
    watcher._tracking.tick()
    watcher._tracking.close()
    assert not watcher._tracking._failures
    time.sleep(1.1)  # W&B names its folder by the second.
"""


def told_by(name: str, tmp_path: Path) -> Path:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "TRACKIO_"))}
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, name, str(tmp_path / "data")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environment | {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stderr, done.stderr
    return tmp_path / "data" / "tracking"


@pytest.mark.extras
def test_trackio_keeps_the_run_in_a_file(tmp_path: Path) -> None:
    folder = told_by("trackio", tmp_path)
    with sqlite3.connect(folder / "javis.db") as db:
        rows = db.execute("select run_name, step, metrics from metrics order by id").fetchall()
    told = [(step, json.loads(metrics)) for name, step, metrics in rows if "j_1" in name]
    losses = [(step, m["train/loss"]) for step, m in told if "train/loss" in m]
    assert losses == [(1, 2.0), (2, 1.5)]
    assert any("golden/score" in json.loads(metrics) for _, _, metrics in rows)
    assert SECRET.encode() not in (folder / "javis.db").read_bytes()


@pytest.mark.extras
def test_wandb_keeps_the_run_for_a_later_sync(tmp_path: Path) -> None:
    folder = told_by("wandb", tmp_path) / "wandb"
    files = sorted(folder.glob("offline-run-*-j_1/run-j_1.wandb"))
    assert len(files) == 2, "one for each start of the program"
    data = b"".join(file.read_bytes() for file in files)
    assert b"train/loss" in data and b"eval/loss" in data
    assert SECRET.encode() not in data
    assert list(folder.glob("offline-run-*-eval-*"))
