"""How long: words, characters, sentences, lines. Every check wants at least one of its unit."""

from __future__ import annotations

import re
from collections.abc import Sequence

from javis.eval.checks.letters import unlabelled
from javis.eval.checks.text import lines_of, paragraphs_of, sentences_of, within, words_of

_TILDE = re.compile(r"(?<=[가-힣][다자어아해지네까냐래게요죠]|나와|거야)[~∼〜～]+(?=\s+[^\s\d])")
"""After an ending; 야 and 와 are mostly those of a call (콩이야~, 우와~)."""


def words(text: str, *, min: int = 1, max: int | None = None) -> bool:
    return within(len(words_of(text)), min, max)


def characters(text: str, *, min: int = 1, max: int | None = None, spaces: bool = True) -> bool:
    """With white space inside the text, or without any."""
    return within(len(text if spaces else "".join(text.split())), min, max)


def sentences(text: str, *, min: int = 1, max: int | None = None) -> bool:
    """A tilde may end one ("가자~ 얼른 와!"), or only draw out a call ("수지야~ 얼른 와!")."""
    readings = (text, _TILDE.sub(".", text))
    return any(within(len(sentences_of(reading)), min, max) for reading in readings)


def paragraphs(text: str, *, min: int = 1, max: int | None = None) -> bool:
    return within(len(paragraphs_of(text)), min, max)


def lines(text: str, *, min: int = 1, max: int | None = None) -> bool:
    return within(len(lines_of(text)), min, max)


def each_line(
    text: str,
    *,
    min_words: int = 1,
    max_words: int | None = None,
    min_characters: int = 1,
    max_characters: int | None = None,
    letters: Sequence[str] = (),
) -> bool:
    """Every line that says something; characters count without white space. With the `letters` of
    an acrostic their labels, which it allows, do not count."""
    found = lines_of(text)
    for at, letter in enumerate(letters[: len(found)]):
        found[at] = unlabelled(found[at], letter)
    return bool(found) and all(
        within(len(words_of(line)), min_words, max_words)
        and within(len("".join(line.split())), min_characters, max_characters)
        for line in found
    )


def each_sentence(text: str, *, min_words: int = 1, max_words: int | None = None) -> bool:
    found = sentences_of(text)
    return bool(found) and all(within(len(words_of(s)), min_words, max_words) for s in found)


def each_word(text: str, *, min: int = 1, max: int | None = None) -> bool:
    """Letters and digits of every word."""
    found = [sum(c.isalnum() for c in word) for word in words_of(text)]
    return bool(found) and all(within(letters, min, max) for letters in found)
