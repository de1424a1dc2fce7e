"""What a run is told is checked before anything is loaded, and without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from javis.core.errors import NotEnoughData, UserInputError
from javis.core.learning import METHODS, Prices
from javis.train.config import (
    PRESETS,
    RANGES,
    USED,
    Hyperparameters,
    TrainConfig,
    estimate,
    missing,
    preset,
    propose,
    recommended,
    require_enough,
)
from javis.train.estimate import disk_bytes, memory_bytes, steps_of

CONFIG = TrainConfig(id="r1", method="sft-lora", base_model="a/b", base_path="/models/base")


def test_none_of_it_imports_torch() -> None:
    code = "import sys, javis.train.config; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("learning_rate", 0, "hyperparameter_range"),
        ("learning_rate", -1, "hyperparameter_range"),
        ("learning_rate", float("nan"), "hyperparameter_number"),
        ("learning_rate", float("inf"), "hyperparameter_number"),
        ("learning_rate", "1e-4; touch /tmp/x", "hyperparameter_number"),
        ("learning_rate", None, "hyperparameter_number"),
        ("epochs", True, "hyperparameter_number"),
        ("rank", 2.5, "hyperparameter_whole"),
        ("rank", 2**70, "hyperparameter_range"),
        ("batch_size", [4], "hyperparameter_number"),
        ("scheduler", "$(id)", "hyperparameter_choice"),
        ("scheduler", ["linear"], "hyperparameter_choice"),
        ("gradient_checkpointing", 1, "hyperparameter_flag"),
        ("target_modules", ".*", "hyperparameter_modules"),
        ("target_modules", ["q_proj", "(a+)+$"], "hyperparameter_modules"),
        ("target_modules", [], "hyperparameter_modules"),
        ("max_steps", 0, "hyperparameter_range"),
        ("output_dir", "/", "hyperparameter_unknown"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(name: str, value: Any, code: str) -> None:
    with pytest.raises(UserInputError) as caught:
        Hyperparameters.parse({name: value})
    assert caught.value.code == code
    assert caught.value.values["field"] == name


def test_every_hyperparameter_has_a_range_and_a_method_that_uses_it() -> None:
    assert set(RANGES) == set(asdict(Hyperparameters()))
    assert set(RANGES) == {name for names in USED.values() for name in names}
    assert set(USED) == set(METHODS)


def test_a_job_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    hyper = Hyperparameters(target_modules=("q_proj", "v_proj"), max_steps=3)
    config = replace(
        CONFIG, hyperparameters=hyper, sample_prompts=("안녕하세요", "; touch x"), resume=True
    )
    config.write(tmp_path)
    assert TrainConfig.read(tmp_path) == config


@pytest.mark.parametrize(
    "change",
    [
        {"method": "rlhf"},
        {"device": "tpu"},
        {"quantization": "2bit"},
        {"id": ""},
        {"base_path": "a\0b"},
        {"seed": -1},
        {"seed": True},
        {"dry_run": "yes"},
        {"sample_prompts": [1]},
        {"hyperparameters": 3},
        {"surprise": 1},
    ],
)
def test_a_malformed_job_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    CONFIG.write(tmp_path)
    values = json.loads((tmp_path / "job.json").read_text())
    (tmp_path / "job.json").write_text(json.dumps(values | change))
    with pytest.raises(UserInputError) as caught:
        TrainConfig.read(tmp_path)
    assert caught.value.code == "bad_job"


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"id": "x"}'])
def test_a_damaged_job_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(UserInputError):
        TrainConfig.read(tmp_path)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("parameters", [1_000, 135_000_000, 10_800_000_000])
@pytest.mark.parametrize("rows", [0, 10, 10_000])
def test_every_recommendation_and_preset_is_in_range(
    method: Any, parameters: int, rows: int
) -> None:
    for name in PRESETS:
        preset(name, recommended(method, parameters, rows, "cpu"))


def test_presets_are_those_of_the_specification() -> None:
    base = recommended("sft-lora", 7_000_000_000, 1000, "cuda")
    deep, quick = preset("deep", base), preset("quick", base)
    assert (deep.rank, deep.alpha, deep.epochs, deep.learning_rate) == (64, 16, 3, 2e-4)
    assert (quick.rank, quick.alpha, quick.epochs, quick.learning_rate) == (32, 32, 5, 3e-4)
    assert quick.target_modules == ("q_proj", "v_proj")


def test_too_little_data_is_refused_with_what_is_missing() -> None:
    with pytest.raises(NotEnoughData) as caught:
        require_enough("sft-lora", {"examples": 5})
    assert caught.value.missing == 3
    assert missing("kto", {"liked": 30, "disliked": 1}) == 3
    assert missing("kto", {"liked": 30, "disliked": 4}) == 0


@pytest.mark.parametrize(
    ("counts", "method", "why"),
    [
        ({"examples": 40, "pairs": 10, "liked": 40, "disliked": 9}, "sft-lora", "why.examples"),
        ({"examples": 40, "pairs": 90}, "dpo", "why.many_pairs"),
        ({"examples": 2, "pairs": 9}, "dpo", "why.pairs_only"),
        ({"examples": 2, "liked": 5, "disliked": 20}, "kto", "why.thumbs_only"),
        ({}, "sft-lora", "why.too_little"),
    ],
)
def test_the_method_is_proposed_from_the_data(
    counts: dict[str, int], method: str, why: str
) -> None:
    assert propose(counts)[:2] == (method, why)


def test_an_estimate_grows_with_the_work_and_believes_a_measured_speed() -> None:
    hyper = Hyperparameters()
    prices = Prices(local_hour=0.1, rented_hour=1.0, serverless_second=0.001)

    def reckon(rows: int, parameters: int, speed: float | None = None) -> Any:
        tokens = rows * 80
        return estimate("sft-lora", hyper, rows, tokens, parameters, "cpu", speed, prices)

    small, large = reckon(64, 135_000_000), reckon(6400, 135_000_000)
    assert small.seconds < large.seconds
    assert small.memory_bytes == large.memory_bytes
    assert reckon(64, 7_000_000_000).memory_bytes > small.memory_bytes
    assert reckon(6400, 135_000_000, speed=1e6).seconds < large.seconds
    assert large.cost["local"] == pytest.approx(large.seconds / 3600 * 0.1)
    assert small.steps == steps_of(hyper, 64 + 16) == 30  # the base's own answers too
    assert set(small.cost) == {"local", "rented", "serverless"}


def test_a_larger_batch_needs_more_memory_and_a_higher_rank_more_disk() -> None:
    hyper = Hyperparameters()
    more = replace(hyper, batch_size=16)
    assert memory_bytes("sft-lora", more, 10**9, "cpu", 200) > memory_bytes(
        "sft-lora", hyper, 10**9, "cpu", 200
    )
    assert disk_bytes("sft-lora", replace(hyper, rank=64), 10**9) > disk_bytes(
        "sft-lora", hyper, 10**9
    )
