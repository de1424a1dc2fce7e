"""`javis train` and `javis jobs`, with a small trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from javis.commands import train as command
from javis.core.errors import NotEnoughData, UserInputError
from javis.core.learning import TrainEvent, TrainJob
from javis.engine.catalog import Choice, EngineName
from javis.engine.models import BaseModel
from javis.versions.registry import Registry
from tests.service.learning import Make, Site, Source, approved
from tests.versions.making import make_adapter

OPTIONS: dict[str, Any] = {
    "method": None,
    "preset": "default",
    "promote": "gate",
    "dataset": None,
    "dry_run": False,
}


def run(site: Site, **options: Any) -> tuple[TrainJob, list[str]]:
    """Start a run and watch it to its end; what was said."""
    said: list[str] = []
    job = command.start(site.learning, said.append, **OPTIONS | options)
    job = command.watch(site.learning, job, said.append)
    return job, [*said, *command.outcome(site.training, job)]


def test_a_run_and_what_it_says(make_training: Make) -> None:
    site = make_training()
    job, said = run(site)
    assert job.state == "succeeded"
    assert "training …" in said and "step 4/4  loss 1.000  0 s left" in said
    assert said[-2:] == ["It is version v1.0 now.", "It answers from the next message on."]
    job, said = run(site, promote="never")
    assert said[-1] == "`javis promote v1.1` lets it answer."
    assert next(iter(command.listing(site.store))).endswith("succeeded  v1.1")
    _, said = run(site, dry_run=True)
    assert said[-1] == "The dry run went well: a real run would work."


def test_what_the_gate_says_is_told(make_training: Make) -> None:
    job, said = run(make_training("worse"))
    assert job.state == "rejected"
    assert any("not lower beyond chance" in line for line in said)


def test_rows_that_are_left_out_are_counted() -> None:
    values = {"code": "rows_too_long", "rows": 7, "limit": 512}
    line = command._line(TrainEvent(1, "2026", "warning", values))
    assert line.startswith("warning: 7 answers do not fit into 512 tokens and were left out")


def test_the_end_of_the_log_is_told(make_training: Make) -> None:
    _, said = run(make_training("crash"))
    assert said[-2].startswith("It ended as failed. The trainer broke off")
    assert said[-1] == "out of luck"


def test_refused(make_training: Make) -> None:
    site = make_training(source=Source(approved(2)))
    with pytest.raises(NotEnoughData):
        run(site)
    with pytest.raises(UserInputError):
        run(site, preset="none")


def test_ctrl_c_leaves_the_run_going_on(
    make_training: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_training("slow")
    said: list[str] = []

    def pressed(*given: object) -> TrainJob:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "open_learning", lambda *given: site.learning)
    monkeypatch.setattr(command, "watch", pressed)
    state = command.run(site.settings, site.store, said.append, follow=True, **OPTIONS)
    assert state == "running" and said[-1].startswith("It goes on.")
    [job] = site.training.jobs()
    assert site.training.cancel(job.id).state == "cancelled"


def choice(model: str = "scripted", engine: EngineName = "transformers") -> Choice:
    base = BaseModel(model, model, "", "MIT")
    return Choice(base, engine, "16bit", "cpu", Path("model"), None, None, 0, [])


def test_the_versions_on_disk_alone(make_training: Make, tmp_path: Path) -> None:
    site = make_training()
    site.finished(site.start(promote="never"))
    registry = Registry(site.settings.models_dir)
    shelf = command.DiskShelf(site.settings, registry, choice())
    assert [v.name for v in shelf.all()] == ["base", "v1.0"]
    assert shelf.current() == "base"
    pinned = site.settings.model_copy(update={"adapter_path": tmp_path})
    with pytest.raises(UserInputError):
        command.DiskShelf(pinned, registry, choice()).promote("v1.0", "cli")


def test_the_version_in_use_is_the_one_that_a_server_would_serve(
    make_training: Make, tmp_path: Path
) -> None:
    site = make_training()
    site.finished(site.start())
    registry = Registry(site.settings.models_dir)
    assert registry.current() == "v1.0"
    assert command.DiskShelf(site.settings, registry, choice()).current() == "v1.0"
    assert command.DiskShelf(site.settings, registry, choice("Qwen2.5-7B")).current() == "base"
    mine = make_adapter(tmp_path / "mine")
    pinned = site.settings.model_copy(update={"adapter_path": mine})
    shelf = command.DiskShelf(pinned, registry, choice())
    assert shelf.current() == "mine"
    assert shelf.all()[-1].path == str(mine)
    mine = tmp_path / "ia3"
    mine.mkdir()
    key = "base_model.model.model.layers.0.self_attn.k_proj.ia3_l"
    save_file({key: np.ones((192, 1), np.float32)}, mine / "adapter_model.safetensors")
    ia3 = {"peft_type": "IA3", "task_type": "CAUSAL_LM", "target_modules": ["k_proj"]}
    (mine / "adapter_config.json").write_text(json.dumps(ia3))
    pinned = site.settings.model_copy(update={"adapter_path": mine})
    assert command.DiskShelf(pinned, registry, choice(engine="llamacpp")).current() == "base"
    assert command.DiskShelf(pinned, registry, choice()).current() == "ia3"
