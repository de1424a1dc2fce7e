"""Tiny random chat models as transformers folders, and adapters for them made by PEFT."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from javis.core.types import Version
from javis.versions.registry import Registry

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCAB = len(SPECIAL) + 256 + 3
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}


def save_tokenizer(folder: Path) -> None:
    """A byte-level tokenizer without merges: one token for each byte, so that half characters,
    stop texts over several tokens and every id can be met."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {t: i for i, t in enumerate([*SPECIAL, *letters])}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(SPECIAL)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|endoftext|>", bos_token="<|im_start|>"
    )
    tokenizer.add_tokens(["<tool_call>", "<think>", "</think>"])
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)


def _randomize(model: Any, seed: int) -> None:
    import torch

    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=random) * 0.1)


def save_qwen2(folder: Path) -> Path:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(1)
    model = Qwen2ForCausalLM(Qwen2Config(**SHAPE))
    _randomize(model, 1)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_kormo(folder: Path) -> tuple[Path, Any]:
    """A KORMo-shaped folder as the hub has it (its own norm names, auto_map, remote code), and
    the Llama of the same weights."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(2)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE))
    _randomize(model, 2)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    file = folder / "model.safetensors"
    names = {"input_layernorm": "pre_attention_layernorm"}
    names["post_attention_layernorm"] = "pre_mlp_layernorm"
    weights = {}
    for key, value in load_file(file).items():
        for old, new in names.items():
            key = key.replace(f".{old}.", f".{new}.")
        weights[key] = value
    save_file(weights, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "kormo",
        "architectures": ["KORMoForCausalLM"],
        "auto_map": {
            "AutoConfig": "_configuration_kormo.KORMoConfig",
            "AutoModelForCausalLM": "_modeling_kormo.KORMoForCausalLM",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("_configuration_kormo.py", "_modeling_kormo.py"):
        (folder / name).write_text("raise SystemExit('remote code ran')\n")
    return folder, model.eval()


def make_version(
    models: Path, name: str, base: Path, kind: str, seed: int, scale: float = 0.3, **changes: Any
) -> Version:
    """A version with a random adapter, saved by PEFT and read by the registry."""
    import warnings

    import torch
    from peft import IA3Config, LoraConfig, PromptTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    configs: dict[str, Any] = {
        "lora": lambda: LoraConfig(
            **{"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "lora_dropout": 0.1}
            | changes,
            task_type="CAUSAL_LM",
        ),
        "ia3": lambda: IA3Config(
            target_modules=["k_proj", "v_proj", "down_proj"],
            feedforward_modules=["down_proj"],
            task_type="CAUSAL_LM",
        ),
        "prompt": lambda: PromptTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), configs[kind]())
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if parameter.requires_grad and "modules_to_save" not in parameter_name:
                    parameter.copy_(torch.randn(parameter.shape, generator=random) * scale)
        folder = models / name
        model.save_pretrained(folder / "adapter")
    metadata = {
        "version": name,
        "base_model": "tiny",
        "created_at": "2026-11-21T00:00:00Z",
        "training_data": {},
        "training_config": {"method": kind},
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return Registry(models).get(name)
