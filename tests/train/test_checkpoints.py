"""A run goes on from the newest checkpoint that is whole, and ends as if nothing had been."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.trainer_utils import get_last_checkpoint

from javis.engine.adapter import WEIGHTS
from javis.train.checkpoints import KEPT, MANIFEST, checkpoints, newest_whole, seal, verifies
from javis.train.config import TrainConfig
from javis.train.events import EventLog
from javis.train.run import train
from javis.train.saving import load_tensors
from tests.train.jobs import QUICK, events, make_job

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:peft"),
]
# Two epochs of four steps: the resumed run has to find its place within the second.
HYPER = replace(QUICK, save_steps=2, dropout=0.1, gradient_accumulation=1)


class Killed(BaseException):
    pass


class Deadly(EventLog):
    """Ends the run right after an event."""

    def __init__(self, folder: Path, kind: str, step: int) -> None:
        super().__init__(folder)
        self._end = (kind, step)

    def add(self, kind: str, **values: Any) -> None:
        super().add(kind, **values)
        if (kind, values.get("step")) == self._end:
            raise Killed


def whole(folder: Path, number: int) -> Path:
    checkpoint = folder / f"checkpoint-{number}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "optimizer.pt").write_bytes(b"x" * 1000)
    (checkpoint / "trainer_state.json").write_text("{}")
    seal(checkpoint)
    return checkpoint


def cut(checkpoint: Path) -> None:
    (checkpoint / "optimizer.pt").write_bytes(b"x" * 500)


def zero(checkpoint: Path) -> None:
    (checkpoint / "optimizer.pt").write_bytes(b"\0" * 1000)


def lose(checkpoint: Path) -> None:
    (checkpoint / "optimizer.pt").unlink()


def unseal(checkpoint: Path) -> None:
    (checkpoint / MANIFEST).unlink()


def tear_manifest(checkpoint: Path) -> None:
    text = (checkpoint / MANIFEST).read_text()
    (checkpoint / MANIFEST).write_text(text[: len(text) // 2])


def plant(checkpoint: Path) -> None:
    """A file that the run did not write: it could be a pickle."""
    (checkpoint / "scaler.pt").write_bytes(b"evil")


@pytest.mark.parametrize("damage", [cut, zero, lose, unseal, tear_manifest, plant])
def test_a_torn_checkpoint_is_passed_over(tmp_path: Path, damage: Any) -> None:
    whole(tmp_path, 9)
    newest = whole(tmp_path, 10)
    assert newest_whole(tmp_path) == newest
    damage(newest)
    assert not verifies(newest)
    # What transformers itself would take: the broken variant of this test.
    assert get_last_checkpoint(str(tmp_path)) == str(newest)
    assert newest_whole(tmp_path) == tmp_path / "checkpoint-9"
    assert not newest.exists()


def test_without_a_whole_checkpoint_it_starts_anew(tmp_path: Path) -> None:
    cut(whole(tmp_path, 3))
    (tmp_path / "checkpoint-x").mkdir()
    (tmp_path / "checkpoint-7").symlink_to(whole(tmp_path / "elsewhere", 7))
    assert newest_whole(tmp_path) is None
    assert checkpoints(tmp_path) == []


def run(folder: Path, config: TrainConfig, log: EventLog | None = None) -> dict[str, Any]:
    log = log or EventLog(folder)
    try:
        return train(config, folder, log)
    finally:
        log.close()


def losses(done: Any) -> list[float]:
    return [row["loss"] for row in done["train"]["curve"] if "loss" in row]


def saving(qwen2: Path, folder: Path) -> list[int]:
    """How many checkpoints there are after each save of a run that saves after every step."""
    counts: list[int] = []

    class Counting(EventLog):
        def add(self, kind: str, **values: Any) -> None:
            super().add(kind, **values)
            if kind == "checkpoint":
                counts.append(len(checkpoints(folder)))

    hyper = replace(HYPER, save_steps=1, max_steps=4)
    run(folder, make_job(folder, qwen2, hyper=hyper), Counting(folder))
    return counts


def test_checkpoints_do_not_fill_the_disk(qwen2: Path, tmp_path: Path) -> None:
    assert max(saving(qwen2, tmp_path / "r")) == KEPT


def test_without_a_limit_checkpoints_add_up(
    qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant of the test above."""
    monkeypatch.setattr("javis.train.trainers.KEPT", None)
    assert saving(qwen2, tmp_path / "r") == [1, 2, 3, 4]


@pytest.fixture(scope="module")
def uninterrupted(qwen2: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("whole") / "r"
    return folder, run(folder, make_job(folder, qwen2, hyper=HYPER))


@pytest.mark.parametrize(
    ("kind", "step", "damage", "resumed_from"),
    [
        ("step", 7, None, "checkpoint-6"),
        ("step", 5, None, "checkpoint-4"),
        ("step", 7, cut, "checkpoint-4"),
        ("step", 1, None, None),
    ],
)
def test_a_resumed_run_ends_with_the_same_weights(
    kind: str,
    step: int,
    damage: Any,
    resumed_from: str | None,
    qwen2: Path,
    tmp_path: Path,
    uninterrupted: tuple[Path, Any],
) -> None:
    folder = tmp_path / "r"
    config = make_job(folder, qwen2, hyper=HYPER)
    with pytest.raises(Killed):
        run(folder, config, Deadly(folder, kind, step))
    if damage:
        damage(checkpoints(folder)[0])
    done = run(folder, replace(config, resume=True))
    other, expected = uninterrupted
    assert done["train"]["resumed_from"] == resumed_from
    assert done["train"]["steps"] == expected["train"]["steps"] == 8
    # Tokens and seconds are of the same steps: the next estimate divides them.
    begun = int(resumed_from.rpartition("-")[2]) if resumed_from else 0
    tokens = expected["train"]["tokens"] * (8 - begun) / 8
    assert done["train"]["tokens"] == pytest.approx(tokens, abs=1)
    assert losses(done) == losses(expected)
    ours, theirs = (load_tensors(path / "adapter") for path in (folder, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert [e["number"] for e in events(folder)] == list(range(1, len(events(folder)) + 1))


def test_a_run_that_dies_while_it_saves_goes_on_from_the_checkpoint_before(
    qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "r"
    config = make_job(folder, qwen2, hyper=HYPER)
    from javis.train.trainers import SftRecipe

    save = SftRecipe._save_optimizer_and_scheduler

    def die(self: Any, output_dir: str) -> None:
        if self.state.global_step == 6:
            # The adapter of checkpoint-6 is written, the rest is not.
            assert (Path(output_dir) / WEIGHTS).is_file()
            raise Killed
        save(self, output_dir)

    monkeypatch.setattr(SftRecipe, "_save_optimizer_and_scheduler", die)
    with pytest.raises(Killed):
        run(folder, config)
    monkeypatch.undo()
    assert get_last_checkpoint(str(folder)) == str(folder / "checkpoint-6")
    done = run(folder, replace(config, resume=True))
    assert done["train"]["resumed_from"] == "checkpoint-4"
    assert done["train"]["steps"] == 8


def test_two_checkpoints_are_kept_and_hold_only_what_resuming_needs(
    qwen2: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "r"
    run(folder, make_job(folder, qwen2, hyper=HYPER))
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-8", "checkpoint-6"]
    assert {path.name for path in (folder / "checkpoint-8").iterdir()} == {
        *("adapter_config.json", "adapter_model.safetensors", "optimizer.pt", "scheduler.pt"),
        *("rng_state.pth", "trainer_state.json", MANIFEST),
    }


def test_a_fresh_start_takes_nothing_from_an_older_run(qwen2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    config = make_job(folder, qwen2, hyper=HYPER)
    run(folder, config)
    shutil.rmtree(folder / "adapter")
    assert run(folder, config)["train"]["resumed_from"] is None
