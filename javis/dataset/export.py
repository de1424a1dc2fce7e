"""Approved turns in the formats that trainers read. docs/data.md shows a row of each.

`messages`, `preference` and `kto` are TRL's own; the columns beside these say where a row is from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, get_args

from javis.core.learning import Example, Judged, Pair
from javis.core.types import Message
from javis.dataset.csv_cells import line_of
from javis.dataset.lessons import Lesson

Format = Literal["messages", "sharegpt", "alpaca", "preference", "kto", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
Filter = Literal["good", "bad", "all"]
FILTERS: tuple[Filter, ...] = get_args(Filter)

CSV_COLUMNS = (
    *("turn_id", "conversation_id", "source", "rating", "rated_at", "reasons", "comment"),
    *("system", "history", "message", "answer", "target", "version", "model"),
)
_FROM = {"system": "system", "user": "human", "assistant": "gpt"}

Row = Example | Pair | Judged


def wanted(lessons: Iterable[Lesson], which: Filter) -> Iterator[tuple[Lesson, str, bool]]:
    """For the formats of one answer: lesson, answer, and whether it is a good one.

    `good` has the answers to be learned, `bad` those that were disliked, `all` one for each turn:
    the answer to be learned, else the disliked one.
    """
    for lesson in lessons:
        good = lesson.target is not None and bool(lesson.target.strip())
        if good and which != "bad":
            assert lesson.target is not None
            yield lesson, lesson.target, True
        disliked = lesson.candidate.rating == "bad" and lesson.source != "import"
        if lesson.reply.strip() and disliked and (which == "bad" or (which == "all" and not good)):
            yield lesson, lesson.reply, False


def keeps_pair(pair: Pair, disliked: set[str], which: Filter) -> bool:
    """`bad` has the pairs whose rejected answer somebody disliked."""
    return which != "bad" or pair.source == "answers" or pair.turn_id in disliked


def keeps_judged(row: Judged, which: Filter) -> bool:
    return which == "all" or row.label == (which == "good")


# -- rows ------------------------------------------------------------------------------------


class Encoder:
    """Rows as lines of JSON. A message is encoded once, however many prompts it is part of."""

    def __init__(self) -> None:
        self._texts: dict[Message, str] = {}

    def forget(self) -> None:
        """Before another conversation, which has other messages."""
        self._texts.clear()

    def messages(self, prompt: Sequence[Message], answer: str, more: dict[str, Any]) -> str:
        said = [*map(self._message, prompt), _message(Message("assistant", answer))]
        return f'{{"messages": [{", ".join(said)}], {_rest(more)}}}\n'

    def preference(self, pair: Pair, more: dict[str, Any]) -> str:
        chosen, rejected = (_message(Message("assistant", t)) for t in (pair.chosen, pair.rejected))
        prompt = ", ".join(map(self._message, pair.prompt))
        return (
            f'{{"prompt": [{prompt}], "chosen": [{chosen}], "rejected": [{rejected}], '
            f"{_rest(more)}}}\n"
        )

    def kto(self, row: Judged, more: dict[str, Any]) -> str:
        prompt = ", ".join(map(self._message, row.prompt))
        completion = _message(Message("assistant", row.completion))
        label = "true" if row.label else "false"
        return (
            f'{{"prompt": [{prompt}], "completion": [{completion}], "label": {label}, '
            f"{_rest(more)}}}\n"
        )

    def sharegpt(self, prompt: Sequence[Message], answer: str, more: dict[str, Any]) -> str:
        messages = (*prompt, Message("assistant", answer))
        said = [{"from": _FROM[m.role], "value": m.content} for m in messages]
        return _json({"conversations": said} | more) + "\n"

    def alpaca(self, prompt: Sequence[Message], answer: str, more: dict[str, Any]) -> str:
        system, history, message = parts_of(prompt)
        row = {"instruction": message, "input": "", "output": answer, "system": system}
        return _json(row | {"history": history} | more) + "\n"

    def _message(self, message: Message) -> str:
        text = self._texts.get(message)
        if text is None:
            text = self._texts[message] = _message(message)
        return text


def parts_of(prompt: Sequence[Message]) -> tuple[str, list[list[str]], str]:
    """System prompt, earlier pairs of message and answer, and the message."""
    system = prompt[0].content if prompt[0].role == "system" else ""
    said = [m.content for m in prompt if m.role != "system"]
    pairs = [list(pair) for pair in zip(said[0:-1:2], said[1:-1:2], strict=False)]
    return system, pairs, said[-1]


def csv_header() -> str:
    # The mark lets Excel read Korean.
    return "\ufeff" + line_of(CSV_COLUMNS)


def csv_line(lesson: Lesson, answer: str, ids: dict[str, Any], hide: Callable[[str], str]) -> str:
    """A turn for a spreadsheet; `hide` takes personal data out of the comment."""
    candidate = lesson.candidate
    system, history, message = parts_of(lesson.prompt)
    return line_of(
        (
            *(str(ids[name]) for name in ("turn_id", "conversation_id", "source", "rating")),
            str(candidate.feedback.get("created_at", "")),
            ", ".join(candidate.feedback.get("reasons") or ()),
            hide(str(candidate.feedback.get("comment") or "")),
            system,
            _json(history) if history else "",
            message,
            lesson.reply,
            answer,
            str(candidate.turn.get("version", "")),
            str(candidate.turn.get("model", "")),
        )
    )


def ids_of(row: Row | Lesson, rating: str, source: str) -> dict[str, Any]:
    """Where a row is from. The same columns of the same types in every row of a file."""
    origin = row.candidate if isinstance(row, Lesson) else row
    return {
        "turn_id": origin.turn_id,
        "conversation_id": origin.conversation_id,
        "source": source,
        "rating": rating,
    }


# Made once: `json.dumps` would make one for each message.
_json = json.JSONEncoder(ensure_ascii=False).encode


def _message(message: Message) -> str:
    return f'{{"role": "{message.role}", "content": {_json(message.content)}}}'


def _rest(more: dict[str, Any]) -> str:
    return _json(more)[1:-1]
