"""How the bench of the suites extends what it measured to the whole suites."""

from __future__ import annotations

from javis.bench.eval import _full, _Part
from tests.eval.small_suite import SumSuite


def test_seconds_are_extended_by_the_questions_that_were_asked() -> None:
    known = {"knowledge": SumSuite(100), "health": SumSuite(30, "health")}
    # Twenty of a hundred; and all thirty, where forty were to be asked.
    assert _full({"knowledge": 10.0}, known, 20) == {"knowledge": 50.0}
    assert _full({"health": 4.0}, known, 40) == {"health": 4.0}


def test_a_part_is_the_suite_with_fewer_questions() -> None:
    suite = SumSuite(10)
    part = _Part(suite, suite.items()[4:6])
    assert [item.id for item in part.items()] == ["sum-004", "sum-005"]
    assert (part.name, part.data_version) == (suite.name, suite.data_version)
