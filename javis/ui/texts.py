"""The page's words, in every language it speaks."""

from __future__ import annotations

import json
from pathlib import Path
from string import Formatter

from javis.core.errors import JavisError

LANGUAGES = ("en", "ko")
FALLBACK = "en"
_FOLDER = Path(__file__).with_name("i18n")


class _Kept(dict[str, object]):
    """A placeholder without a value stays as it is: a half-filled sentence beats an exception."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


class Texts:
    """`i18n/<language>.json`: flat keys, `{name}` for what is filled in."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, str]] = {
            language: json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8"))
            for language in LANGUAGES
        }

    def say(self, language: str, key: str, **values: object) -> str:
        return self.tables[language][key].format_map(_Kept(values))

    def error(self, language: str, error: JavisError) -> str:
        """The sentence of an error's code; its own English one where none fits."""
        text = self.tables[language].get(f"error.{error.code}")
        if text is None or not _placeholders(text) <= error.values.keys():
            return str(error)
        return text.format_map(self.named(language, error.values))

    def for_browser(self) -> str:
        """What the page's script says by itself, as a JSON object by language."""
        shown = {
            language: {k: v for k, v in table.items() if not k.startswith(("error.", "field."))}
            for language, table in self.tables.items()
        }
        return json.dumps(shown, ensure_ascii=False)

    def named(self, language: str, values: dict[str, object]) -> dict[str, object]:
        """The values of an error, with the field that it names in the page's language."""
        table = self.tables[language]
        return {
            k: table.get(f"field.{v}", v) if k in ("what", "name", "field") else v
            for k, v in values.items()
        }
