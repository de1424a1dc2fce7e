"""What training rehearses must not be what the suites ask, or they could not see forgetting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from javis.dataset.dedupe import fold, near_same, resemblance
from javis.eval.suites import suites
from javis.train.keep import ENGLISH, KOREAN

VARIANT = 0.45
"""Resemblance of two questions that differ in a word or two: 'opposite of big' and 'of hot'."""


def asked(data: Any) -> Iterator[str]:
    """What is said to the model in an item, without what options and tools add to it."""
    yield from (str(data[key]) for key in ("prompt", "question", "user") if key in data)
    yield from (str(turn["user"]) for turn in data.get("turns", ()))


SUITES = [
    (item.id, prompt)
    for suite in suites().values()
    for item in suite.items()
    for prompt in asked(item.data)
]
FACTS = Path(__file__).parents[1] / "proof" / "facts.txt"
WORLD = [("proof", line.split("|")[0]) for line in FACTS.read_text("utf-8").splitlines()]
"""The questions by which the proof of the loop tells what was forgotten."""


def test_every_item_is_looked_at() -> None:
    items = {item.id for suite in suites().values() for item in suite.items()}
    assert {id_ for id_, _ in SUITES} == items


@pytest.mark.parametrize("kept", [*ENGLISH, *KOREAN])
def test_no_suite_asks_what_training_rehearses(kept: str) -> None:
    alike = [
        (id_, prompt)
        for id_, prompt in [*SUITES, *WORLD]
        if near_same(kept, prompt) or resemblance(fold(kept), fold(prompt)) >= VARIANT
    ]
    assert alike == []


@pytest.mark.parametrize(
    "leaked", ["Which planet is closest to the sun?", "What is the opposite of big?"]
)
def test_a_copy_and_a_variant_would_be_seen(leaked: str) -> None:
    with pytest.raises(AssertionError):
        test_no_suite_asks_what_training_rehearses(leaked)
