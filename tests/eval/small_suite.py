"""A suite of sums, small enough to be asked in a test."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from javis.core.evaluation import Asker, Item, ItemResult, SuiteName
from javis.core.types import Message


class SumSuite:
    """`2+3=?`; the answer is right when it holds the sum. Every other one is in Korean."""

    def __init__(
        self, size: int = 12, name: SuiteName = "knowledge", data_version: str = "1"
    ) -> None:
        self.name: SuiteName = name
        self.data_version = data_version
        self.asked: list[str] = []
        self._lock = threading.Lock()
        self._items = [
            Item(f"sum-{n:03}", "ko" if n % 2 else "en", "small" if n < 6 else "large", {"n": n})
            for n in range(size)
        ]

    def items(self) -> Sequence[Item]:
        return self._items

    def run(self, item: Item, ask: Asker) -> ItemResult:
        with self._lock:
            self.asked.append(item.id)
        n = item.data["n"]
        said = ask.reply([Message("user", f"{n}+{n}=?")], max_tokens=16)
        likely = ask.likelihood([Message("user", f"{n}+{n}=?")], str(2 * n))
        right = str(2 * n) in said.split()
        details = {"nll": likely.nll, "tokens": likely.tokens}
        return ItemResult(item.id, item.language, item.group, float(right), (said,), details)
