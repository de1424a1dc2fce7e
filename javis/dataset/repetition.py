"""Answers that run in a loop."""

from __future__ import annotations

import re
from collections import Counter

MIN_WORDS = 24
"""Shorter answers repeat themselves by nature."""
GRAM = 4
"""Words that count as the same phrase."""
SHARE = 0.4
"""Part of the phrases that must be repeats of an earlier one."""
MAX_DETAIL_CHARS = 60
_LOOP = re.compile(r"(\S.{3,119}?)\1{4,}", re.DOTALL)
_LONE = re.compile(r"([^\s=\-_*#~.])\1{39,}")
_TABLE = re.compile(r"[|\s:\-]+")
_TAIL_CHARS = 1500


def repeated(text: str) -> str:
    """The phrase that `text` keeps repeating, "" when it does not."""
    words = text.split()
    if len(words) < MIN_WORDS:
        return _run(text) if len(text) >= 40 else ""
    # Ordinary text uses more than a third of its words once; most answers end here.
    if len(set(words)) * 3 > len(words):
        return _run(text) if len(text) > 24 * len(words) else ""
    grams = list(zip(*(words[i:] for i in range(GRAM)), strict=False))
    if 1 - len(set(grams)) / len(grams) < SHARE:
        return _run(text)
    phrase, count = Counter(grams).most_common(1)[0]
    said = " ".join(phrase)
    # A table's rules and a list's frame repeat as well.
    return said[:MAX_DETAIL_CHARS] if count >= 4 and not _TABLE.fullmatch(said) else _run(text)


def _run(text: str) -> str:
    """A phrase said five times in a row at the end, or a letter forty times."""
    tail = text[-_TAIL_CHARS:]
    lone = _LONE.search(tail)
    if lone:
        return lone.group(1)
    loop = _LOOP.search(tail)
    said = loop.group(1) if loop else ""
    return "" if not said or len(set(said)) < 3 else said.strip()[:MAX_DETAIL_CHARS]
