"""What is on disk is read as it is, and nothing broken is ever served."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from javis.core.errors import VersionError
from javis.versions import reading
from javis.versions.registry import Registry
from tests.versions.making import add_version

CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj"],
    "inference_mode": True,
    "auto_mapping": None,
    "megatron_config": None,
    "megatron_core": "megatron.core",
}
NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


def weights() -> dict[str, np.ndarray]:
    return {
        NAME.format("A"): np.ones((4, 8), np.float32),
        NAME.format("B"): np.ones((8, 4), np.float32),
    }


def metadata(name: str) -> dict[str, Any]:
    return {
        "version": name,
        "base_model": "SmolLM2-135M-Instruct",
        "created_at": "2026-11-21T03:00:00Z",
        "training_data": {
            "total_conversations": 10,
            "total_turns": 20,
            "date_range": ["2026-11-01", "2026-11-20"],
        },
        "training_config": {
            "method": "sft",
            "epochs": 3,
            "learning_rate": 2e-4,
            "lora_r": 4,
            "lora_alpha": 8,
        },
        "notes": "first",
    }


def make_version(models: Path, name: str, *, manifest: bool = False) -> Path:
    folder = models / name
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(CONFIG))
    save_file(weights(), folder / "adapter" / "adapter_model.safetensors")
    (folder / "metadata.json").write_text(json.dumps(metadata(name)))
    if manifest:
        write_manifest(folder)
    return folder


def write_manifest(folder: Path) -> None:
    files = {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file() and p.name != "MANIFEST.json"
    }
    (folder / "MANIFEST.json").write_text(json.dumps({"files": files}))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def only(models: Path) -> Any:
    (version,) = Registry(models).versions()
    return version


def test_versions_come_in_the_order_of_their_numbers(models: Path) -> None:
    for name in ("v1.10", "v1.2", "v2.0", "v1.0"):
        make_version(models, name)
    for other in ("base", "v1", "v1.0.1", "V1.0", "v1.0 copy", ".v1.1.part"):
        (models / other).mkdir()
    (models / "v9.9").write_text("a file")
    assert [v.name for v in Registry(models).versions()] == ["v1.0", "v1.2", "v1.10", "v2.0"]


def test_a_whole_version_says_what_its_metadata_says(models: Path) -> None:
    folder = make_version(models, "v1.0", manifest=True)
    version = only(models)
    digest = hashlib.sha256((folder / "adapter/adapter_model.safetensors").read_bytes())
    assert version.damaged is None
    assert (version.base_model, version.method, version.notes, version.sha256) == (
        "SmolLM2-135M-Instruct",
        "sft",
        "first",
        digest.hexdigest(),
    )
    assert version.path == str(folder)


def test_no_folder_is_no_version(tmp_path: Path) -> None:
    assert Registry(tmp_path / "none").versions() == []
    assert Registry(tmp_path / "none").current() == "base"


CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"auto_mapping": {"parent_library": "os", "base_model_class": "system"}}, "auto_mapping"),
    ({"megatron_core": "os"}, "megatron_core"),
    ({"megatron_config": {"a": 1}}, "megatron_config"),
    ({"runtime_config": {}}, "runtime_config"),
    ({"trainable_token_indices": [1]}, "trainable_token_indices"),
    ({"loftq_config": {"x": 1}}, "loftq_config"),
    ({"layer_replication": [[0, 4]]}, "layer_replication"),
    ({"init_lora_weights": "pissa"}, "init_lora_weights"),
    ({"init_lora_weights": 1}, "init_lora_weights"),
    ({"target_modules": "(a+)+$"}, "target_modules"),
    ({"target_modules": ["../x"]}, "target_modules"),
    ({"target_modules": []}, "target_modules"),
    ({"rank_pattern": {"(a+)+$": 4}}, "rank_pattern"),
    ({"rank_pattern": [1]}, "rank_pattern"),
    ({"peft_type": "LOHA"}, "LOHA"),
    ({"peft_type": None}, "method"),
    ({"peft_type": ["LORA"]}, "method"),
    ({"task_type": "SEQ_CLS"}, "task_type"),
    ({"r": 0}, "'r'"),
    ({"r": True}, "'r'"),
    ({"r": 10**9}, "'r'"),
    ({"r": 8}, "rank 4"),
    ({"lora_alpha": "8"}, "lora_alpha"),
    ({"lora_alpha": float("nan")}, "lora_alpha"),
    ({"bias": "all"}, "bias"),
    ({"surprise": 1}, "surprise"),
    ({"_attn_implementation_internal": "x/y"}, "_attn_implementation_internal"),
    ({"base_model_name_or_path": ["/etc"]}, "base_model_name_or_path"),
]


@pytest.mark.parametrize(("change", "word"), CONFIGS, ids=[str(c) for c, _ in CONFIGS])
def test_a_hostile_config_is_refused(models: Path, change: dict[str, Any], word: str) -> None:
    folder = make_version(models, "v1.0")
    (folder / "adapter/adapter_config.json").write_text(json.dumps(CONFIG | change))
    assert word in only(models).damaged


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '{"a":' * 100_000, "\xff", "1" * (1 << 19)]
)
def test_a_config_that_is_no_object_is_refused(models: Path, text: str) -> None:
    folder = make_version(models, "v1.0")
    (folder / "adapter/adapter_config.json").write_text(text, "latin-1")
    assert only(models).damaged
    (folder / "adapter/adapter_config.json").unlink()
    assert only(models).damaged == "adapter_config.json is missing."


def test_what_peft_itself_saves_is_accepted(models: Path) -> None:
    saved = CONFIG | {
        "alpha_pattern": {},
        "rank_pattern": {},
        "loftq_config": {},
        "lora_bias": False,
        "ensure_weight_tying": False,
        "use_qalora": False,
        "qalora_group_size": 16,
        "init_lora_weights": True,
        "layers_to_transform": None,
        "base_model_name_or_path": "../../etc/passwd",
        "peft_version": "0.21.2",
    }
    folder = make_version(models, "v1.0")
    (folder / "adapter/adapter_config.json").write_text(json.dumps(saved))
    assert only(models).damaged is None


def header(entries: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(start: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


A, B = NAME.format("A"), NAME.format("B")
FILES = {
    "empty": b"",
    "short": b"\x01\x02",
    "2^62 header": struct.pack("<Q", 1 << 62) + b"{}",
    "100 MB header": struct.pack("<Q", 100 << 20) + b"{}",
    "no json": struct.pack("<Q", 4) + b"nope",
    "a list": struct.pack("<Q", 2) + b"[]",
    "no tensors": header({}),
    "beyond the end": header({A: entry(0, 128, [4, 8]), B: entry(128, 256, [8, 4])}, bytes(200)),
    "overlap": header({A: entry(0, 128, [4, 8]), B: entry(64, 192, [8, 4])}, bytes(192)),
    "gap": header({A: entry(0, 128, [4, 8]), B: entry(130, 258, [8, 4])}, bytes(258)),
    "tail": header({A: entry(0, 128, [4, 8]), B: entry(128, 256, [8, 4])}, bytes(300)),
    "wrong size": header({A: entry(0, 100, [4, 8])}, bytes(100)),
    "negative": header({A: entry(-128, 0, [4, 8])}),
    "huge shape": header({A: entry(0, 128, [1 << 40, 1 << 40])}, bytes(128)),
    "float shape": header({A: entry(0, 128, [4.0, 8])}, bytes(128)),
    "no offsets": header({A: {"dtype": "F32", "shape": [4, 8]}}, bytes(128)),
    "strange type": header({A: entry(0, 128, [4, 8], "I32")}, bytes(128)),
    "half": header({A: entry(0, 128, [4, 8])}, bytes(128)),
    "other half": header({B: entry(0, 128, [8, 4])}, bytes(128)),
    "unknown name": header({"model.embed": entry(0, 128, [4, 8])}, bytes(128)),
    "mixed ranks": header({A: entry(0, 128, [4, 8]), B: entry(128, 192, [8, 2])}, bytes(192)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_weights_file_is_refused(models: Path, name: str) -> None:
    folder = make_version(models, "v1.0")
    (folder / "adapter/adapter_model.safetensors").write_bytes(FILES[name])
    assert only(models).damaged


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_damage_ever_raises(tmp_path: Path, data: st.DataObject) -> None:
    models = tmp_path / "fuzz"
    folder = models / "v1.0"
    if not folder.exists():
        make_version(models, "v1.0", manifest=True)
    names = ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "metadata.json"]
    path = folder / data.draw(st.sampled_from([*names, "MANIFEST.json"]))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    bad = data.draw(
        st.sampled_from(
            [whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], whole[at:], b""]
        )
    )
    path.write_bytes(bad)
    try:
        assert bad == whole or only(models).damaged
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(models: Path, kind: str, value: float) -> None:
    folder = make_version(models, "v1.0")
    file = folder / "adapter/adapter_model.safetensors"
    tensors = weights()
    tensors[NAME.format("B")][3, 2] = value
    if kind == "bfloat16":
        halves = {k: (v.view(np.uint32) >> 16).astype("<u2") for k, v in tensors.items()}
        blob = b"".join(halves[n].tobytes() for n in (A, B))
        entries = {A: entry(0, 64, [4, 8], "BF16"), B: entry(64, 128, [8, 4], "BF16")}
        file.write_bytes(header(entries, blob))
    else:
        save_file({k: v.astype(kind) for k, v in tensors.items()}, file)
    assert "holds a value that is no number" in only(models).damaged


@pytest.mark.parametrize("name", ["adapter_model.bin", "x.py", "deep/optimizer.pt", "A.PKL"])
def test_files_that_can_run_code_are_refused(models: Path, name: str) -> None:
    folder = make_version(models, "v1.0")
    (folder / "adapter" / name).parent.mkdir(exist_ok=True)
    (folder / "adapter" / name).write_bytes(b"x")
    assert "can run code" in only(models).damaged


def test_missing_weights_are_not_looked_for_elsewhere(models: Path) -> None:
    folder = make_version(models, "v1.0")
    (folder / "adapter/adapter_model.safetensors").unlink()
    assert only(models).damaged == "adapter_model.safetensors is missing."


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": "v2.0"}, "belongs to v2.0"),
        ({"version": "../../x"}, "belongs to"),
        ({"version": None}, "'version'"),
        ({"base_model": 5}, "'base_model'"),
        ({"training_data": []}, "'training_data'"),
        ({"training_config": {}}, "method"),
        ({"notes": {}}, "notes"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(
    models: Path, change: dict[str, Any], word: str
) -> None:
    folder = make_version(models, "v1.0")
    (folder / "metadata.json").write_text(json.dumps(metadata("v1.0") | change))
    assert word in only(models).damaged


def test_a_changed_file_no_longer_fits_its_manifest(models: Path) -> None:
    folder = make_version(models, "v1.0", manifest=True)
    registry = Registry(models)
    assert registry.versions()[0].damaged is None
    file = folder / "adapter/adapter_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert "not the file that was published" in str(registry.versions()[0].damaged)


def test_weights_that_any_library_loads_are_not_those_that_were_published(models: Path) -> None:
    files = [
        Path(str(add_version(models, seed).path)) / "adapter/adapter_model.safetensors"
        for seed in range(2)
    ]
    whole = [file.read_bytes() for file in files]
    zeroed = [data[:-64] + bytes(64) for data in whole]
    for found in (zeroed, whole[::-1]):
        for file, data in zip(files, found, strict=True):
            file.chmod(0o644)
            file.write_bytes(data)
            # The format has no checksum: without the manifest both would be served.
            assert len(load_file(file)) == 2
        for version in Registry(models).versions():
            assert "not the file that was published" in str(version.damaged)


@pytest.mark.parametrize(
    "files",
    [
        None,
        [],
        {},
        {"../../etc/passwd": "0" * 64},
        {"/etc/passwd": "0" * 64},
        {"adapter/gone": "0" * 64},
        {"metadata.json": "short"},
        {"metadata.json": 5},
        {"": "0" * 64},
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(models: Path, files: Any) -> None:
    folder = make_version(models, "v1.0", manifest=True)
    whole = json.loads((folder / "MANIFEST.json").read_text())["files"]
    merged = whole | files if isinstance(files, dict) and files else files
    (folder / "MANIFEST.json").write_text(json.dumps({"files": merged}))
    assert only(models).damaged


def test_activate_and_current(models: Path) -> None:
    make_version(models, "v1.0")
    registry = Registry(models)
    assert registry.current() == "base"
    registry.activate("v1.0")
    assert registry.current() == Registry(models).current() == "v1.0"
    assert (models / "current").read_text() == "v1.0\n"
    registry.activate("base")
    assert registry.resolve_current() == ("base", None)
    assert sorted(p.name for p in models.glob("[!.]*")) == ["current", "history.jsonl", "v1.0"]
    assert [(e.before, e.after) for e in registry.history()] == [("base", "v1.0"), ("v1.0", "base")]


@pytest.mark.parametrize("name", ["v9.9", "../v1.0", "", "v1.0/", "v1.0\n", "base "])
def test_activate_refuses_what_is_not_there(models: Path, name: str) -> None:
    make_version(models, "v1.0")
    registry = Registry(models)
    registry.activate("v1.0")
    with pytest.raises(VersionError):
        registry.activate(name)
    assert registry.current() == "v1.0"


def test_a_damaged_version_is_neither_activated_nor_current(models: Path) -> None:
    folder = make_version(models, "v1.0")
    registry = Registry(models)
    registry.activate("v1.0")
    (folder / "metadata.json").unlink()
    assert registry.current() == "base"
    assert registry.resolve_current().reason == (
        "v1.0 is damaged: metadata.json is missing. The base model answers."
    )
    with pytest.raises(VersionError, match=r"metadata\.json is missing"):
        registry.activate("v1.0")


@pytest.mark.parametrize(
    "content", [b"v3.0\n", b"\xff\xfe", b"", b"../../x", b"v1.0\0", b"x" * 999]
)
def test_a_pointer_that_leads_nowhere_means_the_newest_good_one(
    models: Path, content: bytes
) -> None:
    (models / "current").write_bytes(content)
    current = Registry(models).resolve_current()
    assert current.name == "base"
    assert str(current.reason).endswith("The base model answers.")
    for name in ("v1.0", "v1.1", "v1.2"):
        make_version(models, name)
    (models / "v1.2" / "metadata.json").unlink()
    current = Registry(models).resolve_current()
    assert current.name == "v1.1"
    assert str(current.reason).endswith("v1.1 answers.")


def test_a_version_served_before_comes_before_one_that_never_was(models: Path) -> None:
    for name in ("v1.0", "v1.1", "v2.0"):
        make_version(models, name)
    registry = Registry(models)
    registry.activate("v1.0")
    registry.activate("v1.1")
    (models / "v1.1" / "metadata.json").unlink()
    assert registry.resolve_current().name == "v1.0"


def test_a_failed_switch_keeps_the_version_before(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("v1.0", "v1.1"):
        make_version(models, name)
    registry = Registry(models)
    registry.activate("v1.0")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VersionError, match="No space left on device"):
        registry.activate("v1.1")
    monkeypatch.undo()
    assert registry.current() == "v1.0"
    assert not list(models.glob(".current*"))
    assert [e.after for e in registry.history()] == ["v1.0"]


def test_hashes_are_taken_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_version(models, "v1.0", manifest=True)
    calls: list[Path] = []
    real = reading.sha256_file
    monkeypatch.setattr(reading, "sha256_file", lambda p: (calls.append(p), real(p))[1])
    registry = Registry(models)
    registry.versions()
    first = len(calls)
    registry.versions()
    assert len(calls) == first == 3
    (folder / "metadata.json").write_text(json.dumps(metadata("v1.0"), indent=1))
    assert registry.versions()[0].damaged
    assert len(calls) == first + 1


def test_from_path_takes_a_version_or_a_bare_adapter(models: Path) -> None:
    folder = make_version(models, "v1.0")
    registry = Registry(models)
    assert registry.from_path(folder).name == "v1.0"
    bare = registry.from_path(folder / "adapter")
    assert (bare.name, bare.base_model, bare.method) == ("adapter", "", "lora")
    config = folder / "adapter/adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": ', '"lora_alpha": 1'))
    assert registry.from_path(folder / "adapter").sha256 != bare.sha256, "another scale"
    (folder / "adapter/adapter_config.json").write_text("{}")
    for path in (folder, folder / "adapter", models / "nothing"):
        with pytest.raises(VersionError, match="cannot be used"):
            registry.from_path(path)


def test_an_adapter_from_elsewhere_passes_for_no_other_version(
    models: Path, tmp_path: Path
) -> None:
    make_version(models, "v1.0")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    make_version(elsewhere, "v1.0")
    shutil.copytree(elsewhere / "v1.0" / "adapter", elsewhere / "base")
    registry = Registry(models)
    assert registry.from_path(elsewhere / "v1.0").name == "v1.0-adapter"
    assert registry.from_path(elsewhere / "base").name == "base-adapter"


def test_the_registry_needs_no_heavy_library() -> None:
    code = (
        "import sys, javis.versions.registry, javis.versions.gguf, javis.engine.gguf_header;"
        "print(sorted({'torch','numpy','transformers','peft','gguf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
