"""The reference of `javis bench train`: what a short TRL script does that leaves all defaults.

`use_cpu` apart, and our rows a step, steps, learning rate and LoRA. In the form of prompt and
completion, TRL by itself learns the completion only.
"""

# ruff: noqa: T201 - its result is its output
from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main(folder: Path) -> None:
    """Train by the job in `folder`, write the adapter there, print what was measured."""
    began = time.perf_counter()
    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
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
    first: list[float] = []

    class FirstStep(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: object, **__: object) -> None:
            first.append(time.perf_counter())

    trainer.add_callback(FirstStep())
    used = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    now = resource.getrusage(resource.RUSAGE_SELF)
    trainer.model.save_pretrained(folder / "adapter")
    samples = hyper["max_steps"] * hyper["batch_size"] * hyper["gradient_accumulation"]
    measured = {
        "samples_per_s": samples / seconds,
        "peak_bytes": now.ru_maxrss * 1024,
        "cpu_s": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
        "start_s": first[0] - began,
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
