"""The comparison as one HTML page in both languages, its figures inside: nothing is fetched."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

import javis
from javis.eval.charts import Chart
from javis.eval.comparison import Row, Score, Table
from javis.eval.figures import shown
from javis.service.compare_answers import Answer, Example
from javis.service.report_words import LANGUAGES, Words

_MAX_TEXT = 1200
"""Characters of a prompt or an answer that are shown."""
Pictures = Mapping[tuple[str, str], bytes]
"""PNGs by chart and language."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2d2b; --paper: #fff; --line: #d0d7d6; --dim: #5a6866;
  --good: #0b6e66; --bad: #b3400a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4ecea; --paper: #15201e; --line: #3a4745;
  --dim: #9fb0ad; --good: #5fd0c2; --bad: #ff9c66; } }
body { font: 16px/1.6 Pretendard, "Apple SD Gothic Neo", "Noto Sans KR", "Malgun Gothic",
  sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto; max-width: 1100px;
  padding: 1rem; word-break: keep-all; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .4rem .7rem; text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--paper); }
table.said { width: 100%; table-layout: fixed; min-width: 34rem; }
table.said td, table.said th { text-align: left; white-space: normal; vertical-align: top;
  position: static; }
blockquote { margin: .5rem 0; padding: .2rem 1rem; border-left: 3px solid var(--good); }
small { color: var(--dim); display: block; }
.better { color: var(--good); } .worse { color: var(--bad); }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; height: auto; background: #fff;
  border-radius: 8px; } figcaption { color: var(--dim); }
fieldset { border: 0; padding: 0; margin: 0; }
body:has(#show-en:checked) [lang=ko].text, body:has(#show-ko:checked) [lang=en].text {
  display: none; }
"""
_SCRIPT = """
const wanted = (navigator.language || "en").startsWith("ko") ? "show-ko" : "show-en";
document.getElementById(wanted).checked = true;
"""
_NAMES = {"en": "English", "ko": "한국어"}


def page_of(
    table: Table,
    charts: tuple[Chart, ...],
    pictures: Pictures,
    examples: Sequence[Example],
    made_at: str,
) -> str:
    """The whole page."""
    choices = "".join(
        f'<label><input type="radio" name="language" id="show-{name}"'
        f"{' checked' if name == 'en' else ''}> <span lang={name}>{_NAMES[name]}</span></label> "
        for name in LANGUAGES
    )
    bodies = ""
    for name in LANGUAGES:
        words = Words(name)
        inside = _body(words, table, charts, pictures, made_at) + _examples(words, table, examples)
        bodies += f'<main class="text" lang="{name}">{inside}</main>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>JAVIS · {escape(Words('en')('report.title'))}</title><style>{_STYLE}</style>"
        f"</head><body><fieldset>{choices}</fieldset>{bodies}<script>{_SCRIPT}</script>"
        "</body></html>\n"
    )


def _body(
    words: Words, table: Table, charts: tuple[Chart, ...], pictures: Pictures, made_at: str
) -> str:
    made = words("report.made", at=made_at[:16].replace("T", " "), app=javis.__version__)
    notes = [words.note(note) for note in table.notes]
    notes.append(words(f"report.loss_from_{table.loss_from}"))
    if table.suites:
        reference = next(row for row in table.rows if row.version == table.reference)
        notes.append(words("report.reference", version=words.version(reference)))
    figures = "".join(
        _figure(words, chart, pictures) for chart in charts if (chart.name, "en") in pictures
    )
    return (
        f"<h1>{escape(words('report.title'))}</h1><p>{escape(made)}</p>"
        f"<h2>{escape(words('report.notes'))}</h2>"
        f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>"
        f"<h2>{escape(words('report.table'))}</h2>{_table(words, table)}"
        f"<h2>{escape(words('report.figures'))}</h2>{figures}"
    )


def _figure(words: Words, chart: Chart, pictures: Pictures) -> str:
    # Without a font for Korean there is only the English picture.
    language = words.language if (chart.name, words.language) in pictures else "en"
    data = base64.b64encode(pictures[chart.name, language]).decode("ascii")
    name, why = words(f"report.figure_{chart.name}"), words(f"report.why_{chart.name}")
    return (
        f'<figure><img alt="{escape(name)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(why)}</figcaption></figure>"
    )


def _examples(words: Words, table: Table, examples: Sequence[Example]) -> str:
    """Questions on which the versions differ, each with what they said."""
    if not examples:
        return ""
    names = {row.version: words.version(row) for row in table.rows}
    blocks = []
    for example in examples:
        asked = example.asked
        said = "".join(f"<td>{_marked(asked.answers.get(version))}</td>" for version in names)
        heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in names.values())
        blocks.append(
            f"<h3>{escape(words.suite(example.suite))}</h3>"
            f'<blockquote lang="{escape(asked.language)}">{_text(asked.prompt)}</blockquote>'
            f'<div class="scroll"><table class="said"><thead><tr>{heads}</tr></thead>'
            f"<tbody><tr>{said}</tr></tbody></table></div>"
        )
    title = escape(words("report.examples"))
    return f"<h2>{title}</h2><p>{escape(words('report.why_examples'))}</p>{''.join(blocks)}"


def _marked(answer: Answer | None) -> str:
    if answer is None:
        return "–"
    score = "" if answer.score is None else f"<small>{shown(answer.score, 'score')}</small>"
    return f"{score}{_text(answer.text)}"


def _text(text: str) -> str:
    short = text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} …"
    return escape(short).replace("\n", "<br>")


_COLUMNS = (
    ("eval_loss", "nats"),
    ("perplexity", ""),
    ("loss_change", "change"),
    ("mean_score", "score"),
)
_EFFORT = (
    ("trainable_parameters", "parameters"),
    ("seconds", "s"),
    ("size_bytes", "bytes"),
    ("peak_memory_bytes", "bytes"),
)


def _table(words: Words, table: Table) -> str:
    cells = [escape(words("report.version"))]
    cells += [escape(words(f"report.{name}")) for name, _ in _COLUMNS]
    cells += [escape(words.suite(suite)) for suite in table.suites]
    cells += [escape(words(f"report.{name}")) for name, _ in _EFFORT]
    cells += [escape(words(f"report.cost_{n}")) for n in ("local", "rented", "serverless")]
    head = "".join(f'<th scope="col">{cell}</th>' for cell in cells)
    rows = "".join(f"<tr>{_row(words, row, table)}</tr>" for row in table.rows)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>"
    )


def _row(words: Words, row: Row, table: Table) -> str:
    name = escape(words.version(row))
    if row.current:
        name += f"<small>{escape(words('report.in_use'))}</small>"
    cells = [_number(getattr(row, key), unit) for key, unit in _COLUMNS]
    cells += [_score(words, row.scores.get(suite)) for suite in table.suites]
    cells += [_number(getattr(row, key), unit) for key, unit in _EFFORT]
    for price in ("local", "rented", "serverless"):
        cells.append(_number(getattr(row.cost, price) if row.cost else None, "dollars"))
    return f'<th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in cells)


def _number(value: float | None, unit: str) -> str:
    return "–" if value is None else escape(shown(value, unit))  # type: ignore[arg-type]


def _score(words: Words, score: Score | None) -> str:
    if score is None or score.estimate is None:
        return "–"
    value = score.estimate
    text = f"{100 * value.value:.1f}<small>{100 * value.low:.1f}–{100 * value.high:.1f}</small>"
    change = score.difference
    if change is None and score.common:
        return f"{text}<small>{escape(words('report.too_few'))}</small>"
    if change is None or change.low <= 0 <= change.high:
        return text
    kind, mark = ("better", "▲") if change.value > 0 else ("worse", "▼")
    interval = f"{100 * change.low:+.1f} … {100 * change.high:+.1f}"
    return f'{text}<small class="{kind}">{mark} {100 * change.value:+.1f} ({interval})</small>'
