"""How far a training run is, from what its trainer wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from javis.core.learning import TrainEvent, TrainJob

RESUMABLE = ("failed", "cancelled")
"""The ends after which a run can go on."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; None where nothing is known yet."""

    step: int | None = None
    total_steps: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    eta_s: float | None = None
    tokens_per_s: float | None = None
    memory_bytes: int | None = None
    learning_rate: float | None = None
    asked: int | None = None
    """Questions of the gate's suites that have been answered, once it has come so far."""
    questions: int | None = None


@dataclass(frozen=True, slots=True)
class JobView:
    """A run as the page shows it."""

    job: TrainJob
    progress: Progress
    log_tail: str
    resumable: bool
    can_override: bool


def progress_of(events: Sequence[TrainEvent]) -> Progress:
    """From the newest events of each kind."""
    step: Mapping[str, Any] = {}
    scored: Mapping[str, Any] = {}
    asked: Mapping[str, Any] = {}
    for event in reversed(events):
        if event.kind == "step" and not step:
            step = event.values
        elif event.kind == "eval" and not scored:
            scored = event.values
        elif event.kind == "questions" and not asked and not step:
            asked = event.values
        if step and scored:
            break
    return Progress(
        step=step.get("step"),
        total_steps=step.get("total"),
        loss=step.get("loss"),
        eval_loss=scored.get("loss"),
        eta_s=(asked or step).get("eta_s"),
        tokens_per_s=step.get("tokens_per_s"),
        memory_bytes=step.get("memory_bytes"),
        learning_rate=step.get("learning_rate"),
        asked=asked.get("done"),
        questions=asked.get("total"),
    )
