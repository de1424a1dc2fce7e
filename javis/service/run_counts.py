"""How much there is to learn from, as the recommendation and the estimate need it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from javis.core.learning import Approved, Example, Judged, Method, Pair
from javis.service.run_files import Row


def count(approved: Approved) -> dict[str, int]:
    """How much there is of what each method learns from."""
    labels = Counter(row.label for row in approved.judged)
    rows: tuple[Example | Pair | Judged, ...]
    rows = (*approved.examples, *approved.pairs, *approved.judged)
    return {
        "examples": len(approved.examples),
        "pairs": len(approved.pairs),
        "judged": len(approved.judged),
        "liked": labels[True],
        "disliked": labels[False],
        "conversations": len({row.conversation_id for row in rows}),
    }


def languages(approved: Approved) -> tuple[str, ...]:
    """Those that the answers are written in, the most frequent first; a glance at the letters."""
    found: Counter[str] = Counter()
    for example in approved.examples:
        text = example.messages[-1].content
        hangul = sum("가" <= c <= "힣" for c in text)
        found["ko" if hangul * 4 >= sum(c.isalpha() for c in text) and hangul else "en"] += 1
    return tuple(name for name, _ in found.most_common())


def counts_of(method: Method, rows: Sequence[Row]) -> dict[str, int]:
    """The counts that the rows of one method amount to."""
    if method == "dpo":
        return {"pairs": len(rows)}
    if method == "kto":
        liked = sum(bool(row["label"]) for row in rows)
        return {"liked": liked, "disliked": len(rows) - liked}
    return {"examples": len(rows)}


def tokens_of(row: Row) -> int:
    """About how many tokens a row has: four bytes each, which suits English and Korean."""
    parts = (row.get(name) or () for name in ("messages", "prompt", "chosen", "completion"))
    return sum(len(m["content"].encode()) // 4 + 8 for part in parts for m in part)
