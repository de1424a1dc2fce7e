"""An adapter that says little is heard, also with 16 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import Linear

from javis.train.base import add_adapter, load_base
from javis.train.lora import add_before_rounding
from tests.train.jobs import QUICK, make_job

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:peft")


def whisper(model: Any) -> None:
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=random) * 1e-4)


def layer(model: Any) -> Any:
    return next(m for m in model.modules() if type(m) is Linear)


def test_a_small_change_is_not_rounded_away(qwen2: Path, tmp_path: Path) -> None:
    config = make_job(tmp_path / "r", qwen2, quantization="16bit")
    base = load_base(config)
    model = add_adapter(base, "sft-lora", QUICK, 0)
    whisper(model)
    ours = layer(model)
    x = torch.randn(4000, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        frozen = ours.get_base_layer()
        said = x @ ours.lora_A["default"].weight.T @ ours.lora_B["default"].weight.T
        said = said * ours.scaling["default"]
        with base.autocast():
            plain = torch.nn.functional.linear(x.bfloat16(), frozen.weight, frozen.bias)
            heard = (ours(x.bfloat16()) - plain).float()
            # PEFT's own way, the broken variant of this test.
            lost = (type(ours).forward(ours, x.bfloat16()) - plain).float()

    def share(change: torch.Tensor) -> float:
        """How much of what was said is in a change."""
        return float((change * said).sum() / (said * said).sum())

    assert share(heard) == pytest.approx(1, abs=0.2)
    assert share(lost) < 0.7


def test_a_switched_off_adapter_says_nothing(qwen2: Path, tmp_path: Path) -> None:
    base = load_base(make_job(tmp_path / "r", qwen2))
    model = add_adapter(base, "sft-lora", QUICK, 0)
    whisper(model)
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        before = base.model(ids).logits
        add_before_rounding(model)
        assert not torch.equal(model(ids).logits, before)
        with model.disable_adapter():
            assert torch.equal(model(ids).logits, before)
