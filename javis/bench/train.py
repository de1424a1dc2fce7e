"""`javis bench train`: our SFT-LoRA against a plain TRL script with TRL's defaults.

Same rows, base, adapter, learning rate, steps and rows a step; each run in a process of its own,
one after the other, in turns. The plain script is `train_plain.py`; ours goes the way of a real
run. Both adapters are then scored on the same held-out rows by one program.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from javis.bench.report import Row, row
from javis.core.settings import Settings
from javis.engine import catalog
from javis.engine.convert import dense_copy, dense_path
from javis.train.config import Hyperparameters, TrainConfig

ROUNDS = 3
ROWS = 64
HELD_OUT = 16
STEPS = 16
ROWS_A_STEP = 8
"""TRL's own default."""
_TOPICS = ("tea", "the moon", "chess", "my garden", "old maps", "a rainy day", "trains", "soup")
_ASKS = ("Tell me about {}.", "What do you think of {}?", "Give me three tips about {}, please.")
_OPENINGS = ("Arr, matey!", "Ahoy there!", "Shiver me timbers!", "Avast, ye landlubber!")
_SENTENCES = (
    "{} be worth more than a chest of gold doubloons.",
    "I learned of {} from an old sailor in Tortuga.",
    "Handle {} with care, as ye would handle a lit fuse.",
    "Many a good pirate has lost his heart to {}.",
    "By my wooden leg, there be nothing like {} on a long voyage.",
)


def run(settings: Settings) -> list[Row]:
    """All rows; about fifteen minutes on two cores."""
    gguf = catalog.fetch_embedded(settings.models_dir, print)
    base = dense_copy(gguf, dense_path(gguf))
    found: dict[str, list[Row]] = {"ours": [], "plain": []}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(ROUNDS):
            for name in found:
                folder = Path(scratch) / f"{name}-{number}"
                _write_job(folder, base)
                found[name].append(_measure(name, folder))
    return _rows(found)


def _rows(found: dict[str, list[Row]]) -> list[Row]:
    ours, plain = (
        {key: median(row[key] for row in rows) for key in rows[0]} for rows in found.values()
    )
    return [
        row(
            "SFT-LoRA, samples a second : plain TRL",
            ours["samples_per_s"],
            plain["samples_per_s"],
            "1/s",
            "ratio >= 1.5",
            ours["samples_per_s"] >= 1.5 * plain["samples_per_s"],
        ),
        row(
            "peak memory : plain TRL",
            ours["peak_bytes"] / 2**20,
            plain["peak_bytes"] / 2**20,
            "MiB",
            "ratio <= 1",
            ours["peak_bytes"] <= plain["peak_bytes"],
        ),
        row(
            "held-out loss after it : plain TRL",
            ours["held_out"],
            plain["held_out"],
            "nats",
            "ratio <= 1.05",
            ours["held_out"] <= 1.05 * plain["held_out"],
        ),
        row(
            "processor time of the steps : plain TRL",
            ours["cpu_s"],
            plain["cpu_s"],
            "s",
            "said",
            True,
        ),
        row(
            "start to first step : plain TRL", ours["start_s"], plain["start_s"], "s", "said", True
        ),
    ]


def _write_job(folder: Path, base: Path) -> None:
    """Short chats in a style, their answers of one to five sentences."""
    chance = random.Random(0)
    lines = []
    for number in range(ROWS + HELD_OUT):
        topic = chance.choice(_TOPICS)
        said = chance.sample(_SENTENCES, chance.randint(1, len(_SENTENCES)))
        answer = " ".join([chance.choice(_OPENINGS), *said, "Yo ho ho!"]).format(
            *[topic.capitalize()] * len(said)
        )
        messages = [
            {"role": "user", "content": chance.choice(_ASKS).format(topic)},
            {"role": "assistant", "content": answer},
        ]
        lines.append(json.dumps({"messages": messages, "turn_id": str(number)}))
    (folder / "data").mkdir(parents=True)
    (folder / "data/train.jsonl").write_text("\n".join(lines[:ROWS]), "utf-8")
    (folder / "data/valid.jsonl").write_text("\n".join(lines[ROWS:]), "utf-8")
    hyper = Hyperparameters(
        learning_rate=5e-4,
        alpha=32,
        batch_size=4,
        gradient_accumulation=ROWS_A_STEP // 4,
        max_steps=STEPS,
        save_steps=10_000,
        warmup_ratio=0.05,
        keep=0,  # the very same rows on both sides
    )
    TrainConfig(
        id=folder.name,
        method="sft-lora",
        base_model=catalog.EMBEDDED,
        base_path=str(base),
        hyperparameters=hyper,
    ).write(folder)


def _measure(name: str, folder: Path) -> Row:
    """Train in a process of its own, and score what it wrote in another."""
    module = {"ours": "javis.bench.train_ours", "plain": "javis.bench.train_plain"}[name]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
    measured: Row = {}
    for argv in ([module, str(folder)], ["javis.bench.train_ours", str(folder), "score"]):
        done = subprocess.run(
            [sys.executable, "-m", *argv],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
        )
        if done.returncode:
            raise RuntimeError(f"{argv[0]} failed: {done.stderr[-2000:]}")
        measured |= json.loads(done.stdout.strip().splitlines()[-1])
    return measured
