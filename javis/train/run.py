"""A run from its rows to its adapter: load, train, save, score."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from javis.core.errors import EngineError, VersionError
from javis.core.learning import Method
from javis.core.types import Message
from javis.train import preference, prompt, sft
from javis.train.base import Base, add_adapter, load_base, load_tokenizer, suit_rows
from javis.train.checkpoints import newest_whole, remove_all
from javis.train.config import TrainConfig
from javis.train.data import Encoded
from javis.train.events import EventLog
from javis.train.hyperparameters import USED
from javis.train.keep import kept_rows
from javis.train.live import Live, memory_peak
from javis.train.material import Held, Material, encode_rows, load_rows
from javis.train.room import require_room
from javis.train.samples import answers
from javis.train.saving import check_saved, save_adapter
from javis.train.score import Reader, adapter_reader, base_reader, saved_reader

ADAPTER = "adapter"
_DRY_STEPS = 2
_EVAL_ROWS = 32
_HANGUL = re.compile("[가-힣]")
_OTHER_QUESTIONS = 3

RECIPES: dict[Method, Callable[..., Any]] = {
    "sft-lora": sft.trainer,
    "sft-qlora": sft.trainer,
    "dpo": preference.dpo_trainer,
    "kto": preference.kto_trainer,
    "prompt-tuning": prompt.trainer,
    "ia3": prompt.trainer,
}


@dataclass(frozen=True, slots=True)
class Losses:
    """Of the held-out answers, in the order of `Held`."""

    good: list[float]
    bad: list[float]
    elsewhere: list[float] = field(default_factory=list)
    """Of the good answers, put under questions of other conversations; the mean of a few."""


def train(config: TrainConfig, folder: Path, events: EventLog) -> dict[str, Any]:
    """Do the run in `folder`; returns what `result.json` says of it.

    Raises TrainError, EngineError or VersionError with what went wrong.
    """
    began = time.perf_counter()
    if config.dry_run:
        hyper = replace(config.hyperparameters, max_steps=_DRY_STEPS, save_steps=1_000_000)
        config = replace(config, hyperparameters=hyper, resume=False)
    base, material = prepare(config, folder)
    if material.left_out:
        limit = config.hyperparameters.max_length
        events.add("warning", code="rows_too_long", rows=material.left_out, limit=limit)
    before, scored = _today(config, base, material, events)
    model = add_adapter(base, config.method, config.hyperparameters, config.seed)
    steps = _optimize(config, base, model, material, folder, events, scored.get("base"))
    save_adapter(model, folder / ADAPTER, config.base_model)
    check_saved(folder / ADAPTER)
    model.eval()
    events.add("phase", phase="scoring")
    reader = adapter_reader(base, model)
    if not config.dry_run:
        own = _losses(reader, material.held)
        scored["candidate"] = replace(own, elsewhere=_losses_elsewhere(reader, material))
    after = _ask(reader, material, events, steps["steps"], dict(enumerate(before)))
    steps["total_seconds"] = time.perf_counter() - began
    steps["peak_memory_bytes"] = memory_peak()
    return {
        "state": "trained",
        "adapter": ADAPTER,
        "dry_run": config.dry_run,
        "train": steps,
        "scores": _scores(material, scored),
        "rewards": _rewards(material.held, scored),
        "samples": [
            {"prompt": _asked(p), "before": b, "after": a}
            for p, b, a in zip(material.prompts, before, after, strict=True)
        ],
    }


def prepare(config: TrainConfig, folder: Path) -> tuple[Base, Material]:
    """Load the base and the rows, once there is room for them."""
    rows = load_rows(config, folder)
    require_room(config, folder, rows)
    base = load_base(config)
    material = encode_rows(config, rows, base.template)
    hyper = config.hyperparameters
    if "keep" in USED[config.method] and not config.dry_run:
        kept = kept_rows(
            base,
            hyper.keep,
            material.rows,
            folder,
            korean=any(_HANGUL.search(row.answer) for row in rows["train"]),
            max_length=hyper.max_length,
        )
        material = replace(material, examples=[*material.examples, *kept], kept=len(kept))
    suit_rows(base, material.longest)
    origins = {row.turn_id: row.conversation_id for row in rows["valid"]}
    return base, replace(material, conversations=origins)


def _optimize(
    config: TrainConfig,
    base: Base,
    model: Any,
    material: Material,
    folder: Path,
    events: EventLog,
    start: Losses | None,
) -> dict[str, Any]:
    """Train `model` in place; returns the figures of the training."""
    checkpoint = newest_whole(folder) if config.resume else None
    if checkpoint is None:
        remove_all(folder)
    recipe = RECIPES[config.method]
    trainer = recipe(config, base, model, material, folder, load_tokenizer(config))
    live = Live(
        events,
        tokens_per_row=material.tokens / material.rows,
        evaluate=lambda: _held_out_loss(base, model, material.held),
        sample=lambda step: _sample(adapter_reader(base, model), material, events, step),
    )
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ in ("PrinterCallback", "ProgressCallback"):
            trainer.remove_callback(callback)
    trainer.add_callback(live)
    if start is not None and checkpoint is None and material.held.good:
        part = material.held.good[:_EVAL_ROWS]
        events.add("eval", step=0, loss=_per_token(part, start.good[: len(part)]))
    began = time.perf_counter()
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    seconds = time.perf_counter() - began
    state = trainer.state
    # Of this process alone, as the seconds are: a resumed run begins at its checkpoint.
    share = 1 - live.first_step / state.global_step if state.global_step else 0.0
    looks = (state.epoch or 0) * material.rows * share
    return {
        "seconds": seconds,
        "steps": state.global_step,
        "epochs": round(float(state.epoch or 0), 3),
        "rows": material.rows,
        "kept": material.kept,
        "tokens": int(looks * material.tokens / material.rows),
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "precision": base.loaded.precision,
        "resumed_from": None if checkpoint is None else checkpoint.name,
        "curve": [
            {k: row[k] for k in ("step", "loss", "eval_loss", "learning_rate") if k in row}
            for row in state.log_history
            if "loss" in row or "eval_loss" in row
        ],
    }


def _today(
    config: TrainConfig, base: Base, material: Material, events: EventLog
) -> tuple[list[str], dict[str, Losses]]:
    """What the version in use answers to the sample prompts, and what the base and it make of the
    held-out rows.
    """
    current = _current_reader(config, base, events)
    readers = {"base": base_reader(base)} | ({"current": current} if current else {})
    before = _ask(current or readers["base"], material, events, 0, {})
    if config.dry_run:
        return before, {}
    return before, {name: _losses(reader, material.held) for name, reader in readers.items()}


def _current_reader(config: TrainConfig, base: Base, events: EventLog) -> Reader | None:
    """None for the base, also in place of an adapter that cannot be read."""
    if not config.current_adapter:
        return None
    try:
        return saved_reader(base, Path(config.current_adapter), config.base_model)
    except (VersionError, EngineError) as error:
        events.add("warning", code=error.code, message=str(error))
        return None


def _losses(reader: Reader, held: Held) -> Losses:
    losses = reader.losses([*held.good, *held.bad])
    return Losses(losses[: len(held.good)], losses[len(held.good) :])


def _losses_elsewhere(reader: Reader, material: Material) -> list[float]:
    """Tells an answer that belongs to its question from one that would do anywhere."""
    rows = material.held.good
    groups = [material.conversations.get(row.turn_id, row.turn_id) for row in rows]
    found: list[list[float]] = [[] for _ in rows]
    for shift in range(1, min(_OTHER_QUESTIONS, len(rows) - 1) + 1):
        others = [(i, (i + shift) % len(rows)) for i in range(len(rows))]
        others = [
            (i, other)
            for i, other in others
            if groups[i] != groups[other] and rows[i].prompt != rows[other].prompt
        ]
        moved = [replace(rows[i], prompt=rows[other].prompt) for i, other in others]
        for (i, _), loss in zip(others, reader.losses(moved), strict=True):
            found[i].append(loss)
    return [sum(losses) / len(losses) if losses else math.nan for losses in found]


def _held_out_loss(base: Base, model: Any, held: Held) -> float | None:
    """Mean loss of a held-out token, of a bounded number of rows."""
    rows = held.good[:_EVAL_ROWS]
    if not rows:
        return None
    model.eval()
    loss = _per_token(rows, adapter_reader(base, model).losses(rows))
    model.train()
    return loss


def _per_token(rows: list[Any], losses: list[float]) -> float:
    return sum(losses) / sum(len(row.answer) for row in rows)


def _scores(material: Material, found: dict[str, Losses]) -> dict[str, Any] | None:
    """Row by row, as the gate compares them."""
    if "base" not in found:
        return None
    held = material.held
    scores: dict[str, Any] = {"base": None, "current": None, "candidate": None}
    for name, losses in found.items():
        margins = _margins(held, losses, found["base"]) if held.paired else []
        scores[name] = [
            _score(material, row, losses.good[i])
            | ({"margin": margins[i]} if margins else {})
            | ({"label": True} if material.judged else {})
            | _elsewhere(losses, i)
            for i, row in enumerate(held.good)
        ]
        if material.judged:
            # The gate has to see how much both sides spread.
            disliked = zip(held.bad, losses.bad, strict=True)
            scores[name] += [_score(material, row, n) | {"label": False} for row, n in disliked]
    return scores


def _score(material: Material, row: Encoded, nll: float) -> dict[str, Any]:
    return {
        "turn_id": row.turn_id,
        "conversation_id": material.conversations.get(row.turn_id, ""),
        "nll": nll,
        "tokens": len(row.answer),
    }


def _elsewhere(losses: Losses, index: int) -> dict[str, float]:
    if not losses.elsewhere or math.isnan(losses.elsewhere[index]):
        return {}
    return {"nll_elsewhere": losses.elsewhere[index]}


def _margins(held: Held, losses: Losses, base: Losses) -> list[float]:
    """By how many nats more than the base a model prefers each good answer to its bad one.

    KTO has no pairs: there the mean of the disliked answers stands for the bad one. That is for the
    means alone: a constant in every row hides how much the disliked answers spread.
    """
    if not held.bad:
        return []
    good = [b - own for own, b in zip(losses.good, base.good, strict=True)]
    bad = [b - own for own, b in zip(losses.bad, base.bad, strict=True)]
    if not held.paired:
        bad = [sum(bad) / len(bad)] * len(good)
    return [g - b for g, b in zip(good, bad, strict=True)]


def _rewards(held: Held, found: dict[str, Losses]) -> dict[str, Any] | None:
    """Means over the held-out rows, without beta; None where nothing is preferred."""
    if not held.bad or not held.good or "base" not in found:
        return None
    rewards = {}
    for name, losses in found.items():
        margins = _margins(held, losses, found["base"])
        rewards[name] = {
            "margin": sum(margins) / len(margins),
            "accuracy": sum(margin > 0 for margin in margins) / len(margins),
        }
    return rewards


def _ask(
    reader: Reader, material: Material, events: EventLog, step: int, before: dict[int, str]
) -> list[str]:
    """Answers to the sample prompts, told as events."""
    found = answers(reader, material.prompts)
    for number, (asked, answer) in enumerate(zip(material.prompts, found, strict=True)):
        values = {"before": answer, "after": ""}
        if number in before:
            values = {"before": before[number], "after": answer}
        events.add("sample", step=step, prompt=_asked(asked), **values)
    return found


def _sample(reader: Reader, material: Material, events: EventLog, step: int) -> None:
    found = answers(reader, material.prompts[:1])
    for asked, answer in zip(material.prompts, found, strict=False):
        events.add("sample", step=step, prompt=_asked(asked), before="", after=answer)


def _asked(prompt: tuple[Message, ...]) -> str:
    return prompt[-1].content
