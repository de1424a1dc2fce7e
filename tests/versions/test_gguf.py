"""The converted adapter must give in llama.cpp what it gives in PEFT."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from javis.core.errors import VersionError
from javis.core.types import Version
from javis.engine.gguf_header import read_header
from javis.versions import gguf as converter
from tests.versions import tiny

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is_gradient_checkpointing.*:FutureWarning", "ignore:.*Upcasting.*:UserWarning"
)
PROMPT = [1, *range(40, 90), 2, 1, *range(200, 230)]
NEAR = 0.001
"""Largest difference of any log-probability; measured 0.00005. Without the permutation above 1."""


def peft_logprobs(model: Any) -> np.ndarray:
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([PROMPT])).logits[0, -1]
    return torch.log_softmax(logits.double(), -1).numpy()


def llama_logprobs(base: Path, adapter: Path | None) -> np.ndarray:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(base)
    params.n_ctx, params.n_parallel = 256, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.verbosity = 0
    # All in 32 bits, as the 16-bit cache alone moves a log-probability by 0.02.
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if adapter:
        info = xllamacpp.CommonAdapterLoraInfo()
        info.path, info.scale = str(adapter), 1.0
        params.lora_adapters = [info]
    server = xllamacpp.Server(params)
    answer = server.handle_completions(
        {"prompt": PROMPT, "n_predict": 1, "temperature": 0.0, "logprobs": tiny.VOCAB}
    )
    entry = answer["choices"][0]["logprobs"]["content"][0]
    found = np.full(tiny.VOCAB, np.nan)
    for candidate in entry["top_logprobs"]:
        found[candidate["id"]] = candidate["logprob"]
    assert not np.isnan(found).any()
    return found


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    model = tiny.make_model(request.param)
    path = tmp_path_factory.mktemp(request.param) / "base.gguf"
    return request.param, model, tiny.write_gguf(model, request.param, path)


def convert(pair: Any, folder: Path, **config: Any) -> tuple[np.ndarray, np.ndarray]:
    arch, _, base = pair
    peft = tiny.save_adapter(tiny.make_model(arch), folder / "adapter", **config)
    out = folder / "adapter.gguf"
    converter.convert(folder / "adapter", base, out)
    return peft_logprobs(peft), llama_logprobs(base, out)


def test_the_base_alone_agrees(pair: Any) -> None:
    _, model, base = pair
    assert np.abs(peft_logprobs(model) - llama_logprobs(base, None)).max() < NEAR


def test_a_random_lora_on_all_linear_layers_agrees(pair: Any, tmp_path: Path) -> None:
    ours, theirs = convert(pair, tmp_path)
    assert np.abs(ours - peft_logprobs(pair[1])).max() > 1, "the adapter must matter"
    assert np.abs(ours - theirs).max() < NEAR


@pytest.mark.parametrize(
    "config",
    [
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2, "model.layers.1.mlp.up_proj": 8}},
        {"alpha_pattern": {"k_proj": 20, "down_proj": 3}},
        {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 5}},
        {"target_modules": "all-linear"},
    ],
    ids=["rslora", "ranks", "alphas", "all three", "all-linear"],
)
def test_ranks_and_alphas_agree(pair: Any, tmp_path: Path, config: dict[str, Any]) -> None:
    ours, theirs = convert(pair, tmp_path, **config)
    assert np.abs(ours - theirs).max() < NEAR


@pytest.mark.parametrize("pair", ["llama"], indirect=True)
def test_the_permutation_is_what_makes_llama_agree(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "permute", lambda rows, heads: rows)
    ours, theirs = convert(pair, tmp_path)
    assert np.abs(ours - theirs).max() > 100 * NEAR


def test_bfloat16_weights_agree(pair: Any, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    arch, _, base = pair
    tiny.save_adapter(tiny.make_model(arch), tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    rounded = {k: v.to(torch.bfloat16) for k, v in load_file(file).items()}
    save_file(rounded, file)
    converter.convert(tmp_path / "adapter", base, tmp_path / "bf16.gguf")
    save_file({k: v.float() for k, v in rounded.items()}, file)
    converter.convert(tmp_path / "adapter", base, tmp_path / "f32.gguf")
    assert (tmp_path / "bf16.gguf").read_bytes() == (tmp_path / "f32.gguf").read_bytes()


@pytest.fixture
def llama(tmp_path: Path) -> tuple[Path, Path]:
    """(base GGUF, adapter folder) of a llama model."""
    model = tiny.make_model("llama")
    base = tiny.write_gguf(model, "llama", tmp_path / "base.gguf")
    tiny.save_adapter(model, tmp_path / "adapter")
    return base, tmp_path / "adapter"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "replaces whole modules"),
        ({"fan_in_fan_out": True}, "transposed"),
        ({"lora_alpha": 0}, "change nothing"),
        ({"auto_mapping": {"parent_library": "os"}}, "auto_mapping"),
    ],
)
def test_what_llama_cpp_cannot_hold_is_refused(
    llama: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    base, folder = llama
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(VersionError, match=sentence):
        converter.convert(folder, base, tmp_path / "out.gguf")
    assert not list(tmp_path.glob("*out.gguf*")), "not half a file either"


def test_other_methods_are_refused(llama: tuple[Path, Path], tmp_path: Path) -> None:
    from peft import IA3Config, PromptTuningConfig, get_peft_model

    ia3 = IA3Config(
        target_modules=["k_proj", "down_proj"],
        feedforward_modules=["down_proj"],
        task_type="CAUSAL_LM",
    )
    prompt = PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM")
    for config, name in ((ia3, "IA3"), (prompt, "prompt tuning")):
        get_peft_model(tiny.make_model("llama"), config).save_pretrained(tmp_path / name)
        with pytest.raises(VersionError, match=name):
            converter.convert(tmp_path / name, llama[0], tmp_path / "out.gguf")


def test_an_adapter_of_another_base_is_refused(llama: tuple[Path, Path], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    base, folder = llama
    file = folder / "adapter_model.safetensors"
    weights = load_file(file)
    name = "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight"
    save_file(weights | {name: torch.ones(tiny.FFN * 2, 4)}, file)
    with pytest.raises(VersionError, match="256x64 in the adapter and 128x64 in the base"):
        converter.convert(folder, base, tmp_path / "out.gguf")
    strange = {k.replace("layers.0", "layers.9"): v for k, v in weights.items()}
    save_file(strange, file)
    with pytest.raises(VersionError, match="which the base model lacks"):
        converter.convert(folder, base, tmp_path / "out.gguf")
    # A name that the converter's table knows for another family's form of the same module.
    alias = {
        k.replace("model.model.layers.0.self_attn.q_proj", "model.layers.0.attention.wq"): v.clone()
        for k, v in weights.items()
    }
    save_file(weights | alias, file)
    with pytest.raises(VersionError, match="one module twice"):
        converter.convert(folder, base, tmp_path / "out.gguf")


def test_ensure_gguf_converts_once_and_by_both_hashes(
    llama: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, folder = llama
    calls: list[Path] = []
    real = converter.convert
    monkeypatch.setattr(
        converter, "convert", lambda a, b, out: (calls.append(out), real(a, b, out))
    )
    version = Version("v1.0", str(folder.parent), "tiny", "a" * 64)
    cache = tmp_path / "cache"
    first = converter.ensure_gguf(version, base, cache)
    assert converter.ensure_gguf(version, base, cache) == first
    assert len(calls) == 1
    assert read_header(first).fields["adapter.type"] == "lora"
    assert converter.ensure_gguf(
        Version("v1.1", str(folder.parent), "tiny", "b" * 64), base, cache
    ) not in (first,)
    other = tmp_path / "other.gguf"
    shutil.copy(base, other)
    with other.open("ab") as handle:
        handle.write(b"\0")
    assert converter.ensure_gguf(version, other, cache) != first
    assert len(calls) == 3
    louder = tmp_path / "louder"
    shutil.copytree(folder.parent, louder)
    config = louder / folder.name / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lora_alpha": 64}))
    same_weights = Version("v1.2", str(louder), "tiny", "a" * 64)
    assert converter.ensure_gguf(same_weights, base, cache) != first
    config.unlink()
    with pytest.raises(VersionError):
        converter.ensure_gguf(same_weights, base, cache)


def test_a_damaged_version_is_never_converted(tmp_path: Path) -> None:
    version = Version("v1.0", str(tmp_path), "", None, damaged="It is broken.")
    with pytest.raises(VersionError, match=r"It is broken\."):
        converter.ensure_gguf(version, tmp_path / "base.gguf", tmp_path)


def test_permute_undoes_itself_for_two_halves() -> None:
    rows = np.arange(16.0).reshape(8, 2)
    moved = converter.permute(rows, 2)
    assert moved[:, 0].tolist() == [0, 4, 2, 6, 8, 12, 10, 14]
    with pytest.raises(VersionError):
        converter.permute(rows, 3)
    assert math.isclose(moved.sum(), rows.sum())


def test_files_of_adapters_that_are_no_version_are_deleted(tmp_path: Path) -> None:
    kept, gone = "a" * 64, "b" * 64
    for sha in (kept, gone):
        (tmp_path / f"lora-1-{sha[:32]}-{'c' * 32}-{'d' * 16}.gguf").write_bytes(b"x")
    (tmp_path / "other.gguf").write_bytes(b"x")
    converter.prune(tmp_path, [kept, None])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"lora-1-{kept[:32]}-{'c' * 32}-{'d' * 16}.gguf",
        "other.gguf",
    ]
    converter.prune(tmp_path / "nowhere", [])
