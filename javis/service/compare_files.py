"""The files of a comparison report: table, data, and (with matplotlib) figures and a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import javis
from javis.dataset import csv_cells
from javis.eval.comparison import Row, Table
from javis.eval.figures import draw, has_hangul
from javis.service.compare import Comparison, compare_json
from javis.service.compare_answers import Example
from javis.service.report_page import page_of
from javis.service.report_words import LANGUAGES, Words
from javis.store import now_iso

_TABLE = (
    "version",
    "method",
    "state",
    "base_model",
    "parent",
    "created_at",
    "turns",
    "epochs",
    "learning_rate",
    "eval_loss",
    "perplexity",
    "base_loss",
    "loss_change",
    "held_out_rows",
    "mean_score",
    "trainable_parameters",
    "seconds",
    "size_bytes",
    "peak_memory_bytes",
    "passed",
)
_COSTS = ("local", "rented", "serverless")
QUOTE = '"'


def files_of(comparison: Comparison, examples: Sequence[Example] = ()) -> dict[str, bytes]:
    """All files of the report by name."""
    table, charts = comparison.table, comparison.charts
    made_at = now_iso()
    plain = {
        "created_at": made_at,
        "app_version": javis.__version__,
        **compare_json(comparison),
        "examples": [asdict(example) for example in examples],
    }
    pictures = _pictures(comparison)
    files = {
        "comparison_summary.csv": csv_of(table).encode("utf-8-sig"),
        "report.json": json.dumps(plain, indent=1, ensure_ascii=False).encode("utf-8") + b"\n",
        "report.html": page_of(table, charts, pictures, examples, made_at).encode("utf-8"),
    }
    return files | {picture_name(*key): data for key, data in pictures.items()}


def picture_name(chart: str, language: str) -> str:
    """`efficiency.png` is English, `efficiency_ko.png` Korean."""
    return f"{chart}.png" if language == "en" else f"{chart}_{language}.png"


def _pictures(comparison: Comparison) -> dict[tuple[str, str], bytes]:
    """Every chart in every language that this computer has a font for."""
    found: dict[tuple[str, str], bytes] = {}
    for language in LANGUAGES:
        if language == "ko" and not has_hangul():
            continue
        words = Words(language)
        names = {row.version: words.version(row) for row in comparison.table.rows}
        for chart in comparison.charts:
            found[chart.name, language] = draw(chart, words, names)
    return found


def csv_of(table: Table) -> str:
    """The table, a line for each version, safe to open in a spreadsheet."""
    scores = [f"{s}{end}" for s in table.suites for end in ("", "_low", "_high", "_items")]
    header = [*_TABLE, *(f"cost_{name}" for name in _COSTS), *scores]
    lines = [",".join(name.replace("-", "_") for name in header)]
    for row in table.rows:
        cells = [_cell(getattr(row, name)) for name in _TABLE]
        cells += [_cell(row.cost and getattr(row.cost, name)) for name in _COSTS]
        lines.append(",".join([*cells, *_score_cells(row, table)]))
    return "".join(f"{line}\r\n" for line in lines)


def _score_cells(row: Row, table: Table) -> list[str]:
    cells = []
    for suite in table.suites:
        score = row.scores.get(suite)
        estimate = score.estimate if score else None
        cells += [_cell(estimate and getattr(estimate, n)) for n in ("value", "low", "high")]
        cells.append(_cell(score and (score.shared if estimate else score.done)))
    return cells


def _cell(value: object) -> str:
    """A number as it is; of what people wrote nothing that a spreadsheet would run."""
    if value is None:
        return ""
    if isinstance(value, (bool, int, float)):
        return repr(value)
    return f'"{csv_cells.safe(str(value)).replace(QUOTE, QUOTE * 2)}"'
