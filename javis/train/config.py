"""What a training run is told, `job.json`: every field is checked before anything is loaded.

With `hyperparameters`, `recommend` and `estimate`, all that the server needs of training, and
none of it imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from javis.core.errors import UserInputError
from javis.core.learning import METHODS, Method
from javis.engine.files import atomic_file
from javis.train.estimate import Estimate, estimate
from javis.train.hyperparameters import RANGES, USED, Hyperparameters, Range
from javis.train.recommend import (
    MINIMUM,
    PRESETS,
    missing,
    preset,
    propose,
    recommended,
    require_enough,
)

__all__ = [
    "MINIMUM",
    "PRESETS",
    "RANGES",
    "USED",
    "Estimate",
    "Hyperparameters",
    "Range",
    "TrainConfig",
    "estimate",
    "missing",
    "preset",
    "propose",
    "recommended",
    "require_enough",
]
JOB = "job.json"
_JOB_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything the trainer of a run is told. Raises UserInputError for a bad value."""

    id: str
    method: Method
    base_model: str
    """The base's name as versions carry it: an id of the catalogue or of the hub."""
    base_path: str
    """Folder of the base's weights as safetensors, or the hub id of a model in the cache."""
    quantization: Literal["4bit", "8bit", "16bit", "32bit", "auto"] = "auto"
    device: Literal["cpu", "cuda"] = "cpu"
    seed: int = 0
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    current_adapter: str | None = None
    """Folder of the version or adapter that serves now, to be scored on the same rows."""
    train_rows: str = "data/train.jsonl"
    valid_rows: str = "data/valid.jsonl"
    replay_rows: str = "data/replay.jsonl"
    """DPO: examples that are mixed in; need not exist."""
    dry_run: bool = False
    """Two steps and one sample, to see that it works."""
    resume: bool = False
    sample_prompts: tuple[str, ...] = ()
    """Questions that the candidate answers on its way; empty takes some of the held-out rows."""

    def __post_init__(self) -> None:
        _require(self.method in METHODS, "method")
        for name in ("id", "base_model", "base_path", "train_rows", "valid_rows", "replay_rows"):
            value = getattr(self, name)
            _require(isinstance(value, str) and 0 < len(value) < 4096 and "\0" not in value, name)
        _require(self.quantization in ("4bit", "8bit", "16bit", "32bit", "auto"), "quantization")
        _require(self.device in ("cpu", "cuda"), "device")
        _require(type(self.seed) is int and 0 <= self.seed < 1 << 32, "seed")
        adapter = self.current_adapter
        _require(adapter is None or isinstance(adapter, str), "current_adapter")
        _require(isinstance(self.dry_run, bool), "dry_run")
        _require(isinstance(self.resume, bool), "resume")
        prompts = self.sample_prompts
        _require(isinstance(prompts, (list, tuple)) and len(prompts) <= 16, "sample_prompts")
        _require(all(isinstance(p, str) for p in prompts), "sample_prompts")
        object.__setattr__(self, "sample_prompts", tuple(prompts))
        hyper = self.hyperparameters
        if isinstance(hyper, Mapping):
            object.__setattr__(self, "hyperparameters", Hyperparameters.parse(hyper))
        _require(isinstance(self.hyperparameters, Hyperparameters), "hyperparameters")

    @classmethod
    def read(cls, folder: Path) -> TrainConfig:
        """From the `job.json` of a run. Raises UserInputError."""
        path = folder / JOB
        try:
            _require(path.stat().st_size <= _JOB_BYTES, JOB)
            values = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            raise _bad(JOB) from None
        known = {f.name for f in fields(cls)}
        _require(isinstance(values, dict) and set(values) <= known, JOB)
        try:
            return cls(**values)
        except TypeError:
            raise _bad(JOB) from None  # A field is missing.

    def write(self, folder: Path) -> None:
        """Write `job.json`, whole or not at all."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["hyperparameters"] = self.hyperparameters.plain()
        values["sample_prompts"] = list(self.sample_prompts)
        with atomic_file(folder / JOB) as temporary:
            temporary.write_text(json.dumps(values, ensure_ascii=False, indent=1), "utf-8")


def _bad(name: str) -> UserInputError:
    return UserInputError("bad_job", "The run's {field} is missing or malformed.", field=name)


def _require(good: bool, name: str) -> None:
    if not good:
        raise _bad(name)
