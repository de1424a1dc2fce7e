"""How it is laid out: lists, headings, sections, emphasis, frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from javis.eval.checks.letters import EMOJI
from javis.eval.checks.text import LIST_MARK, bullets_of, lines_of, numbered_of, within

_HEADING = re.compile(r"^(#{1,6})[ \t]+(\S.*?)[ \t]*#*$", re.MULTILINE)
_BOLD = re.compile(r"\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*")
_ITALIC = re.compile(r"(?<![*\w])\*(?=[^\s*])([^*\n]+?)(?<=[^\s*])\*(?![*A-Za-z0-9_])")
"""Korean particles may follow."""
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]*[^\W_][^\[\]\n]*\](?!\()")
_HASHTAG = re.compile(r"(?<![\w#&])#[^\W\d_]\w*")
_BEFORE_NAME = re.compile(rf"(?:#{{1,6}}\s+|\d+[.)]\s+|[\[【<〈■●*_\s]|{EMOJI.pattern})+")
_AFTER_NAME = ":：]】>〉■●*_ "
_UNDERSCORED = re.compile(r"(?<!\w)_{1,2}(?=[^\s_])[^_\n]+(?<=\S)_{1,2}(?!\w)")
_MARKUP = re.compile(r"\*\*|^#{1,6}\s|^\s*[-*•+]\s|^\s*\d+[.)]\s|```|`|^\s*\|", re.MULTILINE)


def bullets(text: str, *, min: int = 1, max: int | None = None, only: bool = False) -> bool:
    """Points marked `-`, `*`, `•` or `·`; with `only` nothing stands outside the list."""
    found = bullets_of(text)
    return within(len(found), min, max) and (not only or len(found) == len(lines_of(text)))


def numbered(text: str, *, min: int = 1, max: int | None = None, only: bool = False) -> bool:
    """Points numbered 1, 2, 3… or ①, ②, ③… without a gap."""
    found = numbered_of(text)
    return within(len(found), min, max) and (not only or len(found) == len(lines_of(text)))


def headings(text: str, *, level: int, min: int = 1, max: int | None = None) -> bool:
    """Markdown headings with so many `#`."""
    marks = [marks for marks, _ in _HEADING.findall(text)]
    return within(marks.count("#" * level), min, max)


def sections(text: str, *, names: Sequence[str], points: int | None = None) -> bool:
    """Each name heads a section of its own, in this order, and something follows each, or so many
    bullet points.

    Heads a section: alone on its line, but for `#`, `**`, a number, an emoji, ■ or ● before, a
    colon after, and brackets around.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    heads = [_bare(line) for line in lines]
    places: list[int] = []
    for name in names:
        wanted = name.casefold()
        place = heads.index(wanted) if wanted in heads else -1
        if place < 0 or (places and place <= places[-1] + 1):
            return False
        places.append(place)
    bodies = [lines[a + 1 : b] for a, b in pairwise([*places, len(lines)])]
    return all(bodies) and all(
        points in (None, len(bullets_of("\n".join(body)))) for body in bodies
    )


def bold(text: str, *, min: int = 1, max: int | None = None, italic: bool = False) -> bool:
    """Parts in `**bold**`; with `italic`, in `*italic*`."""
    return within(len((_ITALIC if italic else _BOLD).findall(text)), min, max)


def title(text: str, *, first: bool = False) -> bool:
    """A title in double angle brackets, `<<so>>`; with `first`, at the very beginning, where only
    what makes it bold or a heading may stand before."""
    match = re.search(r"<<\s*[^<>\n]*[^\W_][^<>\n]*>>", text)
    if not match:
        return False
    return not first or bool(re.fullmatch(r"(?:#{1,6}\s+)?[*_]{0,3}", text[: match.start()]))


def quoted(text: str) -> bool:
    """The whole answer stands in double quotes."""
    said = text.strip()
    return len(said) > 2 and said[0] in '"“' and said[-1] in '"”' and any(map(str.isalnum, said))


def placeholders(text: str, *, min: int = 1, max: int | None = None) -> bool:
    """Different places to be filled in, such as `[name]`; links do not count."""
    return within(len({found.casefold() for found in _PLACEHOLDER.findall(text)}), min, max)


def postscript(text: str, *, marker: str = "P.S.") -> bool:
    """The last paragraph or line begins with the marker and says something."""
    lines = lines_of(text)
    for line in reversed(lines[1:]):
        said = line.strip("*_ ")
        if said.casefold().startswith(marker.casefold()):
            return sum(c.isalnum() for c in said[len(marker) :]) >= 3
    return False


def parts(text: str, *, separator: str, count: int) -> bool:
    """So many parts with words in them, parted by the separator and nothing less."""
    found = re.split(rf"(?<![*\-=]){re.escape(separator)}(?![*\-=])", text)
    return len(found) == count and all(any(map(str.isalnum, part)) for part in found)


def labelled(text: str, *, labels: Sequence[str], only: bool = True) -> bool:
    """A line `label: words` for each label, in this order; with `only`, no other line."""
    lines = lines_of(text)
    rest = iter(lines)
    for label in labels:
        if not any(_has_label(line, label) for line in rest):
            return False
    return bool(lines) and (not only or len(lines) == len(labels))


def hashtags(text: str, *, min: int = 1, max: int | None = None) -> bool:
    """Different ones."""
    return within(len({tag.casefold() for tag in _HASHTAG.findall(text)}), min, max)


def plain(text: str) -> bool:
    """No Markdown: no emphasis, headings, lists, tables or code."""
    marks = (_MARKUP, _ITALIC, _UNDERSCORED, LIST_MARK)
    return bool(text) and not any(mark.search(text) for mark in marks)


def _bare(line: str) -> str:
    before = _BEFORE_NAME.match(line)
    return line[before.end() if before else 0 :].rstrip(_AFTER_NAME).casefold()


def _has_label(line: str, label: str) -> bool:
    line = re.sub(r"^[-•]\s+", "", line).replace("**", "")
    match = re.match(rf"{re.escape(label)}\s*[:：]\s*(.*)", line, re.IGNORECASE)
    return bool(match) and any(map(str.isalnum, match.group(1) if match else ""))
