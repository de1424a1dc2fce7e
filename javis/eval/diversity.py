"""How varied answers are."""

from __future__ import annotations

from collections.abc import Iterable


def distinct(answers: Iterable[str], n: int) -> float:
    """Distinct-n of Li et al. (2016): different word n-grams over all of them, from 0 to 1.

    N-grams do not cross from one answer to the next; 0 where there is none. It falls with the
    amount of text, so compare only the same questions.
    """
    total, different = 0, set()
    for answer in answers:
        words = answer.casefold().split()
        grams = list(zip(*(words[i:] for i in range(n)), strict=False))
        total += len(grams)
        different.update(grams)
    return len(different) / total if total else 0.0
