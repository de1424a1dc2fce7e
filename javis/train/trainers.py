"""What all recipes change of TRL's trainers: the order of rows, the output layer, the files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from trl import DPOTrainer, KTOTrainer, SFTTrainer

from javis.train.base import Base
from javis.train.checkpoints import KEPT
from javis.train.config import Hyperparameters, TrainConfig
from javis.train.data import bucketed
from javis.train.head import add_compact_head
from javis.train.saving import fill_adapter, load_tensors, save_adapter


def arguments(hyper: Hyperparameters, base: Base, folder: Path, seed: int) -> dict[str, Any]:
    """The arguments that all trainers share; our rows come ready, so nothing is cut by TRL."""
    on_cpu = base.device == "cpu"
    half = base.dtype
    return {
        "output_dir": str(folder),
        "seed": seed,
        "data_seed": seed,
        "learning_rate": hyper.learning_rate,
        "num_train_epochs": hyper.epochs,
        "max_steps": -1 if hyper.max_steps is None else hyper.max_steps,
        "per_device_train_batch_size": hyper.batch_size,
        "gradient_accumulation_steps": hyper.gradient_accumulation,
        "warmup_steps": hyper.warmup_ratio,
        "lr_scheduler_type": hyper.scheduler,
        "weight_decay": hyper.weight_decay,
        "gradient_checkpointing": hyper.gradient_checkpointing,
        "max_length": None,
        # Fewer shapes: memory falls apart less, and matrix tiles are full.
        "pad_to_multiple_of": 16,
        "optim": "adamw_torch",
        "use_cpu": on_cpu,
        "bf16": half is torch.bfloat16,
        "fp16": half is torch.float16,
        "save_strategy": "steps",
        "save_steps": hyper.save_steps,
        "save_total_limit": KEPT,
        "logging_steps": 1,
        # Else a loss that is no number is written down as 0.
        "logging_nan_inf_filter": False,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": not on_cpu,
    }


class _Buckets(Sampler):  # type: ignore[misc]
    """Rows of like length in one batch, in another order each epoch."""

    def __init__(self, lengths: list[int], batch: int, seed: int, state: Any) -> None:
        self._lengths, self._batch, self._seed, self._state = lengths, batch, seed, state

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        epoch = int(self._state().epoch or 0)
        return iter(bucketed(self._lengths, self._batch, self._seed, epoch))


class Lean:
    """Mixed in before one of TRL's trainers."""

    model: Any
    args: Any
    train_dataset: Any
    state: Any
    base_model: str = ""
    """Name of the base that a saved adapter carries."""

    def use_compact_head(self) -> None:
        """After the trainer was made, which gave the model TRL's head."""
        if self.args.use_cpu:
            add_compact_head(self.model.get_base_model())

    def _lengths(self) -> list[int]:
        raise NotImplementedError  # each kind of rows counts its own

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        batch = self.args.per_device_train_batch_size
        return _Buckets(self._lengths(), batch, self.args.seed, lambda: self.state)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # Only the adapter: no tokenizer, and no pickle of the arguments.
        save_adapter(self.model, Path(output_dir or self.args.output_dir), self.base_model)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        fill_adapter(self.model, load_tensors(Path(resume_from_checkpoint)))

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """No README in every checkpoint."""


class SftRecipe(Lean, SFTTrainer):  # type: ignore[misc]
    """SFT on rows with `input_ids` and `labels`."""

    def _lengths(self) -> list[int]:
        return [len(ids) for ids in self.train_dataset["input_ids"]]


class DpoRecipe(Lean, DPOTrainer):  # type: ignore[misc]
    """DPO on rows with ids and the base's opinion, and answers to learn mixed in."""

    replay: Any = None
    """Step -> a batch of examples for the model, or None."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset  # Rendered and tokenized already, by the template that serves.

    def _lengths(self) -> list[int]:
        rows = self.train_dataset
        sides = zip(rows["prompt_ids"], rows["chosen_ids"], rows["rejected_ids"], strict=True)
        return [len(p) + max(len(c), len(r)) for p, c, r in sides]

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        loss: Any = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        batch = self.replay(self) if self.replay and self.model.training else None
        if batch is None or return_outputs:
            return loss
        read = model(**batch, use_cache=False, fused_lm_head=True)
        # The plain loss of good answers, so that preferring does not unlearn writing.
        return loss - read.log_probs.sum() / read.label_mask.sum().clamp(min=1)


class KtoRecipe(Lean, KTOTrainer):  # type: ignore[misc]
    """KTO on rows with ids, the mismatched answer, and the base's opinion of both."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        # Each row was given a mismatched answer of its batch, so batches stay as they are.
        return super(Lean, self)._get_train_sampler(train_dataset)


def make(
    recipe: Any, config: TrainConfig, *, model: Any, args: Any, rows: Any, tokenizer: Any
) -> Any:
    """A recipe's trainer; what TRL does to the model on the way is undone where it must be."""
    made = recipe(model=model, args=args, train_dataset=rows, processing_class=tokenizer)
    made.base_model = config.base_model
    made.use_compact_head()
    for parameter in model.parameters():
        if parameter.requires_grad:
            # TRL rounds adapters over a 4-bit base to bfloat16, where small steps are lost.
            parameter.data = parameter.data.float()
    return made
