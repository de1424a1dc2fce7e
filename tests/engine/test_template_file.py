"""A template read without the model's weights renders as the engine's does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from javis.core.errors import EngineError
from javis.core.types import Message
from javis.engine import hf_model
from javis.engine.llamacpp import LlamaCppEngine
from javis.engine.template_file import read_template
from tests.engine import transformers_tiny
from tests.versions import tiny

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
TALK = [Message("user", "hi"), Message("assistant", "hello")]


def test_of_a_gguf_file(tmp_path: Path) -> None:
    path = tiny.write_gguf(tiny.make_model("llama"), "llama", tmp_path / "tiny.gguf")
    engine = LlamaCppEngine(
        path, model="tiny", title="Tiny", adapter_file=lambda version: path, context=128, threads=1
    )
    try:
        assert read_template(path).training_text(TALK) == engine.training_text(TALK)
    finally:
        engine.close()


def test_of_a_folder(tmp_path: Path) -> None:
    folder = transformers_tiny.save_qwen2(tmp_path)
    loaded = hf_model.load(folder, "32bit", "cpu").words.template()
    assert read_template(folder).training_text(TALK) == loaded.training_text(TALK)
    shutil.rmtree(folder)
    with pytest.raises(EngineError):
        read_template(folder)
