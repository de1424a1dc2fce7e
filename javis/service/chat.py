"""A chat turn from the user's message to the stored answer, and what a user does to turns.

The message is stored before the model is asked, the answer while it grows and again at its end,
whatever ends it. So a reload, a stop or a crash loses at most the last second of an answer.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from javis.core.errors import Busy, ContextOverflow, JavisError
from javis.core.protocols import Engine
from javis.core.types import (
    MAX_COMMENT_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_SEED,
    MAX_TITLE_CHARS,
    Chunk,
    Conversation,
    Message,
    SamplingParams,
    Timings,
    Turn,
    check_text,
)
from javis.service.admission import Admission, Ticket
from javis.service.preferences import Preferences
from javis.service.recall import Recall
from javis.service.tree import (
    ConversationView,
    branch_to,
    messages_of,
    newest_leaf,
    view_of,
)
from javis.service.versions import VersionService
from javis.store import Store, new_conversation_id, new_turn_id, now_iso

CHECKPOINT_S = 1.0
"""How often a growing answer is stored."""
ROOM_FOR_ANSWER = 256
"""Tokens kept free for an answer before a conversation counts as too long."""


@dataclass(frozen=True, slots=True)
class Options:
    """What one turn does differently from the defaults; None means the default."""

    sampling: SamplingParams | None = None
    version: str | None = None
    system_prompt: str | None = None
    drop: int = 0
    """How many of the oldest turns the user agreed to leave out."""
    examples: bool = True
    """Show the model the user's correction of a similar question, if there is one."""


class ChatService:
    """Answers, and keeps every answer."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        versions: VersionService,
        preferences: Preferences,
        admission: Admission,
        recall: Recall,
    ) -> None:
        self._engine = engine
        self._store = store
        self._versions = versions
        self._preferences = preferences
        self._admission = admission
        self._recall = recall
        self._live: dict[str, threading.Event] = {}
        self._live_lock = threading.Lock()
        self._closing = threading.Event()

    # Reading -------------------------------------------------------------------------------

    def view(self, owner: str, conversation_id: str) -> ConversationView:
        """The shown branch of a conversation."""
        conversation = self._store.conversations.get(conversation_id, owner)
        turns = self._store.conversations.turns(conversation_id)
        feedback = self._store.feedback.current_many([t.id for t in turns])
        return view_of(
            conversation,
            turns,
            feedback,
            answering=conversation_id in self._live,
            example_at=lambda turn: self._recall.used_at(owner, turn),
        )

    def turn(self, owner: str, turn_id: str) -> Turn:
        return self._store.conversations.get_turn(turn_id, owner)

    # Answering -----------------------------------------------------------------------------

    def reply(
        self,
        owner: str,
        text: str,
        conversation_id: str | None = None,
        options: Options | None = None,
        origin: str = "chat",
    ) -> Iterator[Turn]:
        """Continue the shown branch (or a new conversation) with `text`.

        Yields the turn as its answer grows; the last one has `finish`. Everything that can be
        refused is refused before the first yield and before anything is stored. Closing the
        iterator stops the model; what was written until then is kept.
        """
        check_text(text, "The message", MAX_MESSAGE_CHARS)
        parent: str | None = None
        if conversation_id is not None:
            parent = self._store.conversations.get(conversation_id, owner).head
        return self._answer(owner, conversation_id, parent, text, options or Options(), origin)

    def regenerate(
        self, owner: str, turn_id: str, options: Options | None = None
    ) -> Iterator[Turn]:
        """Answer the same message again; the earlier answers stay reachable."""
        turn = self.turn(owner, turn_id)
        options = options or Options()
        if options.system_prompt is None:
            options = replace(options, system_prompt=turn.system_prompt)
        return self._answer(owner, turn.conversation_id, turn.parent_id, turn.user, options, "chat")

    def edit_message(
        self, owner: str, turn_id: str, text: str, options: Options | None = None
    ) -> Iterator[Turn]:
        """Ask the message of a turn in other words, on a new branch beside it."""
        check_text(text, "The message", MAX_MESSAGE_CHARS)
        turn = self.turn(owner, turn_id)
        return self._answer(
            owner, turn.conversation_id, turn.parent_id, text, options or Options(), "chat"
        )

    def edit_reply(self, owner: str, turn_id: str, text: str) -> Turn:
        """Put the user's own answer beside the model's and go on from it.

        The model's answer stays as it was, so both are there to learn from.
        """
        check_text(text, "The answer", MAX_MESSAGE_CHARS)
        turn = self.turn(owner, turn_id)
        edited = replace(
            turn,
            id=new_turn_id(),
            created_at=now_iso(),
            reply=text,
            finish="edited",
            edited_from=turn.id,
            origin="edit",
        )
        with self._alive(turn.conversation_id):
            self._store.conversations.add_turn(edited, head=True)
        return edited

    def stop(self, owner: str, conversation_id: str) -> bool:
        """End the running answer of a conversation; False when there is none."""
        self._store.conversations.get(conversation_id, owner)
        running = self._live.get(conversation_id)
        if running:
            running.set()
        return running is not None

    def stop_all(self) -> None:
        """End every running answer, as the program ends: each is stored as far as it came."""
        self._closing.set()
        with self._live_lock:
            running = list(self._live.values())
        for stop in running:
            stop.set()

    @property
    def idle(self) -> bool:
        """True when no answer is being written."""
        return not self._live

    # The tree ------------------------------------------------------------------------------

    def select(self, owner: str, turn_id: str) -> ConversationView:
        """Show the branch that goes through this turn."""
        turn = self.turn(owner, turn_id)
        with self._alive(turn.conversation_id):
            turns = self._store.conversations.turns(turn.conversation_id)
            self._store.conversations.set_head(turn.conversation_id, newest_leaf(turns, turn.id))
        return self.view(owner, turn.conversation_id)

    def branch(self, owner: str, turn_id: str, title: str) -> Conversation:
        """A new conversation that begins with the turns up to this one."""
        turn = self.turn(owner, turn_id)
        path = branch_to(self._store.conversations.turns(turn.conversation_id), turn.id)
        now = now_iso()
        conversation_id = new_conversation_id()
        parent: str | None = None
        copies = []
        for original in path:
            copy = replace(
                original,
                id=new_turn_id(),
                conversation_id=conversation_id,
                parent_id=parent,
                edited_from=original.id,
            )
            parent = copy.id
            copies.append(copy)
        conversation = Conversation(
            id=conversation_id,
            owner=owner,
            title=" ".join(check_text(title, "The title", MAX_TITLE_CHARS).split()),
            created_at=now,
            updated_at=now,
            head=parent,
            titled=True,
        )
        self._store.conversations.import_many([(conversation, copies, [])])
        return conversation

    # Inside --------------------------------------------------------------------------------

    def _answer(
        self,
        owner: str,
        conversation_id: str | None,
        parent: str | None,
        text: str,
        options: Options,
        origin: str,
    ) -> Iterator[Turn]:
        turn = self._draft(conversation_id, parent, text, options, origin)
        path: list[Turn] = []
        if conversation_id is not None:
            path = branch_to(self._store.conversations.turns(conversation_id), parent)
            self._refuse_while_answering(conversation_id)
        messages = self._fitting(path[options.drop :], turn)
        if options.examples and (example := self._recall.find(owner, text)):
            longer = example.put_before_last(messages)
            # The conversation comes first: an example that does not fit is left out.
            if self._engine.count_tokens(longer) <= self._limit(turn.sampling):
                messages, turn = longer, replace(turn, sources=(example.source,))
        return self._run(owner, turn, messages)

    def _draft(
        self,
        conversation_id: str | None,
        parent: str | None,
        text: str,
        options: Options,
        origin: str,
    ) -> Turn:
        sampling = options.sampling or self._preferences.sampling()
        if sampling.seed is None:
            sampling = replace(sampling, seed=secrets.randbelow(MAX_SEED))
        version = self._versions.serving(options.version)
        info = self._engine.info
        prompt = options.system_prompt
        if prompt is None:
            prompt = self._preferences.system_prompt()
        check_text(prompt, "The system prompt", MAX_COMMENT_CHARS, empty_ok=True)
        return Turn(
            id=new_turn_id(),
            conversation_id=conversation_id or "",
            parent_id=parent,
            created_at=now_iso(),
            user=text,
            model=info.model,
            engine=info.engine,
            quantization=info.quantization,
            version=version.name,
            version_sha256=version.sha256,
            system_prompt=prompt,
            sampling=sampling,
            dropped_turns=options.drop,
            origin=origin,
        )

    def _fitting(self, path: Sequence[Turn], turn: Turn) -> list[Message]:
        """The prompt, or ContextOverflow with the number of turns to leave out."""
        limit = self._limit(turn.sampling)

        def build(drop: int) -> list[Message]:
            return messages_of(path[drop:], turn.system_prompt, turn.user)

        tokens = self._engine.count_tokens(build(0))
        if tokens <= limit:
            return build(0)
        # The fewest turns whose absence makes it fit; the length falls with each one left out.
        low, high = 1, len(path) + 1
        while low < high:
            middle = (low + high) // 2
            if self._engine.count_tokens(build(middle)) <= limit:
                high = middle
            else:
                low = middle + 1
        if low <= len(path):
            raise ContextOverflow(tokens=tokens, limit=limit, drop=low + turn.dropped_turns)
        alone = self._engine.count_tokens(build(len(path)))
        raise ContextOverflow(tokens=alone, limit=limit, drop=None)

    def _limit(self, sampling: SamplingParams) -> int:
        """Tokens that a prompt may have, so that an answer fits behind it."""
        context = self._engine.info.context_tokens
        return context - min(sampling.max_tokens, ROOM_FOR_ANSWER, context // 2)

    def _run(self, owner: str, turn: Turn, messages: Sequence[Message]) -> Iterator[Turn]:
        """Store the message, ask the engine, store what comes. A generator: runs when iterated."""
        with self._admission.ticket() as ticket:
            if not turn.conversation_id:
                conversation = self._store.conversations.create(owner, title_of(turn.user))
                turn = replace(turn, conversation_id=conversation.id)
            with self._alive(turn.conversation_id) as stop:
                self._store.conversations.add_turn(turn, head=True)
                yield from self._kept(turn, self._asked(turn, messages, stop, ticket))

    def _asked(
        self, turn: Turn, messages: Sequence[Message], stop: threading.Event, ticket: Ticket
    ) -> Generator[Chunk, None, None]:
        """What the engine says, once it is this request's turn."""
        yield Chunk()
        while not ticket.ready.wait(0.1):
            if stop.is_set():
                yield Chunk("", "cancelled", Timings())
                return
            yield Chunk()
        chunks = self._engine.stream(messages, turn.sampling, turn.version, stop)
        with closing(chunks):
            yield from chunks

    def _kept(self, turn: Turn, chunks: Generator[Chunk, None, None]) -> Iterator[Turn]:
        """The growing turn, stored while it grows and whatever ends it."""
        start = stored = time.monotonic()
        # What the turn becomes when the consumer goes away and the generator is closed.
        turn = replace(turn, finish="cancelled")
        try:
            with closing(chunks):
                for chunk in chunks:
                    turn = _grown(turn, chunk)
                    if chunk.finish:
                        break
                    yield replace(turn, finish=None)
                    if chunk.text and time.monotonic() - stored > CHECKPOINT_S:
                        self._store.conversations.put_turn(replace(turn, finish=None))
                        stored = time.monotonic()
        except JavisError as error:
            turn = replace(turn, finish="error", error=str(error))
            raise
        finally:
            if not turn.timings.total_ms:
                spent = (time.monotonic() - start) * 1000
                turn = replace(turn, timings=replace(turn.timings, total_ms=spent))
            self._store.conversations.put_turn(turn)
        yield turn

    @contextmanager
    def _alive(self, conversation_id: str) -> Iterator[threading.Event]:
        """Hold the conversation: one change at a time, and a way to stop it."""
        stop = threading.Event()
        with self._live_lock:
            self._refuse_while_answering(conversation_id)
            if self._closing.is_set():
                raise Busy("closing", "JAVIS is being shut down.")
            self._live[conversation_id] = stop
        try:
            yield stop
        finally:
            del self._live[conversation_id]

    def _refuse_while_answering(self, conversation_id: str) -> None:
        if conversation_id in self._live:
            raise Busy(
                "already_answering",
                "An answer is still being written in this conversation. "
                "Stop it or wait for its end.",
            )


def _grown(turn: Turn, chunk: Chunk) -> Turn:
    turn = replace(turn, reply=turn.reply + chunk.text)
    if chunk.finish:
        turn = replace(turn, finish=chunk.finish, timings=chunk.timings or turn.timings)
    return turn


def title_of(text: str) -> str:
    """The name of a conversation until its user gives it one: the beginning of its first line."""
    line = " ".join(text.strip().splitlines()[0].split())
    return line if len(line) <= 60 else line[:59].rstrip() + "…"
