"""Is what the version writes fit to be read at all? Plain questions on many topics; marked is not
what an answer says but whether it is empty, loops, breaks off, or leaks what no reader should see.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from javis.core.evaluation import Asker, Item, ItemResult, SuiteName
from javis.core.types import Message
from javis.dataset import control, repetition
from javis.eval import symptoms as symptoms_module
from javis.eval import text_match
from javis.eval.report import distinct
from javis.eval.suites.items import DATA, read_items, version_of
from javis.eval.symptoms import SYMPTOMS, symptoms

MAX_TOKENS = 192
BRIEF = "short"
"""The group of questions that a word or a sentence answers: who needs MAX_TOKENS never stops."""


class HealthSuite:
    """Each item has a `prompt`, and `languages` where the answer's may differ from the item's."""

    name: SuiteName = "health"
    _path = DATA / "health.jsonl"

    @cached_property
    def data_version(self) -> str:
        marking = [symptoms_module, text_match, control, repetition]
        return version_of([self._path, Path(__file__)], marking)

    @cached_property
    def _items(self) -> tuple[Item, ...]:
        return read_items(self._path)

    def items(self) -> Sequence[Item]:
        return self._items

    def run(self, item: Item, ask: Asker) -> ItemResult:
        prompt = str(item.data["prompt"])
        start = time.perf_counter()
        answer = ask.reply([Message("user", prompt)], max_tokens=MAX_TOKENS)
        seconds = time.perf_counter() - start
        # Only an asker that counts can tell; without it the text alone has to.
        tokens = int(getattr(ask, "tokens", 0))
        cut = tokens >= MAX_TOKENS if tokens else None
        found = list(symptoms(answer, prompt, self._languages(item), cut=cut))
        if cut and item.group == BRIEF:
            found.append("truncated")
        return ItemResult(
            item.id,
            item.language,
            item.group,
            score=0.0 if found else 1.0,
            answers=(answer,),
            details={
                "symptoms": [str(symptom) for symptom in found],
                "cut": bool(cut),
                "words": len(answer.split()),
            },
            seconds=seconds,
        )

    def figures(self, results: Sequence[ItemResult]) -> Mapping[str, float]:
        """The share of answers with each symptom, of answers as long as allowed, distinct-1 and
        -2 over all answers, and the mean length in words."""
        asked = [r for r in results if "symptoms" in r.details]
        if not asked:
            return {}

        def share(symptom: str) -> float:
            return sum(symptom in r.details["symptoms"] for r in asked) / len(asked)

        answers = [answer for result in asked for answer in result.answers]
        return {
            **{f"{s}_rate": share(s) for s in SYMPTOMS},
            "at_limit_rate": sum(bool(r.details["cut"]) for r in asked) / len(asked),
            "mean_words": sum(r.details["words"] for r in asked) / len(asked),
            "distinct_1": distinct(answers, 1),
            "distinct_2": distinct(answers, 2),
        }

    @staticmethod
    def _languages(item: Item) -> Sequence[str]:
        return tuple(item.data.get("languages", (item.language,)))
