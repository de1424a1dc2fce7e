"""Supervised fine-tuning: the loss of the good answers, nothing else.

LoRA over the dense base, QLoRA over the base in NF4 (Dettmers et al., 2023): the recipe is the
same, the base is loaded differently.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import SFTConfig

from javis.train.base import Base
from javis.train.config import TrainConfig
from javis.train.data import Encoded
from javis.train.material import Material
from javis.train.trainers import SftRecipe, arguments, make


def trainer(
    config: TrainConfig, base: Base, model: Any, material: Material, folder: Path, tokenizer: Any
) -> SftRecipe:
    """A trainer for `model`, a PeftModel over `base`."""
    settings = SFTConfig(
        **arguments(config.hyperparameters, base, folder, config.seed),
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    rows = dataset(material.examples)
    recipe: SftRecipe = make(
        SftRecipe, config, model=model, args=settings, rows=rows, tokenizer=tokenizer
    )
    return recipe


def dataset(examples: list[Encoded]) -> Dataset:
    """Rows as TRL takes them when they are tokenized already."""
    return Dataset.from_dict(
        {"input_ids": [row.ids for row in examples], "labels": [row.labels for row in examples]}
    )
