"""An engine of the command line's own, for many questions at once, also beside a running server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from javis.core.protocols import Engine
from javis.core.settings import Settings
from javis.engine import catalog, hardware

CONTEXT = 4096
"""Enough for every question, and half the memory that a chat takes for each of them; so there may
be twice as many at once."""


@contextmanager
def wide_engine(settings: Settings, say: Callable[[str], None]) -> Iterator[Engine]:
    """The model that a server with these settings would serve; what the user set is kept."""
    from javis.app import load_engine  # heavy

    found = hardware.detect()
    settings = settings.model_copy(update={"context": settings.context or CONTEXT})
    choice = catalog.resolve(settings, found)
    path = catalog.obtain(choice, settings, say)
    engine = load_engine(settings, choice, path, found.cores, say)
    try:
        yield engine
    finally:
        engine.close()
