"""The agent suite: what its data must be, and who gets which score."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import product
from pathlib import Path
from statistics import mean
from types import ModuleType
from typing import Any

import pytest

from javis.core.evaluation import Item, ItemResult, Likelihood
from javis.core.types import Message
from javis.eval.agent import tools
from javis.eval.agent.calculator import calculate
from javis.eval.checks import CHECKS as COMMON
from javis.eval.suites import agent, instruction
from javis.eval.suites.agent import CHECKS, MAX_CALLS, AgentSuite, failed

SUITE = AgentSuite()
ITEMS = SUITE.items()
by_id = pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
Answer = Callable[[Sequence[Message]], str]


class Scripted:
    """Answers with what `answer` returns; keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[list[Message]] = []

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int = 256, stop: Sequence[str] = ()
    ) -> str:
        self.asked.append(list(messages))
        return self._answer(messages)

    def likelihood(self, prompt: Sequence[Message] | str, answer: str) -> Likelihood:
        raise AssertionError("nothing is weighed here")


def ideal(item: Item) -> Scripted:
    """Replays the item's own right answers."""
    if item.group == "tools":
        said = [w if isinstance(w, str) else json.dumps(w) for w in item.data["ideal"]]
    else:
        said = [turn["ideal"] for turn in item.data["turns"] if "given" not in turn]
    left = iter(said)
    return Scripted(lambda messages: next(left))


def saying(*texts: str) -> Scripted:
    left = iter(texts)
    return Scripted(lambda messages: next(left, texts[-1]))


def named_item(id_: str) -> Item:
    return next(item for item in ITEMS if item.id == id_)


def test_there_is_enough_of_everything() -> None:
    count = Counter((item.group, item.language) for item in ITEMS)
    skills = ("planning", "reasoning", "context", "feedback", "tools")
    assert count == dict.fromkeys(product(skills, ("ko", "en")), 12)
    assert len({item.id for item in ITEMS}) == len(ITEMS)
    assert {item.group for item in ITEMS[:10]} == set(skills)


@by_id
def test_the_right_answers_get_one(item: Item) -> None:
    asker = ideal(item)
    result = SUITE.run(item, asker)
    assert result.score == 1, result
    assert len(result.answers) == len(asker.asked) > 0


@by_id
@pytest.mark.parametrize(
    "answer",
    [
        "",
        "  \n",
        "I do not know.",
        "잘 모르겠습니다.",
        "Answer: 1",
        "답: 없음",
        "{}",
        "[1, 2",
        "출력:",
    ],
)
def test_empty_talk_gets_none(item: Item, answer: str) -> None:
    assert SUITE.run(item, saying(answer)).score == 0


BAD: dict[str, Answer] = {
    "echo": lambda messages: messages[-1].content,
    "parrot": lambda messages: "\n".join(m.content for m in messages if m.role != "system"),
    "letters": lambda messages: "Answer: A, B, C, D, E",
    "first letters": lambda messages: "답: A, B",
    "moves": lambda messages: "Answer: R, R, D, D",
    "yes": lambda messages: "Yes, of course! 네, 물론입니다.",
    "chatter": lambda messages: "As an assistant I am glad to help you with this request. " * 9,
    "calls": lambda messages: '{"tool": "calculator", "arguments": {"expression": "1+1"}}',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_who_does_not_try_gets_next_to_none(bad: Answer) -> None:
    results = [SUITE.run(item, Scripted(bad)) for item in ITEMS]
    high = [(r.item, r.answers[-1][:80]) for r in results if r.score]
    # Saying the whole conversation again does say what was asked for, here and there.
    limit = 0.1 if bad is BAD["parrot"] else 0.05
    assert mean(r.score or 0.0 for r in results) <= limit, high


@by_id
def test_checks_are_known_and_words_are_there(item: Item) -> None:
    turns = [turn for turn in item.data.get("turns", ()) if "checks" in turn]
    wanted = [check for turn in turns or [item.data] for check in turn["checks"]]
    assert wanted and {check["kind"] for check in wanted} <= {*CHECKS, *COMMON}
    text = json.dumps(item.data, ensure_ascii=False)
    assert any("가" <= letter <= "힣" for letter in text) or item.language == "en"


@pytest.mark.parametrize(
    "item", [i for i in ITEMS if "working" in i.data], ids=lambda item: item.id
)
def test_sums_are_right(item: Item) -> None:
    (turn,) = item.data["turns"]
    assert calculate(item.data["working"]) == turn["checks"][0]["value"]


@pytest.mark.parametrize("item", [i for i in ITEMS if i.group == "tools"], ids=lambda i: i.id)
def test_tools_give_the_results_written_down(item: Item) -> None:
    made: list[Any] = [said for said in item.data["ideal"] if isinstance(said, dict)]
    assert len(made) == len(item.data["calls"])
    for call, want in zip(made, item.data["calls"], strict=True):
        assert call["tool"] in item.data["tools"]
        assert tools.call(call["tool"], call["arguments"], item.data["tools"]) == (
            want["result"],
            "",
        )


def test_the_conversation_is_kept() -> None:
    """The second question comes after the model's own first answer, given ones included."""
    item = named_item("en-context-05")
    asker = ideal(item)
    SUITE.run(item, asker)
    assert [m.role for m in asker.asked[-1]] == ["user", "assistant"] * 2 + ["user"]
    assert asker.asked[-1][1].content == "You have 3 apples."


def test_each_checked_turn_counts() -> None:
    item = named_item("en-context-04")
    result = SUITE.run(item, saying("Captain, it is blue.", "It is green."))
    assert result.score == 0.5
    assert result.details["failed"] == ["starts"]


LOOK = '{"tool": "look_up", "arguments": {"table": "products", "key": "D420"}}'
SUM = '{"tool": "calculator", "arguments": {"expression": "12 * 6"}}'


def tools_run(*texts: str) -> tuple[ItemResult, Scripted]:
    asker = saying(*texts)
    return SUITE.run(named_item("en-tools-09"), asker), asker


def test_another_way_to_the_same_result_is_right() -> None:
    fenced = f"I will work it out.\n```json\n{SUM.replace('12 * 6', '(6*12)')}\n```"
    named = LOOK.replace('"tool"', '"name"').replace('"arguments"', '"parameters"')
    assert tools_run(f"<tool_call>{named}</tool_call>", fenced, "72.")[0].score == 1


def test_half_for_the_calls_and_half_for_the_answer() -> None:
    assert tools_run(LOOK, SUM, "They cost 70.")[0].score == 0.5
    assert tools_run("They cost 72.")[0].score == 0.5
    assert tools_run(LOOK, "They cost 72.")[0].score == 0.75


def test_a_wrong_call_is_told_and_can_be_mended() -> None:
    wrong = LOOK.replace("D420", "D42")
    result, asker = tools_run(wrong, '{"tool": "web", "arguments": {}}', LOOK, SUM, "72")
    assert result.score == 1
    assert "Error of look_up: products has no D42; it has A100" in asker.asked[1][-1].content
    assert "there is no tool web; there are look_up, calculator" in asker.asked[2][-1].content
    assert '"price": 12' in asker.asked[3][-1].content


def test_calling_without_end_is_no_answer() -> None:
    result, asker = tools_run(LOOK)
    assert len(asker.asked) == MAX_CALLS + 1
    assert result.score == 0.25
    assert result.details["failed"] == ["no_answer"]


def test_a_call_where_none_is_needed_is_wrong() -> None:
    item = named_item("en-tools-11")
    assert SUITE.run(item, saying("Hello!")).score == 1
    call = '{"tool": "weekday", "arguments": {"day": "2024-01-01"}}'
    assert SUITE.run(item, saying(call, "Hello!")).score == 0


def test_an_empty_answer_passes_nothing() -> None:
    assert failed(" ", [{"kind": "excludes", "words": ["x"]}]) == ["excludes"]


def imported(module: ModuleType) -> set[ModuleType]:
    """The modules of JAVIS that a module takes something from."""
    found = set()
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("javis."):
            owner = import_module(str(node.module))
            parts = [getattr(owner, alias.name) for alias in node.names]
            found |= {part if isinstance(part, ModuleType) else owner for part in parts}
    return found


@pytest.mark.parametrize("suite", [agent, instruction], ids=lambda suite: suite.__name__)
def test_all_that_marks_an_answer_is_in_the_version_of_the_data(suite: ModuleType) -> None:
    """Or results of another marking would count."""
    marking = set(suite._MARKING)
    used = set().union(*map(imported, marking))
    assert {m.__name__ for m in used - marking} == set()
