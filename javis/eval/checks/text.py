"""Taking a text apart: words, sentences, lines, list items."""

from __future__ import annotations

import re
import unicodedata

# An emoji may follow without a space, and then begins the next sentence.
_SENTENCE_END = re.compile(
    r"(?:[.!?…。！？]+[\"'”’)\]»」』]*)(?=\s|\Z|[\u2600-\u27bf\U0001f1e6-\U0001faff])|\n+"
)
_ABBREVIATION = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Mt|vs|etc|e\.g|i\.e|a\.m|p\.m|No|approx|Jr|Sr|U\.S|U\.K)\.(?=\s\S)"
)
# As in Korean texts: no space is needed after a mark that is nothing else, nor before Hangul.
_POINT = r"(?:[-*+–][ \t]+|-(?=[가-힣])|[•·ㆍ●◦▪][ \t]*)"
_COUNT = r"(?:\*\*)?(\d{1,3}(?=[.)])|[①-⑳])[.)]?(?:\*\*)?(?:[ \t]+|(?=[가-힣]))"
LIST_MARK = re.compile(rf"^[ \t]*(?:{_POINT}|{_COUNT})(?=\S)", re.MULTILINE)
_MARKER = re.compile(rf"^[ \t]*(?:{_POINT}|{_COUNT}|(?:#{{1,6}}|>)[ \t]+)", re.MULTILINE)
_BULLET = re.compile(rf"^([ \t]*)({_POINT})(\S.*)$", re.MULTILINE)
_NUMBER = re.compile(rf"^[ \t]*{_COUNT}(\S.*)$", re.MULTILINE)
_FENCE = re.compile(r"\A```[\w+-]*[ \t]*\n(.*?)\n?```\Z", re.DOTALL)


def words_of(text: str) -> list[str]:
    """What white space separates and holds a letter or digit: list marks are no words. In Korean
    these are eojeol."""
    return [word for word in text.split() if any(c.isalnum() for c in word)]


def sentences_of(text: str) -> list[str]:
    """Split after closing marks and at line ends; list marks are cut off.

    A period inside a number or after a known abbreviation ends nothing.
    """
    text = _MARKER.sub("", text)
    # A one-dot leader stands in for the period while splitting.
    text = _ABBREVIATION.sub(lambda match: match.group().replace(".", "\u2024"), text)
    found, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        found.append(text[start : match.end()])
        start = match.end()
    found.append(text[start:])
    whole = (part.strip().replace("\u2024", ".") for part in found)
    return [part for part in whole if _has_word(part)]


def paragraphs_of(text: str) -> list[str]:
    """Separated by blank lines."""
    return [part.strip() for part in re.split(r"\n\s*\n", text) if _has_word(part)]


def lines_of(text: str) -> list[str]:
    """Lines with a letter or digit, without the white space around them."""
    return [line.strip() for line in text.splitlines() if _has_word(line)]


def bullets_of(text: str) -> list[str]:
    """The points of a list, the nested ones left out."""
    lines = _BULLET.findall(text)
    # ● before other points marks a heading.
    lines = [line for line in lines if "●" not in line[1]] or lines
    found = [(len(indent.expandtabs(4)), point) for indent, _, point in lines]
    # `**bold**` at a line's start is no point: the mark must be followed by a space.
    least = min((indent for indent, _ in found), default=0)
    return [point.strip() for indent, point in found if indent < least + 2 and _has_word(point)]


def numbered_of(text: str) -> list[str]:
    """The points of a list that counts 1, 2, 3…; [] when it counts otherwise."""
    found = [
        (int(unicodedata.normalize("NFKC", number)), point.strip())
        for number, point in _NUMBER.findall(text)
    ]
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        return []
    return [point for _, point in found]


def unfenced(text: str) -> str:
    """The inside of a text that is one fenced block; else the text."""
    match = _FENCE.match(text.strip())
    return match.group(1).strip() if match else text.strip()


def within(count: int, low: int, high: int | None) -> bool:
    return low <= count and (high is None or count <= high)


def _has_word(text: str) -> bool:
    return any(c.isalnum() for c in text)
