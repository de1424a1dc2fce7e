"""Constraints on an answer that a program can check, in the manner of IFEval (Zhou et al., 2023).

Every check takes the answer and the constraint's values and says whether it is met. None of them
raises for any answer; a value missing in the questions is an error of ours and does raise.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from javis.eval.checks import korean, layout, length, letters, structured, wording
from javis.eval.checks.text import bullets_of, lines_of, numbered_of, sentences_of, words_of

Check = Callable[..., bool]
_MARKS = ".,!?:;…\"'“”‘’()*"


def every(text: str, *, unit: str, check: Mapping[str, Any]) -> bool:
    """Each sentence, point, line or word meets another constraint."""
    found = _units(text, unit)
    return bool(found) and all(_meets(part, check) for part in found)


def first(text: str, *, unit: str, check: Mapping[str, Any]) -> bool:
    """The first sentence, point, line or word meets another constraint."""
    return any(_meets(part, check) for part in _units(text, unit)[:1])


CHECKS: Mapping[str, Check] = {
    "words": length.words,
    "characters": length.characters,
    "sentences": length.sentences,
    "paragraphs": length.paragraphs,
    "lines": length.lines,
    "each_line": length.each_line,
    "each_sentence": length.each_sentence,
    "each_word": length.each_word,
    "contains": wording.contains,
    "contains_any": wording.contains_any,
    "excludes": wording.excludes,
    "occurs": wording.occurs,
    "in_order": wording.in_order,
    "starts": wording.starts,
    "ends": wording.ends,
    "one_of": wording.one_of,
    "repeats": wording.repeats,
    "all_different": wording.all_different,
    "chained": wording.chained,
    "copies": wording.copies,
    "bullets": layout.bullets,
    "numbered": layout.numbered,
    "headings": layout.headings,
    "sections": layout.sections,
    "bold": layout.bold,
    "title": layout.title,
    "quoted": layout.quoted,
    "placeholders": layout.placeholders,
    "postscript": layout.postscript,
    "parts": layout.parts,
    "labelled": layout.labelled,
    "hashtags": layout.hashtags,
    "plain": layout.plain,
    "json_object": structured.json_object,
    "json_list": structured.json_list,
    "table": structured.table,
    "csv": structured.csv_rows,
    "code": structured.code,
    "clock_time": letters.clock_time,
    "language": letters.language,
    "only": letters.only,
    "upper": letters.upper,
    "lower": letters.lower,
    "title_case": letters.title_case,
    "capital_words": letters.capital_words,
    "without": letters.without,
    "count_of": letters.count_of,
    "emoji": letters.emoji,
    "acrostic": letters.acrostic,
    "initials": letters.initials,
    "numbers": letters.numbers,
    "sorted": letters.in_alphabetical_order,
    "register": korean.register,
    "every": every,
    "first": first,
}


def check(answer: str, constraint: Mapping[str, Any]) -> bool:
    """Whether `answer` meets a constraint such as `{"kind": "words", "max": 20}`."""
    return _meets(unicodedata.normalize("NFC", answer).replace("\r\n", "\n").strip(), constraint)


def _meets(text: str, constraint: Mapping[str, Any]) -> bool:
    values = dict(constraint)
    return CHECKS[values.pop("kind")](text, **values)


def _units(text: str, unit: str) -> list[str]:
    if unit == "words":
        return [word.strip(_MARKS) for word in words_of(text)]
    if unit == "points":
        return bullets_of(text) or numbered_of(text)
    return {"sentences": sentences_of, "lines": lines_of}[unit](text)
