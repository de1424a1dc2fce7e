"""The parts of the agent suite: conclusions, plans, the schema check, and the tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from javis.eval.agent import plans
from javis.eval.agent.calculator import calculate
from javis.eval.agent.calls import Call, instructions, read_call
from javis.eval.agent.conclusion import concluded_number, concludes, dated, letters, near, says
from javis.eval.agent.schema import faults
from javis.eval.agent.tools import TOOLS, UNITS, call


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("Answer: 42", 42),
        ("12 * 3 = 36, plus 6.\n**Answer: 42 apples**", 42),
        ("Answer: 1,250", 1250),
        ("Answer: 6 × 7 = 42", 42),
        ("The answer is: -3.5.", -3.5),
        ("답: 42개", 42),
        ("정답: 모두 1,250원입니다", 1250),
        ("So there are 7 boxes and 42 apples", 42),
        ("Answer: 10\nNo, I was wrong.\nAnswer: 42", 42),
        ("$42$", 42),
        ("Answer:\n42", 42),
        ("Answer: none", None),
        ("", None),
    ],
)
def test_the_number_concluded(answer: str, number: float | None) -> None:
    assert concluded_number(answer) == number


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Answer: B, A, C", "BAC"),
        ("A would be bad at first.\nAnswer: B → A → C", "BAC"),
        ("답: BAC", "BAC"),
        ("[B, A, C]", "BAC"),
        ("답: B-A-C.", "BAC"),
        ("B그리고 C", "BC"),
        ("Answer: Cab", ""),
        ("Answer: X, Y", ""),
        ("", ""),
    ],
)
def test_letters_concluded(answer: str, found: str) -> None:
    assert "".join(letters(answer, "ABC")) == found


def test_what_is_said_and_what_is_concluded() -> None:
    assert concludes("Mia is tall.\nAnswer: Zoe", accepted=["Zoe"], others=["Mia"])
    assert not concludes("Answer: Zoe or Mia", accepted=["Zoe"], others=["Mia"])
    assert says("milk and bread", all_of=[["milk"], ["bread", "loaf"]], none_of=["eggs"])
    assert not says("milk, bread, eggs", all_of=[["milk"]], none_of=["eggs"])
    assert says("milk; I left out eggs", all_of=[["milk"]], none_of=["eggs"], dismissing=True)
    assert not says("milk; eggs", all_of=[["milk"]], none_of=["eggs"], dismissing=True)
    assert says("들깨미역국", all_of=[["미역국"]], compounds=["매운"])
    assert not says("매운미역국", all_of=[["미역국"]], compounds=["매운"])
    assert not says("들깨미역국", all_of=[["미역국"]])
    assert dated("on 3rd Feb, 2023", value="2023-02-03")
    assert not dated("on 3rd Feb, 2022", value="2023-02-03")
    assert near("about 19.3 km", value=19.312, within=0.05)
    assert not near("about 18.3 km", value=19.312, within=0.05)


PAIRS = [["A", "B"], ["B", "C"]]
SIZES = {"A": 5, "B": 3, "C": 4}
ROADS: list[list[Any]] = [["A", "B", 1], ["B", "C", 2], ["A", "C", 9]]
GRID = ["S.#", "#.G"]


@pytest.mark.parametrize(
    ("answer", "works"),
    [("A, B, C", True), ("A, C, B", False), ("A, B", False), ("A, B, C, C", False), ("", False)],
)
def test_an_order_is_played_through(answer: str, works: bool) -> None:
    assert plans.order(answer, steps="ABC", before=PAIRS) is works


@pytest.mark.parametrize(
    ("answer", "values", "works"),
    [
        ("B, C", {}, True),
        ("A, C", {}, False),
        ("B, B", {}, False),
        ("none", {}, False),
        ("B", {"at_least": 7}, False),
        ("C, B", {"at_least": 7}, True),
        ("B, C", {"with_": ["A"]}, False),
        ("B, C", {"without": ["C"]}, False),
        ("B, C", {"worth": {"B": 5, "C": 6}, "worth_at_least": 11}, True),
        ("B, C", {"worth": {"B": 5, "C": 5}, "worth_at_least": 11}, False),
    ],
)
def test_a_choice_is_weighed(answer: str, values: dict[str, Any], works: bool) -> None:
    assert plans.pick(answer, sizes=SIZES, at_most=8, **values) is works


@pytest.mark.parametrize(
    ("answer", "values", "works"),
    [
        ("A, B, C", {}, True),
        ("A → B → C", {}, True),
        ("A, C", {}, False),
        ("C, B, A", {}, False),
        ("A", {}, False),
        ("A, B, C", {"avoid": ["B"]}, False),
        ("A, C", {"at_most": 9, "avoid": ["B"]}, True),
        ("A, C", {"at_most": 9, "through": ["B"]}, False),
    ],
)
def test_a_way_is_walked(answer: str, values: dict[str, Any], works: bool) -> None:
    bounds = {"at_most": 3, **values}
    assert plans.path(answer, roads=ROADS, start="A", goal="C", **bounds) is works


@pytest.mark.parametrize(
    ("answer", "works"),
    [
        ("Answer: R, D, R", True),
        ("RDR", True),
        ("right, down, right", True),
        ("답: 오른쪽, 아래, 오른쪽", True),
        ("R, R, D", False),  # into the wall
        ("U, R, D, R", False),  # off the grid
        ("R, D", False),  # not there yet
        ("R, L, R, D, R", False),  # too many
        ("", False),
    ],
)
def test_moves_are_made(answer: str, works: bool) -> None:
    assert plans.moves(answer, grid=GRID, at_most=4) is works


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*3", 7),
        ("(1+2)*3", 9),
        ("2**10", 1024),
        ("2^3", 8),
        ("7/2", 3.5),
        ("6/2", 3),
        ("-3 + 1", -2),
        ("1,250 × 2", 2500),
        ("0.1+0.2", 0.3),
        ("17 % 5", 2),
    ],
)
def test_the_calculator_calculates(text: str, value: float) -> None:
    assert calculate(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "1+", "1/0", "0**-1", "abs(1)", "__import__('os')", "9**9**9", "9" * 200, "1 2"),
        *("(-8)**0.5", "1.5**64**9", "(" * 150, "1e9", "10**60", "True", "1(2)", "[1]", "\x00"),
    ],
)
def test_the_calculator_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        calculate(text)


def test_arguments_are_held_against_the_schema() -> None:
    schema = TOOLS["convert"].parameters
    good = {"value": 3, "from_unit": "km", "to_unit": "m"}
    assert faults(good, schema) == []
    for bad, part in [
        ({**good, "value": "3"}, "arguments.value must be of type number"),
        ({**good, "value": True}, "arguments.value must be of type number"),
        ({**good, "to_unit": "parsec"}, "arguments.to_unit must be one of"),
        ({**good, "more": 1}, "arguments.more is unknown"),
        ({"value": 3, "from_unit": "km"}, "arguments.to_unit is missing"),
        ([], "arguments must be of type object"),
    ]:
        (found,) = faults(bad, schema)
        assert found.startswith(part)
    bounds = {"type": "integer", "minimum": 1, "maximum": 3}
    assert [bool(faults(n, bounds)) for n in (0, 1, 3, 4, 1.5)] == [True, False, False, True, True]


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("convert", {"value": 1, "from_unit": "mile", "to_unit": "km"}, 1.609344),
        ("convert", {"value": 100, "from_unit": "celsius", "to_unit": "fahrenheit"}, 212),
        ("convert", {"value": 5, "from_unit": "celsius", "to_unit": "celsius"}, 5),
        ("convert", {"value": 90, "from_unit": "minute", "to_unit": "hour"}, 1.5),
        ("add_days", {"start": "2024-02-28", "days": 2}, "2024-03-01"),
        ("add_days", {"start": "2024-01-01", "days": -1}, "2023-12-31"),
        ("days_between", {"start": "2024-03-01", "end": "2024-02-28"}, -2),
        ("weekday", {"day": "1969-07-20"}, "Sunday"),
    ],
)
def test_tools_work(name: str, arguments: dict[str, Any], result: Any) -> None:
    assert call(name, arguments, list(TOOLS)) == (result, "")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("convert", {"value": 1, "from_unit": "mile", "to_unit": "kg"}),
        ("convert", {"value": 10**400, "from_unit": "mile", "to_unit": "km"}),
        ("convert", {"value": 1e308, "from_unit": "km", "to_unit": "mm"}),
        ("add_days", {"start": "2024-02-30", "days": 1}),
        ("add_days", {"start": "2024-02-01", "days": 10**12}),
        ("weekday", {"day": "20 July"}),
        ("look_up", {"table": "products", "key": "Z"}),
        ("calculator", {"expression": "two plus two"}),
        ("calculator", None),
        ("shell", {"command": "ls"}),
    ],
)
def test_tools_say_what_they_cannot_do(name: str, arguments: Any) -> None:
    result, error = call(name, arguments, list(TOOLS))
    assert result is None
    assert error


def test_a_tool_not_offered_does_not_exist() -> None:
    assert call("calculator", {"expression": "1"}, ["weekday"])[1] == (
        "there is no tool calculator; there are weekday"
    )


SUM = Call("calculator", {"expression": "1+1"})


@pytest.mark.parametrize(
    "text",
    [
        '{"tool": "calculator", "arguments": {"expression": "1+1"}}',
        'Sure!\n```json\n{"tool": "calculator", "arguments": {"expression": "1+1"}}\n```',
        '<tool_call>{"name": "calculator", "arguments": {"expression": "1+1"}}</tool_call>',
        '{"function": {"name": "calculator", "arguments": "{\\"expression\\": \\"1+1\\"}"}}',
        'The set {1, 2}: {"tool": "calculator", "args": {"expression": "1+1"}} {',
    ],
)
def test_a_call_is_read_in_its_frames(text: str) -> None:
    assert read_call(text) == SUM


@pytest.mark.parametrize(
    "text",
    [
        *("", "2", "{}", '{"tool": "calculator"}', '{"tool": 1, "arguments": {}}', "{" * 5000),
        *('{"tool": "calculator", "arguments": {"x": NaN}}', '["tool"]', '{"tool": "calc'),
    ],
)
def test_other_text_is_no_call(text: str) -> None:
    assert read_call(text) is None


def test_saying_the_tools_again_is_no_call() -> None:
    assert read_call(instructions(list(TOOLS), "en")) is None


def test_models_are_told_valid_json() -> None:
    for language in ("en", "ko"):
        lines = instructions(list(TOOLS), language).splitlines()
        told = [json.loads(line) for line in lines if line.startswith('{"name"')]
        assert [tool["name"] for tool in told] == list(TOOLS)
    assert set(told[1]["parameters"]["properties"]["to_unit"]["enum"]) == set(UNITS)
