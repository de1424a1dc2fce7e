"""What the trainer tells while it trains, and what it stops for."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import TrainerCallback

from javis.core.errors import TrainError
from javis.train.checkpoints import seal
from javis.train.events import EventLog

LOG = logging.getLogger("javis.train")
_SHARE = 0.1
"""Looking at the candidate on the way may take so much of the time that training takes."""


class Live(TrainerCallback):  # type: ignore[misc]
    """Writes events; seals checkpoints; ends a run whose loss is no number."""

    def __init__(
        self,
        events: EventLog,
        tokens_per_row: float,
        evaluate: Callable[[], float | None],
        sample: Callable[[int], None],
    ) -> None:
        self._events = events
        self._tokens_per_row = tokens_per_row
        self._looks = {"eval": _Look(evaluate), "sample": _Look(sample)}
        self._started = 0.0
        self.first_step = 0
        """Where this process began: after 0 when the run was resumed."""
        self._paused_s = 0.0
        """Time spent on anything but steps."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._started = time.perf_counter()
        self.first_step = state.global_step
        self._events.add("phase", phase="training", step=state.global_step, total=state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        for name in ("loss", "grad_norm"):
            if not math.isfinite(float(logs.get(name, 0.0))):
                raise TrainError(
                    "not_finite",
                    "The training went astray: at step {step} the loss was no number any more. "
                    "Try a lower learning rate.",
                    step=state.global_step,
                )
        done = max(1, state.global_step - self.first_step)
        step_s = self._training_s() / done
        rows = args.per_device_train_batch_size * args.gradient_accumulation_steps
        values = {
            "step": state.global_step,
            "total": state.max_steps,
            "epoch": round(float(state.epoch or 0), 3),
            "loss": float(logs["loss"]),
            "learning_rate": float(logs.get("learning_rate", 0.0)),
            "tokens_per_s": round(rows * self._tokens_per_row / step_s, 1),
            "memory_bytes": memory_now(),
            "eta_s": round((state.max_steps - state.global_step) * step_s, 1),
        }
        if "rewards/margins" in logs:
            values["margin"] = float(logs["rewards/margins"])
        self._events.add("step", **values)
        LOG.info("step %(step)d of %(total)d, loss %(loss).4f, %(eta_s).0f s left", values)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # The end of the last epoch is looked at by the scores.
        if state.global_step >= state.max_steps:
            return
        before = time.perf_counter()
        trained_s = self._training_s()
        if self._looks["eval"].is_due(trained_s):
            loss = self._looks["eval"]()
            if loss is not None:
                self.evaluated(state, loss)
        if self._looks["sample"].is_due(trained_s):
            self._looks["sample"](state.global_step)
        self._paused_s += time.perf_counter() - before

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        before = time.perf_counter()
        seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")
        self._events.add("checkpoint", step=state.global_step)
        self._paused_s += time.perf_counter() - before

    def evaluated(self, state: Any, loss: float) -> None:
        """Note the held-out loss, for the page and for the curve."""
        self._events.add("eval", step=state.global_step, loss=loss)
        state.log_history.append({"step": state.global_step, "eval_loss": loss})

    def _training_s(self) -> float:
        return time.perf_counter() - self._started - self._paused_s


class _Look:
    """Something worth a look as long as it takes little of the time."""

    def __init__(self, action: Callable[..., Any]) -> None:
        self._action = action
        self._took_s = 0.0
        self._spent_s = 0.0

    def is_due(self, trained_s: float) -> bool:
        return self._spent_s + self._took_s <= _SHARE * trained_s

    def __call__(self, *args: Any) -> Any:
        before = time.perf_counter()
        result = self._action(*args)
        self._took_s = time.perf_counter() - before
        self._spent_s += self._took_s
        return result


def memory_now() -> int:
    """Bytes in use: of the graphics card when there is one, else of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.memory_allocated())
    return int(psutil.Process().memory_info().rss)


def memory_peak() -> int:
    """The most bytes that were in use at any time."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes, but on a Mac bytes.
    return int(peak if psutil.MACOS else peak * 1024)
