"""What is loaded, in which precision, and what is refused before a library sees it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from javis.core.errors import EngineError
from javis.core.types import Message, SamplingParams
from javis.engine import hf_model
from javis.engine.adapters import share_layers
from javis.engine.transformers import TransformersEngine
from tests.engine import transformers_tiny as tiny

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
HELLO = [Message("user", "Hello there, who are you?")]
GREEDY = SamplingParams(temperature=0, max_tokens=16)


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_qwen2(tmp_path_factory.mktemp("qwen2"))


def logits_of(model: Any, ids: list[int]) -> Any:
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits.float()


def test_kormo_is_read_without_its_code(tmp_path: Path) -> None:
    import torch

    folder, llama = tiny.save_kormo(tmp_path / "kormo")
    loaded = hf_model.load(folder, "32bit", "cpu")
    ids = list(range(5, 60))
    assert torch.equal(logits_of(loaded.model, ids), logits_of(llama, ids))
    assert loaded.model.config.model_type == "kormo"


def test_kormo_answers_with_its_adapters(tmp_path: Path, qwen2: Path) -> None:
    folder, _ = tiny.save_kormo(tmp_path / "kormo")
    plain = tmp_path / "llama"
    shutil.copytree(folder, plain)
    # PEFT makes the test's adapter on the Llama of the same shape.
    config = json.loads((plain / "config.json").read_text())
    config |= {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    del config["auto_map"]
    (plain / "config.json").write_text(json.dumps(config))
    version = tiny.make_version(tmp_path, "v1.0", plain, "lora", 1)
    for quantization in ("32bit", "4bit"):
        engine = TransformersEngine(
            folder, model="tiny", title="Tiny", quantization=quantization, threads=1
        )
        assert engine.use_versions([version]) == {}
        answers = [
            "".join(c.text for c in engine.stream(HELLO, GREEDY, v)) for v in ("base", "v1.0")
        ]
        assert answers[0] != answers[1]
        engine.close()


@pytest.mark.parametrize(
    ("quantization", "name", "near"),
    [
        ("32bit", "float32", 0),
        ("16bit", "bfloat16", 0.1),
        ("8bit", "int8", 0.2),
        ("4bit", "nf4", 2),
    ],
)
def test_every_precision_loads_and_stays_near(
    qwen2: Path, quantization: str, name: str, near: float
) -> None:
    ids = list(range(5, 60))
    exact = logits_of(hf_model.load(qwen2, "32bit", "cpu").model, ids)
    loaded = hf_model.load(qwen2, quantization, "cpu")
    assert loaded.precision == name
    distance = float((logits_of(loaded.model, ids) - exact).abs().max())
    assert distance <= near
    assert (distance > 0) == (near > 0), "the precision must be used"


@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
def test_adapters_over_quantized_weights(qwen2: Path, tmp_path: Path, quantization: str) -> None:
    versions = [
        tiny.make_version(tmp_path, name, qwen2, kind, seed)
        for seed, (name, kind) in enumerate(
            {"v1.0": "lora", "v2.0": "ia3", "v3.0": "prompt"}.items()
        )
    ]
    engine = TransformersEngine(
        qwen2, model="tiny", title="Tiny", quantization=quantization, threads=1
    )

    def answer(version: str) -> str:
        return "".join(c.text for c in engine.stream(HELLO, GREEDY, version))

    base = answer("base")
    before = engine._owner._bank._logits(engine._owner.base)
    assert engine.use_versions(versions) == {}
    answers = [answer(name) for name in engine.versions()]
    assert len(set(answers)) == 4
    assert answers[0] == base, "the base must not feel its adapters"
    assert engine._owner._bank._logits(engine._owner.base).equal(before)
    assert [answer(name) for name in engine.versions()] == answers
    engine.close()


def test_shared_layers_take_no_memory_and_keep_the_original_whole(qwen2: Path) -> None:
    model = hf_model.load(qwen2, "32bit", "cpu").model
    tree = share_layers(model)
    assert tree is not model
    assert tree.model.layers[0] is not model.model.layers[0]
    assert {id(p) for p in tree.parameters()} == {id(p) for p in model.parameters()}
    tree.model.layers[0].self_attn.q_proj = None
    assert model.model.layers[0].self_attn.q_proj is not None


UNSAFE: list[tuple[dict[str, Any], str]] = [
    ({"_attn_implementation_internal": "evil/kernel"}, "_attn_implementation_internal"),
    ({"text_config": {"x": [{"_experts_implementation_internal": "a"}]}}, "_internal"),
    ({"vision_config": {"trust_remote_code": True}}, "trust_remote_code"),
    ({"model_type": "nothing-known"}, "nothing-known"),
    ({"model_type": None}, "kind of model"),
    ({"quantization_config": {"quant_method": "gptq"}}, "quantized"),
    ({"quantization_config": ["bitsandbytes"]}, "quantized"),
    ({"a": json.loads("[" * 40 + "]" * 40)}, "too many levels"),
]


@pytest.mark.parametrize(("change", "words"), UNSAFE, ids=[w for _, w in UNSAFE])
def test_a_hostile_config_is_refused(
    qwen2: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    folder = changed_config(qwen2, tmp_path, **change)
    with pytest.raises(EngineError, match=words):
        hf_model.load(folder, "32bit", "cpu")


@pytest.mark.parametrize("change", [UNSAFE[0][0], UNSAFE[2][0]], ids=range(2))
def test_without_the_check_a_hostile_config_goes_to_the_library(
    qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """The broken variant: what then happens is up to the library."""
    monkeypatch.setattr(hf_model, "_unsafe_key", lambda value, depth: None)
    folder = changed_config(qwen2, tmp_path, **change)
    handed: list[dict[str, Any]] = []
    real = hf_model._load_model

    def load_model(place: Path, config: Any, *how: str) -> Any:
        handed.append(config)
        return real(place, config, *how)

    monkeypatch.setattr(hf_model, "_load_model", load_model)
    hf_model.load(folder, "32bit", "cpu")
    assert handed[0].items() >= change.items()


def changed_config(base: Path, tmp_path: Path, **change: Any) -> Path:
    """A copy of a model that says something else in its config."""
    folder = tmp_path / "model"
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    return folder


def with_remote_code(base: Path, tmp_path: Path) -> tuple[Path, Path]:
    """(a model that names code of its own, the file that this code leaves when it runs)"""
    names = ("AutoConfig", "AutoModelForCausalLM")
    folder = changed_config(base, tmp_path, auto_map=dict.fromkeys(names, "modeling_x.M"))
    marker = tmp_path / "ran"
    (folder / "modeling_x.py").write_text(f"open({str(marker)!r}, 'w')\nclass M: pass\n")
    return folder, marker


def test_remote_code_never_runs(qwen2: Path, tmp_path: Path) -> None:
    folder, marker = with_remote_code(qwen2, tmp_path)
    hf_model.load(folder, "32bit", "cpu")
    assert not marker.exists()


def test_a_loader_that_trusts_the_folder_runs_its_code(
    qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant: the config is read with `trust_remote_code=True`."""
    import transformers

    folder, marker = with_remote_code(qwen2, tmp_path)
    read = transformers.AutoConfig.from_pretrained

    def trusting(place: Path, **options: Any) -> Any:
        return read(place, **(options | {"trust_remote_code": True}))

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", trusting)
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    # The cache of modules is added to it.
    monkeypatch.setattr(sys, "path", list(sys.path))
    # What it ran is no config, so the load fails; too late.
    with pytest.raises((EngineError, AttributeError)):
        hf_model.load(folder, "32bit", "cpu")
    assert marker.exists()


@pytest.fixture
def kernels_asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels that are fetched and run, as if the package for it were installed."""
    asked: list[str] = []

    def fetch(repository: str, **_: Any) -> Any:
        asked.append(repository)
        raise ValueError("fetched")

    place = "transformers.integrations.hub_kernels"
    monkeypatch.setattr(f"{place}.is_kernels_available", lambda *_, **__: True)
    monkeypatch.setattr(f"{place}.get_kernel", fetch)
    return asked


def test_a_kernel_that_the_config_names_is_not_fetched(
    qwen2: Path, tmp_path: Path, kernels_asked: list[str]
) -> None:
    folder = changed_config(qwen2, tmp_path, attn_implementation="evil/kernel")
    hf_model.load(folder, "32bit", "cpu")
    assert kernels_asked == []


def test_a_loader_that_leaves_attention_to_the_config_fetches_the_kernel(
    qwen2: Path, tmp_path: Path, kernels_asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant of the test above."""
    import transformers

    folder = changed_config(qwen2, tmp_path, attn_implementation="evil/kernel")
    load = transformers.AutoModelForCausalLM.from_pretrained

    def loose(place: Path, *, attn_implementation: str, **options: Any) -> Any:
        return load(place, **options)

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", loose)
    with pytest.raises(EngineError, match="fetched"):
        hf_model.load(folder, "32bit", "cpu")
    assert kernels_asked == ["evil/kernel"]


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def remove_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_weights(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    "damage", [break_config, remove_config, pickle_only, cut_weights, no_template, no_tokenizer]
)
def test_a_damaged_folder_is_an_engine_error(qwen2: Path, tmp_path: Path, damage: Any) -> None:
    folder = tmp_path / "model"
    shutil.copytree(qwen2, folder)
    damage(folder)
    with pytest.raises(EngineError, match="cannot be used"):
        TransformersEngine(folder, model="tiny", title="Tiny")


def test_a_config_within_the_config_is_an_engine_error(qwen2: Path, tmp_path: Path) -> None:
    folder = changed_config(qwen2, tmp_path, text_config={"hidden_size": 8})
    with pytest.raises(EngineError, match="cannot be used"):
        hf_model.load(folder, "32bit", "cpu")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no config\.json"):
        hf_model.load(tmp_path, "32bit", "cpu")


def test_a_vocabulary_that_holds_a_control_token_is_broken_up(tmp_path: Path) -> None:
    """Unigram pieces (and `ignore_merges`) would turn typed text into the token itself."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    letters = [(c, -3.0) for c in "abcdefghijklmnopqrstuvwxyz <>/"]
    backend = Tokenizer(models.Unigram([("<unk>", -9.0), ("</s>", 0.0), *letters], unk_id=0))
    backend.add_special_tokens(["</s>"])
    tokenizer = hf_model.HfTokenizer(
        PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")
    )
    ids = tokenizer.encode_text("ab</s>cd")
    assert tokenizer.control_ids.isdisjoint(ids)
    assert "".join(tokenizer._decoder.id_to_token(i) for i in ids) == "ab</s>cd"


def test_blanks_that_are_added_tokens_stay_text() -> None:
    from tokenizers import AddedToken, Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(vocab={"a": 0, " ": 1}, merges=[]))
    backend.add_tokens([AddedToken("    ", special=False, normalized=False)])
    backend.add_special_tokens(["<end>"])
    tokenizer = hf_model.HfTokenizer(
        PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")
    )
    assert set(tokenizer.control_tokens) == {"<end>"}
    assert tokenizer.encode_text("    a") == [2, 0]
