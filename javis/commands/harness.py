"""`javis eval --harness`: tasks of lm-evaluation-harness, asked of versions."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version as version_of
from pathlib import Path

from javis.commands.engine import wide_engine
from javis.core.errors import UserInputError
from javis.core.protocols import Engine
from javis.core.settings import Settings
from javis.core.types import BASE
from javis.eval.harness_results import HarnessResults, Kept, Row
from javis.service.eval_results import subject_of
from javis.store import now_iso
from javis.versions.registry import Registry

Say = Callable[[str], None]


def run(
    settings: Settings,
    tasks: Sequence[str],
    say: Say,
    *,
    versions: Sequence[str] = (),
    limit: int | None = None,
    folder: Path | None = None,
    chat: bool = False,
    json_file: Path | None = None,
) -> None:
    """Ask, print and keep for the page; without `versions`, of the one in use and the base.

    `tasks` are names (`kobest`, `haerae_history`) or YAML files; `folder` holds more of them.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise UserInputError(
            "no_harness",
            "The package lm_eval is missing. Install it into the Python that JAVIS uses: "
            "{python} -m pip install -r requirements-eval.txt",
            python=sys.executable,
        )
    with opened(settings, say) as engine:
        registry = Registry(settings.models_dir)
        names = list(versions) or list(dict.fromkeys((registry.current(), BASE)))
        for name in names:
            if name not in engine.versions():
                raise UserInputError("no_version", "There is no version {name}.", name=name)
        known = {version.name: version for version in registry.versions()}
        results = HarnessResults(settings.data_dir / "eval")

        def keep(name: str, rows: Sequence[Row]) -> None:
            how = (chat, limit, version_of("lm_eval"), now_iso())
            sha256 = known[name].sha256 or "" if name != BASE else ""
            results.keep(subject_of(engine.info, name, sha256), [Kept(name, r, *how) for r in rows])

        ask(
            engine,
            names,
            tasks,
            say,
            limit=limit,
            folder=folder,
            chat=chat,
            json_file=json_file,
            keep=keep,
        )


def ask(
    engine: Engine,
    versions: Sequence[str],
    tasks: Sequence[str],
    say: Say,
    *,
    limit: int | None = None,
    folder: Path | None = None,
    chat: bool = False,
    json_file: Path | None = None,
    keep: Callable[[str, Sequence[Row]], None] | None = None,
) -> dict[str, list[Row]]:
    """Each version in turn; what is said and written names engine and model. `keep` is given each
    version's numbers as soon as they are known."""
    from javis.eval import harness  # heavy: the tasks' libraries

    found: dict[str, list[Row]] = {}
    for name in versions:
        lm = harness.EngineLM(engine, name, workers=engine.info.parallel, progress=_counter(name))
        found[name] = harness.run(lm, tasks, folder=folder, limit=limit, chat=chat)
        if keep:
            keep(name, found[name])
        if lm.shortened:
            say(
                f"{name}: the beginning of {lm.shortened} contexts was left out; they are longer "
                "than the model can read."
            )
    for line in table(found):
        say(line)
    if json_file:
        json_file.write_text(harness.as_json(found, engine.info), "utf-8")
    return found


def table(found: dict[str, list[Row]]) -> Iterator[str]:
    """A line for each number and version."""
    yield f"{'task':<32} {'metric':<28} {'version':<10} {'items':>6}  value"
    for name, rows in found.items():
        for row in rows:
            error = "" if row.error is None else f" ± {row.error:.4f}"
            yield (
                f"{row.task:<32} {row.metric:<28} {name:<10} {row.items:>6}  {row.value:.4f}{error}"
            )


@contextmanager
def opened(settings: Settings, say: Say) -> Iterator[Engine]:
    """The engine that a server with these settings would use, with the versions on disk."""
    with wide_engine(settings, say) as engine:
        good = [v for v in Registry(settings.models_dir).versions() if v.damaged is None]
        for name, why in engine.use_versions(good).items():
            say(f"{name} cannot be asked: {why}")
        yield engine


def _counter(name: str) -> Callable[[int, int], None]:
    """Progress on one line of the screen, where there is one."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{name}: {done} of {total}" + "\n" * (done == total))
            sys.stderr.flush()

    return show
