"""Answers to a list of messages that a program sends, kept only when it asks for that."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import cast

from javis.core.errors import ContextOverflow, UserInputError
from javis.core.protocols import Engine
from javis.core.types import (
    MAX_MESSAGE_CHARS,
    MAX_SEED,
    Chunk,
    Conversation,
    Ended,
    Message,
    SamplingParams,
    Timings,
    Turn,
    Version,
    check_text,
)
from javis.service.answerer import Answerer
from javis.service.chat import title_of
from javis.service.versions import VersionService
from javis.store import Store, new_conversation_id, new_turn_id, now_iso

MAX_MESSAGES = 10_000


@dataclass(frozen=True, slots=True)
class Completion:
    """An accepted request: its id, and its answer as it comes."""

    id: str
    version: Version
    chunks: Generator[Chunk, None, None]
    """Ends with a chunk that has `finish` and `timings`. Closing it stops the model."""


class CompletionService:
    """The stateless way to the engine, for `/v1/chat/completions`."""

    def __init__(
        self, engine: Engine, store: Store, versions: VersionService, answerer: Answerer
    ) -> None:
        self._engine = engine
        self._store = store
        self._versions = versions
        self._answerer = answerer
        self._closing = threading.Event()

    def stop_all(self) -> None:
        """End every running answer, as the program ends."""
        self._closing.set()

    def complete(
        self,
        owner: str,
        messages: Sequence[Message],
        sampling: SamplingParams,
        version: str | None = None,
        *,
        keep: bool = False,
    ) -> Completion:
        """Answer `messages`; with `keep` the answer becomes a turn whose id is the completion's.

        Everything that can be refused is refused here, but Busy, which the first chunk raises.
        """
        _check(messages)
        # An empty system message says nothing, and many clients send one.
        messages = [m for m in messages if m.role != "system" or m.content.strip()]
        chosen = self._versions.serving(version)
        tokens = self._engine.count_tokens(messages)
        limit = self._engine.info.context_tokens
        if tokens >= limit:
            raise ContextOverflow(tokens=tokens + 1, limit=limit, drop=None)
        if sampling.seed is None:
            sampling = replace(sampling, seed=secrets.randbelow(MAX_SEED))
        completion_id = new_turn_id() if keep else f"chatcmpl-{secrets.token_hex(12)}"
        if keep:
            turn = self._turn(completion_id, messages, sampling, chosen)
            chunks = self._kept(*_as_conversation(owner, turn, messages), messages)
        else:
            chunks = self._stream(messages, sampling, chosen.name, self._closing)
        return Completion(completion_id, chosen, chunks)

    def _stream(
        self,
        messages: Sequence[Message],
        sampling: SamplingParams,
        version: str,
        stop: threading.Event,
        *,
        announced: bool = False,
    ) -> Generator[Chunk, None, None]:
        """`announced`: an empty chunk comes when there is a place, before the engine is asked."""
        with self._answerer.admission.ticket() as ticket:
            if announced:
                yield Chunk()
            while not ticket.ready.wait(0.1):
                if stop.is_set():
                    yield Chunk("", "cancelled", Timings())
                    return
                yield Chunk()
            running = self._engine.stream(messages, sampling, version, stop)
            with closing(running) as chunks:
                yield from chunks

    def _turn(
        self, turn_id: str, messages: Sequence[Message], sampling: SamplingParams, version: Version
    ) -> Turn:
        info = self._engine.info
        system = _joined("The system prompt", [m.content for m in messages if m.role == "system"])
        return Turn(
            id=turn_id,
            conversation_id="",
            parent_id=None,
            created_at=now_iso(),
            user=messages[-1].content,
            finish="cancelled",
            model=info.model,
            engine=info.engine,
            quantization=info.quantization,
            version=version.name,
            version_sha256=version.sha256,
            system_prompt=system,
            sampling=sampling,
            origin="api",
        )

    def _kept(
        self, conversation: Conversation, turns: Sequence[Turn], messages: Sequence[Message]
    ) -> Generator[Chunk, None, None]:
        """The answer, kept as one of the chat is: it can be stopped, and is stored as it grows."""
        turn = turns[-1]
        with (
            self._answerer.alive(conversation.id) as stop,
            closing(
                self._stream(messages, turn.sampling, turn.version, stop, announced=True)
            ) as chunks,
        ):
            # Refused for lack of a place before anything is stored.
            next(chunks)
            pending = [*turns[:-1], replace(turn, finish=None)]
            self._store.conversations.import_many([(conversation, pending, [])])
            said = 0
            for grown in self._answerer.kept(turn, chunks):
                # Stored before the client learns that it is complete.
                finish = cast(Ended | None, grown.finish)
                timings = grown.timings if finish else None
                yield Chunk(grown.reply[said:], finish, timings)
                said = len(grown.reply)


def _check(messages: Sequence[Message]) -> None:
    if not messages:
        raise UserInputError("no_messages", "messages is empty.")
    if len(messages) > MAX_MESSAGES:
        raise UserInputError(
            "too_many_messages", "At most {limit} messages are possible.", limit=MAX_MESSAGES
        )
    for number, message in enumerate(messages):
        # A model may say nothing, and then it is sent back as it came.
        empty_ok = message.role != "user"
        what = f"messages[{number}].content"
        check_text(message.content, what, MAX_MESSAGE_CHARS, empty_ok=empty_ok)
    if messages[-1].role != "user":
        raise UserInputError("last_not_user", "The last message must be the user's.")


def _as_conversation(
    owner: str, turn: Turn, messages: Sequence[Message]
) -> tuple[Conversation, list[Turn]]:
    """The messages as turns: each user message with the assistant messages that follow it."""
    conversation_id = new_conversation_id()
    turns: list[Turn] = []
    for message in messages[:-1]:
        if message.role == "user":
            turns.append(
                replace(
                    turn,
                    id=new_turn_id(),
                    conversation_id=conversation_id,
                    parent_id=turns[-1].id if turns else None,
                    user=message.content,
                    finish="imported",
                )
            )
        elif message.role == "assistant" and turns:
            reply = _joined("The answer", [turns[-1].reply, message.content])
            turns[-1] = replace(turns[-1], reply=reply)
    parent = turns[-1].id if turns else None
    turns.append(replace(turn, conversation_id=conversation_id, parent_id=parent))
    conversation = Conversation(
        id=conversation_id,
        owner=owner,
        title=title_of(turns[0].user),
        created_at=turn.created_at,
        updated_at=turn.created_at,
        head=turn.id,
    )
    return conversation, turns


def _joined(what: str, texts: Iterable[str]) -> str:
    """Texts as one, no longer than an import takes them."""
    return check_text("\n\n".join(filter(None, texts)), what, MAX_MESSAGE_CHARS, empty_ok=True)
