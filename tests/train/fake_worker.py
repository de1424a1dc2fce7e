"""A trainer without a model: `python fake_worker.py FOLDER [word …]`.

It keeps to the trainer's files (heartbeat, events.jsonl, result.json). The words change how:
slow: 500 steps of 50 ms · deaf: ignores TERM · stuck: no heartbeat · crash: ends at step 3 ·
child: starts a process of its own · noisy: prints 3 MB · worse: a candidate the gate refuses ·
other: weights of its own · unscored: without scores of the version in use ·
hungry: takes more memory than there is, and ends as the real trainer does
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

NAMES = ["a", "b", "c", "d", "e", "f", "g", "h"]


def main() -> None:
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    stopped = threading.Event()
    if "deaf" in words:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    if "stuck" not in words:
        threading.Thread(target=beat, args=(folder,), daemon=True).start()
    if "child" in words:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (folder / "child").write_text(str(child.pid))
    if "noisy" in words:
        print("x" * 100 + "\n", end="")
        for _ in range(30):
            print("y" * 100_000)
    if "hungry" in words:
        starve(folder)
        return
    steps = 500 if "slow" in words or "stuck" in words else 4
    (folder / "environment.json").write_text(json.dumps(dict(os.environ)))
    (folder / "starts").open("a").write(f"{os.getpid()}\n")
    say(folder, "phase", phase="training")
    for step in range(1, steps + 1):
        if "crash" in words and step == 3:
            sys.exit("out of luck")
        say(folder, "step", step=step, total=steps, loss=4.0 / step, eta_s=steps - step)
        if stopped.wait(0.05 if steps > 4 else 0.01):
            finish(folder, {"state": "cancelled"})
            return
    say(folder, "done")
    finish(folder, result(folder, set(words)))


def beat(folder: Path) -> None:
    while True:
        (folder / "heartbeat").touch()
        time.sleep(0.1)


def say(folder: Path, kind: str, **values: object) -> None:
    row = {"number": 0, "at": "2026-01-01T00:00:00.000Z", "kind": kind, "values": values}
    with (folder / "events.jsonl").open("a") as out:
        out.write(json.dumps(row) + "\n")


def finish(folder: Path, found: dict[str, object]) -> None:
    partial = folder / "result.json.part"
    partial.write_text(json.dumps(found))
    partial.rename(folder / "result.json")


def starve(folder: Path) -> None:
    import resource

    from javis.train import worker

    resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
    try:
        bytearray(1 << 40)
    except MemoryError as error:
        finish(folder, worker._failed(worker._plain(error)))


def result(folder: Path, words: set[str]) -> dict[str, object]:
    adapter = folder / "adapter"
    adapter.mkdir(exist_ok=True)
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4}
    config |= {"target_modules": ["q_proj"], "base_model_name_or_path": ""}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (adapter / "adapter_model.safetensors").write_bytes(weights(0.25 if "other" in words else 0.5))
    row = {"tokens": 10}
    shift = 1.0 if "worse" in words else -1.0
    scores = {
        "base": [{**row, "turn_id": n, "nll": 30.0 + i} for i, n in enumerate(NAMES)],
        "candidate": [{**row, "turn_id": n, "nll": 30.0 + i + 10 * shift}
                      for i, n in enumerate(NAMES)],
        "current": None,
    }  # fmt: skip
    if (
        json.loads((folder / "job.json").read_text()).get("current_adapter")
        and "unscored" not in words
    ):
        scores["current"] = scores["base"]
    train = {"seconds": 1.5, "steps": 4, "tokens": 100, "trainable_parameters": 10, "curve": []}
    train["peak_memory_bytes"] = 1000
    return {
        "state": "trained",
        "adapter": "adapter",
        "train": train,
        "scores": scores,
        "samples": [{"prompt": "Hi", "before": "a", "after": "b"}],
    }


def weights(value: float) -> bytes:
    """A safetensors file with one LoRA pair."""
    stem = "base_model.model.model.layers.0.self_attn.q_proj"
    a = struct.pack("<8f", *[value] * 8)
    header = {
        f"{stem}.lora_A.weight": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
        f"{stem}.lora_B.weight": {"dtype": "F32", "shape": [4, 2], "data_offsets": [32, 64]},
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + a + a


if __name__ == "__main__":
    main()
