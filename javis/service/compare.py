"""Versions side by side: the table, its figures, their answers, and a report to keep."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from javis.core.errors import UserInputError
from javis.core.evaluation import ItemResult, SuiteName, SuiteReport
from javis.core.learning import Prices
from javis.core.types import MAX_MESSAGE_CHARS, Chunk, Message, SamplingParams, check_text
from javis.eval.charts import Chart, charts
from javis.eval.compare import compare, same_questions
from javis.eval.comparison import Note, Source, Table
from javis.service.compare_answers import (
    SHAREABLE,
    Answer,
    Asked,
    AskedPage,
    Example,
    Said,
    prompt_of,
    telling,
)
from javis.service.compare_reports import Reports
from javis.service.compare_scores import Scores
from javis.service.compare_sources import Sources
from javis.service.completions import CompletionService
from javis.service.review import ReviewFilters, ReviewService

__all__ = ["Answer", "Asked", "AskedPage", "CompareService", "Comparison", "Said", "compare_json"]
MAX_VERSIONS = 12
"""More columns than that nobody can read."""
MAX_PROMPTS = 20
MAX_ANSWERS = 500
ANSWER_TOKENS = 256


class Wanted(Protocol):
    """The user's prices (Preferences)."""

    def prices(self) -> Prices: ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """The table with its figures; `compare_json` makes JSON of it."""

    table: Table
    charts: tuple[Chart, ...]


def compare_json(comparison: Comparison) -> dict[str, Any]:
    """The table and the figures' data as JSON, for the routes, the page and the report."""
    figures = {chart.name: chart.plain() for chart in comparison.charts}
    return comparison.table.plain() | {"figures": figures}


class CompareService:
    """For admins: it shows everybody's data. `completions` None: nothing can be asked."""

    def __init__(
        self,
        sources: Sources,
        review: ReviewService,
        preferences: Wanted,
        exports_dir: Path,
        *,
        scores: Scores | None = None,
        completions: CompletionService | None = None,
    ) -> None:
        self._sources = sources
        self._review = review
        self._preferences = preferences
        self._reports = Reports(exports_dir)
        self._scores = scores
        self._completions = completions

    # -- the table -------------------------------------------------------------------------

    def names(self) -> list[str]:
        """What can be compared: the base and the versions, oldest first. Runs go by their id."""
        return self._sources.names()

    def table(self, names: Sequence[str] = (), notes: Sequence[Note] = ()) -> Comparison:
        """These versions (or ids of runs) side by side; without any, the base and the newest.

        `notes` are what else a reader must know.
        Raises NotFound for a name that is nothing, UserInputError for too many.
        """
        sources = self._sources.of(self._chosen(names))
        reports = self._scores.reports(sources) if self._scores else []
        results = self._scores.results if self._scores else _nothing
        table = compare(sources, reports, results, self._preferences.prices())
        table = replace(table, notes=(*notes, *table.notes))
        return Comparison(table, charts(table, self._filters()))

    def _chosen(self, names: Sequence[str]) -> Sequence[str]:
        if not names:
            every = self.names()
            return every[:1] + every[1:][-(MAX_VERSIONS - 1) :]
        if len(set(names)) > MAX_VERSIONS:
            raise UserInputError(
                "too_many_versions",
                "At most {limit} versions can be compared at once.",
                limit=MAX_VERSIONS,
            )
        return names

    def _filters(self) -> dict[str, int]:
        return self._review.page(ReviewFilters(), limit=0).counts

    # -- a report to keep ------------------------------------------------------------------

    def report(self, names: Sequence[str] = ()) -> Path:
        """Write the table, its figures and a page that shows them; returns the folder."""
        return self.save(self.table(names))

    def save(self, comparison: Comparison) -> Path:
        """Write the report of a comparison that is there already."""
        from javis.service.compare_files import files_of  # heavy: matplotlib

        return self._reports.save(files_of(comparison, self._examples(comparison.table)))

    def _examples(self, table: Table) -> list[Example]:
        """Answers that show where the versions differ, of suites that may be shown around."""
        sources = self._sources.of([row.version for row in table.rows])
        suites = [suite for suite in table.suites if suite in SHAREABLE]
        return [e for suite in suites for e in telling(suite, self._of_suite(sources, suite))]

    @property
    def saved(self) -> Reports:
        """The reports written so far."""
        return self._reports

    # -- answers ---------------------------------------------------------------------------

    def answers(
        self,
        names: Sequence[str],
        *,
        suite: SuiteName | None = None,
        prompts: Sequence[str] = (),
        only_different: bool = False,
        offset: int = 0,
        limit: int = 50,
    ) -> AskedPage:
        """What these versions said to the items of a suite, or say now to prompts of one's own."""
        sources = self._sources.of(self._chosen(names))
        if (suite is None) == (not prompts):
            raise UserInputError("suite_or_prompts", "Name a suite, or prompts, not both.")
        if suite:
            rows = self._of_suite(sources, suite)
        else:
            rows = self._asked([source.name for source in sources], prompts)
        if only_different:
            rows = [row for row in rows if not row.same]
        first = max(0, offset)
        return AskedPage(tuple(rows[first : first + max(0, min(limit, MAX_ANSWERS))]), len(rows))

    def ask(
        self, names: Sequence[str], prompt: str, owner: str = "local"
    ) -> Generator[Said, None, None]:
        """Ask all of these one prompt at once; their answers come in pieces, mixed.

        Each version's last piece has a chunk with `finish`. Temperature 0, so that a difference
        is the versions' and not luck. Closing it stops them.
        """
        names = [source.name for source in self._sources.of(self._chosen(names))]
        message = Message("user", check_text(prompt, "The message", MAX_MESSAGE_CHARS))
        if self._completions is None:
            raise UserInputError("nothing_answers", "No model is loaded that could answer.")
        sampling = SamplingParams(temperature=0.0, max_tokens=ANSWER_TOKENS, seed=0)
        # Refused for all before the first is asked.
        asked = {
            name: self._completions.complete(owner, [message], sampling, name).chunks
            for name in names
        }
        return _mixed(asked)

    def _asked(self, names: Sequence[str], prompts: Sequence[str]) -> list[Asked]:
        if len(prompts) > MAX_PROMPTS:
            raise UserInputError(
                "too_many_prompts", "At most {limit} prompts can be asked.", limit=MAX_PROMPTS
            )
        rows = []
        for prompt in prompts:
            texts = dict.fromkeys(names, "")
            last: dict[str, Chunk] = {}
            for said in self.ask(names, prompt):
                texts[said.version] += said.chunk.text
                last[said.version] = said.chunk
            answers = {name: _answer(texts[name], last.get(name)) for name in names}
            rows.append(Asked("", prompt, "", "", answers))
        return rows

    def _of_suite(self, sources: Sequence[Source], suite: SuiteName) -> list[Asked]:
        if self._scores is None:
            return []
        kept, _ = same_questions(self._scores.reports(sources))
        found: dict[str, dict[str, ItemResult]] = {}
        for (name, version), report in kept.items():
            for result in self._scores.results(report) if name == suite else ():
                found.setdefault(result.item, {})[version] = result
        prompts = {item.id: prompt_of(item) for item in self._scores.items(suite)}
        order = {item: number for number, item in enumerate(prompts)}
        rows = []
        for item in sorted(found, key=lambda i: (order.get(i, len(order)), i)):
            by_version = found[item]
            one = next(iter(by_version.values()))
            answers = {
                name: Answer("\n\n".join(r.answers), r.score, r.details, r.seconds, r.tokens)
                for name, r in by_version.items()
            }
            rows.append(Asked(item, prompts.get(item, ""), one.language, one.group, answers))
        return rows


def _nothing(report: SuiteReport) -> list[ItemResult]:
    return []


def _answer(text: str, last: Chunk | None) -> Answer:
    timings = last.timings if last else None
    if timings is None:
        return Answer(text)
    return Answer(text, seconds=timings.total_ms / 1000, tokens=timings.completion_tokens)


def _mixed(asked: Mapping[str, Generator[Chunk, None, None]]) -> Generator[Said, None, None]:
    """A piece of each in turn: the engine writes on in all of them meanwhile."""
    with ExitStack() as stack:
        left = {name: stack.enter_context(closing(chunks)) for name, chunks in asked.items()}
        while left:
            for name in list(left):
                chunk = next(left[name], None)
                if chunk is None:
                    del left[name]
                else:
                    yield Said(name, chunk)
