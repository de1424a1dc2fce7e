"""Does a written answer name what was asked for? Which of the lettered options did it choose?

Both are marked as a teacher would: a sentence around the answer, another spelling, or a particle
after a Korean word is no mistake; a denial ("not Sydney", "시드니가 아니라") is no answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

LETTERS = "ABCD"
_MAX_GUESSES = 3
_SHORT_WORDS = 3
_SEPARATOR = re.compile(r"[,;/\n]|\b(?:or|and)\b|(?<=\S)(?:이나|또는)\s")
_HEAD = re.compile(
    r":\s|\s\(|\s[–—-]\s|[.!]\s|,\s(?=(?:namely|including|which|colou?red|called|such as)\b)"
)
"""What ends the answer proper; what follows may list what it is about."""
_LEAD_IN = re.compile(r"\A[^:\n]*:\s")
_WRITTEN_OUT = re.compile(r"[\d\s.,+\-*/()×÷…·]+(?==)")
"""The left side of an equation: the way to an answer, not an answer."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MARKUP = re.compile(r"\\(?:text|mathrm|mathbf)\{([^{}]*)\}|</?sub>|_\{(\d+)\}|_(?=\d)")
"""Frames of a formula: H_2O, H_{2}O, \\text{H}_2, H<sub>2</sub>O."""
_PARTICLES = "은는이가을를의에로와과도만라입였인야예죠으"
"""What may follow a Korean word of one syllable; after a longer one anything may."""
_DENIED_BEFORE = re.compile(r"(?:\bnot|n't|\bnever)\s+(?:(?:in|the|an|a)\s+){0,2}$")
_DENIED_AFTER = re.compile(r"^[가-힣]{0,3}\s*(?:이|가|은|는)?\s*아(?:니|닌|닙)")
# A small letter counts where nothing but a mark follows: "a", "b) Sydney", but not "a city".
_LETTER_FIRST = re.compile(
    r"^[\W_]*([A-D](?=$|[^\w\s]|\s*[\n.):]|[가-힣]|\s+[^a-z\s])"
    r"|[a-d](?=[\W_]*$|\s*[.):]\s|\s*\n|[가-힣]))"
)
_LETTER_NAMED = re.compile(
    r"(?:(?:\b[Aa]nswer|\b[Oo]ption|\b[Cc]hoice|\b[Ll]etter(?=\s+is)|정답|답|보기|기호)"
    r"(?:\s+is|\s*은|\s*는|\s*이)?|\\boxed\{|\\text\{|\b(?:choose|pick|select))[\s:*(\"']*"
    r"([A-D](?![A-Za-z])|[a-d](?=[\W_]*$|\s*[.):*]|\s*\n|[가-힣]))"
    # "It's A" and "A is correct", but not "it is A city" and "B or A is right".
    r"|\b[Ii]t(?:['’]s|\s+is)\s+[*(\"']*([B-D](?![A-Za-z])|A(?!\w|\s+[a-z]))"
    r"|(?<!or )(?<!and )(?<!nor )(?<!neither )(?<!not )\b([A-D])[*)\"']*"
    r"\s+is\s+(?:the\s+)?(?:correct|right|best|answer)\b"
)
_MORE_LETTERS = re.compile(
    r"[)*\"']*\s*(?:[,/&]|or\b|and\b|또는|이나|나|와|과)\s*(?:or\s+|and\s+)?[(*\"']*[A-D](?![A-Za-z])"
)


def plain(text: str) -> str:
    """One spelling of what looks or means the same: width, case, apostrophes, H_2O, 1,024 and
    72.00."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _MARKUP.sub(lambda match: match[1] or match[2] or "", text)
    text = text.replace("\u2019", "'").replace("\u2018", "'").replace("\u02bb", "'")
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    # But not in 1.0.2, which is no number.
    return re.sub(r"(?<=\d)\.0+(?!\.?\d)", "", text)


def guessing(answer: str, question: str) -> bool:
    """Whether an answer lists many things where one was asked for."""
    numbers = _numbers(answer, question)
    listed = _LEAD_IN.sub("", answer)
    parts = [part for part in _SEPARATOR.split(listed) if part.strip()]
    short = [part for part in parts if len(part.split()) <= _SHORT_WORDS]
    return len(numbers) > _MAX_GUESSES or len(short) > _MAX_GUESSES


def _numbers(answer: str, question: str) -> set[str]:
    """The numbers in digits that the question does not name."""
    found = _NUMBER.findall(_WRITTEN_OUT.sub(" ", plain(answer)))
    return set(found) - set(_NUMBER.findall(plain(question)))


def answered(
    answer: str, question: str, accepted: Sequence[str], namesakes: Sequence[str] = ()
) -> str | None:
    """The first of `accepted` that is given as the answer, or None where it is one guess of many.

    "Five rings: blue, yellow, black, green and red" answers before it lists, and the only number
    of an answer is no guess among the things it counts.
    """
    only = _numbers(answer, question)
    if len(only) == 1 and only <= set(accepted):
        return named(answer, accepted, namesakes)
    for text in (_HEAD.split(answer.strip(), maxsplit=1)[0], answer):
        if not guessing(text, question) and (found := named(text, accepted, namesakes)):
            return found
    return None


def named(answer: str, accepted: Sequence[str], namesakes: Sequence[str] = ()) -> str | None:
    """The first of `accepted` that the answer gives, or None; `namesakes` are others who are called
    so too (Percy Shelley) and do not count."""
    text = plain(answer)
    for other in namesakes:
        text = _pattern(plain(other)).sub(" ", text)
    return next((wanted for wanted in accepted if any(mentions(text, wanted))), None)


def mentions(
    text: str, wanted: str, compounds: Sequence[str] | None = None
) -> Iterator[re.Match[str]]:
    """Where a `plain` text gives `wanted` without denying it.

    With `compounds`, a Korean word may also end a longer one (들깨미역국), but none that has one
    of `compounds` in it (김치두부찌개). As `*국` it must do so: 국 alone names no soup.
    """
    for found in _pattern(plain(wanted), compounds).finditer(text):
        if not denied(text, found):
            yield found


def denied(text: str, found: re.Match[str]) -> bool:
    """Whether the text says that what was found there is not the answer."""
    return bool(
        _DENIED_BEFORE.search(text[: found.start()]) or _DENIED_AFTER.search(text[found.end() :])
    )


def _pattern(wanted: str, compounds: Sequence[str] | None = None) -> re.Pattern[str]:
    ending = wanted.startswith("*")
    wanted = wanted.removeprefix("*")
    body = r"\s*".join(re.escape(word) for word in wanted.split())
    first, last = wanted[0], wanted[-1]
    if _hangul(first):
        before = r"(?<![가-힣])"
        if compounds is not None:
            barred = "|".join(map(re.escape, compounds)) or r"(?!)"
            before += rf"(?![가-힣]*(?:{barred}))[가-힣]{'+?' if ending else '*?'}"
    elif first.isdigit():
        before = r"(?<![0-9a-z.\-])(?<!\d,)"
    else:
        before = r"(?<![^\W\d_가-힣])"
        body = body.replace(r"\s*", r"\s+")
    if _hangul(last):
        after = rf"(?![가-힣])|(?=[{_PARTICLES}])" if len(wanted) == 1 else ""
    elif last.isdigit():
        after = r"(?!\d|[.,]\d)"
    else:
        # A digit goes on with a formula: H2O is not in H2O2.
        after = r"(?![^\W_가-힣])"
    return re.compile(f"{before}{body}(?:{after})")


def chosen(answer: str, options: Sequence[str]) -> int | None:
    """Index of the option an answer chose by its letter, or else by its text; None if unclear.

    A letter with the text of another option ("A. Sydney" where A is Canberra) is unclear.
    """
    text = unicodedata.normalize("NFKC", answer).strip()
    # What is said last counts: "At first A looks right. The answer is B."
    letters = list(_LETTER_NAMED.finditer(text))
    if not letters and (first := _LETTER_FIRST.match(text)):
        letters = [first]
    if not letters:
        given = _given(text, options)
        return given[0] if len(given) == 1 else None
    if _MORE_LETTERS.match(text[letters[-1].end() :]):
        return None
    letter = next(group for group in letters[-1].groups() if group)
    index = LETTERS.index(letter.upper())
    beside = _given(text[letters[-1].end() :].split("\n", 1)[0], options)
    return index if index < len(options) and (not beside or index in beside) else None


def _given(text: str, options: Sequence[str]) -> list[int]:
    """Indexes of the options named in a text."""
    return [at for at, option in enumerate(options) if named(text, [option])]


def _hangul(character: str) -> bool:
    return "가" <= character <= "힣"
