"""What a run will take: time, memory, disk and money. Without torch; rough, and says so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from javis.core.learning import Method, Prices
from javis.train.hyperparameters import USED, Hyperparameters

_REFERENCE_PARAMS = 134_515_008
_REFERENCE_WIDTH = 30 * 576
"""Layers times hidden size of the embedded model, from which other models are reckoned."""
_BYTES_PER_TOKEN_WIDTH = 70.0
"""Activations kept for the backward pass at 16 bits, measured on the embedded model."""
_RUNTIME_BYTES = {"cpu": 800 << 20, "cuda": 1500 << 20}
"""Python, torch and the libraries on top (measured 0.75 GB), or a CUDA context with its
workspace (a reserve, not measured)."""
_FLOPS = {"cpu": 1.0e11, "cuda": 2.0e13}
"""What a plain processor of two cores was seen to reach in 32 bits, and a cautious number for a
graphics card of today. Replaced by the speed that was measured here, once there is one."""
_RENTED_FLOPS = 6.0e13
_START_S = {"cpu": 25.0, "cuda": 40.0}
"""Loading, scoring the held-out rows, samples."""
_TRIAL_S = 11.0
"""A new version of the embedded model is tried out in both engines before it is published."""
_RENTED_START_S = 180.0
_PASSES: Mapping[Method, float] = {
    "sft-lora": 1.0,
    "sft-qlora": 1.3,
    "dpo": 1.3,
    "kto": 1.7,
    "prompt-tuning": 1.0,
    "ia3": 1.0,
}
"""Work for each token against SFT: KTO reads a mismatched answer besides, DPO has both of its own
counted already, both ask the base's opinion once; four bits are unpacked each time."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to take on this computer, and what it would cost elsewhere."""

    seconds: float
    memory_bytes: int
    disk_bytes: int
    steps: int
    tokens: int
    """Tokens that will be read, over all epochs."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """Dollars `local`, `rented` and `serverless`."""
    elsewhere_seconds: float = 0.0
    """On a rented card, its start included."""
    pauses_chat: bool = False
    """Whether the chat's model must leave the graphics card meanwhile."""


def steps_of(hyper: Hyperparameters, rows: int) -> int:
    """Steps of the optimizer, as the trainer counts them."""
    if hyper.max_steps is not None:
        return hyper.max_steps
    per_epoch = max(1, math.ceil(math.ceil(rows / hyper.batch_size) / hyper.gradient_accumulation))
    return max(1, math.ceil(hyper.epochs * per_epoch))


def adapter_params(method: Method, hyper: Hyperparameters, model_params: int) -> int:
    """About how many weights are trained."""
    width = _width(model_params)
    if method == "prompt-tuning":
        return int(hyper.virtual_tokens * width / 24)
    if method == "ia3":
        return int(width * 3.6)
    share = 1.0 if hyper.target_modules == "all-linear" else len(hyper.target_modules) / 8
    return int(hyper.rank * width * 17.6 * share)


def memory_bytes(
    method: Method,
    hyper: Hyperparameters,
    model_params: int,
    device: str,
    row_tokens: float,
    bits: int = 16,
) -> int:
    """Peak memory, for rows (sides of a pair) of about so many tokens, on a base with so many bits
    a weight."""
    weights = int(model_params * (0.6 if bits == 4 else bits / 8))
    trained = adapter_params(method, hyper, model_params) * 16
    sequences = hyper.batch_size * (2 if method in ("dpo", "kto") else 1)
    tokens = sequences * min(hyper.max_length, 2 * row_tokens)
    wide = 2.0 if bits == 32 else 1.0
    kept = tokens * _width(model_params) * _BYTES_PER_TOKEN_WIDTH * wide
    if hyper.gradient_checkpointing:
        kept /= 6
    # 30 % on top: rows differ in length, and allocators keep what they had.
    return int(1.3 * (weights + trained + kept)) + _RUNTIME_BYTES.get(device, 0)


def disk_bytes(method: Method, hyper: Hyperparameters, model_params: int) -> int:
    """Checkpoints (two kept, a third being written), the adapter, and the log."""
    trained = adapter_params(method, hyper, model_params)
    return 3 * trained * 12 + 2 * trained * 4 + (16 << 20)


def estimate(
    method: Method,
    hyperparameters: Hyperparameters,
    rows: int,
    tokens: int,
    model_params: int,
    device: str,
    speed: float | None = None,
    prices: Prices | None = None,
    bits: int = 16,
    asking_s: float = 0.0,
    *,
    tried_out: bool = False,
) -> Estimate:
    """Reckon a run over `rows` training rows of `tokens` tokens together, both answers of a pair
    counted with their prompt.

    `speed`: tokens a second that an earlier run of this base reached here. `asking_s`: what the
    gate's questions take, `tried_out`: whether the version is before it is published.
    """
    prices = prices or Prices()
    if "keep" in USED[method]:
        # About as long as the rows themselves, which is as much as can be said before.
        kept = math.ceil(rows * hyperparameters.keep)
        rows, tokens = rows + kept, tokens + tokens * kept // max(1, rows)
    steps = steps_of(hyperparameters, rows)
    per_step = hyperparameters.batch_size * hyperparameters.gradient_accumulation
    looks = min(steps * per_step, math.ceil(rows * max(1.0, hyperparameters.epochs)))
    if hyperparameters.max_steps is not None:
        looks = steps * per_step
    read = int(tokens / max(1, rows) * looks)
    # The frozen weights need no gradient of their own: 4 operations for each weight and token.
    work = 4.0 * model_params * _PASSES[method]
    if hyperparameters.gradient_checkpointing:
        work *= 4 / 3
    local = read / speed if speed else read * work / _FLOPS.get(device, _FLOPS["cpu"])
    seconds = _START_S.get(device, 30.0) + local + asking_s
    if tried_out:
        seconds += _TRIAL_S * model_params / _REFERENCE_PARAMS
    elsewhere = _RENTED_START_S + read * work / _RENTED_FLOPS
    # A pair is two of the sequences that lie in memory.
    row_tokens = tokens / max(1, rows) / (2 if method == "dpo" else 1)
    return Estimate(
        seconds=seconds,
        memory_bytes=memory_bytes(method, hyperparameters, model_params, device, row_tokens, bits),
        disk_bytes=disk_bytes(method, hyperparameters, model_params),
        steps=steps,
        tokens=read,
        cost={
            "local": prices.local(seconds),
            "rented": prices.rented(elsewhere),
            "serverless": prices.serverless(elsewhere),
        },
        elsewhere_seconds=elsewhere,
    )


def _width(model_params: int) -> float:
    """Layers times hidden size, which grow a little faster than the root of the parameters."""
    return float(_REFERENCE_WIDTH * (max(1, model_params) / _REFERENCE_PARAMS) ** 0.515)
