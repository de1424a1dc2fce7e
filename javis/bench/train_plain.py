"""The reference of `javis bench train`: what a short TRL script does that leaves all defaults.

`use_cpu` apart, and our rows a step, steps, learning rate and LoRA. In the form of prompt and
completion, TRL by itself learns the completion only.
"""

# ruff: noqa: T201 - its result is its output
from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from javis.bench.timing import timed_training


def main(folder: Path) -> None:
    """Train by the job in `folder`, write the adapter there, print what was measured."""
    began = time.perf_counter()
    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    job = json.loads((folder / "job.json").read_text("utf-8"))
    hyper = job["hyperparameters"]
    rows = load_dataset("json", data_files=str(folder / "data/train.jsonl"), split="train")
    rows = rows.map(
        lambda row: {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]},
        remove_columns=["messages"],
    )
    # Left to itself it would be loaded twice and in the type of the file: the same, said aloud.
    model = AutoModelForCausalLM.from_pretrained(job["base_path"], dtype=torch.float32)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder / "out"),
            use_cpu=not torch.cuda.is_available(),
            max_steps=hyper["max_steps"],
            learning_rate=hyper["learning_rate"],
            warmup_steps=hyper["warmup_ratio"],
            per_device_train_batch_size=hyper["batch_size"] * hyper["gradient_accumulation"],
            save_strategy="no",
            report_to=[],
        ),
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(job["base_path"]),
        peft_config=LoraConfig(
            r=hyper["rank"],
            lora_alpha=hyper["alpha"],
            target_modules=hyper["target_modules"],
            task_type="CAUSAL_LM",
        ),
    )
    samples = hyper["max_steps"] * hyper["batch_size"] * hyper["gradient_accumulation"]
    measured = timed_training(trainer, samples, began)
    trainer.model.save_pretrained(folder / "adapter")
    print(json.dumps(measured))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
