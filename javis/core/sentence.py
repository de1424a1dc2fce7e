"""A sentence for the user that is no error, in English and in every language of the page."""

from __future__ import annotations


class Sentence:
    """The English sentence, and what another language needs to say the same.

    The page shows `chosen.<code>` of its own language, filled with `values`.
    """

    __slots__ = ("_english", "code", "values")

    def __init__(self, code: str, english: str, **values: object) -> None:
        self._english = english
        self.code = code
        self.values = values

    def __str__(self) -> str:
        return self._english.format(**self.values)
