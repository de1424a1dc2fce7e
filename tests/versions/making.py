"""Adapters and versions for tests, small enough to be written in a millisecond."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from javis.core.types import Version
from javis.versions.publish import publish

MODEL = "SmolLM2-135M-Instruct"
CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": MODEL,
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj"],
}
TENSOR = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
METADATA: dict[str, Any] = {
    "base_model": MODEL,
    "training_data": {
        "total_conversations": 10,
        "total_turns": 20,
        "date_range": ["2026-11-01", "2026-11-20"],
    },
    "training_config": {
        "method": "sft-lora",
        "epochs": 3,
        "learning_rate": 2e-4,
        "lora_r": 4,
        "lora_alpha": 8,
    },
    "notes": "first",
}


def make_adapter(folder: Path, seed: int = 0, **config: Any) -> Path:
    """A LoRA on one projection, as PEFT would save it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    tensors = {
        TENSOR.format("A"): rng.normal(size=(4, 8)).astype(np.float32),
        TENSOR.format("B"): rng.normal(size=(8, 4)).astype(np.float32),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config))
    return folder


def add_version(models: Path, seed: int = 0, **metadata: Any) -> Version:
    """Publish a version; keywords change its metadata."""
    source = models.parent / f"made-{seed}-{len(list(models.parent.iterdir()))}"
    make_adapter(source, seed)
    return publish(models, source, METADATA | metadata, {}, job=f"job-{seed}")
