"""Gradio's import without its stub files.

For every component class, Gradio (6.31, `component_meta.create_or_modify_pyi`) parses the source
that it was just loaded from and writes a `.pyi` for editors beside it: half the time of its import,
at every start. Nobody edits here. The function is replaced as its module is loaded, since the
classes are made in the course of the same import.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

_MODULE = "gradio.component_meta"
_WRITER = "create_or_modify_pyi"


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if hasattr(module, _WRITER):
            setattr(module, _WRITER, lambda *_: None)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def write_no_stubs() -> None:
    """To be called before anything imports Gradio; without effect after that."""
    sys.meta_path.insert(0, _Finder())
