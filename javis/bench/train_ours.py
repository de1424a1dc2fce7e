"""Our side of `javis bench train`, in a process of its own: a run's recipe, or a run's score."""

# ruff: noqa: T201 - its result is its output
from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from javis.bench.timing import timed_training


def train(folder: Path) -> None:
    """Train by the job in `folder`, write the adapter there, print what was measured."""
    began = time.perf_counter()
    from transformers import PrinterCallback

    from javis.train.base import add_adapter, load_tokenizer
    from javis.train.config import TrainConfig
    from javis.train.run import RECIPES, prepare
    from javis.train.saving import save_adapter

    config = TrainConfig.read(folder)
    hyper = config.hyperparameters
    base, material = prepare(config, folder)
    model = add_adapter(base, config.method, hyper, config.seed)
    recipe = RECIPES[config.method]
    trainer = recipe(config, base, model, material, folder, load_tokenizer(config))
    trainer.remove_callback(PrinterCallback)
    samples = (hyper.max_steps or 0) * hyper.batch_size * hyper.gradient_accumulation
    measured = timed_training(trainer, samples, began)
    save_adapter(model, folder / "adapter", config.base_model)
    print(json.dumps(measured))


def score(folder: Path) -> None:
    """Print the mean loss of a held-out token with the adapter in `folder`, in 32 bits."""
    from dataclasses import replace

    from javis.train.config import TrainConfig
    from javis.train.run import prepare
    from javis.train.score import saved_reader

    config = replace(TrainConfig.read(folder), quantization="32bit")
    base, material = prepare(config, folder)
    rows = material.held.good
    losses = saved_reader(base, folder / "adapter", config.base_model).losses(rows)
    print(json.dumps({"held_out": sum(losses) / sum(len(row.answer) for row in rows)}))


if __name__ == "__main__":
    (score if sys.argv[2:] == ["score"] else train)(Path(sys.argv[1]))
