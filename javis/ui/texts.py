"""The page's words, in every language it speaks."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from string import Formatter

from javis.core.errors import Errors, JavisError
from javis.core.sentence import Sentence
from javis.ui.particles import settle

LANGUAGES = ("en", "ko")
FALLBACK = "en"
_SERVER_ONLY = ("error.", "field.", "broken.", "chosen.")
"""Keys of sentences that the page is told whole."""
_UNITS = {"max_length": "hyper.tokens", "save_steps": "hyper.steps", "max_steps": "hyper.steps"}
"""What a range is counted in, where a number alone does not say it."""
SYSTEM_REASONS = {
    os.strerror(number): f"error.os_{name}"
    for number, name in (
        (errno.ENOSPC, "no_space"),
        (errno.EDQUOT, "no_space"),
        (errno.EROFS, "read_only"),
        (errno.EACCES, "not_allowed"),
        (errno.EPERM, "not_allowed"),
        (errno.EIO, "disk_fault"),
        (errno.ENOENT, "not_there"),
    )
}
"""What the operating system says of a file, by the keys of the same in the page's language."""
_FOLDER = Path(__file__).with_name("i18n")


class _Kept(dict[str, object]):
    """A placeholder without a value stays as it is: a half-filled sentence beats an exception."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _number(value: float) -> str:
    """A limit as the page's script writes it: 131,072, 0.01, 1e-8."""
    if value and abs(value) < 1e-3:
        digits, _, power = f"{value:.0e}".partition("e")
        return f"{digits}e{int(power)}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")


def _settled(language: str, text: str) -> str:
    return settle(text) if language == "ko" else text


def _pattern(text: str) -> re.Pattern[str]:
    """What matches every sentence that `text` can be filled to."""
    parts = ((re.escape(plain), name) for plain, name, _, _ in Formatter().parse(text))
    return re.compile("".join(p + (f"(?P<{n}>.+)" if n else "") for p, n in parts), re.DOTALL)


class Texts:
    """`i18n/<language>.json`: flat keys, `{name}` for what is filled in."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, str]] = {
            language: json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8"))
            for language in LANGUAGES
        }
        self._broken = [
            (key, _pattern(text))
            for key, text in self.tables[FALLBACK].items()
            if key.startswith("broken.")
        ]

    def say(self, language: str, key: str, **values: object) -> str:
        return _settled(language, self.tables[language][key].format_map(_Kept(values)))

    def error(self, language: str, error: JavisError) -> str:
        """The sentence of an error's code; its own English one where none fits."""
        text = self.tables[language].get(f"error.{error.code}")
        if text is None or not _placeholders(text) <= error.values.keys():
            return self.reason(language, str(error))
        return _settled(language, text.format_map(self.named(language, error.values)))

    def chosen(self, language: str, sentence: Sentence) -> str:
        """Why an engine or a model was picked."""
        return self.say(language, f"chosen.{sentence.code}", **sentence.values)

    def reason(self, language: str, sentence: str) -> str:
        """What is wrong with a version, in the page's language.

        It reaches the page as the English sentence that `engine.adapter.broken` made, which says
        which template and values it came from; another sentence stays as it is.
        """
        for key, pattern in self._broken:
            if found := pattern.fullmatch(sentence):
                values = {k: self.reason(language, v) for k, v in found.groupdict().items()}
                return self.say(language, key, **values)
        return sentence

    def for_browser(self) -> str:
        """What the page's script says by itself, as a JSON object by language."""
        shown = {
            language: {k: v for k, v in table.items() if not k.startswith(_SERVER_ONLY)}
            for language, table in self.tables.items()
        }
        return json.dumps(shown, ensure_ascii=False)

    def named(self, language: str, values: dict[str, object]) -> dict[str, object]:
        """The values of an error, with what has words of its own in the page's language."""
        words = {k: self._word(language, k, v) for k, v in values.items()}
        if (unit := _UNITS.get(str(values.get("field")))) and "high" in words:
            words["high"] = self.say(language, unit, count=words["high"])
        return words

    def _word(self, language: str, name: str, value: object) -> object:
        if isinstance(value, JavisError):
            return self.error(language, value)
        if isinstance(value, Errors):
            return "\n".join(self.error(language, error) for error in value)
        if isinstance(value, (int, float)) and name in ("low", "high"):
            return _number(value)
        if name in ("what", "name", "field"):
            return self.tables[language].get(f"field.{value}", value)
        if name not in ("why", "reason"):
            return value
        said = str(value)
        return self.tables[language].get(SYSTEM_REASONS.get(said, ""), self.reason(language, said))
