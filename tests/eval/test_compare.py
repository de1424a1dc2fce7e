"""The table of the comparison: every number against one that is worked out here."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from javis.core.evaluation import ItemResult
from javis.core.learning import Prices
from javis.eval.charts import benchmark
from javis.eval.compare import compare, paired
from javis.eval.comparison import Row, Table
from tests.eval.comparing import SHA, Exam, drawn, source


def table(*names: str, exam: Exam | None = None, **losses: float) -> Table:
    """These versions; `v1_0=2.0` is the loss of v1.0."""
    exam = exam or Exam()
    found = [source(n, candidate=losses.get(n.replace(".", "_"), 2.0)) for n in names]
    return compare(found, exam.reports, exam.results)


def row(found: Table, name: str) -> Row:
    return next(r for r in found.rows if r.version == name)


def notes(found: Table) -> dict[str, Any]:
    return {note.code: dict(note.values) for note in found.notes}


def test_a_row_says_what_the_files_say() -> None:
    found = row(compare([source()], [], Exam().results, Prices(1.0, 2.0, 0.5)), "v1.0")
    assert (found.method, found.epochs, found.learning_rate, found.turns) == (
        *("sft-lora", 3.0, 2e-4),
        20,
    )
    assert (found.eval_loss, found.base_loss, found.held_out_rows) == (2.0, 4.0, 8)
    assert found.perplexity == pytest.approx(math.e**2)
    assert found.loss_change == pytest.approx(-0.5)
    assert (found.trainable_parameters, found.seconds) == (4_884_480, 120.0)
    assert (found.size_bytes, found.peak_memory_bytes) == (39_000_000, 2_147_483_648)
    assert found.cost is not None
    # Two minutes at 1 and 2 dollars an hour, and half a dollar a second.
    assert found.cost.local == pytest.approx(1 / 30)
    assert found.cost.rented == pytest.approx(2 / 30)
    assert found.cost.serverless == pytest.approx(60.0)
    assert found.passed is True
    assert [point["step"] for point in found.curve] == [1, 2, 2, 3]


def test_the_base_has_the_loss_that_the_others_were_held_against() -> None:
    found = table("base", "v1.0", "v1.1", v1_1=1.5)
    base = row(found, "base")
    assert (base.eval_loss, base.held_out_rows, base.loss_change) == (4.0, 8, None)
    # It took nothing to train here, which is no number: its columns are empty.
    assert (base.trainable_parameters, base.seconds, base.size_bytes, base.cost) == (None,) * 4
    assert row(found, "v1.1").loss_change == pytest.approx(1.5 / 4 - 1)
    assert found.loss_from == "training"
    assert "different_rows" not in notes(found)


def test_losses_of_different_rows_are_not_held_against_each_other() -> None:
    one, other = source("v1.0"), source("v1.1", base=4.2)
    found = compare([source("base"), one, other], [], Exam().results)
    assert notes(found)["different_rows"] == {"sets": 2}
    assert row(found, "base").eval_loss is None
    assert row(found, "v1.0").held_out != row(found, "v1.1").held_out


def test_the_held_out_suite_wins_where_every_version_has_it() -> None:
    exam = Exam()
    for name, loss in (("base", 3.0), ("v1.0", 2.4)):
        exam.add(name, {"a": None, "b": None}, "held-out", loss=loss)
    found = table("base", "v1.0", exam=exam)
    assert found.loss_from == "suite"
    assert row(found, "base").eval_loss == pytest.approx(3.0)
    ours = row(found, "v1.0")
    assert ours.eval_loss == pytest.approx(2.4)
    assert ours.perplexity == pytest.approx(math.exp(2.4))
    assert ours.loss_change == pytest.approx(-0.2)
    assert ours.held_out_rows == 2
    # One version without it, and all of them show what their trainings measured.
    found = table("base", "v1.0", "v1.1", exam=exam)
    assert found.loss_from == "training"
    assert row(found, "v1.0").eval_loss == 2.0
    assert notes(found)["not_evaluated"] == {"suite": "held-out", "versions": ["v1.1"]}


def test_a_loss_of_the_suite_is_of_the_rows_that_all_were_asked() -> None:
    exam = Exam()
    exam.add("base", {"a": None, "b": None}, "held-out", loss=3.0)
    exam.add("v1.0", {"c": None, "d": None, "e": None}, "held-out", loss=2.0)
    assert table("base", "v1.0", exam=exam).loss_from == "training"
    exam = Exam()
    exam.add("base", {"a": None, "b": None}, "held-out", losses={"a": 3.0, "b": 5.0})
    exam.add("v1.0", {"b": None, "c": None}, "held-out", losses={"b": 4.0, "c": 0.5})
    found = table("base", "v1.0", exam=exam)
    assert found.loss_from == "suite"
    assert [(r.eval_loss, r.held_out_rows) for r in found.rows] == [(5.0, 1), (4.0, 1)]
    assert row(found, "v1.0").loss_change == pytest.approx(-0.2)


def test_scores_come_with_their_difference_to_the_base_item_by_item() -> None:
    exam = Exam()
    base = {f"i-{n:02}": float(n % 2) for n in range(40)}
    # Right wherever the base is, and in ten more.
    better = {i: 1.0 if n < 20 else s for n, (i, s) in enumerate(base.items())}
    exam.add("base", base)
    exam.add("v1.0", better)
    score = row(table("v1.0", "base", exam=exam), "v1.0").scores["knowledge"]
    assert score.estimate is not None and score.difference is not None
    assert score.estimate.value == pytest.approx(0.75)
    assert score.difference.value == pytest.approx(0.25)
    assert 0.1 < score.difference.low < 0.25 < score.difference.high < 0.45
    assert (score.common, score.done, score.items) == (40, 40, 40)
    assert row(table("v1.0", "base", exam=exam), "base").scores["knowledge"].difference is None


def test_without_the_base_the_first_one_is_the_reference() -> None:
    exam = Exam()
    exam.add("v1.0", drawn(0.5))
    exam.add("v1.1", drawn(0.5))
    found = table("v1.0", "v1.1", exam=exam)
    assert found.reference == "v1.0"
    difference = row(found, "v1.1").scores["knowledge"].difference
    assert difference is not None
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_only_items_that_both_did_are_held_against_each_other() -> None:
    exam = Exam()
    both = {f"both-{n}": float(n % 2) for n in range(6)}
    exam.add("base", {"a": 1.0, "d": None, **both})
    exam.add("v1.0", {"d": 1.0, "e": 0.0, **dict.fromkeys(both, 1.0)})
    score = row(table("base", "v1.0", exam=exam), "v1.0").scores["knowledge"]
    assert score.difference is not None
    assert (score.common, score.difference.value) == (6, 0.5)
    ours = exam.results(exam.reports[1])
    assert paired(ours[:1], ours[1:]) == (None, 0)


def test_too_few_common_items_have_no_difference() -> None:
    """All five fall by chance alone in 1 of 16 cases: that is oftener than a mark may be wrong."""
    items = [ItemResult(f"i{n}", "en", "sums", 1.0) for n in range(6)]
    fallen = [replace(item, score=0.0) for item in items]
    assert paired(items[:5], fallen[:5]) == (None, 5)
    found, common = paired(items, fallen)
    assert found is not None and (found.low, common) == (1.0, 6)


def test_reports_of_another_adapter_of_the_same_name_do_not_count() -> None:
    exam = Exam()
    exam.add("v1.0", drawn(0.5))
    other = replace(source("v1.0"), sha256="dd" * 32)
    assert compare([other], exam.reports, exam.results).suites == ()


def test_answers_of_two_engines_are_not_mixed() -> None:
    exam = Exam()
    exam.add("base", drawn(0.3))
    exam.add("base", drawn(0.9), engine="transformers", at="2026-12-01T00:00:00Z")
    exam.add("v1.0", drawn(0.5))
    exam.add("v2.0", drawn(0.9), engine="transformers")
    found = table("base", "v1.0", "v1.1", exam=exam)
    score = row(found, "base").scores["knowledge"]
    assert score.estimate is not None
    # Two versions were asked by the one engine: its answers win, though they are older.
    assert score.estimate.value == pytest.approx(sum(drawn(0.3).values()) / 40)
    found = table("v1.0", "v2.0", "base", exam=exam)
    assert notes(found)["other_questions"]["suite"] == "knowledge"


def test_the_mean_is_over_suites_that_all_have() -> None:
    exam = Exam()
    for name, right in (("base", 0.0), ("v1.0", 1.0)):
        exam.add(name, {"a": right, "b": 1.0}, "knowledge")
        exam.add(name, {"a": 1.0, "b": right}, "health")
    exam.add("v1.0", {"a": 1.0}, "agent")
    found = table("base", "v1.0", exam=exam)
    assert found.suites == ("knowledge", "agent", "health")
    assert found.common_suites == ("knowledge", "health")
    assert row(found, "base").mean_score == pytest.approx(0.5)
    assert row(found, "v1.0").mean_score == pytest.approx(1.0)
    assert notes(found)["unfinished"] == {"count": 5}


def test_means_are_over_the_items_that_all_have_answered() -> None:
    """The gate asked the base 24 of 208, and an evaluation asked v1.0 all of them."""
    exam = Exam()
    first = {f"a-{n:02}": float(n % 8 == 0) for n in range(24)}
    exam.add("base", first)
    exam.add("v1.0", first | {f"b-{n:03}": 1.0 for n in range(184)})
    exam.add("v1.1", first | {"c": None})
    found = table("base", "v1.0", "v1.1", exam=exam)
    scores = [r.scores["knowledge"] for r in found.rows]
    assert [s.estimate for s in scores] == [scores[0].estimate] * 3
    assert [s.shared for s in scores] == [24] * 3
    assert [r.mean_score for r in found.rows] == [0.125] * 3
    assert scores[1].difference is not None and scores[1].difference.value == 0.0
    assert notes(found)["shared_items"] == {"suite": "knowledge", "items": 24}
    bars = benchmark(found).panels[0].series
    assert {s.values for s in bars} == {(0.125,)}


def test_without_a_shared_item_there_is_no_mean() -> None:
    exam = Exam()
    exam.add("base", {"a": 1.0})
    exam.add("v1.0", {"b": 1.0})
    found = table("base", "v1.0", exam=exam)
    assert [r.scores["knowledge"].estimate for r in found.rows] == [None, None]
    assert [r.mean_score for r in found.rows] == [None, None]


STRANGE: list[Any] = [
    {},
    {"verdict": [], "curve": 3, "train": "x"},
    {"verdict": {"losses": {"candidate": "2", "base": True}, "rows": "8"}},
    {"verdict": {"losses": {"candidate": math.nan, "base": math.inf}, "passed": "yes"}},
    {"verdict": {"losses": {"candidate": 1e9, "base": 0}}},
    {"curve": [1, None, {"step": "1"}, {"step": 1}, {"step": 1, "loss": math.nan}]},
    {"train": {"seconds": None, "trainable_parameters": 1.5, "peak_memory_bytes": True}},
]


@pytest.mark.parametrize("said", STRANGE)
def test_a_strange_report_breaks_nothing(said: dict[str, Any]) -> None:
    strange = replace(source("v1.0"), report=said, metadata={"training_config": []})
    found = compare([source("base"), strange], [], Exam().results)
    ours = row(found, "v1.0")
    assert (ours.seconds, ours.trainable_parameters, ours.passed) == (None, None, None)
    assert ours.perplexity is None and ours.curve == ()
    json.dumps(found.plain(), allow_nan=False)


def test_the_table_is_plain_json() -> None:
    exam = Exam()
    for name in ("base", "v1.0"):
        exam.add(name, drawn(0.5))
    plain = json.loads(json.dumps(table("base", "v1.0", exam=exam).plain(), allow_nan=False))
    assert plain["rows"][1]["scores"]["knowledge"]["difference"]["value"] == 0.0
    assert set(SHA) >= {r["version"] for r in plain["rows"]}


def test_nothing_to_compare_is_an_empty_table() -> None:
    found = compare([], [], Exam().results)
    assert (found.rows, found.suites, found.notes) == ((), (), ())
