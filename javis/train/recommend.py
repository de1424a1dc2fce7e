"""Which method suits the data at hand, and good values to begin with. Without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from javis.core.errors import NotEnoughData
from javis.core.learning import Method
from javis.train.hyperparameters import Hyperparameters

Device = Literal["cpu", "cuda"]
MINIMUM: Mapping[Method, int] = {
    "sft-lora": 8,
    "sft-qlora": 8,
    "dpo": 8,
    "kto": 16,
    "prompt-tuning": 8,
    "ia3": 8,
}
"""Rows below which a method learns noise: it is refused."""
KTO_EACH = 4
"""KTO needs both liked and disliked answers: at least so many of each."""
_PAIRS_FOR_DPO = 40
_LARGE = 3_000_000_000
_STEPS_WANTED = 32

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "deep": {
        "rank": 64,
        "alpha": 16.0,
        "epochs": 3.0,
        "learning_rate": 2e-4,
        "target_modules": "all-linear",
    },
    "quick": {
        "rank": 32,
        "alpha": 32.0,
        "epochs": 5.0,
        "learning_rate": 3e-4,
        "target_modules": ("q_proj", "v_proj"),
    },
    "light": {
        "rank": 8,
        "alpha": 16.0,
        "epochs": 2.0,
        "target_modules": ("q_proj", "v_proj"),
        "batch_size": 2,
        "gradient_accumulation": 4,
        "max_length": 512,
    },
}
"""What a preset changes of the recommendation; `light` is for processors and little memory."""


def recommended(method: Method, model_params: int, rows: int, device: str) -> Hyperparameters:
    """Values to begin with, for a base of so many parameters and so many rows."""
    small = model_params < 1_000_000_000
    base = Hyperparameters(
        epochs=_epochs(rows),
        rank=16,
        alpha=32.0 if small else 16.0,
        learning_rate=5e-4 if small else (2e-4 if model_params < _LARGE else 1e-4),
        gradient_checkpointing=model_params >= _LARGE,
        batch_size=4,
        gradient_accumulation=2 if rows < 2_000 else 4,
        save_steps=25 if rows < 2_000 else 100,
    )
    if method == "sft-qlora":
        # Small steps only: the errors of four bits are learned along.
        return replace(base, learning_rate=min(base.learning_rate, 2e-4))
    if method == "dpo":
        return replace(
            base,
            learning_rate=5e-5 if small else 1e-5,
            epochs=min(base.epochs, 3.0),
            batch_size=2,
            gradient_accumulation=4,
            warmup_ratio=0.1,
        )
    if method == "kto":
        return replace(
            base,
            learning_rate=1e-4 if small else 2e-5,
            epochs=min(base.epochs, 3.0),
            gradient_accumulation=2,
            warmup_ratio=0.1,
        )
    if method == "prompt-tuning":
        return replace(base, learning_rate=3e-2 if small else 1e-2, epochs=2 * base.epochs)
    if method == "ia3":
        return replace(base, learning_rate=1e-2 if small else 5e-3, epochs=2 * base.epochs)
    return base


def _epochs(rows: int) -> float:
    """Few rows are looked at more often, so that there are steps enough to learn."""
    if rows <= 100:
        return float(min(12, max(4, math.ceil(_STEPS_WANTED * 8 / max(1, rows)))))
    return 3.0 if rows <= 2_000 else 2.0


def preset(name: str, recommendation: Hyperparameters) -> Hyperparameters:
    """A preset on top of a recommendation. KeyError for a name that is not in PRESETS."""
    return replace(recommendation, **PRESETS[name])


def rows_for(method: Method, counts: Mapping[str, int]) -> int:
    """How many rows a method has. `counts`: examples, pairs, liked, disliked."""
    if method == "dpo":
        return counts.get("pairs", 0)
    if method == "kto":
        return counts.get("liked", 0) + counts.get("disliked", 0)
    return counts.get("examples", 0)


def missing(method: Method, counts: Mapping[str, int]) -> int:
    """How many more rows a method needs; 0 when it has enough."""
    short = max(0, MINIMUM[method] - rows_for(method, counts))
    if method == "kto":
        each = (max(0, KTO_EACH - counts.get(side, 0)) for side in ("liked", "disliked"))
        return max(short, sum(each))
    return short


def require_enough(method: Method, counts: Mapping[str, int]) -> None:
    """Raises NotEnoughData with what is missing."""
    short = missing(method, counts)
    if short and method == "kto":
        raise NotEnoughData(
            "not_enough_thumbs",
            "This method needs at least {need} rated answers, {each} liked and {each} disliked "
            "among them; there are {liked} liked and {disliked} disliked, so {missing} are "
            "missing.",
            need=MINIMUM[method],
            each=KTO_EACH,
            liked=counts.get("liked", 0),
            disliked=counts.get("disliked", 0),
            missing=short,
        )
    if short:
        raise too_few(method, rows_for(method, counts), MINIMUM[method])


def too_few(method: Method, have: int, need: int) -> NotEnoughData:
    """The refusal that names the kind of rows a method learns from."""
    values = {"have": have, "need": need}
    if method == "dpo":
        return NotEnoughData(
            "not_enough_pairs",
            "This method needs at least {need} pairs of a better and a worse answer; there are "
            "{have}, so {missing} are missing.",
            missing=need - have,
            **values,
        )
    if method == "kto":
        return NotEnoughData(
            "not_enough_rows",
            "There are too few rated answers to learn from: {have}, and {need} are needed.",
            missing=need - have,
            **values,
        )
    return NotEnoughData(
        "not_enough_data",
        "This method needs at least {need} good answers; there are {have}, so {missing} are "
        "missing.",
        missing=need - have,
        **values,
    )


def propose(
    counts: Mapping[str, int], *, four_bits: bool = False
) -> tuple[Method, str, dict[str, Any]]:
    """(method, code of why, values of its sentence), from examples, pairs, liked and disliked.

    `four_bits`: the base fits the graphics card only with four bits a weight.
    """
    values = {name: counts.get(name, 0) for name in ("examples", "pairs", "liked", "disliked")}
    sft: Method = "sft-qlora" if four_bits else "sft-lora"
    if not missing(sft, counts):
        if values["pairs"] >= _PAIRS_FOR_DPO and values["pairs"] > values["examples"]:
            return "dpo", "why.many_pairs", values
        return sft, "why.four_bits" if four_bits else "why.examples", values
    if not missing("dpo", counts):
        return "dpo", "why.pairs_only", values
    if not missing("kto", counts):
        return "kto", "why.thumbs_only", values
    return sft, "why.too_little", {**values, "missing": missing(sft, counts)}
