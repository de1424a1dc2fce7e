"""The words of reports, in both languages: those of the page, so that a thing has one name."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from string import Formatter

from javis.eval.comparison import BASE, Note, Row

LANGUAGES = ("en", "ko")
_METHODS = ("sft-lora", "sft-qlora", "dpo", "kto", "prompt-tuning", "ia3")
_RUN_ID_LETTERS = 8


@cache
def _table(language: str) -> dict[str, str]:
    # The page's data, none of its code: they lie beside it as package data.
    file = resources.files("javis") / "ui" / "i18n" / f"{language}.json"
    table: dict[str, str] = json.loads(file.read_text("utf-8"))
    return table


class Words:
    """Says keys in one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._table = _table(language)

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key; the key's own last word where there is none."""
        text = self._table.get(key, key.rpartition(".")[2])
        known = {name: "" for _, name, _, _ in Formatter().parse(text) if name}
        return text.format(**known | values) if known else text

    def method(self, method: str) -> str:
        if method not in _METHODS:
            return method
        return self(f"report.method_{method.replace('-', '_')}")

    def suite(self, suite: object) -> str:
        return self(f"suite.{str(suite).replace('-', '_')}")

    def version(self, row: Row) -> str:
        """What a row is called: the version with its method."""
        if row.version == BASE:
            return self("report.base")
        name = self.name(row.version)
        return f"{name} · {self.method(row.method)}" if row.method else name

    def name(self, version: str) -> str:
        """A version's name; runs have a long one, of which the beginning is enough."""
        if version.startswith("j_"):
            return self("report.run", id=version[2 : 2 + _RUN_ID_LETTERS])
        return version

    def note(self, note: Note) -> str:
        values = dict(note.values)
        if "suite" in values:
            values["suite"] = self.suite(values["suite"])
        if "versions" in values:
            values["versions"] = ", ".join(self.name(str(name)) for name in values["versions"])
        if "method" in values:
            values["method"] = self.method(str(values["method"]))
        return self(f"report.note_{note.code}", column=self("report.loss_change"), **values)
