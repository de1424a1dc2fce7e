"""The room that a run asks for follows from its rows as the base's tokenizer has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from javis.core.learning import Method
from javis.engine.hf_model import read_words
from javis.train import estimate, room
from javis.train.config import TrainConfig
from javis.train.material import encode_rows, load_rows
from tests.train import jobs

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
KOREAN = "녹차를 추천합니다. 향이 은은해서 아침에 마시기 좋습니다."
METHODS: list[Method] = ["sft-lora", "dpo", "kto"]


def korean_job(folder: Path, base: Path, method: Method, count: int) -> TrainConfig:
    config = jobs.make_job(folder, base, method, rows=count)
    prompt = [{"role": "user", "content": "차를 추천해 줘."}]
    train = [jobs.row(method, n) for n in range(count)]
    for n, row in enumerate(train):
        good = jobs.said(KOREAN * (1 + n % 2))
        names = [n for n in ("chosen", "completion") if n in row]
        row |= dict.fromkeys(names, good)
        row |= {"messages": [*prompt, *good]} if "messages" in row else {"prompt": prompt}
    jobs.write_rows(folder / config.train_rows, train)
    return config


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [8, 700])
def test_rows_are_as_long_as_they_are_in_tokens(
    method: Method, count: int, qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = korean_job(tmp_path / "r", qwen2, method, count)
    rows = load_rows(config, tmp_path / "r")
    material = encode_rows(config, rows, read_words(qwen2).template())
    sides = material.rows * (2 if method == "dpo" else 1)
    asked = _asked_for(config, tmp_path / "r", monkeypatch)
    assert asked >= 0.999 * material.tokens / sides
    assert asked == pytest.approx(material.tokens / sides, rel=0.05)


def test_no_row_is_longer_than_the_run_lets_it(
    qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hyper = replace(jobs.QUICK, max_length=64)
    config = replace(korean_job(tmp_path / "r", qwen2, "dpo", 8), hyperparameters=hyper)
    assert _asked_for(config, tmp_path / "r", monkeypatch) <= 64


def _asked_for(config: TrainConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """The length of a row that memory is reckoned with."""
    asked: list[float] = []

    def memory_bytes(method: Method, hyper: object, size: int, device: str, *more: float) -> int:
        asked.append(more[0])
        return estimate.memory_bytes(method, hyper, size, device, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "memory_bytes", memory_bytes)
    room.require_room(config, folder, load_rows(config, folder))
    return asked[0]
