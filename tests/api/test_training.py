"""`/api/training` over real HTTP, from thumbs to a version that answers, with a small trainer."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from javis.core.learning import TERMINAL
from javis.engine.hardware import Hardware
from javis.service.training_plan import TrainBase
from javis.train.process import Worker
from javis.train.supervisor import Supervisor
from javis.versions.registry import Registry
from tests.api.conftest import MakeSite, Site, serving
from tests.api.test_completions import error_of

FAKE = Path(__file__).parents[1] / "train" / "fake_worker.py"
BIG = Hardware(cores=2, ram_total=1 << 40, ram_available=1 << 40)
JOBS = "/api/training/jobs"
MakeTraining = Callable[..., Site]


@pytest.fixture
def make_training(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeTraining]:
    """Builds sites with so many liked answers, and a trainer that behaves as the words say."""
    monkeypatch.setattr("javis.service.training_plan.detect", lambda: BIG)
    made: list[Site] = []

    def make(*words: str, liked: int = 24, **settings: object) -> Site:
        parts = {
            "registry": Registry(tmp_path / "models"),
            "base": TrainBase("scripted", tmp_path / "base", None, "4bit", "cpu", 1_000_000),
            "supervisor": Supervisor(
                tmp_path / "data" / "runs",
                lambda folder: [sys.executable, str(FAKE), str(folder), *words],
            ),
        }
        site = make_site(parts=parts, **settings)
        # The losses alone decide here: what the suites do to a run is tested elsewhere.
        (tmp_path / "data" / "gate.json").write_text('{"suites": []}')
        if "password" in settings:
            site.headers["Authorization"] = "Bearer key"
        made.append(site)
        for number in range(liked):
            turn = site.chat(f"Tell me of the subject {number} {'abcdefgh'[number % 8] * 9}")
            rating = {"turn_id": turn["turn_id"], "rating": "good"}
            assert site.post("/api/feedback", rating).status_code == 200
        for watcher in site.services.learning.watchers():
            watcher.start()
            watchers.append(watcher)
        return site

    watchers: list[Any] = []
    yield make
    for watcher in watchers:
        watcher.stop()
    for site in made:
        for job in site.store.jobs.all():
            if job.pid:
                supervisor = Supervisor(tmp_path / "data" / "runs")
                supervisor.stop(Worker(job.pid, job.pid_started or 0))
        site.services.training.let_go()


def start(site: Site, **fields: object) -> str:
    answer = site.post(JOBS, {"method": "sft-lora", **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def ended(site: Site, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while True:
        job = dict(site.get(f"{JOBS}/{job_id}").json())
        if job["state"] in TERMINAL:
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def test_from_thumbs_to_a_version_that_answers(make_training: MakeTraining) -> None:
    site = make_training()
    proposal = site.get("/api/training/proposal").json()
    assert proposal["method"] == "sft-lora" and proposal["counts"]["examples"] == 24
    estimate = site.post("/api/training/estimate", {"method": "sft-lora"}).json()
    assert estimate["seconds"] > 0 and set(estimate["cost"]) == {"local", "rented", "serverless"}
    job = ended(site, start(site))
    assert (job["state"], job["version"], job["reason"]) == ("succeeded", "v1.0", "")
    assert (job["step"], job["total_steps"], job["eta_s"], job["loss"]) == (4, 4, 0, 1.0)
    assert "eval" in job and "pid" not in job and "owner" not in job
    assert job["took"]["seconds"] == 1.5
    assert site.chat("hello")["version"] == "v1.0"
    [listed] = site.get(JOBS).json()["jobs"]
    assert listed["job_id"] == job["job_id"]
    assert listed["step"] is None  # an ended run's own row has it
    assert site.ask("DELETE", f"{JOBS}/{job['job_id']}").json()["deleted"] is True
    assert site.get(JOBS).json() == {"jobs": []}


def events_of(lines: Iterator[str]) -> list[tuple[str | None, str, dict[str, Any]]]:
    """(id, name, data) of each server-sent event."""
    found, fields = [], {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            found.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
            fields = {}
    return found


def test_events_as_they_come_and_again_from_where_the_client_was(
    make_training: MakeTraining,
) -> None:
    site = make_training()
    with serving(site.app) as address, httpx.Client(base_url=address, timeout=20) as client:
        job_id = client.post(JOBS, json={"method": "sft-lora"}).json()["job_id"]
        with client.stream("GET", f"{JOBS}/{job_id}/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            events = events_of(answer.iter_lines())
        assert [name for _, name, _ in events] == ["phase", *["step"] * 4, "done", "end"]
        assert [number for number, _, _ in events] == ["1", "2", "3", "4", "5", "6", None]
        assert events[-1][2]["state"] == "succeeded"
        headers = {"Last-Event-ID": "4"}
        with client.stream("GET", f"{JOBS}/{job_id}/events", headers=headers) as answer:
            again = events_of(answer.iter_lines())
        assert again == events[4:]
        for bad in ("x", "-1", "9" * 50):
            headers = {"Last-Event-ID": bad}
            with client.stream("GET", f"{JOBS}/{job_id}/events", headers=headers) as answer:
                assert len(events_of(answer.iter_lines())) == 7
        assert client.get(f"{JOBS}/j_none/events").status_code == 404


def test_a_client_that_leaves_ends_only_its_own_stream(make_training: MakeTraining) -> None:
    site = make_training("slow")
    with serving(site.app) as address, httpx.Client(base_url=address, timeout=20) as client:
        job_id = start(site)
        with client.stream("GET", f"{JOBS}/{job_id}/events") as answer:
            for line in answer.iter_lines():
                if line.startswith("event: step"):
                    break
        assert client.get(f"{JOBS}/{job_id}").json()["state"] == "running"
        [listed] = client.get(JOBS).json()["jobs"]
        assert listed["step"] >= 1 and listed["total_steps"] == 500
        begun = time.monotonic()
        assert client.post(f"{JOBS}/{job_id}/cancel").json()["state"] == "cancelled"
        assert time.monotonic() - begun < 5
        assert client.post(f"{JOBS}/{job_id}/resume").status_code == 202
        client.post(f"{JOBS}/{job_id}/cancel")


def test_only_one_at_a_time(make_training: MakeTraining) -> None:
    site = make_training("slow")
    start(site)
    assert error_of(site.post(JOBS, {"method": "sft-lora"}), 409)["code"] == "already_training"


def test_refused_and_let_by(make_training: MakeTraining) -> None:
    site = make_training("worse")
    job_id = start(site)
    job = ended(site, job_id)
    assert (job["state"], job["version"]) == ("rejected", None)
    assert job["reason"].startswith("gate.") and job["can_override"]
    assert site.chat("hello")["version"] == "base"
    done = site.post(f"{JOBS}/{job_id}/override").json()
    assert (done["version"], done["overridden_by"]) == ("v1.0", "local")
    assert site.chat("hello")["version"] == "v1.0"
    error_of(site.post(f"{JOBS}/{job_id}/override"), 409)


def test_too_little_data(make_training: MakeTraining) -> None:
    site = make_training(liked=3)
    error = error_of(site.post(JOBS, {"method": "sft-lora"}))
    assert error["code"] == "not_enough_data" and "5 are missing" in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"method": "magic"},
        {"method": None},
        {"method": "sft-lora", "promote": "yes"},
        {"method": "sft-lora", "hyperparameters": []},
        {"method": "sft-lora", "hyperparameters": {"rank": "8; rm -rf /"}},
        {"method": "sft-lora", "hyperparameters": {"epochs": 1e300}},
        {"method": "sft-lora", "hyperparameters": {"target_modules": ".*"}},
        {"method": "sft-lora", "hyperparameters": {"$(id)": 1}},
        {"method": "sft-lora", "dataset": "../../etc/passwd"},
        {"method": "sft-lora", "dataset": "`id`.jsonl"},
        {"method": "sft-lora", "base_model": "../x"},
        {"method": "sft-lora", "dry_run": "no"},
    ],
    ids=range(14),
)
def test_bad_requests(make_training: MakeTraining, body: object) -> None:
    site = make_training(liked=8)
    error_of(site.post(JOBS, body))
    assert site.get(JOBS).json() == {"jobs": []}


@pytest.mark.parametrize("job_id", ["j_none", "..%2f..%2fetc", "%00", "j_" + "0" * 32, "x" * 3000])
def test_unknown_runs(site: Site, job_id: str) -> None:
    for method, path in (
        ("GET", ""),
        ("GET", "/events"),
        ("POST", "/cancel"),
        ("POST", "/resume"),
        ("POST", "/override"),
        ("DELETE", ""),
    ):
        error_of(site.ask(method, f"{JOBS}/{job_id}{path}"), 404)


def test_a_model_that_cannot_be_trained(site: Site) -> None:
    error = error_of(site.post("/api/training/estimate", {"method": "dpo"}), 409)
    assert error["code"] == "no_train_base"


def test_admin_only(make_training: MakeTraining) -> None:
    site = make_training(liked=0, password="word", users="bob:pass", api_key="key")
    cookie = site.auth.log_in("bob", "pass", "127.0.0.1")
    bob = {"Cookie": f"{site.auth.cookie}={cookie}", "Authorization": None}
    body = {"method": "sft-lora"}
    for method, path in (
        ("GET", "/jobs"),
        ("GET", "/proposal"),
        ("GET", "/jobs/j_1"),
        ("GET", "/jobs/j_1/events"),
        ("POST", "/jobs"),
        ("POST", "/estimate"),
        ("POST", "/jobs/j_1/cancel"),
        ("POST", "/jobs/j_1/resume"),
        ("POST", "/jobs/j_1/override"),
        ("DELETE", "/jobs/j_1"),
    ):
        asked = {"json": body} if method == "POST" else {}
        answer = site.ask(method, f"/api/training{path}", headers=bob, **asked)
        assert error_of(answer, 403)["code"] == "admin_only", path
        nobody = site.ask(method, f"/api/training{path}", headers={"Authorization": None}, **asked)
        assert nobody.status_code == 401
    paths = site.get("/openapi.json").json()["paths"]
    assert len([p for p in paths if p.startswith("/api/training")]) == 8
