"""The values that cross a border between layers. All frozen; all valid once made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from javis.core.errors import UserInputError

Role = Literal["system", "user", "assistant"]
Rating = Literal["good", "bad"]
Finish = Literal["stop", "length", "cancelled", "error", "interrupted", "edited", "imported"]
"""Why an answer ended. `interrupted`: the program died while it was written; `edited`: the user
wrote it; `imported`: it came from elsewhere."""

BASE = "base"
"""The version name of the base model without an adapter."""

REASONS = (
    "inaccurate",
    "inappropriate",
    "not_what_i_meant",
    "too_long",
    "too_short",
    "wrong_tone",
    "wrong_language",
    "other",
)
"""Reason tags. `inaccurate` stands for hallucinated too, `wrong_tone` for 존댓말/반말."""

MAX_MESSAGE_CHARS = 400_000
"""A longer message is refused before it is tokenized or stored."""
MAX_COMMENT_CHARS = 20_000
MAX_TITLE_CHARS = 200
MAX_TOKENS_LIMIT = 32_768
MAX_SEED = 2**32 - 2


def check_text(value: object, what: str, limit: int, *, empty_ok: bool = False) -> str:
    """Return `value` if it is storable text of at most `limit` characters; else UserInputError."""
    if not isinstance(value, str):
        raise UserInputError("not_text", "{what} must be text.", what=what)
    if len(value) > limit:
        raise UserInputError(
            "text_too_long",
            "{what} has {length} characters; at most {limit} are possible.",
            what=what,
            length=f"{len(value):,}",
            limit=f"{limit:,}",
        )
    if not empty_ok and not value.strip():
        raise UserInputError("empty_text", "{what} is empty.", what=what)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise UserInputError(
            "bad_characters", "{what} holds characters that are no valid text.", what=what
        ) from None
    return value


def _number(name: str, value: object, low: float, high: float) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not isinstance(value, (int, float)) or not is_number or value != value:
        raise UserInputError("not_a_number", "{name} must be a number.", name=name)
    if abs(value) > 1e18:  # too large to be shown, or for a float at all
        value = math.inf if value > 0 else -math.inf
    if not low <= value <= high:
        raise UserInputError(
            "out_of_range",
            "{name} must be between {low} and {high}, not {value}.",
            name=name,
            low=_said(low),
            high=_said(high),
            value=_said(value),
        )
    return float(value)


def _said(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the model sees it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. Bad values raise UserInputError here and nowhere else."""

    temperature: float = 0.7
    """0 is greedy; 2 is the most adventurous."""
    top_p: float = 0.95
    max_tokens: int = 1024
    repetition_penalty: float = 1.0
    seed: int | None = None
    """None: one is drawn for each answer, and stored with it."""
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "temperature", _number("temperature", self.temperature, 0, 2))
        put(self, "top_p", _number("top_p", self.top_p, 0.01, 1))
        put(self, "max_tokens", self._whole("max_tokens", self.max_tokens, 1, MAX_TOKENS_LIMIT))
        put(
            self,
            "repetition_penalty",
            _number("repetition_penalty", self.repetition_penalty, 0.5, 2),
        )
        if self.seed is not None:
            put(self, "seed", self._whole("seed", self.seed, 0, MAX_SEED))
        if isinstance(self.stop, str) or not all(isinstance(s, str) for s in self.stop):
            raise UserInputError("bad_stop", "stop must be a list of texts.")
        put(self, "stop", tuple(self.stop))
        if len(self.stop) > 16 or any(not s or len(s) > 200 for s in self.stop):
            raise UserInputError(
                "bad_stop_length", "stop takes at most 16 texts of 1 to 200 characters."
            )
        for text in self.stop:
            check_text(text, "stop", 200, empty_ok=True)

    @staticmethod
    def _whole(name: str, value: object, low: int, high: int) -> int:
        number = _number(name, value, low, high)
        if number != int(number):
            raise UserInputError("not_whole", "{name} must be a whole number.", name=name)
        return int(number)


_NO_TIME_S = 0.002


@dataclass(frozen=True, slots=True)
class Timings:
    """What an answer cost. Times in milliseconds."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """How many of the prompt tokens were still in the engine's cache."""
    completion_tokens: int = 0
    ttft_ms: float = 0.0
    """From the request to the first token."""
    total_ms: float = 0.0

    @property
    def tokens_per_second(self) -> float:
        """Speed after the first token; 0 when nothing can be said."""
        seconds = (self.total_ms - self.ttft_ms) / 1000
        # All tokens of one character come at once: that was no time to write them in.
        if self.completion_tokens < 2 or seconds < _NO_TIME_S:
            return 0.0
        return (self.completion_tokens - 1) / seconds


Ended = Literal["stop", "length", "cancelled"]
"""How an engine's answer can end."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer. The last one has `finish` and `timings`.

    An empty text without `finish` is a heartbeat: the engine is still reading the prompt.
    """

    text: str = ""
    finish: Ended | None = None
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What answers, for the page, `/health` and the stored turn."""

    engine: str
    """`llama.cpp`, `transformers` or `scripted`."""
    model: str
    """The id stored with every answer."""
    title: str
    """The name people read, such as `SmolLM2 135M`."""
    quantization: str
    context_tokens: int
    """The longest prompt plus answer of one conversation."""
    parallel: int
    """Answers written at the same time; more wait."""
    languages: tuple[str, ...] = ("en",)
    device: str = "cpu"
    licence: str = ""
    sampling: SamplingParams = field(default_factory=SamplingParams)
    """What suits the model; the user's own defaults win."""


@dataclass(frozen=True, slots=True)
class Version:
    """An adapter version found in `models/`, or the base."""

    name: str
    path: str | None
    """Its folder; None for the base."""
    base_model: str
    sha256: str | None
    """Of `adapter_model.safetensors`."""
    created_at: str = ""
    method: str = ""
    notes: str = ""
    damaged: str | None = None
    """Why it cannot be used, in plain words."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation; `head` is the turn at the end of the branch that is shown."""

    id: str
    owner: str
    title: str
    created_at: str
    updated_at: str
    head: str | None = None
    deleted_at: str | None = None
    titled: bool = False
    """True once the user named it; until then the first message names it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A user's message and its answer, with all that is needed to know where it came from.

    Turns form a tree by `parent_id`. Siblings (same parent) with the same `user` text are other
    answers to one message; with another text they are edits of the message.
    """

    id: str
    conversation_id: str
    parent_id: str | None
    created_at: str
    user: str
    reply: str = ""
    finish: Finish | None = None
    """None while the answer is being written."""
    error: str | None = None
    model: str = ""
    engine: str = ""
    quantization: str = ""
    version: str = BASE
    version_sha256: str | None = None
    system_prompt: str = ""
    sampling: SamplingParams = field(default_factory=SamplingParams)
    timings: Timings = field(default_factory=Timings)
    sources: tuple[str, ...] = ()
    """Ids of the knowledge chunks used."""
    dropped_turns: int = 0
    """How many of the oldest turns the user agreed to leave out of the prompt."""
    edited_from: str | None = None
    origin: str = "chat"
    """`chat`, `api`, `import` or `edit`."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """A user's judgement of a turn. Appended, never changed: the newest one counts."""

    turn_id: str
    created_at: str
    rating: Rating | None = None
    """None: the vote was taken back."""
    reasons: tuple[str, ...] = ()
    comment: str = ""
    correction: str | None = None
    """The answer the user wanted; the original stays in the turn."""

    def __post_init__(self) -> None:
        if self.rating not in ("good", "bad", None):
            raise UserInputError("bad_rating", "A rating is good, bad or nothing.")
        object.__setattr__(self, "reasons", tuple(dict.fromkeys(self.reasons)))
        for reason in self.reasons:
            if reason not in REASONS:
                raise UserInputError("bad_reason", "'{reason}' is no known reason.", reason=reason)
        check_text(self.comment, "The comment", MAX_COMMENT_CHARS, empty_ok=True)
        if self.correction is not None:
            check_text(self.correction, "The correction", MAX_MESSAGE_CHARS)

    @property
    def is_empty(self) -> bool:
        """True when nothing of the judgement is left."""
        return not (self.rating or self.reasons or self.comment or self.correction)
