"""KORMo without its remote code.

KORMo is Llama with two of its norms under other names (huggingface/transformers#46427, closed: "bit
identical in fp32" after renaming). So its checkpoints load into transformers' own Llama.
"""

from __future__ import annotations

from typing import Any

MODEL_TYPE = "kormo"
RENAMED = {
    "pre_attention_layernorm": "input_layernorm",
    "pre_mlp_layernorm": "post_attention_layernorm",
}


def kormo_classes() -> tuple[Any, Any]:
    """(config class, model class) that read a KORMo folder with `key_mapping=RENAMED`."""
    from transformers import LlamaConfig, LlamaForCausalLM  # heavy

    class KORMoConfig(LlamaConfig):  # type: ignore[misc]
        model_type = MODEL_TYPE

    class KORMoForCausalLM(LlamaForCausalLM):  # type: ignore[misc]
        config_class = KORMoConfig

    return KORMoConfig, KORMoForCausalLM
