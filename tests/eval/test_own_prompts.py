"""The suites `instruction` and `health`: their questions, and how answers to them are marked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from javis.core.evaluation import Item, ItemResult, Likelihood
from javis.core.types import Message
from javis.eval.checks import CHECKS
from javis.eval.suites.health import MAX_TOKENS, HealthSuite
from javis.eval.suites.instruction import InstructionSuite, mark
from javis.eval.suites.items import mixed, read_items, version_of

INSTRUCTION, HEALTH = InstructionSuite(), HealthSuite()
ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "instruction_samples.jsonl")
    .read_text("utf-8")
    .splitlines()
]
SAMPLES = {row["id"]: row["sample"] for row in ROWS}
OTHERS = {row["id"]: row.get("good", []) for row in ROWS}
"""Further answers that do what the prompt says, in ways that a check could take amiss."""
BAD = {row["id"]: row["bad"] for row in ROWS}
"""Natural answers that miss one thing asked for."""


@dataclass
class Says:
    """An asker that always says the same."""

    answer: str
    tokens: int = 0

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int = 256, stop: Sequence[str] = ()
    ) -> str:
        assert messages[-1].role == "user"
        return self.answer

    def likelihood(self, prompt: Sequence[Message] | str, answer: str) -> Likelihood:
        raise AssertionError("not asked for")


def test_there_are_enough_questions_in_both_languages() -> None:
    instructions = Counter(item.language for item in INSTRUCTION.items())
    assert instructions.total() >= 200
    assert min(instructions["ko"], instructions["en"]) >= 100
    health = Counter(item.language for item in HEALTH.items())
    assert health.total() >= 60
    assert min(health["ko"], health["en"]) >= 30


@pytest.mark.parametrize("suite", [INSTRUCTION, HEALTH], ids=lambda suite: suite.name)
def test_ids_and_prompts_are_unique(suite: InstructionSuite | HealthSuite) -> None:
    assert len({item.id for item in suite.items()}) == len(suite.items())
    assert len({item.data["prompt"] for item in suite.items()}) == len(suite.items())


@pytest.mark.parametrize("suite", [INSTRUCTION, HEALTH], ids=lambda suite: suite.name)
def test_prompts_are_in_their_language(suite: InstructionSuite | HealthSuite) -> None:
    for item in suite.items():
        hangul = sum("가" <= c <= "힣" for c in str(item.data["prompt"]))
        letters = sum(c.isalpha() for c in str(item.data["prompt"]))
        if letters > 8 and item.language == "ko":
            assert hangul > 0.3 * letters or "영어지만" in item.data["prompt"], item.id
        elif letters > 8:
            assert hangul < 0.5 * letters, item.id


def test_every_kind_of_constraint_is_used_and_known() -> None:
    named = [c for item in INSTRUCTION.items() for c in item.data["constraints"]]
    named += [c["check"] for c in named if "check" in c]
    assert {c["kind"] for c in named} == set(CHECKS)


@pytest.mark.parametrize("item", INSTRUCTION.items(), ids=lambda item: item.id)
def test_the_constraints_of_a_prompt_can_be_met_together(item: Item) -> None:
    """By a written answer that does what the prompt says."""
    for answer in (SAMPLES[item.id], *OTHERS[item.id]):
        assert [name for name, met in mark(item, answer).items() if not met] == [], answer


@pytest.mark.parametrize("item", INSTRUCTION.items(), ids=lambda item: item.id)
def test_an_answer_that_misses_something_is_told(item: Item) -> None:
    assert BAD[item.id]
    for answer in BAD[item.id]:
        assert not all(mark(item, answer).values()), answer


JUNK = [
    *("OK.", "네.", "I don't know.", "잘 모르겠습니다.", "Sure! Here is the answer:", "..."),
    *(
        "네, 물론입니다! 말씀하신 대로 해 드리겠습니다.",
        "As an AI language model, I cannot do that.",
    ),
]


@pytest.mark.parametrize("junk", ["", *JUNK])
def test_an_answer_that_says_nothing_meets_no_prompt(junk: str) -> None:
    for item in INSTRUCTION.items():
        assert not all(mark(item, junk).values()), item.id


def test_saying_the_prompt_again_meets_no_prompt() -> None:
    for item in INSTRUCTION.items():
        assert not any(mark(item, str(item.data["prompt"])).values()), item.id


def test_the_answer_to_another_prompt_rarely_passes() -> None:
    """Constraints that any answer meets would measure nothing."""
    items = INSTRUCTION.items()
    passed = total = 0
    for item in items:
        others = [o for o in items if o.language == item.language and o.id != item.id]
        passed += sum(all(mark(item, SAMPLES[other.id]).values()) for other in others)
        total += len(others)
    assert passed / total < 0.02


def test_the_score_is_the_share_of_constraints() -> None:
    data = {
        "prompt": "Say hello in two words.",
        "constraints": [{"kind": "words", "max": 2}, {"kind": "contains", "words": ["hello"]}],
    }
    item = Item("x", "en", "length", data)
    good = INSTRUCTION.run(item, Says("Hello there"))
    half = INSTRUCTION.run(item, Says("Hello there, all of you!"))
    assert (good.score, good.details["strict"], good.details["failed"]) == (1.0, True, [])
    assert half.score == 0.5
    assert half.details["failed"] == ["words"]
    assert INSTRUCTION.run(item, Says("")).score == 0
    korean = INSTRUCTION.run(item, Says("안녕 hello"))
    assert (korean.score, korean.details["unusable"]) == (0.0, ["wrong_language"])
    assert INSTRUCTION.figures([good, half]) == {"strict_rate": 0.5}
    assert INSTRUCTION.figures([]) == {}


def test_a_constraint_of_a_kind_used_twice_counts_twice() -> None:
    words = [{"kind": "contains", "words": [word]} for word in ("red", "blue")]
    item = Item("x", "en", "g", {"prompt": "?", "constraints": words})
    assert mark(item, "a red one") == {"contains": True, "contains#2": False}


def test_health_marks_symptoms() -> None:
    item = next(i for i in HEALTH.items() if i.id == "ko-everyday-001")
    well = HEALTH.run(item, Says("사료와 화장실을 준비하세요."))
    ill = HEALTH.run(item, Says("Output: food"))
    assert (well.score, well.details["symptoms"]) == (1.0, [])
    assert (ill.score, ill.details["symptoms"]) == (0.0, ["wrong_language", "label"])
    figures = HEALTH.figures([well, ill])
    assert figures["label_rate"] == figures["wrong_language_rate"] == 0.5
    assert figures["empty_rate"] == figures["at_limit_rate"] == 0
    assert figures["mean_words"] == 2.5
    assert figures["distinct_1"] == 1.0
    assert HEALTH.figures([]) == {}


def test_only_a_short_question_makes_a_long_answer_endless() -> None:
    answer = Says("Red is a colour, and so is blue, and then there is green, which", MAX_TOKENS)
    brief = next(i for i in HEALTH.items() if (i.language, i.group) == ("en", "short"))
    long = next(i for i in HEALTH.items() if (i.language, i.group) == ("en", "long"))
    assert HEALTH.run(brief, answer).details["symptoms"] == ["truncated"]
    assert HEALTH.run(long, answer).score == 1.0
    assert HEALTH.run(long, answer).details["cut"]


@pytest.mark.parametrize("suite", [INSTRUCTION, HEALTH], ids=lambda suite: suite.name)
def test_results_are_plain_json_and_repeatable(suite: InstructionSuite | HealthSuite) -> None:
    for item in suite.items()[:30]:
        result = suite.run(item, Says("This is **an answer**."))
        again = suite.run(item, Says("This is **an answer**."))
        assert json.loads(json.dumps(result.details)) == result.details == again.details
        assert isinstance(result, ItemResult)
        assert result.score is not None
        assert 0 <= result.score <= 1


@pytest.mark.parametrize("suite", [INSTRUCTION, HEALTH], ids=lambda suite: suite.name)
@pytest.mark.parametrize("count", [20, 40])
def test_the_first_items_are_a_fair_sample(
    suite: InstructionSuite | HealthSuite, count: int
) -> None:
    of_all = Counter((i.language, i.group) for i in suite.items())
    of_some = Counter((i.language, i.group) for i in suite.items()[:count])
    for stratum, there in of_all.items():
        assert abs(of_some[stratum] - count * there / len(suite.items())) < 1.01
    assert abs(sum(n for (lang, _), n in of_some.items() if lang == "ko") - count / 2) <= 3


def test_the_order_stays_when_questions_are_added() -> None:
    old = [Item(f"a{n}", "en", "g") for n in range(20)]
    added = [*old, *(Item(f"b{n}", "ko", "g") for n in range(7))]
    assert [i for i in mixed(added) if i.language == "en"] == list(mixed(old))
    assert mixed(reversed(added)) == mixed(added)


def test_a_question_may_hold_what_is_the_end_of_a_line_to_some(tmp_path: Path) -> None:
    path, asked = tmp_path / "x.jsonl", "One\u2028two\u2029three\u0085four?"
    row = {"id": "1", "language": "en", "group": "g", "prompt": asked}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    assert read_items(path) == (Item("1", "en", "g", {"prompt": asked}),)


def test_the_version_follows_questions_and_marking(tmp_path: Path) -> None:
    import javis.eval.checks.length as module

    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "1", "language": "en", "group": "g", "prompt": "?"}\n\n', "utf-8")
    first = version_of([path])
    assert version_of([path], [module]) != first
    assert read_items(path) == (Item("1", "en", "g", {"prompt": "?"}),)
    path.write_text(path.read_text("utf-8").replace("?", "!"), "utf-8")
    assert version_of([path]) != first
    assert INSTRUCTION.data_version != HEALTH.data_version
