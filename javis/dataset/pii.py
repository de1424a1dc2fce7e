"""Personal data in text, found by its form."""

from __future__ import annotations

import re

PATTERNS = {
    "email": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    # Korean resident registration number: birth date, then 1-4 (5-8 for foreigners).
    "resident_number": re.compile(
        r"(?<!\d)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\s?-\s?[1-8]\d{6}(?!\d)"
    ),
    "mobile": re.compile(r"(?<!\d)(?:\+82[ -]?|0)1[016789][ -]?\d{3,4}[ -]?\d{4}(?!\d)"),
    "phone": re.compile(r"(?<!\d)0(?:2|[3-6]\d)[)-] ?\d{3,4}-\d{4}(?!\d)"),
    "card": re.compile(r"(?<!\d)(?:\d{4}[ -]){3}\d{4}(?!\d)"),
}
"""Kinds of personal data. Review finds more (names, addresses); this is the quick look."""


def has_personal_data(text: str) -> bool:
    """True when `text` holds something of the form of an e-mail, phone, resident or card number."""
    return any(pattern.search(text) for pattern in PATTERNS.values())
