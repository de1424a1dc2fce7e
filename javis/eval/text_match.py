"""How near one text is to another: to a correction, to a golden answer."""

from __future__ import annotations

import unicodedata
from collections import Counter

ORDER = 6
"""The longest character n-gram of chrF."""
BETA = 2.0
"""How much more recall counts than precision."""


def chrf(hypothesis: str, reference: str) -> float:
    """chrF2 of Popović (2015), from 0 to 1; sacrebleu gives the same as 0 to 100.

    White space and the way Hangul is composed do not count. Orders that a text is too short for
    are left out of the mean, as sacrebleu does by default.
    """
    said, wanted = (
        "".join(unicodedata.normalize("NFC", text).split()) for text in (hypothesis, reference)
    )
    precisions, recalls = [], []
    for n in range(1, min(ORDER, len(said), len(wanted)) + 1):
        ours, theirs = _grams(said, n), _grams(wanted, n)
        matches = (ours & theirs).total()
        precisions.append(matches / ours.total())
        recalls.append(matches / theirs.total())
    if not precisions:
        return 0.0
    precision = sum(precisions) / len(precisions)
    recall = sum(recalls) / len(recalls)
    weighted = BETA**2 * precision + recall
    return (1 + BETA**2) * precision * recall / weighted if weighted else 0.0


def similarity(one: str, other: str) -> float:
    """Twice the longest common subsequence of characters over both lengths, from 0 to 1.

    Symmetric and kept by reordering nothing: what chrF forgives, moved sentences, this does not.
    Case, runs of white space and the way Hangul is composed do not count; two empty texts are
    equal.
    """
    a, b = _plain(one), _plain(other)
    if not a and not b:
        return 1.0
    return 2 * common_subsequence(a, b) / (len(a) + len(b))


def common_subsequence(a: str, b: str) -> int:
    """Length of the longest common subsequence.

    Bit-parallel after Hyyrö (2004): a row of the table is one whole number, so that long answers
    take milliseconds.
    """
    places: dict[str, int] = {}
    for at, letter in enumerate(a):
        places[letter] = places.get(letter, 0) | 1 << at
    every = (1 << len(a)) - 1
    row = every
    for letter in b:
        here = row & places.get(letter, 0)
        row = (row + here | row - here) & every
    return len(a) - row.bit_count()


def _grams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
