"""A conversation as a Markdown document that people read, and back.

    # Title

    **You** · 2026-11-28T03:20:14.120Z

    Which tea?

    **SmolLM2 v1.0** · 2026-11-28T03:20:14.120Z

    Green.

One branch, without ratings; how an answer ended stands behind the time unless it came to its end.
A line of a message that looks like one of these headings gets a backslash in front.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from javis.core.errors import UserInputError
from javis.core.types import Turn

_USER = "You"
_TIME = r"\d{4}-\d\d-\d\dT[\d:.]+Z"
_HEADING = re.compile(rf"\*\*(?P<who>.+)\*\* · (?P<time>{_TIME})(?: · (?P<finish>\w+))?")
_PROTECTED = re.compile(rf"\\+\*\*.+\*\* · {_TIME}")


def write_markdown(title: str, turns: Sequence[Turn]) -> str:
    """The document; `turns` is one branch, oldest first."""
    lines = [f"# {title}", ""]
    for turn in turns:
        lines += [f"**{_USER}** · {turn.created_at}", "", _protect(turn.user), ""]
        ended = "" if turn.finish == "stop" else f" · {turn.finish or 'interrupted'}"
        lines += [f"**{turn.model} {turn.version}** · {turn.created_at}{ended}", ""]
        lines += [_protect(turn.reply), ""]
    return "\n".join(lines)


def read_markdown(text: str) -> dict[str, Any]:
    """The conversation as a row of an import. Raises UserInputError for another document."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    title = lines[0].removeprefix("# ").strip() if lines[0].startswith("# ") else ""
    turns: list[dict[str, Any]] = []
    for heading, message in _sections(lines):
        answered = not turns or "assistant" in turns[-1]
        if (heading["who"] == _USER) is not answered:
            raise _other_document()
        if answered:
            turns.append({"user": message, "created_at": heading["time"]})
        else:
            model, _, version = heading["who"].rpartition(" ")
            answer = {"assistant": message, "finish": heading["finish"] or "stop"}
            turns[-1] |= answer | {"model": model, "version": version}
    if not turns or "assistant" not in turns[-1]:
        raise _other_document()
    return {"title": title, "turns": turns}


def _sections(lines: Sequence[str]) -> Iterator[tuple[re.Match[str], str]]:
    """Each heading with the message below it."""
    starts = [(n, found) for n, line in enumerate(lines) if (found := _HEADING.fullmatch(line))]
    ends = [*(n for n, _ in starts), len(lines)][1:]
    for (start, heading), end in zip(starts, ends, strict=True):
        message = list(lines[start + 1 : end])
        # The empty lines around it that `write_markdown` set.
        if message and not message[0]:
            del message[0]
        if message and not message[-1]:
            del message[-1]
        yield heading, "\n".join(_unprotected(line) for line in message)


def _protect(text: str) -> str:
    return "\n".join(
        "\\" + line if _HEADING.fullmatch(line) or _PROTECTED.match(line) else line
        for line in text.replace("\r\n", "\n").split("\n")
    )


def _unprotected(line: str) -> str:
    return line[1:] if _PROTECTED.match(line) else line


def _other_document() -> UserInputError:
    return UserInputError(
        "import_not_ours",
        "This Markdown document is none that JAVIS exported: questions and answers must take "
        "turns below lines such as **You** · 2026-11-21T09:30:00.000Z.",
    )
