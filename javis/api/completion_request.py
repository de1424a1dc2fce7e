"""What `POST /v1/chat/completions` takes: OpenAI's fields, checked one by one.

Fields nobody knows are ignored and go no further. Fields of OpenAI that change the answer in a
way JAVIS cannot are refused, unless they ask for what happens anyway (`"n": 1`, `"tools": []`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from pydantic import PlainValidator as Plain
from pydantic import WithJsonSchema as Schema
from pydantic import model_validator as validator
from pydantic_core import PydanticCustomError

from javis.core.types import Message, Role, SamplingParams
from javis.service.completions import MAX_MESSAGES

MAX_PARTS = 1_000
CURRENT = ("", "javis")
"""Model names that mean the version in use."""

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def _empty(value: object) -> bool:
    return value is None or value is False or value in ([], {}, 0)


_NEUTRAL: dict[str, Callable[[object], bool]] = {
    "n": lambda v: v is None or (v == 1 and not isinstance(v, bool)),
    "tools": _empty,
    "functions": _empty,
    "tool_choice": lambda v: v in (None, "none", "auto"),
    "function_call": lambda v: v in (None, "none", "auto"),
    "response_format": lambda v: v is None or v == {"type": "text"},
    "logprobs": _empty,
    "top_logprobs": _empty,
    "logit_bias": _empty,
    "presence_penalty": _empty,
    "frequency_penalty": _empty,
    "modalities": lambda v: v in (None, ["text"]),
    "audio": _empty,
    "prediction": _empty,
    "web_search_options": lambda v: v is None,
}
_SAID = {
    "n": "n: JAVIS writes one answer at a time, so n must be 1.",
    "presence_penalty": "presence_penalty is not supported; use repetition_penalty.",
    "frequency_penalty": "frequency_penalty is not supported; use repetition_penalty.",
}


def _read_messages(value: object) -> list[Message]:
    """Messages from JSON. Stops at the first bad one, whatever the length of the list."""
    if not isinstance(value, list):
        raise ValueError("messages must be a list.")
    return [_read_message(f"messages[{number}]", item) for number, item in enumerate(value)]


def _read_message(where: str, item: object) -> Message:
    if not isinstance(item, dict):
        raise ValueError(f"{where} must be an object with role and content.")
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise ValueError(f"{where}.role must be system, developer, user or assistant.")
    return Message(_ROLES[role], _read_content(f"{where}.content", item.get("content")))


def _read_content(where: str, content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise ValueError(f"{where} must be text or a list of text parts.")
    if len(content) > MAX_PARTS:
        raise ValueError(f"{where} has {len(content):,} parts; at most {MAX_PARTS:,} can be.")
    texts = []
    for number, part in enumerate(content):
        if isinstance(part, dict) and part.get("type") in ("image_url", "input_audio", "file"):
            raise ValueError(f"{where}[{number}]: JAVIS reads text only, no images or files.")
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise ValueError(f'{where}[{number}] must be {{"type": "text", "text": …}}.')
        texts.append(text)
    return "\n".join(texts)


def _read_stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise ValueError("stop must be a text or a list of texts.")
    return tuple(stops)


_MESSAGE_SCHEMA: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_MESSAGES,
    "items": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": {"enum": list(_ROLES)},
            "content": {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["type", "text"],
                            "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                        },
                    },
                ]
            },
        },
    },
}
_STOP_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 200},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 16},
        {"type": "null"},
    ]
}
# Beyond 64 bits Python's own float functions overflow; the real limits are SamplingParams'.
Whole = Annotated[StrictInt, Field(ge=-(2**63), le=2**63)]
Number = StrictFloat


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: StrictBool | None = None


class CompletionRequest(BaseModel):
    """The body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(extra="ignore")

    messages: Annotated[list[Message], Plain(_read_messages), Schema(_MESSAGE_SCHEMA)]
    model: Annotated[StrictStr, Field(max_length=200)] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    store: StrictBool | None = None
    temperature: Number | None = Field(None, description="0 to 2; 0 always takes the likeliest.")
    top_p: Number | None = Field(None, description="0.01 to 1.")
    max_tokens: Whole | None = None
    max_completion_tokens: Whole | None = Field(None, description="Wins over max_tokens.")
    repetition_penalty: Number | None = Field(None, description="0.5 to 2; not OpenAI's, ours.")
    seed: Whole | None = None
    stop: Annotated[tuple[str, ...], Plain(_read_stop), Schema(_STOP_SCHEMA)] = ()

    @validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, data: object) -> object:
        if isinstance(data, Mapping):
            for name, is_neutral in _NEUTRAL.items():
                if name in data and not is_neutral(data[name]):
                    said = _SAID.get(name, f"{name} is not supported; leave it out.")
                    raise PydanticCustomError(
                        "unsupported", "{said}", {"said": said, "param": name}
                    )
        return data

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def sampling(self, defaults: SamplingParams) -> SamplingParams:
        """`defaults` with what was asked for. Raises UserInputError for a value out of range."""
        most = self.max_completion_tokens
        asked = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens if most is None else most,
            "repetition_penalty": self.repetition_penalty,
            "seed": self.seed,
        }
        given: dict[str, Any] = {k: v for k, v in asked.items() if v is not None}
        return replace(defaults, **given, stop=self.stop)

    def version(self, base_model: str) -> str | None:
        """The adapter version that `model` names; None for the one in use."""
        if self.model is None or self.model in CURRENT:
            return None
        return "base" if self.model == base_model else self.model
