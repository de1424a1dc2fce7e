"""An adapter version with random weights: as large and as slow as a trained one, of no use."""

from __future__ import annotations

import json
from pathlib import Path

HIDDEN, KEYS, INNER, LAYERS = 576, 192, 1536, 30
"""The shape of SmolLM2-135M."""
SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN, KEYS),
    "self_attn.v_proj": (HIDDEN, KEYS),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (HIDDEN, INNER),
    "mlp.up_proj": (HIDDEN, INNER),
    "mlp.down_proj": (INNER, HIDDEN),
}


def write_random_version(models_dir: Path, name: str, base_model: str, rank: int = 16) -> Path:
    """Put a LoRA on all linear layers into `models_dir/name`; returns its folder."""
    import numpy as np  # heavy
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    tensors = {}
    for layer in range(LAYERS):
        for module, (wide, out) in SHAPES.items():
            key = f"base_model.model.model.layers.{layer}.{module}"
            a, b = (rank, wide), (out, rank)
            tensors[f"{key}.lora_A.weight"] = rng.normal(0, 0.05, a).astype(np.float32)
            tensors[f"{key}.lora_B.weight"] = rng.normal(0, 0.05, b).astype(np.float32)
    folder = models_dir / name
    adapter = folder / "adapter"
    adapter.mkdir(parents=True)
    save_file(tensors, adapter / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": rank,
        "lora_alpha": rank,
        "target_modules": sorted(module.split(".")[1] for module in SHAPES),
    }
    metadata = {
        "version": name,
        "base_model": base_model,
        "created_at": "2026-01-01T00:00:00.000Z",
        "training_data": {"total_conversations": 0, "total_turns": 0, "date_range": []},
        "training_config": {"method": "random", "epochs": 0, "learning_rate": 0.0,
                            "lora_r": rank, "lora_alpha": rank},
        "notes": "Random weights, for measuring speed only.",
    }  # fmt: skip
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder
