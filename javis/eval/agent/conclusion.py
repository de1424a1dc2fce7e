"""What an answer comes to: the line it was asked to end with, and what stands there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from javis.eval.short_answers import named

_MARK = re.compile(
    r"(?:\bfinal answer|\banswer|정답|최종 답|답변|답)\s*(?:is|은|는)?\s*[:：]", re.I
)
_NUMBER = re.compile(r"(?<![A-Za-z0-9.])[-−]?\d+(?:,\d{3})*(?:\.\d+)?")
_DECORATION = re.compile(r"[*_`$\\]")


def conclusion(answer: str) -> tuple[str, bool]:
    """The text after the last `Answer:` (`답:`), and True; else the last line, and False."""
    text = _DECORATION.sub("", unicodedata.normalize("NFKC", answer)).strip()
    marks = list(_MARK.finditer(text))
    if marks:
        rest = text[marks[-1].end() :].strip()
        return (rest.splitlines() or [""])[0].strip(), True
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else ""), False


def concluded_number(answer: str) -> float | None:
    """The number an answer ends with: what follows an equals sign there, or else the first after
    the mark, or else the last of the last line."""
    line, marked = conclusion(answer)
    if "=" in line:
        line, marked = line.rsplit("=", 1)[1], True
    found = _NUMBER.findall(line)
    if not found:
        return None
    return _float(found[0] if marked else found[-1])


def _float(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))


def number(answer: str, *, value: float) -> bool:
    """The answer concludes with this number."""
    found = concluded_number(answer)
    return found is not None and abs(found - value) <= 1e-6 * max(1.0, abs(value))


def concludes(answer: str, *, accepted: Sequence[str], others: Sequence[str] = ()) -> bool:
    """The conclusion names one of `accepted` and none of `others`."""
    return says(conclusion(answer)[0], all_of=[accepted], none_of=others)


def says(answer: str, *, all_of: Sequence[Sequence[str]], none_of: Sequence[str] = ()) -> bool:
    """The whole answer names one of each list of `all_of` and nothing of `none_of`."""

    def told(words: Sequence[str]) -> bool:
        return named(answer, words) is not None

    return all(map(told, all_of)) and not any(told([word]) for word in none_of)


def near(answer: str, *, value: float, within: float) -> bool:
    """Some number of the answer is this one, but for rounding."""
    text = unicodedata.normalize("NFKC", answer)
    return any(abs(_float(found) - value) <= within for found in _NUMBER.findall(text))


def letters(answer: str, among: Sequence[str]) -> list[str]:
    """The letters an answer concludes with, in order: `B, A, C`, `B → A → C` or `BAC`."""
    line = conclusion(answer)[0].strip(" .[](){}\"'")
    names = "".join(among)
    if re.fullmatch(rf"[{names}]{{2,}}", line):
        return list(line)
    return re.findall(rf"(?<![A-Za-z])[{names}](?![A-Za-z'])", line)
