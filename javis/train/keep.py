"""What the base can do already: its own answers to other questions, learned along with the rows.

A few dozen answers of one kind make a small model forget the rest: after 62 rows of household
advice the embedded model answered 45 % of simple questions about the world instead of 72 %. With 14
of its own earlier answers among the rows it kept them all, and learned the rows as well
(docs/training.md; measured with an earlier list of questions). Self-synthesized rehearsal: Huang et
al., 2024, https://arxiv.org/abs/2403.01244
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from javis.core.types import Message
from javis.engine.files import atomic_file
from javis.train.base import Base
from javis.train.data import Encoded, encode
from javis.train.samples import written
from javis.train.score import base_reader

KEPT_ROWS = "data/kept.jsonl"
_NEW_TOKENS = 64
_BATCH = 16
# None of them is asked by a suite, nor is a variant: the suites shall see what was forgotten.
ENGLISH = (
    "Name the capital city of Portugal.",
    "Add 9 and 4.",
    "Translate 'good morning' into Spanish.",
    "Name a desert in Africa.",
    "Which planet do we live on?",
    "How many seconds are in one minute?",
    "Give an antonym of 'early'.",
    "Is iron a metal?",
    "What is a synonym for happy?",
    "Which month comes after June?",
    "Define the word 'island' in one sentence.",
    "Write a sentence with the word river.",
    "Is 21 an odd number?",
    "Is the Moon a planet?",
    "With which money do people pay in India?",
    "Which instrument did Chopin play?",
    "Put this into the past: I see a bird.",
    "Correct this sentence: She go to school.",
    "Which animal lays eggs?",
    "Which colour does blood have?",
    "Who wrote The Jungle Book?",
    "Name two vegetables.",
    "What language do people speak in Mexico?",
    "Give me a list of five animals.",
    "Explain in one sentence what a mirror is for.",
    "Which country has the most people?",
    "What do we call a young cat?",
    "Name a tool that cuts wood.",
    "What is half of 50?",
    "In which city is the Colosseum?",
    "What is ice made of?",
    "Say something kind to a friend.",
)
KOREAN = (
    "포르투갈의 수도 이름을 말해 주세요.",
    "9에 4를 더하면 몇인가요?",
    "'좋은 아침'을 영어로 번역해 주세요.",
    "아프리카에 있는 사막을 하나 말해 주세요.",
    "우리가 사는 행성의 이름은 무엇인가요?",
    "1분은 몇 초인가요?",
    "'밝다'와 뜻이 반대인 낱말을 하나 써 주세요.",
    "쇠는 금속인가요?",
    "'기쁘다'와 비슷한 말은 무엇인가요?",
    "6월 다음 달은 몇 월인가요?",
    "'섬'이라는 낱말의 뜻을 한 문장으로 말해 주세요.",
    "'나무'라는 낱말로 문장을 하나 써 주세요.",
    "21은 홀수인가요?",
    "달은 행성인가요?",
    "인도에서는 어떤 돈을 쓰나요?",
    "거울은 무엇에 쓰는 물건인지 한 문장으로 말해 주세요.",
)


def kept_rows(
    base: Base, share: float, rows: int, folder: Path, *, korean: bool, max_length: int
) -> list[Encoded]:
    """The base's own answers to learn along: `share` of `rows`, fewer when it rambles.

    Written down in the run's folder, so that a resumed run learns from the same ones.
    """
    wanted = math.ceil(share * rows)
    path = folder / KEPT_ROWS
    if wanted <= 0:
        return []
    pairs = _read(path)
    if pairs is None:
        pairs = _ask(base, wanted, KOREAN + ENGLISH if korean else ENGLISH)
        with atomic_file(path) as temporary:
            temporary.write_text(_lines(pairs), "utf-8")
    found = [
        encode(base.template, f"kept-{number}", (Message("user", asked),), answer, max_length)
        for number, (asked, answer) in enumerate(pairs[:wanted])
    ]
    return [row for row in found if row is not None]


def _ask(base: Base, wanted: int, prompts: Sequence[str]) -> list[tuple[str, str]]:
    """Question and answer, for answers that came to their end by themselves."""
    reader = base_reader(base)
    pairs: list[tuple[str, str]] = []
    for start in range(0, len(prompts), _BATCH):
        part = prompts[start : start + _BATCH]
        said = written(reader, [(Message("user", p),) for p in part], _NEW_TOKENS)
        pairs += [
            (asked, text)
            for asked, (text, ended) in zip(part, said, strict=True)
            if ended and text.strip()
        ]
        if len(pairs) >= wanted:
            break
    return pairs


def _lines(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": asked},
                    {"role": "assistant", "content": answer},
                ],
                "source": "base",
            },
            ensure_ascii=False,
        )
        + "\n"
        for asked, answer in pairs
    )


def _read(path: Path) -> list[tuple[str, str]] | None:
    """What an earlier start of this run wrote; None when there is nothing."""
    if not path.is_file():
        return None
    # Not `splitlines`, which cuts at U+2028 as well, and JSON leaves that as it is.
    lines = path.read_text("utf-8").split("\n")
    rows: list[Any] = [json.loads(line) for line in lines if line]
    return [(row["messages"][0]["content"], row["messages"][1]["content"]) for row in rows]
