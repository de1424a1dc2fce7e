"""`javis compare`: versions side by side from what is on the disk, and the report of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from javis.commands.evaluate import suites_of
from javis.commands.model import control_tokens
from javis.core.settings import Settings
from javis.core.types import BASE, Version
from javis.engine import catalog, hardware
from javis.eval.comparison import Note, Row, Table
from javis.service.compare import CompareService
from javis.service.compare_scores import Scores
from javis.service.compare_sources import Sources
from javis.service.preferences import Preferences
from javis.service.report_words import Words
from javis.service.review import ReviewService
from javis.store import Store
from javis.train.supervisor import Supervisor
from javis.versions.registry import Registry

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DiskVersions:
    """The versions on disk, and the base that a server with these settings would serve."""

    registry: Registry
    model: str

    def all(self) -> list[Version]:
        return [Version(BASE, None, self.model, None), *self.registry.versions()]

    def current(self) -> str:
        return self.registry.current()


@contextmanager
def opened(settings: Settings, store: Store) -> Iterator[CompareService]:
    """What compares, without loading a model."""
    registry = Registry(settings.models_dir)
    preferences = Preferences(store)
    sources = Sources(
        DiskVersions(registry, model_of(settings)),
        registry,
        store.jobs,
        Supervisor(settings.data_dir / "runs"),
    )
    with suites_of(settings) as suites:
        yield CompareService(
            sources,
            ReviewService(store, preferences, control_tokens(settings)),
            preferences,
            settings.exports_dir,
            scores=Scores(settings.data_dir / "eval", suites),
        )


def model_of(settings: Settings) -> str:
    """The base that a server with these settings would serve."""
    return catalog.resolve(settings, hardware.detect()).model.id


def run(
    settings: Settings,
    store: Store,
    say: Say,
    names: Sequence[str],
    *,
    notes: Sequence[Note] = (),
    write: bool = True,
) -> None:
    """Print the table and write the report."""
    with opened(settings, store) as service:
        comparison = service.table(names, notes)
        for line in lines(comparison.table):
            say(line)
        if write:
            say(f"The report is in {service.save(comparison)}")


def lines(table: Table) -> Iterator[str]:
    """The table as text, a line for each version, and what must be known to read it."""
    from javis.eval.figures import shown  # heavy: matplotlib

    words = Words("en")
    heads = ["version", "loss", "to base", "perplexity", *table.suites, "params", "time", "size"]
    rows = [heads]
    for row in table.rows:
        cells = [
            _label(words, row),
            "-" if row.eval_loss is None else f"{row.eval_loss:.3f}",
            "-" if row.loss_change is None else shown(row.loss_change, "change"),
            "-" if row.perplexity is None else f"{row.perplexity:.1f}",
        ]
        for suite in table.suites:
            score = row.scores.get(suite)
            value = score.estimate if score else None
            cells.append("-" if value is None else f"{100 * value.value:.1f}")
        for number, unit in (
            (row.trainable_parameters, "parameters"),
            (row.seconds, "s"),
            (row.size_bytes, "bytes"),
        ):
            cells.append("-" if number is None else shown(number, unit))  # type: ignore[arg-type]
        rows.append(cells)
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    for cells in rows:
        first, *others = (cell.ljust(w) for cell, w in zip(cells, widths, strict=True))
        yield "  ".join([first, *others]).rstrip()
    for note in table.notes:
        yield f"* {words.note(note)}"
    yield f"* {words(f'report.loss_from_{table.loss_from}')}"


def _label(words: Words, row: Row) -> str:
    return words.version(row) + (f" ({words('report.in_use')})" if row.current else "")
