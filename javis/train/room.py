"""Is there room for a run? Asked before anything is loaded."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

from javis.core.errors import TrainError
from javis.engine import hardware
from javis.engine.hf_model import read_words
from javis.engine.template import ChatTemplate
from javis.train.base import precision
from javis.train.config import TrainConfig
from javis.train.data import Row, encode
from javis.train.estimate import disk_bytes, memory_bytes

_GB = 1e9
_SAMPLE = 256
"""Rows that are counted: all are encoded only once the base is there."""
_MARGIN = 1.3
"""By which the estimate is padded; a run is refused only when even the bare sum does not fit."""


def require_room(config: TrainConfig, folder: Path, rows: dict[str, list[Row]]) -> None:
    """Raises TrainError when memory or disk will not do."""
    weights = list(Path(config.base_path).glob("*.safetensors"))
    if not weights:
        return  # A hub id: loading it tells.
    parameters = sum(path.stat().st_size for path in weights) // _width(Path(config.base_path))
    need = 2 * disk_bytes(config.method, config.hyperparameters, parameters)
    free = shutil.disk_usage(folder).free
    if free < need:
        raise TrainError(
            "train_disk_short",
            "This training needs {need} GB of disk, and {free} GB are free. Make room and start "
            "it again.",
            **_in_gb(need, free),
        )
    bits = int(precision(config).removesuffix("bit"))
    wanted = memory_bytes(
        config.method,
        config.hyperparameters,
        parameters,
        config.device,
        _row_tokens(
            rows["train"],
            read_words(Path(config.base_path)).template(),
            config.hyperparameters.max_length,
        ),
        bits,
    )
    found = hardware.detect()
    available = found.vram_free if config.device == "cuda" else found.ram_available
    if available < wanted / _MARGIN:
        raise TrainError(
            "train_memory_short",
            "This training needs about {need} GB of memory, and {free} GB are free. Try a smaller "
            "batch_size or max_length, or turn gradient_checkpointing on.",
            **_in_gb(wanted, available),
        )


def _in_gb(need: float, free: float) -> dict[str, object]:
    return {"need": round(need / _GB, 2), "free": round(free / _GB, 2)}


def _width(folder: Path) -> int:
    """Bytes of a stored weight."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        kind = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    except (OSError, ValueError, AttributeError):
        kind = "float32"
    return 4 if kind == "float32" else 2


def _row_tokens(rows: list[Row], template: ChatTemplate, longest: int) -> float:
    """About how many of the base's tokens a row has; of a pair, either side with the prompt."""
    step = math.ceil(len(rows) / _SAMPLE) or 1
    # From the longest on, so that a sample says rather too much.
    sample = sorted(rows, key=_letters, reverse=True)[::step]
    sides = [(r, said) for r in sample for said in (r.answer, r.rejected) if said is not None]
    encoded = [encode(template, r.turn_id, r.prompt, said, longest) for r, said in sides]
    lengths = [len(row) for row in encoded if row is not None]
    return sum(lengths) / len(lengths) if lengths else 1.0


def _letters(row: Row) -> int:
    return len(row.answer) + len(row.rejected or "") + sum(len(m.content) for m in row.prompt)
