"""What an answer comes to: the line it was asked to end with, and what stands there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from javis.eval.short_answers import denied, mentions, plain

_MARK = re.compile(
    r"(?:\bfinal answer|\banswer|정답|최종 답|답변|답)\s*(?:is|은|는)?\s*[:：]", re.I
)
_NUMBER = re.compile(r"(?<![A-Za-z0-9.])[-−]?\d+(?:,\d{3})*(?:\.\d+)?")
_DECORATION = re.compile(r"[*_`$\\]")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?"
_DAY = r"(?<!\d)(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    re.compile(
        r"(?<!\d)(?P<year>\d{4})\s?[-./]\s?(?P<month>\d{1,2})\s?[-./]\s?(?P<day>\d{1,2})(?!\d)"
    ),
    # 13 or more can only be the day; which is which of 02/03 nobody can tell.
    re.compile(
        r"(?<![\d./-])(?P<month>\d{1,2})[-./](?P<day>1[3-9]|2\d|3[01])[-./](?P<year>\d{4})(?!\d)"
    ),
    re.compile(
        r"(?<![\d./-])(?P<day>1[3-9]|2\d|3[01])[-./](?P<month>\d{1,2})[-./](?P<year>\d{4})(?!\d)"
    ),
    re.compile(r"(?:(?P<year>\d{4})\s?년\s*)?(?<!\d)(?P<month>\d{1,2})월\s*(?P<day>\d{1,2})일"),
    re.compile(rf"{_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s+(?P<year>\d{{4}}))?"),
    re.compile(rf"\b{_MONTH}\s+{_DAY}(?!\d)(?:,?\s+(?P<year>\d{{4}}))?"),
)
_JOINED = re.compile(r"\s*(?:\band|\bor|[와과나랑]|하고|이나|또는)\s+")
"""Two names put side by side: what is said of one is said of both."""
_DONE = r"(?<!not )(?<!n't )(?<!never )(?<!forgot to )(?<!failed to )\b"
_REMOVED_BEFORE = re.compile(
    rf"{_DONE}(?:remov(?:e|ed|ing)|delet(?:e|ed|ing)|(?:crossed|left) (?:off|out)"
    r"|t(?:ake|ook|aken|aking) (?:off|out)|without|except|instead of|no longer|no)"
    r"(?:\s+(?:the|your|any|more))*\s+$"
    r"|\bnot \w+ or $"
)
_TAKEN_BEFORE = re.compile(rf"{_DONE}t(?:ake|ook|aken|aking)(?:\s+(?:the|your))?\s+$")
_REMOVED = r"(?:removed|deleted|(?:taken|crossed|left) (?:off|out)|gone)"
_DISMISSED_AFTER = re.compile(
    r"[^.!?\n]*?(?:"
    rf"\b(?:is|are|was|were|can|could|does|do|did|has|have)(?:n't|\snot)\b(?! (?:been )?{_REMOVED})"
    rf"|\b(?:cannot|can't)\b|\bno longer\b|(?<!not )(?<!n't )(?<!not been )\b{_REMOVED}"
    r"|빼|뺐|뺀|제외|제거|삭제|지웠|지우|대신|말고|아니|아닌|아닙|지 ?않|지 ?못"
    r"|못 ?[사살드먹]|없|싫어|안 ?좋아|힘드|부담|피하)"
)
_HELD = re.compile(
    r"있(?:고|으며|지만|습|어)|밖에|외에|다른|(?:빼|제외하|제거하|삭제하|지우)지 ?(?:않|못)"
    r"|\b(?:sure|clear|know|remember|certain)\b|모르|확실|기억"
)
"""What says that a thing is still there, or that the speaker does not know."""


def conclusion(answer: str) -> tuple[str, bool]:
    """The text after the last `Answer:` (`답:`), and True; else the last line, and False."""
    text = _DECORATION.sub("", unicodedata.normalize("NFKC", answer)).strip()
    marks = list(_MARK.finditer(text))
    if marks:
        rest = text[marks[-1].end() :].strip()
        return (rest.splitlines() or [""])[0].strip(), True
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else ""), False


def concluded_number(answer: str, beside: Sequence[float] = ()) -> float | None:
    """The number an answer ends with: what follows an equals sign there, or else the first after
    the mark, or else the last of the last line.

    Those `beside` it are passed over where another is left: "5 tickets cost 40 dollars".
    """
    line, marked = conclusion(answer)
    if "=" in line:
        line, marked = line.rsplit("=", 1)[1], True
    found = [_float(number) for number in _NUMBER.findall(line)]
    found = [number for number in found if number not in beside] or found
    if not found:
        return None
    return found[0] if marked else found[-1]


def _float(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))


def number(answer: str, *, value: float, beside: Sequence[float] = ()) -> bool:
    """The answer concludes with this number; `beside` are those of the question, which it may say
    again."""
    found = concluded_number(answer, beside)
    return found is not None and abs(found - value) <= 1e-6 * max(1.0, abs(value))


def concludes(answer: str, *, accepted: Sequence[str], others: Sequence[str] = ()) -> bool:
    """The conclusion names one of `accepted` and none of `others`."""
    return says(conclusion(answer)[0], all_of=[accepted], none_of=others)


def says(
    answer: str,
    *,
    all_of: Sequence[Sequence[str]],
    none_of: Sequence[str] = (),
    dismissing: bool = False,
    compounds: Sequence[str] | None = None,
) -> bool:
    """The whole answer names one of each list of `all_of` and nothing of `none_of`.

    With `dismissing` it may name what it says is not meant: "I took the eggs off". `compounds`
    are those of `mentions`.
    """
    text = plain(answer)
    right = [
        [found for word in words for found in mentions(text, word, compounds)] for words in all_of
    ]
    places = [found for named in right for found in named]
    wrong = [found for word in none_of for found in mentions(text, word)]
    if dismissing:
        wrong = [found for found in wrong if not _dismissed(text, found, places)]
    return all(right) and not wrong


def _dismissed(text: str, found: re.Match[str], right: Sequence[re.Match[str]]) -> bool:
    """Said to be taken away or not to be the one, before a right word comes."""
    before, after = text[: found.start()], text[found.end() :]
    if any(_JOINED.fullmatch(before[other.end() :]) for other in right):
        return False  # "Tango and Olive cannot fly" is no choice
    if _REMOVED_BEFORE.search(before):
        return True
    if _TAKEN_BEFORE.search(before) and re.match(r"\s+(?:off|out|away)\b", after):
        return True
    next_right = min((o.start() for o in right if o.start() >= found.end()), default=len(text))
    rest = re.split(r"[.!?\n]", text[found.end() : next_right], maxsplit=1)[0]
    return bool(_DISMISSED_AFTER.match(rest)) and not _HELD.search(rest)


def near(answer: str, *, value: float, within: float) -> bool:
    """Some number of the answer is this one, but for rounding."""
    text = unicodedata.normalize("NFKC", answer)
    return any(abs(_float(found) - value) <= within for found in _NUMBER.findall(text))


def dated(answer: str, *, value: str) -> bool:
    """The answer names this date (`2024-02-13`), in whatever form; the year may be left out."""
    year, month, day = map(int, value.split("-"))
    text = plain(answer)
    return any(
        (_month(found["month"]), int(found["day"])) == (month, day)
        and int(found["year"] or year) == year
        and not denied(text, found)
        for form in _DATES
        for found in form.finditer(text)
    )


def _month(said: str) -> int:
    return int(said) if said.isdigit() else _MONTHS.index(said) + 1


def letters(answer: str, among: Sequence[str]) -> list[str]:
    """The letters an answer concludes with, in order: `B, A, C`, `B → A → C` or `BAC`."""
    line = conclusion(answer)[0].strip(" .[](){}\"'")
    names = "".join(among)
    if re.fullmatch(rf"[{names}]{{2,}}", line):
        return list(line)
    return re.findall(rf"(?<![A-Za-z])[{names}](?![A-Za-z'])", line)
