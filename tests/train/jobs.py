"""Run folders with a few made-up rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from javis.core.learning import Method
from javis.train.config import Hyperparameters, TrainConfig

WORDS = ("tea", "rain", "maps", "bread", "snow", "chess", "trains", "soup")
QUICK = Hyperparameters(
    learning_rate=5e-3,
    epochs=2,
    rank=4,
    alpha=8,
    batch_size=4,
    gradient_accumulation=1,
    max_length=256,
    save_steps=100,
    warmup_ratio=0,
    keep=0,
)


def row(method: Method, number: int) -> dict[str, Any]:
    word = WORDS[number % len(WORDS)]
    good = f"Arr, {word * (1 + number % 3)}!"
    bad = f"It is {word}."
    prompt = [{"role": "user", "content": f"Tell me {number} of {word}"}]
    origin = {"turn_id": f"t{number}", "conversation_id": f"c{number}", "source": "liked"}
    if method == "dpo":
        return origin | {"prompt": prompt, "chosen": said(good), "rejected": said(bad)}
    if method == "kto":
        liked = number % 3 != 0
        return origin | {
            "prompt": prompt,
            "completion": said(good if liked else bad),
            "label": liked,
        }
    return origin | {"messages": [*prompt, *said(good)]}


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")


def make_job(
    folder: Path,
    base: Path,
    method: Method = "sft-lora",
    *,
    rows: int = 16,
    valid: int = 4,
    hyper: Hyperparameters = QUICK,
    **changes: Any,
) -> TrainConfig:
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "data/train.jsonl", [row(method, n) for n in range(rows)])
    write_rows(folder / "data/valid.jsonl", [row(method, n + rows) for n in range(valid)])
    config = TrainConfig(
        id=folder.name,
        method=method,
        base_model="tiny/base",
        base_path=str(base),
        quantization="32bit",
        hyperparameters=hyper,
    )
    config = replace(config, **changes)
    config.write(folder)
    return config


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    return found


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
