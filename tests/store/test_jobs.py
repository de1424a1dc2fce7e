"""Training runs in the store: one at a time, ends that stay, several processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from javis.core.errors import AlreadyTraining, NotFound
from javis.core.learning import TrainJob
from javis.store import new_job_id, now_iso, open_store


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as store:
        yield store


def job(**fields):
    known = {"id": new_job_id(), "created_at": now_iso(), "owner": "local", "method": "sft-lora"}
    return TrainJob(**known | {"base_model": "m", "hyperparameters": {"rank": 8}} | fields)


def test_a_run_survives_a_restart(tmp_path):
    whole = job(
        state="rejected",
        phase="scoring",
        reason="gate_failed",
        reason_values={"a": 1},
        version="v1.0",
        pid=7,
        pid_started=1.5,
        data={"rows": 3},
        verdict={"passed": False},
        took={"seconds": 2.0},
    )
    with open_store(tmp_path) as store:
        store.jobs.add(whole)
    with open_store(tmp_path) as store:
        assert store.jobs.get(whole.id) == whole


def test_one_at_a_time_and_newest_first(store):
    first = job()
    store.jobs.add(first)
    with pytest.raises(AlreadyTraining):
        store.jobs.add(job())
    assert store.jobs.active() == first
    store.jobs.update(first.id, state="failed")
    assert store.jobs.active() is None
    second = job()
    store.jobs.add(second)
    assert [j.id for j in store.jobs.all()] == [second.id, first.id]
    with pytest.raises(AlreadyTraining):
        store.jobs.reopen(first.id, state="queued")
    store.jobs.discard(second.id, None)
    assert store.jobs.reopen(first.id, state="queued").state == "queued"


def test_an_end_is_not_overwritten(store):
    run = job()
    store.jobs.add(run)
    store.jobs.end(run.id, state="cancelled")
    assert store.jobs.end(run.id, state="failed", reason="late").state == "cancelled"
    assert store.jobs.get(run.id).reason == ""


def test_unknown(store):
    def discard(job_id):
        store.jobs.discard(job_id, None)

    for act in (store.jobs.get, store.jobs.update, store.jobs.end, discard):
        with pytest.raises(NotFound):
            act("j_none")
    with pytest.raises(NotFound):
        store.jobs.put(job())


def test_what_comes_out_is_a_copy(store):
    run = job()
    store.jobs.add(run)
    store.jobs.get(run.id).hyperparameters["rank"] = 99  # type: ignore[index]
    assert store.jobs.get(run.id).hyperparameters == {"rank": 8}
    store.jobs.put(replace(run, state="succeeded"))
    assert store.jobs.get(run.id).state == "succeeded"


def test_threads_add_one(store):
    refused = []

    def add():
        try:
            store.jobs.add(job())
        except AlreadyTraining:
            refused.append(1)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(store.jobs.all()), len(refused)) == (1, 7)


def test_another_process_sees_and_changes_it(store, tmp_path):
    run = job()
    store.jobs.add(run)
    code = (
        "import sys; from javis.store import open_store\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    store.jobs.update(sys.argv[2], state='running', pid=5)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), run.id], check=True)
    assert store.jobs.get(run.id).pid == 5
