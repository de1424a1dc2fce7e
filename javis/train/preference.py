"""Learning from what is better: DPO (Rafailov et al., 2023) and KTO (Ethayarajh et al., 2024).

The base's opinion of every answer is computed once, before the first step, in batches of like
length; TRL would ask the base again in every epoch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import DPOConfig, KTOConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from javis.train.base import Base
from javis.train.config import Hyperparameters, TrainConfig
from javis.train.data import Encoded, EncodedJudged, EncodedPair, bucketed
from javis.train.material import Material
from javis.train.score import Reader, base_reader
from javis.train.trainers import DpoRecipe, KtoRecipe, arguments, make

_BALANCE = 1.15
"""KTO wants desirable over undesirable, each times its weight, between 1 and 4/3 (its Eq. 8)."""


def dpo_trainer(
    config: TrainConfig, base: Base, model: Any, material: Material, folder: Path, tokenizer: Any
) -> DpoRecipe:
    """A DPO trainer that mixes in good answers to learn as such."""
    hyper = config.hyperparameters
    settings = DPOConfig(**arguments(hyper, base, folder, config.seed), beta=hyper.beta)
    rows = pairs_dataset(material.pairs, _opinion(base))
    recipe: DpoRecipe = make(
        DpoRecipe, config, model=model, args=settings, rows=rows, tokenizer=tokenizer
    )
    recipe.precompute_ref_logps = True
    recipe.replay = replay(material.examples, hyper, config.seed, base.pad_id)
    return recipe


def kto_trainer(
    config: TrainConfig, base: Base, model: Any, material: Material, folder: Path, tokenizer: Any
) -> KtoRecipe:
    """A KTO trainer whose weights balance liked against disliked answers."""
    hyper = kto_hyperparameters(config.hyperparameters)
    liked = sum(row.label for row in material.judged)
    desirable, undesirable = kto_weights(hyper, liked, len(material.judged) - liked)
    settings = KTOConfig(
        **arguments(hyper, base, folder, config.seed),
        beta=hyper.beta,
        desirable_weight=desirable,
        undesirable_weight=undesirable,
        train_sampling_strategy="sequential",
    )
    rows = judged_dataset(material.judged, _opinion(base), hyper.batch_size, config.seed)
    recipe: KtoRecipe = make(
        KtoRecipe, config, model=model, args=settings, rows=rows, tokenizer=tokenizer
    )
    recipe.precompute_ref_logps = True
    return recipe


def kto_hyperparameters(hyper: Hyperparameters) -> Hyperparameters:
    """KTO compares the rows of a batch, so one row alone will not do."""
    if hyper.batch_size > 1:
        return hyper
    half = max(1, hyper.gradient_accumulation // 2)
    return replace(hyper, batch_size=2, gradient_accumulation=half)


def kto_weights(hyper: Hyperparameters, liked: int, disliked: int) -> tuple[float, float]:
    """(desirable, undesirable): as given, else so that the rarer thumb counts as much."""
    desirable, undesirable = hyper.desirable_weight, hyper.undesirable_weight
    if desirable is None and undesirable is None:
        if liked < disliked:
            return _BALANCE * disliked / liked, 1.0
        return 1.0, max(1.0, liked / disliked / _BALANCE)
    return desirable or 1.0, undesirable or 1.0


def _opinion(base: Base) -> Reader:
    # With the output layer's precision in training: before the first step nothing is preferred.
    return replace(base_reader(base), exact=False)


def pairs_dataset(pairs: Sequence[EncodedPair], base: Reader) -> Dataset:
    """Rows of DPO as TRL has them after its own preparation."""
    chosen, rejected = [p.chosen for p in pairs], [p.rejected for p in pairs]
    losses = base.losses([*chosen, *rejected])
    return Dataset.from_dict(
        {
            "prompt_ids": [row.prompt for row in chosen],
            "chosen_ids": [row.answer for row in chosen],
            "rejected_ids": [row.answer for row in rejected],
            "ref_chosen_logps": [-loss for loss in losses[: len(pairs)]],
            "ref_rejected_logps": [-loss for loss in losses[len(pairs) :]],
        }
    )


def judged_dataset(judged: Sequence[EncodedJudged], base: Reader, batch: int, seed: int) -> Dataset:
    """Rows of KTO in the order they are trained in, each with another answer of its batch.

    Answers after prompts that are not theirs tell how far the model has moved altogether.
    """
    order = bucketed([len(row.answer) for row in judged], batch, seed, epoch=0)
    rows = [judged[i] for i in order]
    answers = [row.answer for row in rows]
    others = [_other(number, batch, len(rows)) for number in range(len(rows))]
    mismatched = [
        Encoded(row.turn_id, row.prompt, answers[other].answer)
        for row, other in zip(answers, others, strict=True)
    ]
    losses = base.losses([*answers, *mismatched])
    return Dataset.from_dict(
        {
            "prompt_ids": [row.prompt for row in answers],
            "completion_ids": [row.answer for row in answers],
            "KL_completion_ids": [row.answer for row in mismatched],
            "label": [row.label for row in rows],
            "ref_logps": [-loss for loss in losses[: len(rows)]],
            "ref_KL_logps": [-loss for loss in losses[len(rows) :]],
        }
    )


def _other(number: int, batch: int, total: int) -> int:
    """The row before within its batch, its last for the first; never the row itself."""
    start = number - number % batch
    end = min(start + batch, total)
    if end - start == 1:
        return number - 1
    return number - 1 if number > start else end - 1


def replay(
    examples: Sequence[Encoded], hyper: Hyperparameters, seed: int, pad_id: int
) -> Callable[[Any], Any] | None:
    """Gives the recipe, for each batch, examples to learn besides; None when there are to be none.

    Counted by the step, so that a resumed run goes on where it was. What is less than an example
    is carried over: with half a one for each batch, every second batch gets one.
    """
    share = hyper.batch_size * hyper.replay
    if not share or not examples:
        return None
    order = list(range(len(examples)))
    random.Random(seed).shuffle(order)
    collate = DataCollatorForLanguageModeling(pad_token_id=pad_id)
    calls = {"step": -1, "micro": 0}

    def batch(recipe: Any) -> dict[str, Any] | None:
        step = recipe.state.global_step
        calls["micro"] = calls["micro"] + 1 if calls["step"] == step else 0
        calls["step"] = step
        number = step * hyper.gradient_accumulation + calls["micro"]
        numbers = range(int(number * share), int((number + 1) * share))
        picked = [order[i % len(order)] for i in numbers]
        if not picked:
            return None
        rows = [{"input_ids": examples[i].ids, "labels": examples[i].labels} for i in picked]
        return {k: v.to(recipe.args.device) for k, v in collate(rows).items()}

    return batch
