"""What draws formulas: all of it is here, with its licence, and nothing of it is fetched."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from javis.ui.edge import Payload
from javis.ui.formulas import formulas_table

ROOT = Path(__file__).resolve().parents[2]
UI = ROOT / "javis" / "ui"


class Somebody:
    name = "ann"
    is_admin = False


def test_the_page_gets_the_script_and_its_style() -> None:
    parts = formulas_table()["formulas"](Somebody(), Payload({}))
    assert parts["script"].startswith("var temml=")
    assert "math" in parts["style"]


def test_nothing_is_fetched() -> None:
    parts = formulas_table()["formulas"](Somebody(), Payload({}))
    addresses = re.findall(r"url\(\s*['\"]?([^'\")]*)", parts["style"])
    assert addresses and all(a.startswith(("data:", "%23")) for a in addresses)
    assert "@import" not in parts["style"]
    # Its parser has a method `fetch` of its own.
    calls = re.findall(
        r"(?<![.\w])(?:fetch|importScripts|XMLHttpRequest|WebSocket)\(", parts["script"]
    )
    assert len(calls) == 1 and "fetch(){" in parts["script"]


def test_it_is_installed_with_its_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["javis.ui"]
    vendored = [p.relative_to(UI).as_posix() for p in (UI / "vendor").iterdir()]
    assert len(vendored) == 3
    assert [v for v in vendored if not any(fnmatch(v, p) for p in patterns)] == []
    assert "Copyright (c) 2020 Ron Kok" in (UI / "vendor" / "temml.LICENSE").read_text("utf-8")
