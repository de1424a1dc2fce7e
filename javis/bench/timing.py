"""What both sides of `javis bench train` measure, in the same way."""

from __future__ import annotations

import resource
import time
from typing import Any


def timed_training(trainer: Any, samples: int, began: float) -> dict[str, float]:
    """Train, and say how fast, with how much memory, and how long after `began` it started."""
    from transformers import TrainerCallback  # heavy

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
    return {
        "samples_per_s": samples / seconds,
        "peak_bytes": now.ru_maxrss * 1024,
        "cpu_s": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
        "start_s": first[0] - began,
    }
