"""Which letters: language, case, characters that must not come, first letters, numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from javis.eval.checks.text import LIST_MARK, lines_of, unfenced, within, words_of
from javis.eval.symptoms import language_of

_SMALL_WORDS = frozenset(
    (
        *("a", "an", "the", "and", "or", "but", "nor", "of", "in", "on", "at"),
        *("to", "for", "by", "with", "from", "as", "is", "vs", "via"),
    )
)
EMOJI = re.compile(
    # A flag is two letters, a keycap a digit in a box.
    "[\U0001f1e6-\U0001f1ff]{2}|[0-9#*]\ufe0f?\u20e3|"
    "[\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23fa]"
    "(?:[\ufe0f\U0001f3fb-\U0001f3ff]|\u200d[\U0001f300-\U0001faff\u2600-\u27bf])*"
)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?")
_TIME = re.compile(
    r"(?<!\d)(?:[01]?\d|2[0-4])(?::[0-5]\d|\s*[ap]\.?m\b|\s*o'clock|\s*시(?!간))"
    r"|\b(?:noon|midnight)\b|정오|자정",
    re.IGNORECASE,
)
_SCRIPTS = {
    "hangul": re.compile(r"[가-힣]"),
    "latin": re.compile(r"[A-Za-z]"),
    "digits": re.compile(r"[0-9]"),
}
_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_SETS = {"digits": "0123456789", "latin": "abcdefghijklmnopqrstuvwxyz", "brackets": "()[]{}<>"}


def language(text: str, *, is_: str) -> bool:
    """`ko` or `en`; a text with too few letters to tell passes."""
    return language_of(text) in (is_, "")


def only(text: str, *, scripts: Sequence[str]) -> bool:
    """Every letter and digit is of these scripts (`hangul`, `latin`, `digits`), one at least."""
    found = [c for c in text if c.isalnum()]
    return bool(found) and all(any(_SCRIPTS[s].match(c) for s in scripts) for c in found)


def upper(text: str) -> bool:
    return text.isupper()


def lower(text: str) -> bool:
    return text.islower()


def title_case(text: str) -> bool:
    """Every word begins with a capital; small words such as `of` may, but for the first."""
    found = [word.lstrip("\"'“‘(<#*") for word in words_of(text)]
    return bool(found) and all(
        word[0].isupper() or not word[0].isalpha() or (at and word.lower() in _SMALL_WORDS)
        for at, word in enumerate(found)
    )


def capital_words(text: str, *, min: int = 1, max: int | None = None) -> bool:
    """Words of two letters or more all in capitals."""
    return within(len(re.findall(r"\b[A-Z]{2,}\b", text)), min, max)


def without(text: str, *, characters: str = "", sets: Sequence[str] = ()) -> bool:
    """None of these characters, in either case, nor of the sets `digits`, `latin`, `brackets`."""
    refused = set((characters + "".join(_SETS[name] for name in sets)).casefold())
    return bool(text) and not refused & set(text.casefold())


def count_of(text: str, *, character: str, min: int = 1, max: int | None = None) -> bool:
    """How often a character comes, in either case."""
    return within(text.casefold().count(character.casefold()), min, max)


def emoji(text: str, *, min: int = 1, max: int | None = None) -> bool:
    """Joined ones, and ones with a skin colour, count once."""
    return within(len(EMOJI.findall(text)), min, max)


def acrostic(text: str, *, letters: Sequence[str]) -> bool:
    """As many lines as letters, each beginning with its own; a label such as `봄:` or `1.` before
    the line does not count."""
    lines = [
        unlabelled(line, letter) for line, letter in zip(lines_of(text), letters, strict=False)
    ]
    return len(lines_of(text)) == len(letters) and all(
        line[:1].casefold() == letter.casefold() and sum(c.isalnum() for c in line) > 1
        for line, letter in zip(lines, letters, strict=True)
    )


def initials(text: str, *, letter: str) -> bool:
    """Every word begins with the letter; a Korean one may be a bare consonant."""
    firsts = [next(c for c in word if c.isalnum()) for word in words_of(text)]
    return bool(firsts) and all(letter.casefold() in (f.casefold(), _initial(f)) for f in firsts)


def numbers(
    text: str,
    *,
    min: int = 1,
    max: int | None = None,
    low: float | None = None,
    high: float | None = None,
    order: str = "",
    parity: str = "",
    only: bool = False,
) -> bool:
    """How many numbers in digits, between which bounds, `rising` or `falling`, `even` or `odd`;
    `only` numbers."""
    found = [float(number.replace(",", "")) for number in _NUMBER.findall(text)]
    if only and any(c.isalpha() for c in text):
        return False
    pairs = list(pairwise(found))
    return (
        within(len(found), min, max)
        and all((low is None or n >= low) and (high is None or n <= high) for n in found)
        and (not parity or all(n % 2 == (parity == "odd") for n in found))
        and (order != "rising" or all(a < b for a, b in pairs))
        and (order != "falling" or all(a > b for a, b in pairs))
    )


def clock_time(text: str) -> bool:
    """A time of day is named, as 9:00, 9 am, 9시 or noon."""
    return bool(_TIME.search(text))


def in_alphabetical_order(text: str, *, separator: str = "\n", falling: bool = False) -> bool:
    """The lines, or what the separator parts, rise in the order of the alphabet (가나다, abc)."""
    entries = [_entry(part) for part in unfenced(text).split(separator)]
    entries = [entry for entry in entries if entry]
    return len(entries) > 1 and entries == sorted(entries, reverse=falling)


def _entry(part: str) -> str:
    part = LIST_MARK.sub("", part.strip())
    return part.strip(" .,*\"'\n").casefold()


def unlabelled(line: str, letter: str) -> str:
    """The line without a list mark, `**`, and the letter as a label before it."""
    line = LIST_MARK.sub("", line).replace("**", "")
    label = re.match(
        rf"[\[(\"']?{re.escape(letter)}[\])\"']?\s*[:：–—-]\s*(?=\S)", line, re.IGNORECASE
    )
    return (line[label.end() :] if label else line).lstrip("\"'“‘")


def _initial(syllable: str) -> str:
    if not "가" <= syllable <= "힣":
        return ""
    return _INITIALS[(ord(syllable) - ord("가")) // 588]
