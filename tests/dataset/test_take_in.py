"""Rows of files that somebody else wrote."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from javis.core.learning import Example, Judged, Pair
from javis.core.types import Message
from javis.dataset.take_in import MAX_LINE_BYTES, Problem, key_of, read

USER = {"role": "user", "content": "q"}
ANSWER = {"role": "assistant", "content": "a"}
GOOD = {
    "messages": {"messages": [USER, ANSWER]},
    "sharegpt": {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
    "alpaca": {"instruction": "q", "output": "a"},
}


def taken(*rows: object) -> tuple[list[tuple[int, object]], list[Problem]]:
    problems: list[Problem] = []
    data = b"".join(
        row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows
    )
    return list(read([data], problems)), problems


@pytest.mark.parametrize("format", GOOD)
def test_each_format_of_an_example(format: str) -> None:
    rows, problems = taken(GOOD[format])
    assert problems == []
    said = (Message("user", "q"), Message("assistant", "a"))
    assert rows == [(1, Example(said, "", "", "import"))]


def test_pairs_and_judged() -> None:
    more = {"turn_id": "t_1", "conversation_id": "c_1"}
    prompt = (Message("system", "s"), Message("user", "q"))
    listed = [{"role": "system", "content": "s"}, USER]
    rows, problems = taken(
        {"prompt": listed, "chosen": [ANSWER], "rejected": "b"} | more,
        {"prompt": listed, "completion": [ANSWER], "label": False},
        {"prompt": "q", "completion": "a", "label": True},
        {"messages": [USER, ANSWER], "source": "disliked"},
    )
    assert problems == []
    assert [row for _, row in rows] == [
        Pair(prompt, "a", "b", "t_1", "c_1", "import"),
        Judged(prompt, "a", False, "", "", "import"),
        Judged(prompt[1:], "a", True, "", "", "import"),
        Judged(prompt[1:], "a", False, "", "", "import"),
    ]


def test_alpaca_with_all_its_fields() -> None:
    row = {
        "instruction": "q",
        "input": "more",
        "output": "a",
        "system": "s",
        "history": [["q0", "a0"]],
    }
    ((_, example),), _ = taken(row)
    assert isinstance(example, Example)
    assert [m.content for m in example.messages] == ["s", "q0", "a0", "q\n\nmore", "a"]


KEYS = [
    *("messages", "role", "content", "prompt", "chosen", "rejected", "completion", "label"),
    *("conversations", "from", "value", "instruction", "output", "history", "turn_id", "source"),
]
BAD = [
    (b"{\n", "row_not_json"),
    (b"[" * 100_000 + b"\n", "row_not_json"),
    (b"[1]\n", "row_not_object"),
    (b"\xff\xfe{}\n", "row_not_utf8"),
    (b'{"messages": "' + b"x" * MAX_LINE_BYTES + b'"}\n', "row_too_long"),
    ({}, "row_format"),
    ({"messages": []}, "row_messages"),
    ({"messages": [5]}, "row_message"),
    ({"messages": [{"role": "tool", "content": "x"}, ANSWER]}, "row_message"),
    ({"messages": [{"role": ["user"], "content": "x"}, ANSWER]}, "row_message"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}, ANSWER]}, "row_message"),
    ({"messages": [USER]}, "row_roles"),
    ({"messages": [ANSWER]}, "row_roles"),
    ({"messages": [USER, USER, ANSWER]}, "row_roles"),
    ({"messages": [USER, {"role": "system", "content": "s"}, ANSWER]}, "row_roles"),
    ({"messages": [USER, {"role": "assistant", "content": " "}]}, "empty_text"),
    ({"messages": [USER, {"role": "assistant", "content": "x" * 400_001}]}, "text_too_long"),
    (
        b'{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", '
        b'"content": "a"}]}\n',
        "bad_characters",
    ),
    ({"prompt": [USER], "completion": "a", "label": "yes"}, "row_label"),
    ({"prompt": [USER], "completion": "a"}, "row_label"),
    ({"prompt": [USER], "chosen": "a", "rejected": "a "}, "row_same"),
    ({"prompt": [USER], "chosen": [USER], "rejected": "b"}, "row_answer"),
    ({"prompt": [USER], "chosen": "a"}, "row_messages"),
    ({"instruction": "q", "output": 5}, "row_alpaca"),
    ({"instruction": "q", "output": "a", "history": [["q"]]}, "row_history"),
    ({"messages": [USER, ANSWER], "turn_id": 5}, "row_ids"),
    ({"messages": [USER, ANSWER], "turn_id": "x" * 101}, "row_ids"),
]


@pytest.mark.parametrize(("row", "code"), BAD, ids=lambda v: v if isinstance(v, str) else "")
def test_a_bad_row_has_its_line_and_reason_and_stops_nothing(row: object, code: str) -> None:
    rows, problems = taken(GOOD["messages"], b"\n", row, GOOD["alpaca"])
    assert [line for line, _ in rows] == [1, 4]
    ((line, found, sentence),) = problems
    assert (line, found) == (3, code)
    assert sentence.endswith(".")


def test_files_in_pieces_without_a_last_newline_and_with_a_mark() -> None:
    data = "\ufeff".encode() + b"\r\n".join(json.dumps(GOOD["messages"]).encode() for _ in range(3))
    for size in (1, 7, 10_000):
        problems: list[Problem] = []
        blocks = [data[i : i + size] for i in range(0, len(data), size)]
        assert [line for line, _ in read(blocks, problems)] == [1, 2, 3]
        assert problems == []


def test_an_endless_line_does_not_fill_the_memory() -> None:
    problems: list[Problem] = []
    blocks = (b"x" * (1 << 20) for _ in range(20))
    assert list(read(blocks, problems)) == []
    assert [(line, code) for line, code, _ in problems] == [(1, "row_too_long")]


def test_an_empty_file() -> None:
    assert taken() == ([], [])
    assert taken(b"\n\n") == ([], [])


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    problems: list[Problem] = []
    list(read([data], problems))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_is_too_strange(value: object) -> None:
    rows, problems = taken(value)
    assert len(rows) + len(problems) == 1


def test_a_key_tells_what_a_row_says() -> None:
    one = Example((Message("user", "q"), Message("assistant", "a")), "t_1", "c_1", "import")
    same = Example(one.messages, "t_2", "", "liked")
    assert key_of(one) == key_of(same)
    judged = Judged(one.messages[:1], "a", True, "", "", "")
    assert (
        len({key_of(one), key_of(judged), key_of(Pair(one.messages[:1], "a", "b", "", "", ""))})
        == 3
    )
