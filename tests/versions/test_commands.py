"""The commands for versions, as a person types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from javis.commands import versions as commands
from javis.core.errors import JavisError, UserInputError, VersionError
from javis.core.settings import Settings
from javis.core.types import Feedback, Turn
from javis.engine.adapter import check_adapter
from javis.engine.catalog import EMBEDDED
from javis.engine.hardware import Hardware
from javis.store import new_turn_id, now_iso, open_store
from javis.versions.publish import Publisher
from javis.versions.registry import Registry
from tests.versions.making import METADATA, MODEL, add_version, make_adapter

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    return Settings(
        _env_file=None,
        models_dir=tmp_path / "models",
        data_dir=tmp_path / "data",
        engine="llamacpp",
    )


def javis(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("ADAPTER_PATH", "JAVIS_MODEL")}
    return subprocess.run(
        [sys.executable, "-m", "javis", *words],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_typed_by_a_person(settings: Settings) -> None:
    add_version(settings.models_dir)
    there = ("--models-dir", str(settings.models_dir))
    data = ("--data-dir", str(settings.data_dir))
    assert javis("versions", *there, *data).stdout.startswith("* base\n  v1.0 ")
    assert javis("promote", "v1.0", *there).stdout == "v1.0 answers from the next message on.\n"
    assert "* v1.0" in javis("versions", *there, *data).stdout
    kept = javis("delete-version", "v1.0", *there)
    assert (kept.returncode, kept.stdout) == (1, "")
    assert kept.stderr == "javis: v1.0 is in use. Switch to another version first.\n"
    pinned = javis("rollback", *there, ADAPTER_PATH=str(settings.models_dir))
    assert "ADAPTER_PATH is set" in pinned.stderr
    assert "The base model answers" in javis("rollback", *there).stdout
    assert javis("delete-version", "v1.0", *there).stdout == "v1.0 is deleted.\n"
    events = Registry(settings.models_dir).history()
    assert [e.by for e in events] == ["job-0", "cli", "cli", "cli"]


def test_the_list_shows_data_gate_thumbs_and_damage(settings: Settings, tmp_path: Path) -> None:
    models = settings.models_dir
    first = add_version(models)
    report = {"verdict": {"passed": True}}
    Publisher(models).publish(make_adapter(tmp_path / "a"), METADATA, report, job="a")
    report = {"verdict": {"passed": False}}
    Publisher(models).publish(make_adapter(tmp_path / "b"), METADATA, report, job="b")
    broken = add_version(models, 4).name
    (models / broken / "metadata.json").unlink()
    Registry(models).activate("v1.0")
    with open_store(settings.journal) as store:
        conversation = store.conversations.create("ann").id
        for rating in ("good", "good", "bad"):
            turn = Turn(
                new_turn_id(),
                conversation,
                None,
                now_iso(),
                "hi",
                finish="stop",
                version="v1.0",
                version_sha256=first.sha256,
            )
            store.conversations.add_turn(turn)
            store.feedback.add(Feedback(turn.id, now_iso(), rating))
    lines = list(commands.listing(settings))
    assert lines[0] == "  base"
    assert lines[1].startswith(f"* v1.0    {MODEL}  sft-lora  20 turns  20")
    assert lines[1].endswith("2 of 3 liked (67%, 21% to 94%)")
    assert "gate passed" in lines[2]
    assert "published against the gate" in lines[3]
    assert lines[4] == "  v1.3    damaged: metadata.json is missing."
    (models / "current").write_text("v8.0")
    assert "which is not there" in list(commands.listing(settings))[-1]


def test_the_base_is_counted_for_the_model_that_is_served(settings: Settings) -> None:
    with open_store(settings.journal) as store:
        conversation = store.conversations.create("ann").id
        for model, rating in ((EMBEDDED, "good"), ("another", "bad"), ("another", "bad")):
            turn = Turn(
                new_turn_id(), conversation, None, now_iso(), "hi", finish="stop", model=model
            )
            store.conversations.add_turn(turn)
            store.feedback.add(Feedback(turn.id, now_iso(), rating))  # type: ignore[arg-type]
    (line,) = commands.listing(settings)
    assert "1 of 1 liked" in line
    # Which model it is cannot be said: all of them.
    (line,) = commands.listing(settings.model_copy(update={"model": "no/such model"}))
    assert "1 of 3 liked" in line


def test_a_server_that_holds_the_memory_does_not_hide_its_model(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Hardware(cores=2, ram_total=1 << 40, ram_available=0)
    monkeypatch.setattr("javis.engine.hardware.detect", lambda: full)
    assert commands._model(settings) == EMBEDDED


def test_what_the_server_would_not_serve_is_not_promoted(
    settings: Settings, tmp_path: Path
) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    models = settings.models_dir
    other = add_version(models, base_model="Qwen2.5-7B-Instruct").name
    with pytest.raises(UserInputError, match=r"made for Qwen2\.5-7B-Instruct"):
        commands.promote(settings, other)
    folder = tmp_path / "prompt"
    folder.mkdir()
    save_file(
        {"prompt_embeddings": np.ones((4, 576), np.float32)}, folder / "adapter_model.safetensors"
    )
    (folder / "adapter_config.json").write_text(
        '{"peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", "num_virtual_tokens": 4}'
    )
    assert check_adapter(folder).peft_type == "PROMPT_TUNING"
    name = Publisher(models).publish(folder, METADATA, {}, job="p").name
    with pytest.raises(UserInputError, match=r"prompt tuning.*transformers engine can"):
        commands.promote(settings, name)
    with pytest.raises(VersionError, match=r"no version v9\.9"):
        commands.promote(settings, "v9.9")
    assert Registry(models).current() == "base"


def test_a_bad_adapter_is_refused_before_anything_is_tried(
    settings: Settings, tmp_path: Path, embedded_gguf: Path
) -> None:
    there = settings.models_dir / "base" / embedded_gguf.parent.name
    there.mkdir(parents=True)
    os.link(embedded_gguf, there / embedded_gguf.name)
    source = make_adapter(tmp_path / "theirs", base_model_name_or_path="/etc")
    said: list[str] = []
    with pytest.raises(JavisError, match="made for /etc"):
        commands.bring_in(settings, source, said.append)
    assert Registry(settings.models_dir).versions() == []
