"""The training process: it always ends with a result that tells the truth, and in time."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from javis.core.errors import TrainError
from javis.train import worker
from javis.train.hyperparameters import Hyperparameters
from tests.train.jobs import QUICK, events, make_job, result

LONG = replace(QUICK, epochs=100, save_steps=5)
ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, **options: Any) -> subprocess.Popen[bytes]:
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "javis.train.worker", str(folder)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            **options,
        )


def wait_for(folder: Path, kind: str, count: int = 1, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (folder / "events.jsonl").is_file():
            lines = (folder / "events.jsonl").read_text("utf-8").splitlines()
            if sum(f'"kind": "{kind}"' in line for line in lines) >= count:
                return
        time.sleep(0.02)
    pytest.fail(f"no {kind}: {(folder / 'log.txt').read_text()[-2000:]}")


def test_killed_in_a_save_or_anywhere_it_goes_on_when_resumed(qwen2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r"
    config = make_job(folder, qwen2, hyper=replace(QUICK, epochs=5, save_steps=2))
    process = start(folder)
    try:
        wait_for(folder, "checkpoint", 2)
    finally:
        process.kill()
        process.wait()
    assert not (folder / "result.json").exists()
    replace(config, resume=True).write(folder)
    process = start(folder)
    assert process.wait(90) == 0
    done = result(folder)
    assert done["state"] == "trained", done
    assert done["train"]["resumed_from"] is not None
    assert done["train"]["steps"] == 20
    assert not list(folder.glob("checkpoint-*"))
    assert time.time() - (folder / "heartbeat").stat().st_mtime < 30


@pytest.mark.parametrize("when", ["importing", "training"])
def test_told_to_stop_it_is_gone_within_five_seconds(
    when: str, qwen2: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "r"
    make_job(folder, qwen2, hyper=LONG)
    process = start(folder)
    wait_for(folder, *(("phase", 1) if when == "importing" else ("step", 3)))
    before = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert time.monotonic() - before < 5
    assert result(folder) == {"state": "cancelled"}
    assert events(folder)[-1]["values"] == {"state": "cancelled"}


def test_a_call_that_does_not_return_is_left(tmp_path: Path) -> None:
    """A library that sits in one long call, and one that swallows the exception."""
    code = (
        "import sys, time, pathlib\n"
        "from javis.train import worker\n"
        "worker._GRACE_S = 0.5\n"
        "worker.stop_at_term(pathlib.Path(sys.argv[1]))\n"
        "say = 'ready'\n"
        "while True:\n"
        "    try:\n"
        # Inside, as the signal comes as soon as this is read.
        "        if say: print(say, flush=True)\n"
        "        say = ''\n"
        "        time.sleep(60)\n"
        "    except BaseException: say = ''\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    process.stdout.close()
    assert result(tmp_path) == {"state": "cancelled"}


def test_only_one_run_trains(qwen2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r"
    make_job(folder, qwen2, hyper=QUICK)
    fd = os.open(tmp_path / "runs" / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        assert start(folder).wait(60) == 0
        assert result(folder)["code"] == "already_training"
        # With the right handed on by whoever holds it, it trains.
        assert start(folder, pass_fds=(fd,)).wait(90) == 0
        assert result(folder)["state"] == "trained"
    finally:
        os.close(fd)
    assert events(folder)[-1]["kind"] == "done"


def test_a_full_disk_ends_the_run_with_a_plain_reason(qwen2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r"
    # A checkpoint of rank 64 is larger than a file may be here.
    make_job(folder, qwen2, hyper=replace(QUICK, rank=64, save_steps=2))

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    assert start(folder, preexec_fn=little).wait(90) == 0
    done = result(folder)
    assert (done["state"], done["code"]) == ("failed", "train_disk_full"), done
    assert "Traceback" not in done["message"]


# -- in this process ---------------------------------------------------------------------------


def outcome(folder: Path) -> dict[str, Any]:
    from javis.train.events import EventLog

    log = EventLog(folder)
    try:
        return worker._outcome(folder, log)
    finally:
        log.close()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_loss_that_is_no_number_ends_the_run(
    qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick = poisoned(qwen2, tmp_path / "sick")
    folder = tmp_path / "runs" / "r"
    make_job(folder, sick)
    done = outcome(folder)
    assert (done["state"], done["code"], done["values"]) == ("failed", "not_finite", {"step": 1})
    assert not (folder / "adapter").exists()
    # Were nobody to look at the loss, the weights would still not pass.
    monkeypatch.setattr("javis.train.live.math", SimpleNamespace(isfinite=lambda _: True))
    done = outcome(folder)
    assert (done["state"], done["code"]) == ("failed", "version_damaged")


def poisoned(base: Path, folder: Path) -> Path:
    """A base with one weight that is no number."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate "
                     "memory: you tried to allocate 4294967296 bytes."),
        RuntimeError("CUDA error: out of memory"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_too_little_memory_ends_the_run_with_a_plain_reason(
    error: Exception, qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from javis.train.trainers import SftRecipe

    def fail(*_: Any, **__: Any) -> None:
        raise error

    folder = tmp_path / "runs" / "r"
    make_job(folder, qwen2)
    monkeypatch.setattr(SftRecipe, "training_step", fail)
    done = outcome(folder)
    assert (done["state"], done["code"]) == ("failed", "train_memory")


def take_memory(*_: Any, **__: Any) -> None:
    import torch

    torch.empty(1 << 60, dtype=torch.uint8)


def take_disk(folder: Path, *_: Any, **__: Any) -> None:
    """A file of weights where no file may be so large: as on a full disk, and safetensors says it
    in its own words."""
    import torch
    from safetensors.torch import save_file

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        save_file({"x": torch.zeros(1 << 16)}, folder / "weights.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


ENDS: list[tuple[Callable[..., None], str, str]] = [
    (take_memory, "train_memory", "DefaultCPUAllocator"),
    (take_disk, "train_disk_full", "os error"),
]


@pytest.mark.parametrize(("take", "code", "raw"), ENDS, ids=["memory", "disk"])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_the_libraries_say_of_a_lack_is_known(
    take: Callable[..., None],
    code: str,
    raw: str,
    qwen2: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a broken variant: one that goes by the kind of error, as the system alone would do."""
    from javis.train.trainers import SftRecipe

    folder = tmp_path / "runs" / "r"
    make_job(folder, qwen2)
    monkeypatch.setattr(SftRecipe, "training_step", lambda *_, **__: take(tmp_path))
    done = outcome(folder)
    assert (done["state"], done["code"]) == ("failed", code)
    assert raw not in done["message"]
    real = worker._plain
    monkeypatch.setattr(
        worker,
        "_plain",
        lambda error: (
            real(error)
            if isinstance(error, (MemoryError, OSError))
            else TrainError("train_failed", "The training ended with an error: {why}", why=error)
        ),
    )
    done = outcome(folder)
    assert (done["state"], done["code"]) == ("failed", "train_failed")
    assert raw in done["message"]


ROOM = [("disk", "train_disk_short"), ("memory", "train_memory_short")]


def take_room(attribute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any disk, or memory, is free; and loading the base fails."""
    from javis.engine.hardware import Hardware
    from javis.train import room, run

    monkeypatch.setattr(run, "load_base", _must_not_be_called)
    if attribute == "disk":
        monkeypatch.setattr(room.shutil, "disk_usage", lambda _: _Usage())
    else:
        monkeypatch.setattr(room.hardware, "detect", lambda: Hardware(2, 1 << 30, 1 << 20))


@pytest.mark.parametrize(("attribute", "code"), ROOM)
def test_without_room_nothing_is_loaded(
    attribute: str, code: str, qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "r"
    make_job(folder, qwen2)
    take_room(attribute, monkeypatch)
    assert outcome(folder)["code"] == code


@pytest.mark.parametrize(("attribute", "code"), ROOM)
def test_a_trainer_that_does_not_ask_for_room_loads_the_base(
    attribute: str, code: str, qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant of the test above: it would find out in the middle."""
    folder = tmp_path / "runs" / "r"
    make_job(folder, qwen2)
    take_room(attribute, monkeypatch)
    monkeypatch.setattr("javis.train.run.require_room", lambda *_: None)
    assert outcome(folder)["values"] == {"why": "loaded"}


class _Usage:
    free = 1000


def _must_not_be_called(*_: Any) -> None:
    raise AssertionError("loaded")


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda folder: (folder / "job.json").write_text("{"), "bad_job"),
        (lambda folder: (folder / "data/train.jsonl").unlink(), "not_enough_data"),
        (lambda folder: (folder / "data/train.jsonl").write_text("{}\n"), "train_data"),
        (lambda folder: _point_to(folder, "no/such-model"), "train_no_base"),
        (lambda folder: _point_to(folder, "$(touch x); --help"), "train_no_base"),
        (lambda folder: _point_to(folder, str(folder)), "model_refused"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_cannot_be_trained_is_refused_in_plain_words(
    break_it: Callable[[Path], Any], code: str, qwen2: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "r"
    make_job(folder, qwen2)
    break_it(folder)
    done = outcome(folder)
    assert (done["state"], done["code"]) == ("failed", code)
    json.dumps(done)


def _point_to(folder: Path, base: str) -> None:
    values = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(values | {"base_path": base}))


@pytest.mark.parametrize("field", ["id", "base_model", "train_rows", "sample_prompts"])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_shell_characters_are_only_text(field: str, qwen2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r"
    evil = f"x; touch {tmp_path}/evil; $(touch {tmp_path}/evil) `touch {tmp_path}/evil`"
    make_job(folder, qwen2, **{field: (evil,) if field == "sample_prompts" else evil})
    done = outcome(folder)
    assert done["state"] == ("failed" if field == "train_rows" else "trained")
    assert not (tmp_path / "evil").exists()


def test_infinities_become_null(tmp_path: Path) -> None:
    worker.write_result(tmp_path, {"state": "trained", "a": [float("inf"), {"b": float("nan")}]})
    assert result(tmp_path) == {"state": "trained", "a": [None, {"b": None}]}


def test_every_end_of_hyperparameters_is_checked_before_the_run() -> None:
    assert Hyperparameters.parse(QUICK.plain()) == QUICK
