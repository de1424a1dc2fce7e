"""The gate lets better candidates pass, stops worse ones, and is fooled by luck only rarely."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from javis.core.errors import UserInputError
from javis.eval.explain import explain, verdict_json
from javis.eval.gate import Rule, judge, read_rule

QUICK = Rule(resamples=1000)
Rows = list[dict[str, Any]]


def rows(losses: np.ndarray, tokens: np.ndarray, per: int) -> Rows:
    return [
        {
            "turn_id": f"t{i}",
            "conversation_id": f"c{i // per}",
            "nll": float(x * n),
            "tokens": int(n),
        }
        for i, (x, n) in enumerate(zip(losses, tokens, strict=True))
    ]


def scores(
    rng: np.random.Generator,
    conversations: int,
    better_by: float,
    *,
    noise: float = 0.2,
    per: int = 2,
    current: float | None = None,
) -> dict[str, Any]:
    """Scores of a candidate `better_by` nats per token than the base; noise by conversation."""
    count = conversations * per
    tokens = rng.integers(5, 80, count)
    base = rng.normal(2.5, 0.4, count)

    def moved(by: float) -> Rows:
        own = np.repeat(rng.normal(0, noise, conversations), per)
        return rows(base - by + own, tokens, per)

    return {
        "base": rows(base, tokens, per),
        "candidate": moved(better_by),
        "current": None if current is None else moved(current),
    }


def failed(verdict: Any) -> set[str]:
    return {c.name.removeprefix("gate.") for c in verdict.checks if not c.passed}


def share(promoted: int, of: int) -> float:
    return promoted / of


@pytest.mark.parametrize("conversations", [6, 8, 20, 60])
def test_one_that_learned_nothing_passes_in_at_most_5_of_100_cases(conversations: int) -> None:
    rng = np.random.default_rng(conversations)
    passed = sum(judge(scores(rng, conversations, 0.0), QUICK).passed for _ in range(500))
    assert share(passed, 500) <= 0.05  # Measured: 0.021 to 0.032.


def test_without_the_interval_luck_would_pass_in_half_of_the_cases() -> None:
    """The broken variant: comparing means alone."""
    rng = np.random.default_rng(0)
    lucky = 0
    for _ in range(200):
        losses = judge(scores(rng, 8, 0.0), QUICK).losses
        lucky += losses["candidate"] < losses["base"]
    assert share(lucky, 200) > 0.4


@pytest.mark.parametrize(("conversations", "least"), [(6, 0.8), (8, 0.9), (20, 1.0)])
def test_a_clearly_better_one_passes(conversations: int, least: float) -> None:
    rng = np.random.default_rng(conversations)
    passed = sum(judge(scores(rng, conversations, 0.3), QUICK).passed for _ in range(200))
    assert share(passed, 200) >= least


def test_one_worse_than_the_base_never_passes() -> None:
    rng = np.random.default_rng(1)
    assert not any(judge(scores(rng, 8, -0.3), QUICK).passed for _ in range(200))


def test_one_worse_than_the_current_version_is_stopped() -> None:
    rng = np.random.default_rng(2)
    verdicts = [judge(scores(rng, 12, 0.4, current=0.8), QUICK) for _ in range(100)]
    stopped = ["not_worse_than_current" in failed(v) for v in verdicts]
    assert share(sum(stopped), 100) >= 0.98
    rng = np.random.default_rng(3)
    as_good = [judge(scores(rng, 12, 0.8, noise=0.1, current=0.8), QUICK) for _ in range(100)]
    assert share(sum(v.passed for v in as_good), 100) >= 0.85


def test_the_very_same_candidate_does_not_pass_as_better_than_the_base() -> None:
    same = scores(np.random.default_rng(0), 10, 0.0, noise=0.0)
    assert failed(judge(same)) == {"better_than_base"}


def test_strict_holds_the_unlucky_end_against_the_current_version() -> None:
    found = scores(np.random.default_rng(5), 8, 0.8, noise=0.2, current=0.8)
    found["current"] = found["current"][: len(found["candidate"])]
    lenient, strict = judge(found), judge(found, Rule(strict_against_current=True))
    by_name = {c.name: c for c in strict.checks}["gate.not_worse_than_current"]
    assert by_name.values["high"] > by_name.values["allowed"]
    assert not strict.passed
    assert lenient.losses == strict.losses


def test_too_few_rows_say_how_many_are_missing() -> None:
    verdict = judge(scores(np.random.default_rng(0), 2, 2.0))
    assert failed(verdict) >= {"enough_rows"}
    assert not verdict.passed
    check = verdict.checks[0]
    assert (check.values["have"], check.values["need"], check.values["missing"]) == (2, 6, 4)
    assert "4 more are needed" in explain(check)
    one = verdict_json(judge(scores(np.random.default_rng(0), 1, 2.0)))
    json.dumps(one, allow_nan=False)
    assert "no interval" in " ".join(c["text"] for c in one["checks"])


def test_many_turns_of_one_conversation_are_one() -> None:
    found = scores(np.random.default_rng(0), 1, 2.0, per=50)
    assert "enough_rows" in failed(judge(found))
    for table in ("base", "candidate"):
        for row in found[table]:
            del row["conversation_id"]
    assert judge(found).checks[0].values["have"] == 50


@pytest.mark.parametrize("bad", [math.nan, math.inf, None, "1", True, [1]])
def test_a_score_that_is_no_number_stops_it(bad: object) -> None:
    found = scores(np.random.default_rng(0), 10, 1.0)
    found["candidate"][3]["nll"] = bad
    verdict = judge(found)
    assert failed(verdict) == {"finite"}
    assert verdict_json(verdict)["checks"][2]["text"].startswith("1 scores are no numbers")


@pytest.mark.parametrize("tokens", [0, -1, None, "5"])
def test_an_answer_without_tokens_stops_it(tokens: object) -> None:
    found = scores(np.random.default_rng(0), 10, 1.0)
    found["base"][0]["tokens"] = tokens
    assert failed(judge(found)) == {"finite"}


@pytest.mark.parametrize("table", ["base", "candidate", "current"])
def test_scores_of_other_rows_stop_it(table: str) -> None:
    found = scores(np.random.default_rng(0), 10, 1.0, current=1.0)
    found[table] = found[table][:-1]
    assert failed(judge(found)) == {"same_rows"}
    assert not judge({"base": [], "candidate": []}).passed
    assert not judge({}).passed


def test_the_order_of_the_rows_does_not_matter() -> None:
    found = scores(np.random.default_rng(0), 10, 0.1, current=0.0)
    turned = {name: table[::-1] for name, table in found.items()}
    assert judge(found) == judge(turned)


def test_a_few_disasters_stop_a_good_mean() -> None:
    found = scores(np.random.default_rng(0), 20, 1.5, noise=0.05, per=1)
    for row, base in zip(found["candidate"][:3], found["base"], strict=False):
        row["nll"] = base["nll"] + 2.5 * row["tokens"]
    assert "no_disaster" in failed(judge(found))
    for row, base in zip(found["candidate"][:1], found["base"], strict=False):
        row["nll"] = base["nll"]
    assert "no_disaster" not in failed(judge(found))


def with_margins(rng: np.random.Generator, raised: float, better_by: float) -> dict[str, Any]:
    found = scores(rng, 12, better_by, noise=0.05)
    for name, shift in (("base", 0.0), ("candidate", raised)):
        for row in found[name]:
            row["margin"] = float(rng.normal(shift, 0.3))
    return found


def test_preferences_must_raise_the_margin_and_may_cost_little_loss() -> None:
    rng = np.random.default_rng(0)
    good = judge(with_margins(rng, 1.0, -0.02), QUICK)
    assert good.passed, verdict_json(good)
    assert {c.name for c in good.checks} >= {"gate.margin_raised", "gate.close_to_base"}
    assert failed(judge(with_margins(rng, 0.0, 0.0), QUICK)) == {"margin_raised"}
    assert failed(judge(with_margins(rng, 1.0, -0.5), QUICK)) == {"close_to_base"}


def test_rows_with_a_margin_only_need_no_loss() -> None:
    found = with_margins(np.random.default_rng(0), 1.0, 0.0)
    for table in (found["base"], found["candidate"]):
        for row in table:
            del row["nll"]
    verdict = judge(found, QUICK)
    assert verdict.passed
    assert verdict.losses == {}


def test_every_check_has_a_sentence_either_way() -> None:
    rng = np.random.default_rng(0)
    for found in (
        scores(rng, 12, 1.0, current=1.0),
        scores(rng, 12, -1.0, current=1.0),
        scores(rng, 2, -3.0, noise=0),
        with_margins(rng, 1.0, 0.0),
        with_margins(rng, -1.0, -1.0),
    ):
        for check in verdict_json(judge(found, QUICK))["checks"]:
            assert check["text"].endswith(".")
            assert "{" not in check["text"]


def test_the_rule_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    assert read_rule(path) == Rule()
    path.write_text('{"min_conversations": 12, "worse_than_current": 0.1}')
    assert read_rule(path) == Rule(min_conversations=12, worse_than_current=0.1)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "valid JSON"),
        ("[]", "no JSON object"),
        ('{"min_rows": 3}', "'min_rows' is unknown"),
        ('{"min_conversations": 1}', "between 2 and"),
        ('{"min_disliked": 2}', "between 3 and"),
        ('{"min_conversations": 6.5}', "whole number"),
        ('{"min_conversations": true}', "whole number"),
        ('{"confidence": 1}', "confidence"),
        ('{"confidence": "0.95"}', "confidence"),
        ('{"worse_than_current": NaN}', "worse_than_current"),
        ('{"strict_against_current": 1}', "true or false"),
        ("[" * 100_000, "valid JSON"),
    ],
)
def test_a_bad_rule_is_refused_and_never_forgotten(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "gate.json"
    path.write_text(text)
    with pytest.raises(UserInputError, match=word) as caught:
        read_rule(path)
    assert caught.value.code == "bad_gate"


def test_answers_that_would_do_under_any_question_are_stopped() -> None:
    given = scores(np.random.default_rng(5), 10, 1.0)

    def elsewhere(more: float, rule: Rule = QUICK) -> Any:
        moved = [r | {"nll_elsewhere": r["nll"] + more * r["tokens"]} for r in given["candidate"]]
        return judge(given | {"candidate": moved}, rule)

    fits = elsewhere(0.6)
    assert fits.passed
    (check,) = [c for c in fits.checks if c.name == "gate.answers_fit"]
    assert check.values["difference"] == pytest.approx(0.6)
    salad = elsewhere(0.0)
    assert failed(salad) == {"answers_fit"}
    assert "how answers look" in " ".join(map(explain, salad.checks))
    assert failed(elsewhere(math.nan)) == {"finite"}
    assert elsewhere(-0.02, Rule(answers_fit=-1.0)).passed
