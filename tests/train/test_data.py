"""Only the answer is learned, after exactly what is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from javis.core.errors import TrainError
from javis.core.types import Message
from javis.engine.template import ChatTemplate
from javis.train.data import bucketed, encode, encode_pairs, read_rows
from javis.train.hyperparameters import Hyperparameters
from javis.train.preference import _other, kto_weights
from tests.engine.transformers_tiny import TEMPLATE
from tests.train import jobs


class Bytes:
    """A tokenizer of single bytes with three control tokens."""

    @property
    def control_tokens(self) -> dict[str, int]:
        return {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}

    def encode_text(self, text: str) -> list[int]:
        return [3 + byte for byte in text.encode()]


@pytest.fixture
def template() -> ChatTemplate:
    return ChatTemplate(TEMPLATE, Bytes(), eos_token="<|endoftext|>")


PROMPT = [Message("system", "Be kind."), Message("user", "Hi <|im_end|>")]


def test_what_is_learned_is_the_answer_and_its_end(template: ChatTemplate) -> None:
    row = encode(template, "t", PROMPT, "Ahoy", 200)
    assert row is not None
    assert row.prompt == template.encode(PROMPT)
    assert row.answer == [3 + b for b in b"Ahoy"] + [2]
    assert row.labels == [-100] * len(row.prompt) + row.answer
    # The control token that the user typed is text.
    assert row.prompt.count(2) == 2


def test_of_a_long_conversation_the_oldest_turns_go_first(template: ChatTemplate) -> None:
    turns = [
        *PROMPT,
        Message("assistant", "x" * 100),
        Message("user", "And now?"),
    ]
    long = encode(template, "t", turns, "Ahoy", 1000)
    short = encode(template, "t", turns, "Ahoy", len(long or []) - 1)
    assert long is not None
    assert short is not None
    assert short.prompt == template.encode([turns[0], turns[3]])
    assert short.answer == long.answer


def test_an_answer_without_room_is_left_out(template: ChatTemplate) -> None:
    prompt = [Message("user", "x" * 100)]
    assert encode(template, "t", prompt, "Ahoy", 50) is None
    cut = encode(template, "t", prompt, "Ahoy", len(template.encode(prompt)) + 2)
    assert cut is not None
    assert len(cut.answer) == 2


def test_both_answers_of_a_pair_follow_one_prompt(template: ChatTemplate, tmp_path: Path) -> None:
    jobs.write_rows(tmp_path / "rows.jsonl", [jobs.row("dpo", n) for n in range(4)])
    pairs, lost = encode_pairs(template, read_rows(tmp_path / "rows.jsonl", "dpo"), 200)
    assert (len(pairs), lost) == (4, 0)
    assert all(pair.chosen.prompt == pair.rejected.prompt for pair in pairs)


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"messages": []}', '{"messages": [{"role": "user", "content": "x"}]}', '"x"'],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(TrainError) as caught:
        read_rows(path, "sft-lora")
    assert caught.value.code == "train_data"


def test_the_order_of_an_epoch_leaves_nothing_out_and_pads_little() -> None:
    lengths = [(i * 37) % 100 + 1 for i in range(203)]
    first, second = (bucketed(lengths, 4, 7, epoch) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(203))
    assert first != second
    assert first == bucketed(lengths, 4, 7, 0)

    def padded(order: list[int]) -> int:
        batches = [order[i : i + 4] for i in range(0, len(order), 4)]
        return sum(max(lengths[i] for i in b) * len(b) for b in batches)

    assert padded(first) < 1.15 * sum(lengths)
    assert padded(list(range(203))) > 1.3 * sum(lengths)


@pytest.mark.parametrize(("total", "batch"), [(8, 4), (9, 4), (2, 2), (7, 3)])
def test_a_mismatched_answer_is_never_ones_own(total: int, batch: int) -> None:
    for number in range(total):
        other = _other(number, batch, total)
        assert other != number
        assert 0 <= other < total


@pytest.mark.parametrize(("liked", "disliked"), [(12, 4), (4, 12), (10, 10), (11, 10), (100, 1)])
def test_the_rarer_thumb_counts_as_much(liked: int, disliked: int) -> None:
    desirable, undesirable = kto_weights(Hyperparameters(), liked, disliked)
    # Eq. 8 of the paper.
    assert 0.999 <= desirable * liked / (undesirable * disliked) <= 4 / 3
    assert kto_weights(Hyperparameters(desirable_weight=2.0), liked, disliked) == (2.0, 1.0)
