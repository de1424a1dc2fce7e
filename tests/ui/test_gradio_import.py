"""The page starts without Gradio writing files for editors."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import ast

parse, parsed = ast.parse, []
ast.parse = lambda source, *rest, **more: parsed.append(1) or parse(source, *rest, **more)
import {first}
import gradio
print(len(parsed))
"""


def sources_parsed(first: str) -> int:
    """How many sources are parsed in a fresh Python that imports `first`, then Gradio."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(run.stdout)


def test_the_sources_of_its_components_are_not_parsed() -> None:
    assert sources_parsed("gradio") > 100
    assert sources_parsed("javis.ui.texts") < 20
