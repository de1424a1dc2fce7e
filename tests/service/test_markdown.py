"""A conversation goes out as Markdown and comes back the same, whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from javis.core.errors import UserInputError
from javis.core.types import Finish, SamplingParams, Turn
from javis.service.markdown import read_markdown, write_markdown

AT = "2026-11-28T03:20:14.120Z"
HEADINGS = (
    f"**You** · {AT}",
    f"**M v1.0** · {AT}",
    rf"\**You** · {AT}",
    f"**M x** · {AT} · length",
)
"""What a message may say to look like the document's own lines."""
LINES = st.one_of(st.sampled_from(("", "# title", *HEADINGS)), st.text("ab*·\\ 가", max_size=6))
TEXTS = st.lists(LINES, min_size=1, max_size=6).map("\n".join)


def turn(user: str, reply: str, finish: Finish | None = "stop") -> Turn:
    return Turn(
        id="t",
        conversation_id="c",
        parent_id=None,
        created_at=AT,
        user=user,
        reply=reply,
        finish=finish,
        model="Smol LM",
        engine="scripted",
        quantization="",
        version="v1.0",
        version_sha256=None,
        system_prompt="",
        sampling=SamplingParams(),
    )


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
def test_whatever_is_said_comes_back(said: list[tuple[str, str]]) -> None:
    row = read_markdown(write_markdown("Tea", [turn(*texts) for texts in said]))
    assert row["title"] == "Tea"
    assert [(t["user"], t["assistant"]) for t in row["turns"]] == said
    for found in row["turns"]:
        assert found["created_at"] == AT and found["finish"] == "stop"
        assert (found["model"], found["version"]) == ("Smol LM", "v1.0")


@pytest.mark.parametrize(
    ("finish", "back"), [("length", "length"), ("cancelled", "cancelled"), (None, "interrupted")]
)
def test_half_an_answer_stays_half(finish: Finish | None, back: str) -> None:
    row = read_markdown(write_markdown("", [turn("a", "b", finish)]))
    assert row["turns"][0]["finish"] == back


def test_a_file_of_windows_and_its_mark_are_read() -> None:
    text = "\ufeff" + write_markdown("차", [turn("어떤 차?", "녹차.\n")])
    (found,) = read_markdown(text.replace("\n", "\r\n"))["turns"]
    assert (found["user"], found["assistant"]) == ("어떤 차?", "녹차.\n")


@pytest.mark.parametrize(
    "text",
    [
        *("", "# only a title", "**You** said", f"**You** · {AT}\n\na", f"**M v1.0** · {AT}\n\na"),
        f"**You** · {AT}\n\na\n\n**You** · {AT}\n\nb",
        f"**You** · {AT}\n\na\n\n**M v** · {AT}\n\nb\n\n**M v** · {AT}\n\nc",
    ],
)
def test_another_document_is_refused(text: str) -> None:
    with pytest.raises(UserInputError, match="none that JAVIS exported"):
        read_markdown(text)


def test_a_heading_between_line_ends_of_windows_is_text() -> None:
    said = "a\r\n**You** · 2026-11-21T09:30:00.000Z\r\nb"
    (row,) = read_markdown(write_markdown("", [turn(said, "fine")]))["turns"]
    assert (row["user"], row["assistant"]) == (said.replace("\r\n", "\n"), "fine")
