"""A staged version is tried out in a process of its own, and refused when it is no good."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from javis.core.errors import VersionError
from javis.engine.convert import dense_copy
from javis.engine.probe import Probe
from javis.versions import gguf, prove
from javis.versions.prove import Prover, compare
from javis.versions.publish import Publisher
from javis.versions.registry import Registry
from tests.versions import tiny
from tests.versions.making import METADATA

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*Upcasting.*:UserWarning"),
]
WANTED = METADATA | {"base_model": "tiny"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(GGUF, transformers folder) of one llama model."""
    folder = tmp_path_factory.mktemp("base")
    path = tiny.write_gguf(tiny.make_model("llama"), "llama", folder / "base.gguf")
    return path, dense_copy(path, folder / "base.dense")


@pytest.fixture
def publisher(base: tuple[Path, Path], tmp_path: Path) -> Publisher:
    path, dense = base
    return Publisher(tmp_path / "models", path, Prover("tiny", dense, path))


def test_a_good_one_is_published_with_its_proof(publisher: Publisher, tmp_path: Path) -> None:
    tiny.save_adapter(tiny.make_model("llama"), tmp_path / "adapter")
    version = publisher.publish(tmp_path / "adapter", WANTED, {}, job="j")
    assert version.damaged is None
    folder = publisher.models_dir / "v1.0"
    assert sorted(p.name for p in folder.iterdir()) == [
        *("MANIFEST.json", "adapter", "adapter.gguf", "metadata.json", "report.json")
    ]
    proof = Registry(publisher.models_dir).report("v1.0")["proof"]
    assert proof["largest_change"] > 0.1
    assert proof["parity"]["exact"] is True
    assert proof["parity"]["difference"] < 0.001 * proof["parity"]["effect"] + 1e-4
    assert publisher.base_gguf
    served = gguf.ensure_gguf(version, publisher.base_gguf, tmp_path / "cache")
    assert served == folder / "adapter.gguf", "not converted again"


def test_one_that_changes_nothing_is_refused(publisher: Publisher, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tiny.save_adapter(tiny.make_model("llama"), tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    zeroed = {k: v * (0 if "lora_B" in k else 1) for k, v in load_file(file).items()}
    save_file(zeroed, file)
    with pytest.raises(VersionError, match="changes nothing"):
        publisher.publish(tmp_path / "adapter", WANTED, {}, job="j")
    assert [p.name for p in publisher.models_dir.iterdir() if p.name != ".lock"] == []


def staged(base: tuple[Path, Path], folder: Path) -> Path:
    tiny.save_adapter(tiny.make_model("llama"), folder / "adapter")
    gguf.convert(folder / "adapter", base[0], folder / "adapter.gguf")
    return folder


def test_a_wrong_conversion_is_refused(
    base: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant: rows of query and key where transformers has them."""
    monkeypatch.setattr(gguf, "permute", lambda rows, heads: rows)
    folder = staged(base, tmp_path)
    with pytest.raises(VersionError, match="do not agree"):
        prove.prove(folder, "tiny", base[1], base[0])


def test_renamed_weights_are_no_silent_nothing(base: tuple[Path, Path], tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = staged(base, tmp_path)
    file = folder / "adapter" / "adapter_model.safetensors"
    save_file({k.replace("q_proj", "qq_proj"): v for k, v in load_file(file).items()}, file)
    with pytest.raises(VersionError, match="do not match"):
        prove.prove(folder, "tiny", base[1], base[0])


def test_other_methods_are_tried_in_transformers_only(publisher: Publisher, tmp_path: Path) -> None:
    from peft import IA3Config, get_peft_model

    config = IA3Config(
        target_modules=["k_proj", "v_proj", "down_proj"],
        feedforward_modules=["down_proj"],
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(tiny.make_model("llama"), config)
    for name, parameter in model.named_parameters():
        if "ia3_" in name:
            parameter.data.normal_(1.0, 0.3)
    model.save_pretrained(tmp_path / "adapter")
    version = publisher.publish(tmp_path / "adapter", WANTED, {}, job="j")
    assert "parity" not in Registry(publisher.models_dir).report(version.name)["proof"]
    assert publisher.base_gguf
    with pytest.raises(VersionError, match=r"IA3.*transformers engine can"):
        gguf.ensure_gguf(version, publisher.base_gguf, tmp_path)


def test_a_child_that_dies_is_no_proof(base: tuple[Path, Path], tmp_path: Path) -> None:
    prover = Prover("tiny", tmp_path / "no such model")
    with pytest.raises(VersionError, match="no config"):
        prover(staged(base, tmp_path))


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended with -9"),
        ("print('no json')", "ended with 0"),
        ("import sys; sys.exit('out of memory')", "out of memory"),
        ("import time; time.sleep(9)", "took longer"),
    ],
)
def test_whatever_the_child_does_is_said(
    program: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\n{program}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(prove.sys, "executable", str(fake))
    monkeypatch.setattr(prove, "_WAIT_S", 1.0)
    with pytest.raises(VersionError, match=word) as caught:
        Prover("tiny", tmp_path)(tmp_path)
    assert caught.value.code == "proof_failed"


def test_the_child_sees_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "python"
    fake.write_text(
        f"#!{sys.executable}\nimport json, os\nprint(json.dumps(sorted(os.environ.items())))\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("JAVIS_PASSWORD", "canary")
    monkeypatch.setenv("HF_TOKEN", "canary")
    monkeypatch.setattr(prove.sys, "executable", str(fake))
    seen = json.dumps(Prover("tiny", tmp_path)(tmp_path))
    assert "HF_HUB_OFFLINE" in seen
    assert "canary" not in seen


def probe(base: np.ndarray, adapted: np.ndarray) -> Probe:
    return Probe([[1]] * len(base), 0, base, adapted)


def moved(seed: int = 0, rows: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    base = rng.normal(-8, 2, (rows, 500))
    return base, base + rng.normal(0, 0.1, base.shape)


def test_compare_finds_the_worst_prompt() -> None:
    base, adapted = moved()
    off = adapted.copy()
    off[1] += 0.05 * np.sign(adapted - base)[1]
    found: Any = compare(probe(base, adapted), probe(base, off))
    assert found.difference == pytest.approx(0.05, rel=1e-6)
    assert found.difference > found.allowed
    same = compare(probe(base, adapted), probe(base + 3, adapted + 3))
    assert same.difference < 1e-9, "only the effect counts"


def test_compare_refuses_a_llama_that_ignores_it_or_knows_nothing() -> None:
    base, adapted = moved()
    with pytest.raises(VersionError, match="changes nothing"):
        compare(probe(base, adapted), probe(base, base))
    with pytest.raises(VersionError, match="does not find likely"):
        compare(probe(base, adapted), probe(base, np.full_like(base, np.nan)))
