"""Streaming an answer to the page: many tokens in, ten frames a second out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, cast

from javis.core.errors import UserInputError
from javis.core.types import SamplingParams, Turn
from javis.service.arena import DuelFrame
from javis.service.chat import Options
from javis.service.services import Services
from javis.ui.edge import Json, Payload, User

FRAME_S = 0.1
"""Time between two frames; what came in between is drawn at once."""


@dataclass(frozen=True, slots=True)
class Controls:
    """The values under the composer, as the browser sent them; checked in `options`."""

    version: object
    temperature: object
    top_p: object
    max_tokens: object
    penalty: object
    seed: object
    system_prompt: object

    def options(self, drop: int, *, examples: bool = True) -> Options:
        if self.version is not None and not isinstance(self.version, str):
            raise UserInputError("no_version", "There is no version {name}.", name="?")
        if not isinstance(self.system_prompt, str):
            raise UserInputError("not_text", "{what} must be text.", what="The system prompt")
        # SamplingParams refuses whatever is no number in range; the cast only quiets the checker.
        sampling = SamplingParams(
            temperature=cast(float, self.temperature),
            top_p=cast(float, self.top_p),
            max_tokens=cast(int, self.max_tokens),
            repetition_penalty=cast(float, self.penalty),
            seed=self._seed(),
        )
        return Options(sampling, self.version or None, self.system_prompt, drop, examples)

    def _seed(self) -> int | None:
        """The field is text, as an empty one means "draw one for each answer"."""
        text = self.seed.strip() if isinstance(self.seed, str) else self.seed
        if text is None or text == "":
            return None
        if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= 12:
            return int(text)
        if isinstance(text, int):
            return text
        raise UserInputError("not_whole", "{name} must be a whole number.", name="seed")


class Answering:
    """Starts answers and turns them into frames."""

    def __init__(self, services: Services) -> None:
        self._chat = services.chat
        self._arena = services.arena

    def frames(self, user: User, payload: Payload, controls: Controls) -> Iterator[Json]:
        """The growing answer.

        Each frame holds the whole text so far (the wire carries only what was added), the last
        one `done`. A refusal raises before the first frame: nothing was stored then.
        """
        options = controls.options(
            payload.number("drop", 0, 0, 1_000_000), examples=payload.get("examples") is not False
        )
        answer = self._start(user.name, payload, options)
        frame: Json = {"call": payload.call}
        drawn = 0.0
        with closing(cast(Any, answer)):
            for state in answer:
                now = time.monotonic()
                if state.finish is None and now - drawn < FRAME_S:
                    continue
                drawn = now
                frame = _frame(payload.call, state)
                yield frame
        yield {**frame, "done": True}

    def _start(self, owner: str, payload: Payload, options: Options) -> Iterator[Turn | DuelFrame]:
        match payload.get("op"):
            case "reply":
                conversation = payload.optional_id("conversation")
                after = payload.optional_id("after")
                text = payload.text("text")
                return self._arena.reply(owner, text, conversation, options, after)
            case "again":
                # The same question: so also its own system prompt, not the one that is next.
                same = replace(options, system_prompt=None)
                return self._chat.regenerate(owner, payload.id("turn"), same)
            case "edit":
                return self._arena.edit_message(
                    owner, payload.id("turn"), payload.text("text"), options
                )
        raise UserInputError(
            "bad_request", "The page sent something unexpected ({name}).", name="op"
        )


def _frame(call: str, state: Turn | DuelFrame) -> Json:
    if isinstance(state, DuelFrame):
        return _duel_frame(call, state)
    turn = state
    return {
        "call": call,
        "conversation": turn.conversation_id,
        "turn": turn.id,
        "version": turn.version,
        "text": turn.reply,
        "finish": turn.finish,
    }


def _duel_frame(call: str, frame: DuelFrame) -> Json:
    """Both answers. Like every frame it names a turn: the left one, as it is shown for now."""
    both = (frame.left, frame.right)
    return {
        "call": call,
        "conversation": frame.conversation_id,
        "turn": frame.left.id,
        "duel": frame.duel,
        "sides": [{"turn": t.id, "text": t.reply, "finish": t.finish} for t in both],
        "text": frame.left.reply,
        "finish": frame.finish,
    }
