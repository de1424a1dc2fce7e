"""Personal data in text: found, and masked by a word in brackets."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from javis.dataset.pii_rules import KINDS, Kind, ascii_digits, may_hold, rules_for

__all__ = ["KINDS", "Found", "Kind", "find", "kinds", "mask"]

_HANGUL = re.compile("[가-힣]")
MASKS: dict[str, dict[Kind, str]] = {
    "ko": {
        "email": "[이메일]",
        "resident_number": "[주민등록번호]",
        "foreigner_number": "[외국인등록번호]",
        "phone": "[전화번호]",
        "account": "[계좌번호]",
        "card": "[카드번호]",
        "business_number": "[사업자등록번호]",
        "passport": "[여권번호]",
        "driver_licence": "[운전면허번호]",
        "address": "[주소]",
        "ip": "[IP 주소]",
        "secret": "[비밀 키]",
    },
    "en": {
        "email": "[email]",
        "resident_number": "[resident number]",
        "foreigner_number": "[foreigner number]",
        "phone": "[phone]",
        "account": "[account number]",
        "card": "[card number]",
        "business_number": "[business number]",
        "passport": "[passport number]",
        "driver_licence": "[driver licence number]",
        "address": "[address]",
        "ip": "[IP address]",
        "secret": "[secret key]",
    },
}


_JAMO = re.compile("[\u1100-\u11ff]")
_TAKEN = "\0"
"""Stands for what was found already: no rule takes it for a part of something."""


@dataclass(frozen=True, slots=True)
class Found:
    """Personal data at `text[start:end]`."""

    kind: Kind
    start: int
    end: int


def find(text: str) -> list[Found]:
    """All of it, in order and without overlaps: the surer kind wins, and what it leaves of
    another is looked at again. Decomposed Hangul is not seen (`kinds` and `mask` compose it)."""
    if not may_hold(text):
        return []
    plain = ascii_digits(text)
    found: list[Found] = []
    for rule in rules_for(plain):
        matches = [
            Found(rule.kind, *match.span("it" if "it" in rule.pattern.groupindex else 0))
            for match in rule.pattern.finditer(plain)
            if rule.check is None or rule.check(plain, match)
        ]
        plain = _replaced(plain, matches, lambda one: _TAKEN * (one.end - one.start))
        found += matches
    return sorted(found, key=lambda one: one.start)


def kinds(text: str) -> tuple[Kind, ...]:
    """Which kinds there are, each once, in the order of KINDS."""
    there = {one.kind for one in find(_composed(text))}
    return tuple(kind for kind in KINDS if kind in there) if there else ()


def mask(text: str) -> str:
    """The text with a word in brackets, in its own language, for each piece of personal data."""
    composed = _composed(text)
    found = find(composed)
    if not found:
        return text
    words = MASKS["ko" if _HANGUL.search(composed) else "en"]
    return _replaced(composed, found, lambda one: words[one.kind])


def _replaced(text: str, found: Sequence[Found], word: Callable[[Found], str]) -> str:
    """The text with a word for each piece that was found in it, in order."""
    pieces, end = [], 0
    for one in found:
        pieces += [text[end : one.start], word(one)]
        end = one.end
    return "".join([*pieces, text[end:]]) if pieces else text


def _composed(text: str) -> str:
    """Hangul in syllables, as the rules spell it; macOS takes them apart in some texts."""
    return unicodedata.normalize("NFC", text) if _JAMO.search(text) else text
