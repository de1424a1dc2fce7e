"""The bench of the suites asks every question of its share once."""

from __future__ import annotations

from javis.bench.eval import _asked, _Part
from javis.engine.scripted import ScriptedEngine
from tests.eval.small_suite import SumSuite


def test_every_question_is_asked_once_and_its_tokens_counted() -> None:
    sums, health = SumSuite(10), SumSuite(4, "health")
    engine = ScriptedEngine(lambda *_: "no idea", parallel=2)
    took = _asked([(sums, sums.items()[:6]), (health, health.items())], engine, 2, print)  # type: ignore[arg-type]
    assert sorted(sums.asked) == [item.id for item in sums.items()[:6]]
    assert sorted(health.asked) == [item.id for item in health.items()]
    assert took.tokens == 10 * 2


def test_a_part_is_the_suite_with_fewer_questions() -> None:
    suite = SumSuite(10)
    part = _Part(suite, suite.items()[4:6])
    assert [item.id for item in part.items()] == ["sum-004", "sum-005"]
    assert (part.name, part.data_version) == (suite.name, suite.data_version)
