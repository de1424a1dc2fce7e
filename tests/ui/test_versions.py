"""The page of versions shows of a training what its method used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from javis.core.learning import METHODS, Method
from javis.train.hyperparameters import RANGES, USED
from javis.ui import versioning

SOURCE = Path(versioning.__file__).with_name("versions.js").read_text("utf-8")


@pytest.mark.parametrize("method", METHODS)
def test_only_the_settings_of_the_method_are_shown(method: Method) -> None:
    patterns = dict(re.findall(r"const (\w+) = /(.+)/;", SOURCE))
    table = SOURCE.partition("const ONLY_FOR = {")[2].partition("};")[0]
    only_for = {
        name: patterns.get(given, given.strip("/"))
        for name, given in re.findall(r"(\w+): (/.+?/|\w+)", table)
    }
    assert len(only_for) > 5
    shown = {n for n in RANGES if n not in only_for or re.search(only_for[n], method)}
    assert shown == set(USED[method])
