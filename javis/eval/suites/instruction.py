"""Does the version do what it is told? Prompts of our own in Korean and English, each with
constraints that a program checks; the manner is that of IFEval (Zhou et al., 2023)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from javis.core.evaluation import Asker, Item, ItemResult, SuiteName
from javis.core.types import Message
from javis.dataset import control, repetition
from javis.eval import checks, symptoms, text_match
from javis.eval.checks import check, korean, layout, length, letters, structured, text, wording
from javis.eval.suites.items import DATA, read_items, version_of

MAX_TOKENS = 256
UNUSABLE: tuple[symptoms.Symptom, ...] = (
    *("empty", "repeated", "echo", "wrong_language", "control_token", "garbled"),
)
"""An answer with one of these follows no instruction, though it may be short or free of commas."""
_MARKING = (
    *(checks, korean, layout, length, letters, structured, text, wording),
    *(symptoms, text_match, control, repetition),
)


class InstructionSuite:
    """Each item has a `prompt` and its `constraints`.

    The answer must also be in the prompt's language, but where `any_language` is set; where
    `repeats` is set, saying the same again is what was asked for.
    """

    name: SuiteName = "instruction"
    _path = DATA / "instruction.jsonl"

    @cached_property
    def data_version(self) -> str:
        return version_of([self._path, Path(__file__)], _MARKING)

    @cached_property
    def _items(self) -> tuple[Item, ...]:
        return read_items(self._path)

    def items(self) -> Sequence[Item]:
        return self._items

    def run(self, item: Item, ask: Asker) -> ItemResult:
        start = time.perf_counter()
        answer = ask.reply([Message("user", str(item.data["prompt"]))], max_tokens=MAX_TOKENS)
        seconds = time.perf_counter() - start
        unusable = why_unusable(item, answer)
        met = mark(item, answer)
        return ItemResult(
            item.id,
            item.language,
            item.group,
            score=sum(met.values()) / len(met),
            answers=(answer,),
            details={
                "constraints": list(met),
                "failed": [name for name, passed in met.items() if not passed],
                "strict": all(met.values()),
                "unusable": unusable,
            },
            seconds=seconds,
        )

    def figures(self, results: Sequence[ItemResult]) -> Mapping[str, float]:
        """`strict_rate`: the share of prompts with every constraint met (IFEval's prompt level)."""
        asked = [bool(r.details["strict"]) for r in results if "strict" in r.details]
        return {"strict_rate": sum(asked) / len(asked)} if asked else {}


def why_unusable(item: Item, answer: str) -> list[str]:
    """The symptoms for which no constraint counts as met."""
    languages = () if item.data.get("any_language") else (item.language,)
    found = symptoms.symptoms(answer, str(item.data["prompt"]), languages)
    spared = {"repeated"} if item.data.get("repeats") else set()
    return [symptom for symptom in found if symptom in UNUSABLE and symptom not in spared]


def mark(item: Item, answer: str) -> dict[str, bool]:
    """Which of the item's constraints the answer meets, by name."""
    usable = not why_unusable(item, answer)
    met: dict[str, bool] = {}
    for constraint in item.data["constraints"]:
        name = str(constraint["kind"])
        same = sum(known.split("#")[0] == name for known in met)
        met[f"{name}#{same + 1}" if same else name] = usable and check(answer, constraint)
    return met
