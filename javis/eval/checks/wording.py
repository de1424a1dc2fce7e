"""Which words: asked for, forbidden, how often, in which order, first and last."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from javis.eval.checks.text import bullets_of, lines_of, numbered_of, sentences_of, within, words_of

_HANGUL = re.compile(r"[가-힣]")
_PER_ONSET = 21 * 28
_N, _R, _SILENT = 2, 5, 11
"""Numbers of the first consonants ㄴ, ㄹ and ㅇ."""
_I_AND_Y = {2, 3, 6, 7, 12, 17, 20}
"""Numbers of the vowels ㅑ ㅒ ㅕ ㅖ ㅛ ㅠ ㅣ."""
_QUOTES = "\"'“”‘’`*_ \n"


def contains(text: str, *, words: Sequence[str]) -> bool:
    """All of `words`. English ones as whole words in any case; Korean ones anywhere, as particles
    and endings are written to them."""
    return all(_pattern(word).search(text) for word in words)


def contains_any(text: str, *, words: Sequence[str]) -> bool:
    """At least one of `words`, such as the forms of a word."""
    return any(_pattern(word).search(text) for word in words)


def excludes(text: str, *, words: Sequence[str]) -> bool:
    return not any(_pattern(word).search(text) for word in words)


def occurs(text: str, *, word: str, min: int = 1, max: int | None = None) -> bool:
    """How often a word comes."""
    return within(len(_pattern(word).findall(text)), min, max)


def in_order(text: str, *, words: Sequence[str]) -> bool:
    """The first of each comes after the first of the one before."""
    places = [match.start() if (match := _pattern(w).search(text)) else -1 for w in words]
    return -1 not in places and all(a < b for a, b in pairwise(places))


def starts(text: str, *, phrase: str) -> bool:
    """Case and quotes around the answer do not count; a word must not go on after an English
    phrase."""
    said, wanted = text.strip(_QUOTES).casefold(), phrase.casefold()
    return said.startswith(wanted) and _ends_word(said[len(wanted) :], wanted[-1])


def ends(text: str, *, phrase: str) -> bool:
    """The very last words; closing marks after them count only when the phrase has some."""
    said, wanted = text.strip(_QUOTES).casefold(), phrase.casefold()
    if wanted[-1].isalnum():
        said = said.rstrip(".!?…。" + _QUOTES)
    if not said.endswith(wanted):
        return False
    first = wanted[0]
    before = said[-len(wanted) - 1 : -len(wanted)]
    return not (before.isascii() and before.isalnum() and first.isascii() and first.isalnum())


def one_of(text: str, *, options: Sequence[str]) -> bool:
    """The answer is one of the options and nothing else, but for case and a final period."""
    said = text.strip(_QUOTES).rstrip(".。").casefold()
    return said in {option.rstrip(".").casefold() for option in options}


def repeats(text: str, *, phrase: str, times: int) -> bool:
    """The phrase exactly so many times, and nothing else but marks and white space."""
    rest = re.sub(re.escape(phrase), "", text, flags=re.IGNORECASE)
    said = len(re.findall(re.escape(phrase), text, flags=re.IGNORECASE))
    return said == times and not any(c.isalnum() for c in re.sub(r"(?m)^\s*\d+[.)]", "", rest))


def all_different(text: str, *, unit: str = "words") -> bool:
    """No word, line, list point or sentence beginning comes twice."""
    units = {
        "words": [word.strip(".,!?;:\"'()“”‘’") for word in words_of(text)],
        "lines": lines_of(text),
        "points": bullets_of(text) or numbered_of(text),
        "openings": [words_of(sentence)[0] for sentence in sentences_of(text)],
    }[unit]
    return bool(units) and max(Counter(u.casefold() for u in units).values()) == 1


def copies(text: str, *, request: str, answer: bool = True) -> bool:
    """Begins with the request, word for word; with `answer`, something of its own follows."""
    said, wanted = " ".join(text.strip(_QUOTES).split()), " ".join(request.split())
    if not said.casefold().startswith(wanted.casefold()):
        return False
    rest = sum(c.isalnum() for c in said[len(wanted) :])
    return rest >= 3 if answer else rest == 0


def chained(text: str) -> bool:
    """Kkeunmaritgi: each line begins with the syllable the one before ends with, or with what it
    becomes at a word's start (차례, 예술); no word twice."""
    found = lines_of(text)
    return (
        len(found) > 1
        and len(set(found)) == len(found)
        and all(
            after[0] in (before[-1], _initial_form(before[-1])) for before, after in pairwise(found)
        )
    )


def _initial_form(syllable: str) -> str:
    """The syllable at the start of a word, by the initial law (두음 법칙): 례 예, 락 낙, 녀 여."""
    if not _HANGUL.fullmatch(syllable):
        return syllable
    onset, rest = divmod(ord(syllable) - ord("가"), _PER_ONSET)
    if onset not in (_N, _R):
        return syllable
    silent = rest // 28 in _I_AND_Y
    return chr(ord("가") + (_SILENT if silent else _N) * _PER_ONSET + rest)


def _pattern(word: str) -> re.Pattern[str]:
    quoted = r"\s+".join(map(re.escape, word.split()))
    if _HANGUL.search(word):
        return re.compile(quoted)
    left = r"(?<![^\W_])" if word[0].isalnum() else ""
    # Korean particles follow English words without a space.
    right = r"(?![A-Za-z0-9])" if word[-1].isalnum() else ""
    return re.compile(left + quoted + right, re.IGNORECASE)


def _ends_word(rest: str, last: str) -> bool:
    return not (rest and last.isascii() and last.isalnum() and rest[0].isalnum())
