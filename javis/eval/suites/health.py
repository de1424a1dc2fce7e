"""Is what the version writes fit to be read at all? Plain questions on many topics; marked is not
what an answer says but whether it is empty, loops, breaks off, or leaks what no reader should see.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

from javis.core.evaluation import Asker, Item, ItemResult, SuiteName
from javis.core.types import Message
from javis.dataset import control, repetition
from javis.eval import symptoms as symptoms_module
from javis.eval.diversity import distinct
from javis.eval.suites.items import DATA, read_items, version_of
from javis.eval.symptoms import symptoms

MAX_TOKENS = 192


class HealthSuite:
    """Each item has a `prompt`, and `languages` where the answer's may differ from the item's."""

    name: SuiteName = "health"
    _path = DATA / "health.jsonl"

    @cached_property
    def data_version(self) -> str:
        return version_of([self._path], [symptoms_module, control, repetition])

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
        found = symptoms(answer, prompt, item.data.get("languages", (item.language,)))
        return ItemResult(
            item.id,
            item.language,
            item.group,
            score=0.0 if found else 1.0,
            answers=(answer,),
            details={
                "symptoms": list(found),
                "characters": len(answer.strip()),
                "words": len(answer.split()),
                "distinct_1": distinct([answer], 1),
                "distinct_2": distinct([answer], 2),
            },
            seconds=seconds,
        )
