"""Every method on tiny models: it learns, only the answer, and what it writes can be served."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from javis.core.learning import METHODS, Method
from javis.engine.adapter import check_adapter
from javis.train.base import Base, add_adapter, load_base, load_tokenizer
from javis.train.config import TrainConfig
from javis.train.data import Encoded
from javis.train.events import EventLog
from javis.train.material import encode_rows, load_rows
from javis.train.preference import replay
from javis.train.run import RECIPES, train
from javis.train.score import base_reader, saved_reader
from tests.train.jobs import QUICK, events, make_job

pytestmark = [
    # transformers renamed an option that TRL 1.16 still reads under its old name.
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing. is deprecated:FutureWarning"),
    # PEFT asks transformers for a property under its old name.
    pytest.mark.filterwarnings("ignore::FutureWarning:peft"),
    # bitsandbytes 0.50 on torch 2.13.
    pytest.mark.filterwarnings("ignore::FutureWarning:bitsandbytes"),
]
RATES = {
    "sft-lora": 5e-3,
    "sft-qlora": 5e-3,
    "dpo": 5e-3,
    "kto": 5e-3,
    "prompt-tuning": 0.1,
    "ia3": 0.2,
}


def run(folder: Path, config: TrainConfig) -> dict[str, Any]:
    log = EventLog(folder)
    try:
        return train(config, folder, log)
    finally:
        log.close()


def mean(scores: list[dict[str, Any]]) -> float:
    return float(sum(s["nll"] for s in scores) / sum(s["tokens"] for s in scores))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_learns_and_its_adapter_is_served_as_it_was_scored(
    method: Method, qwen2: Path, tmp_path: Path
) -> None:
    hyper = replace(QUICK, learning_rate=RATES[method], epochs=4, beta=0.5)
    config = make_job(tmp_path / "r1", qwen2, method, hyper=hyper)
    done = run(tmp_path / "r1", config)
    scores = done["scores"]
    assert all(s["conversation_id"] == "c" + s["turn_id"][1:] for s in scores["base"])
    adapter = tmp_path / "r1/adapter"
    assert {p.name for p in adapter.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert check_adapter(adapter).config["base_model_name_or_path"] == "tiny/base"
    assert str(tmp_path) not in (adapter / "adapter_config.json").read_text()
    if method in ("dpo", "kto"):
        assert done["rewards"]["candidate"]["margin"] > 1.0
        assert done["rewards"]["base"]["margin"] == 0
    if method == "dpo":
        assert scores["candidate"][0]["margin"] != 0
    liked = [s for s in scores["candidate"] if s.get("label", True)]
    if method == "kto":
        assert [s["label"] for s in scores["candidate"]] == [True, True, True, False]
        assert scores["candidate"][-1]["nll"] > scores["base"][-1]["nll"]
    if method != "kto":
        assert mean(scores["candidate"]) < 0.9 * mean(scores["base"])
    # Loaded from its files the way a version is, it reads the held-out rows just as well.
    base = load_base(config)
    material = encode_rows(config, load_rows(config, tmp_path / "r1"), base.template)
    reader = saved_reader(base, adapter, "tiny/base")
    again = reader.losses(material.held.good)
    assert again == pytest.approx([s["nll"] for s in liked], rel=1e-3)
    assert all(s["nll_elsewhere"] > 0 for s in liked)
    assert all(s["nll_elsewhere"] != s["nll"] for s in liked)


def test_a_kormo_shaped_base_is_trained_without_its_remote_code(
    kormo: Path, tmp_path: Path
) -> None:
    done = run(tmp_path / "r1", make_job(tmp_path / "r1", kormo))
    assert mean(done["scores"]["candidate"]) < mean(done["scores"]["base"])
    names = check_adapter(tmp_path / "r1/adapter").tensors
    assert {n.split(".")[-3] for n in names} == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }


def test_with_16_bits_it_learns_as_well_as_with_32(qwen2: Path, tmp_path: Path) -> None:
    losses = {}
    for precision in ("16bit", "32bit"):
        folder = tmp_path / precision
        done = run(folder, make_job(folder, qwen2, quantization=precision))
        losses[precision] = mean(done["scores"]["candidate"])
        assert mean(done["scores"]["base"]) > 1.2 * losses[precision]
    assert losses["16bit"] == pytest.approx(losses["32bit"], rel=0.03)


def test_the_serving_adapter_is_scored_on_the_same_rows(qwen2: Path, tmp_path: Path) -> None:
    first = run(tmp_path / "r1", make_job(tmp_path / "r1", qwen2))
    config = make_job(tmp_path / "r2", qwen2, current_adapter=str(tmp_path / "r1/adapter"))
    second = run(tmp_path / "r2", config)
    current = [s["nll"] for s in second["scores"]["current"]]
    assert current == pytest.approx([s["nll"] for s in first["scores"]["candidate"]], rel=1e-3)
    # What is compared is today's answer, and that is the adapter's.
    pairs = zip(first["samples"], second["samples"], strict=True)
    assert all(was["after"] == now["before"] for was, now in pairs)
    assert any(s["after"] != s["before"] for s in first["samples"])
    # From the base again, not from the adapter: the same rows give the same result.
    assert second["scores"]["candidate"] == first["scores"]["candidate"]


def test_a_serving_adapter_that_cannot_be_read_is_no_reason_to_fail(
    qwen2: Path, tmp_path: Path
) -> None:
    config = make_job(tmp_path / "r1", qwen2, current_adapter=str(tmp_path / "nowhere"))
    assert run(tmp_path / "r1", config)["scores"]["current"] is None
    warnings = [e for e in events(tmp_path / "r1") if e["kind"] == "warning"]
    assert warnings[0]["values"]["code"] == "version_damaged"


def test_a_run_tells_what_it_does(qwen2: Path, tmp_path: Path) -> None:
    hyper = replace(QUICK, save_steps=3)
    done = run(tmp_path / "r1", make_job(tmp_path / "r1", qwen2, hyper=hyper))
    told = events(tmp_path / "r1")
    assert [e["number"] for e in told] == list(range(1, len(told) + 1))
    phases = [e["values"]["phase"] for e in told if e["kind"] == "phase"]
    assert phases == ["training", "scoring"]
    steps = [e["values"] for e in told if e["kind"] == "step"]
    assert [s["step"] for s in steps] == list(range(1, 9))
    assert set(steps[0]) >= {
        *("step", "total", "loss", "learning_rate", "tokens_per_s", "memory_bytes", "eta_s"),
    }
    assert all(s["total"] == 8 and s["tokens_per_s"] > 0 for s in steps)
    assert [e["values"]["step"] for e in told if e["kind"] == "checkpoint"] == [3, 6, 8]
    assert next(e["values"]["step"] for e in told if e["kind"] == "eval") == 0
    samples = [e["values"] for e in told if e["kind"] == "sample"]
    assert samples[0]["step"] == 0
    assert samples[-1]["step"] == 8
    assert len(done["samples"]) == 3
    assert done["train"]["steps"] == 8
    assert len([row for row in done["train"]["curve"] if "loss" in row]) == 8
    json.dumps(done, allow_nan=False)


def test_a_dry_run_takes_two_steps_and_one_sample(qwen2: Path, tmp_path: Path) -> None:
    done = run(tmp_path / "r1", make_job(tmp_path / "r1", qwen2, dry_run=True))
    assert done["train"]["steps"] == 2
    assert len(done["samples"]) == 1
    assert done["scores"] is None


# -- only the answer is learned ---------------------------------------------------------------


@pytest.fixture
def prepared(qwen2: Path, tmp_path: Path) -> Callable[[Method], tuple[Base, Any, Any, Any]]:
    def prepare(method: Method) -> tuple[Base, Any, Any, Any]:
        config = make_job(tmp_path / method, qwen2, method)
        base = load_base(config)
        material = encode_rows(config, load_rows(config, tmp_path / method), base.template)
        model = add_adapter(base, method, config.hyperparameters, 0)
        trainer = RECIPES[method](
            config, base, model, material, tmp_path / method, load_tokenizer(config)
        )
        return base, model, material, trainer

    return prepare


def test_the_loss_is_that_of_the_answers_tokens_alone(prepared: Any) -> None:
    base, model, material, trainer = prepared("sft-lora")
    loader = trainer.get_train_dataloader()
    batch = next(iter(loader))
    loss = trainer.compute_loss(model, dict(batch)).item()
    rows = [row for row in material.examples if row.ids in _rows(batch)]
    assert len(rows) == QUICK.batch_size
    expected = sum(base_reader(base).losses(rows)) / sum(len(row.answer) for row in rows)
    assert loss == pytest.approx(expected, rel=1e-4)
    # A recipe that learned the prompts too would be seen.
    everything = {**batch, "labels": batch["input_ids"].clone()}
    assert trainer.compute_loss(model, everything).item() != pytest.approx(expected, rel=1e-3)


def _rows(batch: Any) -> list[list[int]]:
    pairs = zip(batch["input_ids"], batch["attention_mask"], strict=True)
    return [ids[mask == 1].tolist() for ids, mask in pairs]


def test_the_output_layer_gives_the_loss_and_gradient_of_the_plain_one(prepared: Any) -> None:
    _, model, _, trainer = prepared("sft-lora")
    batch = dict(next(iter(trainer.get_train_dataloader())))
    model.eval()
    trainer.compute_loss(model, dict(batch)).backward()
    ours = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten()
    ).backward()
    plain = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert set(ours) == set(plain)
    for name, gradient in plain.items():
        assert torch.allclose(ours[name], gradient, rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_before_the_first_step_nothing_is_preferred(prepared: Any, method: Method) -> None:
    _, model, _, trainer = prepared(method)
    trainer.replay = None
    batch = dict(next(iter(trainer.get_train_dataloader())))
    loss = trainer.compute_loss(model, batch).item()
    if method == "dpo":
        assert loss == pytest.approx(math.log(2), abs=1e-3)
    else:
        # Half of each answer's weight: balanced they lie around 1.
        assert 0.4 < loss < 0.8


def test_dpo_learns_the_mixed_in_answers_besides(prepared: Any) -> None:
    _, model, _, trainer = prepared("dpo")
    batch = dict(next(iter(trainer.get_train_dataloader())))
    model.train()
    with_replay = trainer.compute_loss(model, dict(batch)).item()
    trainer.replay = None
    without = trainer.compute_loss(model, dict(batch)).item()
    assert with_replay > without + 1


def test_the_base_is_not_touched_by_training(qwen2: Path, tmp_path: Path) -> None:
    config = make_job(tmp_path / "r1", qwen2)
    base = load_base(config)
    before = {n: p.clone() for n, p in base.model.named_parameters()}
    material = encode_rows(config, load_rows(config, tmp_path / "r1"), base.template)
    model = add_adapter(base, "sft-lora", config.hyperparameters, 0)
    trainer = RECIPES["sft-lora"](
        config, base, model, material, tmp_path / "r1", load_tokenizer(config)
    )
    trainer.train()
    assert all(torch.equal(before[n], p) for n, p in base.model.named_parameters())
    assert not any("lora" in name for name, _ in base.model.named_modules())


def test_rows_that_cannot_be_learned_from_are_refused(qwen2: Path, tmp_path: Path) -> None:
    from javis.core.errors import NotEnoughData, TrainError

    with pytest.raises(NotEnoughData):
        run(tmp_path / "r1", make_job(tmp_path / "r1", qwen2, rows=1))
    hyper = replace(QUICK, max_length=16)
    with pytest.raises(TrainError) as caught:
        run(tmp_path / "r2", make_job(tmp_path / "r2", qwen2, hyper=hyper))
    assert caught.value.code == "train_data"
    config = make_job(tmp_path / "r3", qwen2, "kto")
    liked = [json.loads(x) for x in (tmp_path / "r3/data/train.jsonl").read_text().splitlines()]
    text = "".join(json.dumps(row | {"label": True}) + "\n" for row in liked)
    (tmp_path / "r3/data/train.jsonl").write_text(text)
    with pytest.raises(TrainError) as caught:
        run(tmp_path / "r3", config)
    assert caught.value.code == "train_one_label"


@pytest.mark.parametrize("resumed_at", [0, 3])
@pytest.mark.parametrize(
    ("size", "share", "expected"),
    [(1, 0.5, [0, 1, 0, 1, 0, 1, 0, 1]), (4, 0.5, [2] * 8), (2, 0.25, [0, 1] * 4), (1, 0, [])],
)
def test_as_many_answers_are_mixed_in_as_asked_for_whatever_the_batch(
    size: int, share: float, expected: list[int], resumed_at: int
) -> None:
    hyper = replace(QUICK, batch_size=size, replay=share, gradient_accumulation=2)
    examples = [Encoded(str(n), [1, 2], [n, 3]) for n in range(10, 15)]
    mix = replay(examples, hyper, 0, 0)
    assert (mix is None) == (not expected)
    told, learned = [], []
    for step in range(resumed_at, 4 if mix else 0):
        recipe = SimpleNamespace(
            state=SimpleNamespace(global_step=step), args=SimpleNamespace(device="cpu")
        )
        for _ in range(hyper.gradient_accumulation):
            batch = mix(recipe) if mix else None
            rows = [] if batch is None else batch["input_ids"].tolist()
            told.append(len(rows))
            learned += [ids[2] for ids in rows]
    assert told == expected[2 * resumed_at :]
    # None twice before all were learned once.
    assert len(set(learned[:5])) == len(learned[:5])
