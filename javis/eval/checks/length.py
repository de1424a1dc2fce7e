"""How long: words, characters, sentences, lines. Every check wants at least one of its unit."""

from __future__ import annotations

from collections.abc import Sequence

from javis.eval.checks.letters import unlabelled
from javis.eval.checks.text import lines_of, paragraphs_of, sentences_of, within, words_of


def words(text: str, *, min: int = 1, max: int | None = None) -> bool:
    return within(len(words_of(text)), min, max)


def characters(text: str, *, min: int = 1, max: int | None = None, spaces: bool = True) -> bool:
    """With white space inside the text, or without any."""
    return within(len(text if spaces else "".join(text.split())), min, max)


def sentences(text: str, *, min: int = 1, max: int | None = None) -> bool:
    return within(len(sentences_of(text)), min, max)


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
