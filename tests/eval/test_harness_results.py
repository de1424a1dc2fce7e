"""What the harness found is kept per version, model and engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from javis.core.evaluation import Subject
from javis.eval.harness_results import FILE, HarnessResults, Kept, Row

BASE = Subject("base", "", "scripted", "scripted", "none")
ACC = Kept("base", Row("kobest_copa", "acc", 0.5, 0.05, 100), False, 100, "0.4.13", "2026-11-28")


def test_newer_numbers_take_the_place_of_older_ones_asked_in_the_same_way(tmp_path: Path) -> None:
    results = HarnessResults(tmp_path)
    results.keep(BASE, [ACC])
    results.keep(BASE, [replace(ACC, row=replace(ACC.row, value=0.6))])
    in_chat, whole = replace(ACC, chat=True), replace(ACC, limit=None)
    results.keep(BASE, [in_chat, whole])
    found = HarnessResults(tmp_path).of(BASE)
    assert sorted((k.row.value, k.chat, k.limit) for k in found if k.limit) == [
        (0.5, True, 100),
        (0.6, False, 100),
    ]
    assert whole in found
    assert len(found) == 3


def test_another_adapter_model_or_engine_has_its_own(tmp_path: Path) -> None:
    results = HarnessResults(tmp_path)
    results.keep(BASE, [ACC])
    for other in (
        replace(BASE, sha256="ab"),
        replace(BASE, model="other"),
        replace(BASE, engine="llama.cpp"),
        replace(BASE, quantization="Q8_0"),
    ):
        assert results.of(other) == []
    assert results.of(replace(BASE, version="renamed")) == [ACC]


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", '[{"row": 1}]', '[{"row": {"task": 1}}]'])
def test_a_damaged_file_counts_as_none_and_is_written_anew(tmp_path: Path, text: str) -> None:
    results = HarnessResults(tmp_path)
    results.keep(BASE, [ACC])
    (path,) = tmp_path.glob(f"*/{FILE}")
    path.write_text(text, "utf-8")
    assert results.of(BASE) == []
    results.keep(BASE, [ACC])
    assert results.of(BASE) == [ACC]
