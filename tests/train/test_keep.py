"""The base's own answers are learned along, the same ones after a restart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from javis.core.types import Message
from javis.engine.catalog import EMBEDDED
from javis.engine.convert import dense_copy, dense_path
from javis.train.base import load_base
from javis.train.config import TrainConfig
from javis.train.keep import ENGLISH, KEPT_ROWS, KOREAN, kept_rows
from javis.train.run import prepare
from tests.train.jobs import QUICK, make_job, write_rows

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def test_what_was_kept_before_is_kept_again(qwen2: Path, tmp_path: Path) -> None:
    config = make_job(tmp_path, qwen2, rows=8, hyper=replace(QUICK, keep=0.5))
    # JSON leaves U+2028 as it is, which is the end of a line to some.
    pairs = [("What is red?", "A colour."), ("What is two?", "A\u2028number.")]
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for q, a in pairs
    ]
    write_rows(tmp_path / KEPT_ROWS, rows)
    base, material = prepare(config, tmp_path)
    assert (material.kept, len(material.examples)) == (2, 10)
    question = base.template.encode([Message("user", "What is red?")])
    assert material.examples[8].prompt == question
    assert base.loaded.words.tokenizer.decode(material.examples[8].answer[:-1]) == "A colour."


@pytest.mark.parametrize("method", ["dpo", "kto", "ia3"])
def test_other_methods_keep_in_their_own_way(method: str, qwen2: Path, tmp_path: Path) -> None:
    config = make_job(tmp_path, qwen2, method, hyper=replace(QUICK, keep=1))  # type: ignore[arg-type]
    _, material = prepare(config, tmp_path)
    assert material.kept == 0
    assert not (tmp_path / KEPT_ROWS).exists()


def test_the_base_answers_by_itself_and_only_whole_answers_count(
    embedded_gguf: Path, tmp_path: Path
) -> None:
    dense = dense_copy(embedded_gguf, dense_path(embedded_gguf))
    (tmp_path / "data").mkdir()
    config = TrainConfig(
        id="keep",
        method="sft-lora",
        base_model=EMBEDDED,
        base_path=str(dense),
        hyperparameters=replace(QUICK, keep=1),
    )
    base = load_base(config)
    found = kept_rows(base, 1.0, 3, tmp_path, korean=False, max_length=256)
    assert len(found) == 3
    written = [json.loads(line) for line in (tmp_path / KEPT_ROWS).read_text().splitlines()]
    assert all(row["messages"][0]["content"] in ENGLISH for row in written)
    end = base.loaded.words.tokenizer.control_tokens[base.template.end_of_turn]
    for row in found:
        assert row.answer[-1] == end
        assert len(row.answer) > 1
    again = kept_rows(base, 1.0, 3, tmp_path, korean=True, max_length=256)
    assert [row.ids for row in again] == [row.ids for row in found]
    assert not set(ENGLISH) & set(KOREAN)
