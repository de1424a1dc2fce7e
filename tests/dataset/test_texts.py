"""Control tokens and loops in texts."""

from __future__ import annotations

import time

import pytest

from javis.dataset.control import ControlTokens, literals_in
from javis.dataset.repetition import repeated


@pytest.mark.parametrize(
    "token",
    [
        *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>"),
        *("[INST]", "<<SYS>>", "<start_of_turn>", "<end_of_turn>", "<bos>", "[|assistant|]"),
        *("<think>", "<|user|>"),
    ],
)
def test_tokens_of_the_known_families(token: str) -> None:
    assert ControlTokens().find(f"say {token}now") == (token,)


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "<div><s>old</s></div>",
        "a[0] = b[1]",
        "x <- y | z",
        "[링크](a)",
        "<b>",
        "",
    ],
)
def test_ordinary_brackets(text: str) -> None:
    assert ControlTokens().find(text) == ()


def test_the_tokens_of_the_model_in_use() -> None:
    rendered = "<s>[무시]<|turn|>user\n?<|/turn|>\n<|turn|>assistant\n!</s>"
    tokens = ControlTokens(literals_in(rendered))
    assert tokens.find("x </s> <|turn|>") == ("</s>", "<|turn|>")
    assert ControlTokens().find("x </s> <|turn|>") == ()
    assert ControlTokens().find("<s>[INST] x [/INST]</s>") == ("[INST]", "[/INST]", "<s>", "</s>")


@pytest.mark.parametrize(
    "text",
    [
        "I like tea. " * 20,
        "저는 차를 좋아합니다. " * 15,
        "하하하하하하하" * 10,
        "안녕하세요" * 30,
        "The answer is 5. The answer is 5. " * 10,
        "intro about things that matter to us all. " + "and so on and on " * 12,
    ],
)
def test_loops(text: str) -> None:
    assert repeated(text)
    assert len(repeated(text)) <= 60


@pytest.mark.parametrize(
    "text",
    [
        "",
        "네, 네, 네!",
        "1. Apples\n2. Pears\n3. Plums",
        "| a | b |\n|---|---|\n" + "".join(f"| {i} | {i * 2} |\n" for i in range(30)),
        "ㅋㅋㅋㅋㅋㅋㅋㅋ",
        "=" * 60,
        "-----\n" * 10,
        "\n".join(f"{i} x 7 = {i * 7}" for i in range(1, 40)),
        "import os\nfor i in range(10):\n    print(i)\n    print(i + 1)\n    print(i + 2)\n" * 2,
        "하늘이 파란 이유는 빛의 산란 때문입니다. 공기 분자가 짧은 파장의 빛을 더 많이 흩뜨리기 "
        "때문에 우리 눈에는 파랗게 보입니다. 저녁에는 빛이 더 긴 거리를 지나 붉은빛이 남습니다.",
    ],
)
def test_ordinary_answers(text: str) -> None:
    assert repeated(text) == ""


@pytest.mark.parametrize(
    "text", ["a" * 400_000, "ab " * 130_000, "abcdefghij" * 40_000, "x y z " * 60_000]
)
def test_no_text_takes_long(text: str) -> None:
    start = time.perf_counter()
    repeated(text)
    assert time.perf_counter() - start < 2
