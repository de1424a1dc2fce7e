"""`javis export` and `javis take-in`: they work on the journal, also while the chat runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from javis.commands.model import control_tokens
from javis.core.errors import UserInputError
from javis.core.settings import Settings
from javis.service.export import Exported, ExportService, Filter, Format
from javis.service.preferences import Preferences
from javis.service.review import ReviewService
from javis.store import Store

Say = Callable[[str], None]
BLOCK_BYTES = 1 << 20
STDOUT = "-"


def export(
    settings: Settings,
    store: Store,
    format: Format,
    feedback_filter: Filter,
    output: Path | None,
    say: Say,
) -> None:
    """Write approved turns to the exports folder, to `output`, or to the standard output."""
    service = _service(settings, store)
    if str(output) == STDOUT:
        for block in service.stream(format, feedback_filter):
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        return
    writing = service.open(format, feedback_filter, output)
    for _ in writing.blocks():
        pass
    for line in _report(writing.exported):
        say(line)


def take_in(settings: Settings, store: Store, file: Path, say: Say, *, dry_run: bool) -> bool:
    """Take edited rows in, and say what came of each bad one. False when there was a bad one."""
    service = _service(settings, store)
    if not file.exists() or file.is_dir():
        raise UserInputError("no_file", "There is no file {path}.", path=file)
    with file.open("rb") as source:
        taken = service.take_in(_blocks(source), by="command line", dry_run=dry_run)
    for line, _, message in taken.bad:
        say(f"line {line}: {message}")
    for line, found in taken.flagged:
        say(f"line {line}: taken, but look at it: {', '.join(found)}")
    would = "Would be taken in" if dry_run else "Taken in"
    say(f"{would}: {taken.accepted}. Known already: {taken.unchanged}. Bad: {len(taken.bad)}.")
    return not taken.bad


def _service(settings: Settings, store: Store) -> ExportService:
    review = ReviewService(store, Preferences(store), control_tokens(settings))
    return ExportService(store, review, settings.exports_dir)


def _report(done: Exported) -> Iterator[str]:
    yield f"{done.rows} rows from {done.conversations} conversations are in {done.path}"
    yield f"What went into it is in {done.manifest}"
    free = shutil.disk_usage(done.path.parent).free
    if free < 1 << 30:
        yield f"The disk is nearly full: {free >> 20} MiB are left."


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    while block := source.read(BLOCK_BYTES):
        yield block
