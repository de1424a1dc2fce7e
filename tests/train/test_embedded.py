"""A few steps on the embedded model: what is trained on its dense copy, llama.cpp can load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from javis.engine.adapter import check_adapter
from javis.engine.convert import dense_copy, dense_path
from javis.train.events import EventLog
from javis.train.run import train
from javis.versions.gguf import convert
from tests.train.jobs import QUICK, make_job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:peft"),
]


def test_an_adapter_of_the_embedded_model_is_served_by_llama_cpp(
    embedded_gguf: Path, tmp_path: Path
) -> None:
    base = dense_copy(embedded_gguf, dense_path(embedded_gguf))
    hyper = replace(QUICK, max_steps=4, learning_rate=2e-3, keep=0)
    config = make_job(tmp_path / "r", base, rows=8, valid=2, hyper=hyper, quantization="auto")
    log = EventLog(tmp_path / "r")
    done = train(config, tmp_path / "r", log)
    log.close()
    base_loss, ours = (sum(s["nll"] for s in done["scores"][n]) for n in ("base", "candidate"))
    assert ours < 0.9 * base_loss
    adapter = check_adapter(tmp_path / "r/adapter")
    # Seven projections of thirty layers, two halves each: no output layer, no embedding.
    assert len(adapter.tensors) == 7 * 30 * 2
    convert(tmp_path / "r/adapter", embedded_gguf, tmp_path / "adapter.gguf")
    assert (tmp_path / "adapter.gguf").stat().st_size > 1 << 20
