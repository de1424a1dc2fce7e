"""Tool calls: how a model is told to make them, and what it wrote read as one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from javis.eval.agent.tools import TOOLS

_INTRO = {
    "en": (
        "You can use tools. To use one, reply with one JSON object and nothing else:\n"
        '{{"tool": "<name>", "arguments": {{...}}}}\n'
        "You are then told its result, and can use another one. When you know enough, or need no "
        "tool, answer the user in plain words. The tools, with the JSON Schemas of their "
        "arguments:\n{tools}"
    ),
    "ko": (
        "도구를 쓸 수 있습니다. 도구를 쓰려면 다음과 같은 JSON 객체 하나만 쓰세요.\n"
        '{{"tool": "<이름>", "arguments": {{...}}}}\n'
        "그러면 결과를 알려 드리며, 이어서 다른 도구를 쓸 수 있습니다. "
        "필요한 것을 다 알았거나 도구가 필요 없으면 사용자에게 말로 답하세요. "
        "도구와 인자의 JSON Schema는 다음과 같습니다.\n{tools}"
    ),
}
_RESULT = {"en": "Result of {name}: {text}", "ko": "{name}의 결과: {text}"}
_ERROR = {"en": "Error of {name}: {text}", "ko": "{name}의 오류: {text}"}
_OBJECT_START = re.compile(r"\{")
_NAMES = ("tool", "name", "function")
_ARGUMENTS = ("arguments", "parameters", "args")


@dataclass(frozen=True, slots=True)
class Call:
    """What a model wants to be run; nothing of it is checked yet."""

    tool: str
    arguments: Any


def instructions(tools: Sequence[str], language: str) -> str:
    """The system prompt that explains `tools`."""
    return _INTRO[language].format(tools="\n".join(TOOLS[name].described() for name in tools))


def told(name: str, result: Any, error: str, language: str) -> str:
    """The message a model gets after its call."""
    form = (_ERROR if error else _RESULT)[language]
    return form.format(name=name, text=error or json.dumps(result, ensure_ascii=False))


def read_call(answer: str) -> Call | None:
    """The first call in an answer, or None when it makes none.

    Frames that models were trained to put around a call (a fence, `<tool_call>`, a sentence
    before it) are no mistake, and neither are the key names of other makers.
    """
    decoder = json.JSONDecoder(parse_constant=_refuse)
    for start in _OBJECT_START.finditer(answer):
        try:
            found, _ = decoder.raw_decode(answer, start.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and "description" not in found:  # a tool's, said again
            call = _call_of(found)
            if call is not None:
                return call
    return None


def _call_of(found: dict[str, Any]) -> Call | None:
    name = next((found[key] for key in _NAMES if isinstance(found.get(key), str)), None)
    arguments = next((found[key] for key in _ARGUMENTS if key in found), None)
    if name is None or arguments is None:
        inner = found.get("function")
        return _call_of(inner) if isinstance(inner, dict) else None
    if isinstance(arguments, str):  # JSON within JSON, as OpenAI's interface has it
        try:
            arguments = json.loads(arguments, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return Call(name, arguments)
    return Call(name, arguments)


def _refuse(name: str) -> Any:
    raise ValueError(name)
