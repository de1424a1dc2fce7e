"""The gate on real adapters: one that was spoilt is stopped, whatever was done to it.

Trains twice on the embedded model and asks it hundreds of questions, so it is asked for by name
like the rest of the proof: `make proof`.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from javis.commands.evaluate import opened
from javis.core.learning import Verdict
from javis.core.settings import Settings
from javis.core.types import BASE, Message, Version
from javis.engine.files import sha256_file
from javis.eval.explain import verdict_json
from javis.eval.gate import Rule, judge
from javis.service.evaluation import EvalService
from javis.service.services import public_suites
from tests.live import ROOT, Live
from tests.proof.loop import Loop, advice, chats
from tests.proof.test_proof import keep

pytestmark = [pytest.mark.proof, pytest.mark.timeout(3600)]
NOISE = (1.0, 4.0, 8.0)
"""Standard deviation of what is added to each matrix, in multiples of its own root mean square."""
QUESTIONS = 24


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """A server whose v1.0 was trained on eighty chats and has passed the gate."""
    root = tmp_path_factory.mktemp("gate")
    models = root / "models"
    models.mkdir()
    (models / "base").symlink_to(ROOT / "models" / "base")
    (root / "data").mkdir()
    live = Live(root / "data", models_dir=models, JAVIS_EXPORTS_DIR=str(root / "exports"))
    made = Loop(live)
    made.bring_in(chats(advice()))
    job = made.train()
    assert (job["state"], job["version"]) == ("succeeded", "v1.0"), job
    names = {check["name"] for check in job["verdict"]["checks"]}
    assert "gate.suite_kept" in names
    keep("gate", {"v1.0": {k: job["verdict"][k] for k in ("losses", "suites")}})
    yield made
    if live.process.poll() is None:
        live.kill(signal.SIGTERM)


def test_answers_shuffled_among_the_questions_are_stopped(loop: Loop) -> None:
    """Learned from: right questions with the answers of others. Held out: as they were."""
    first = loop.jobs()[0]
    data = loop.live.data_dir / "runs" / first["job_id"] / "data"
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text("utf-8").splitlines()]
    answers = [row["messages"][-1] for row in rows]
    random.Random(0).shuffle(answers)
    for row, answer in zip(rows, answers, strict=True):
        row["messages"][-1] = answer
    held_out = "".join((data / f"{name}.jsonl").read_text("utf-8") for name in ("valid", "test"))
    exports = loop.live.data_dir.parent / "exports"
    exports.mkdir(exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (exports / "shuffled.jsonl").write_text(text + held_out, "utf-8")

    job = loop.train(dataset="shuffled.jsonl")
    keep("gate shuffled", {"reason": job["reason"], "losses": job["verdict"]["losses"]})
    assert job["state"] == "rejected", job
    assert loop.get("/api/versions")["current"] == "v1.0"


def test_noise_in_the_adapter_is_stopped(loop: Loop, tmp_path: Path) -> None:
    folder = loop.live.data_dir / "runs" / loop.jobs()[-1]["job_id"]
    loop.live.kill(signal.SIGTERM)
    good = folder / "adapter"
    rows = [json.loads(r) for r in (folder / "data" / "valid.jsonl").read_text().splitlines()]
    settings = Settings(_env_file=None, data_dir=tmp_path, models_dir=good.parents[3] / "models")
    found = {}
    with opened(settings, public_suites, print) as evaluation:
        for strength in NOISE:
            candidate = spoilt(good, tmp_path / f"noise-{strength:g}", strength)
            verdict = verdict_on(evaluation, candidate, rows)
            found[strength] = verdict_json(verdict)
            keep("gate noise", {str(k): summary(v) for k, v in found.items()})
    # Noise as large as the matrix itself hardly moves a loss. Four times as much moves it by about
    # what the rule allows (0.05 nats a token): with eight conversations that is stopped on one day
    # and passes on another.
    assert not found[8.0]["passed"]
    worst = [c for c in found[8.0]["checks"] if not c["passed"]]
    # Both halves of the rule see the worst one, each by itself.
    assert {c["name"] for c in worst} >= {"gate.not_worse_than_current", "gate.suite_kept"}


def spoilt(adapter: Path, target: Path, strength: float) -> Path:
    """A copy with noise in every matrix."""
    shutil.copytree(adapter, target)
    weights = target / "adapter_model.safetensors"
    rng = np.random.default_rng(0)
    tensors = load_file(weights)
    for name, values in tensors.items():
        size = float(np.sqrt((values.astype(float) ** 2).mean()))
        tensors[name] = (values + rng.normal(0, strength * size, values.shape)).astype(values.dtype)
    weights.unlink()
    save_file(tensors, weights, metadata={"format": "pt"})
    return target


def verdict_on(evaluation: EvalService, adapter: Path, rows: list[dict[str, Any]]) -> Verdict:
    """As the gate of a run whose candidate this is, with v1.0 in use."""
    assert evaluation._versions.current() == "v1.0"
    names = ("health", "instruction", "knowledge")
    answers = evaluation.of_candidate("proof", adapter, names, QUESTIONS, threading.Event())
    sha256 = sha256_file(adapter / "adapter_model.safetensors")
    trial = Version("candidate", str(adapter), evaluation._engine.info.model, sha256)
    with evaluation._versions.trial(trial):
        tables = {
            "base": losses(evaluation, BASE, rows),
            "current": losses(evaluation, "v1.0", rows),
            "candidate": losses(evaluation, trial.name, rows),
        }
    return judge(tables, Rule(), answers)


def losses(evaluation: EvalService, version: str, rows: list[dict[str, Any]]) -> list[Any]:
    table = []
    for row in rows:
        *prompt, answer = (Message(m["role"], m["content"]) for m in row["messages"])
        likely = evaluation._engine.score(prompt, answer.content, version)
        table.append({"turn_id": row["turn_id"], "nll": likely.nll, "tokens": likely.tokens})
    return table


def summary(said: dict[str, Any]) -> dict[str, Any]:
    failed = [check["text"] for check in said["checks"] if not check["passed"]]
    return {"losses": said["losses"], "suites": said["suites"], "failed": failed}
