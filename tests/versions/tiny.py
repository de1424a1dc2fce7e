"""Tiny random models, as a transformers model and as the same GGUF file, and random adapters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np

HEADS, KV_HEADS, LAYERS, HIDDEN, FFN = 4, 2, 3, 64, 128
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokens() -> list[str]:
    """The 256 tokens of a byte-level vocabulary (GPT-2's printable stand-ins)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_ins = {b: chr(b) for b in plain}
    extra = 0
    for byte in range(256):
        if byte not in stand_ins:
            stand_ins[byte] = chr(256 + extra)
            extra += 1
    return [stand_ins[b] for b in range(256)]


VOCAB = len(SPECIAL) + 256 + 1


def make_model(arch: str) -> Any:
    """A random `llama` or `qwen2` model on the CPU, in 32 bits."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(1)
    shape = {
        "vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "intermediate_size": FFN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "tie_word_embeddings": False,
    }
    if arch == "llama":
        model: Any = LlamaForCausalLM(LlamaConfig(**shape))
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**shape))
    with torch.no_grad():
        for parameter in model.parameters():
            # Large enough for position and head to matter, so that a missing permutation shows.
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return model.eval()


def write_gguf(model: Any, arch: str, path: Path) -> Path:
    """The same weights as a 32-bit GGUF file, as llama.cpp's converter would write it."""
    import gguf

    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_vocab_size(VOCAB)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*SPECIAL, *byte_tokens(), "ab"])
    writer.add_token_types([3] * len(SPECIAL) + [1] * 257)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, arch.upper()), LAYERS)
    for name, value in model.state_dict().items():
        array = value.numpy().astype(np.float32)
        for part, heads in (("q_proj", HEADS), ("k_proj", KV_HEADS)):
            if arch == "llama" and f".{part}." in name:
                split = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
                array = split.swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def save_adapter(model: Any, folder: Path, seed: int = 3, **config: Any) -> Any:
    """A LoRA with random A and B on all linear layers, saved by PEFT; returns the PEFT model."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    options: dict[str, Any] = {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": [
            *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
        ],
        "task_type": "CAUSAL_LM",
    }
    peft = get_peft_model(model, LoraConfig(**(options | config)))
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    peft.save_pretrained(folder)
    return peft.eval()
