"""Can the version do what an assistant does beside answering? Plan, reason, keep what was said in
mind over turns, adapt to feedback, and use tools. All is checked by program.

Any plan that works is right, whichever words the conclusion is put in; tools are really run.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from javis.core.evaluation import Asker, Item, ItemResult, SuiteName
from javis.core.types import Message
from javis.dataset import control, repetition
from javis.eval import checks, short_answers, symptoms, text_match
from javis.eval.agent import calculator, calls, conclusion, plans, schema, tools
from javis.eval.checks import korean, layout, length, letters, structured, text, wording
from javis.eval.suites.items import DATA, read_items, version_of

MAX_TOKENS: Mapping[str, int] = {
    "planning": 192,
    "reasoning": 192,
    "context": 96,
    "feedback": 128,
    "tools": 96,
}
"""Room to think where that helps; no more, as a small model that loops goes on to the end."""
MAX_CALLS = 4
"""Replies to one request that may call a tool; the one after them must be the answer."""
CHECKS: Mapping[str, Callable[..., bool]] = {
    "number": conclusion.number,
    "concludes": conclusion.concludes,
    "says": conclusion.says,
    "near": conclusion.near,
    "dated": conclusion.dated,
    "order": plans.order,
    "pick": plans.pick,
    "path": plans.path,
    "moves": plans.moves,
    "either": lambda answer, *, checks: any(not failed(answer, [check]) for check in checks),
}
"""Beside those of `eval.checks`."""
_MARKING = (
    *(calculator, calls, conclusion, plans, schema, tools, short_answers),
    *(checks, korean, layout, length, letters, structured, text, wording),
    *(symptoms, text_match, control, repetition),
)


class AgentSuite:
    """Items have `turns`, in order: what the `user` says, and either the `given` answer of the
    assistant or, with the `ideal` one that tests replay, the model's own answer with its
    `checks` (none where it is only to be remembered).

    Items of the group `tools` have `tools`, a request (`user`), the `calls` that lead to the
    answer with their results, and the `checks` of the answer.
    """

    name: SuiteName = "agent"
    _path = DATA / "agent.jsonl"

    @cached_property
    def data_version(self) -> str:
        return version_of([self._path], [sys.modules[__name__], *_MARKING])

    @cached_property
    def _items(self) -> tuple[Item, ...]:
        return read_items(self._path)

    def items(self) -> Sequence[Item]:
        return self._items

    def run(self, item: Item, ask: Asker) -> ItemResult:
        start = time.perf_counter()
        run = _use_tools if item.group == "tools" else _converse
        score, answers, details = run(item, ask)
        return ItemResult(
            item.id,
            item.language,
            item.group,
            score=score,
            answers=tuple(answers),
            details=details,
            seconds=time.perf_counter() - start,
        )


def failed(answer: str, wanted: Sequence[Mapping[str, Any]]) -> list[str]:
    """Kinds of the checks that an answer does not pass; an empty answer passes none."""
    found = []
    for check in wanted:
        values = dict(check)
        kind = values.pop("kind")
        own = CHECKS.get(kind)
        passed = own(answer, **values) if own else checks.check(answer, check)
        if not passed or not answer.strip():
            found.append(str(kind))
    return found


def _converse(item: Item, ask: Asker) -> tuple[float, list[str], dict[str, Any]]:
    """The share of checked turns whose answer passes all its checks."""
    messages: list[Message] = []
    answers: list[str] = []
    missed: list[list[str]] = []
    for turn in item.data["turns"]:
        messages.append(Message("user", turn["user"]))
        answer = turn.get("given")
        if answer is None:
            answer = ask.reply(list(messages), max_tokens=MAX_TOKENS[item.group])
            answers.append(answer)
            if turn.get("checks"):
                missed.append(failed(answer, turn["checks"]))
        messages.append(Message("assistant", answer))
    score = sum(not kinds for kinds in missed) / len(missed)
    return score, answers, {"failed": [kind for kinds in missed for kind in kinds]}


def _use_tools(item: Item, ask: Asker) -> tuple[float, list[str], dict[str, Any]]:
    """Half for the calls that were needed, half for the answer made of them.

    Where no tool is needed, both are for an answer without a call.
    """
    allowed: Sequence[str] = item.data["tools"]
    messages = [
        Message("system", calls.instructions(allowed, item.language)),
        Message("user", item.data["user"]),
    ]
    answers: list[str] = []
    made: list[dict[str, Any]] = []
    for _ in range(MAX_CALLS + 1):
        answer = ask.reply(list(messages), max_tokens=MAX_TOKENS["tools"])
        answers.append(answer)
        call = calls.read_call(answer)
        if call is None:
            break
        result, error = tools.call(call.tool, call.arguments, allowed)
        made.append({"tool": call.tool, "result": result, "error": error})
        messages.append(Message("assistant", answer))
        messages.append(Message("user", calls.told(call.tool, result, error, item.language)))
    missed = ["no_answer"] if call else failed(answers[-1], item.data["checks"])
    share = _share_made(made, item.data["calls"])
    score = (share + (not missed)) / 2 if item.data["calls"] else float(not missed and not made)
    return score, answers, {"failed": missed, "calls": made, "calls_made": share}


def _share_made(made: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> float:
    """How much of what was wanted was called: the same tool with the same result, as there is
    more than one way to write a sum or a unit."""
    if not wanted:
        return float(not made)
    sound = [call for call in made if not call["error"]]
    found = [
        any(
            want["tool"] == call["tool"] and _same(want["result"], call["result"]) for call in sound
        )
        for want in wanted
    ]
    return sum(found) / len(wanted)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=5e-4)  # it may have rounded on the way
    return bool(one == other)
