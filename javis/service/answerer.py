"""How an answer comes about: what the model reads, who may ask it now, and keeping what it says.

The message is stored before the model is asked, the answer while it grows and again at its end,
whatever ends it. So a reload, a stop or a crash loses at most the last second of an answer.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from javis.core.errors import Busy, ContextOverflow, JavisError, NotFound, StoreError
from javis.core.protocols import Engine
from javis.core.types import (
    MAX_COMMENT_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_SEED,
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
from javis.service.tree import branch_to, messages_of
from javis.service.versions import VersionService
from javis.store import Store, new_conversation_id, new_turn_id, now_iso

CHECKPOINT_S = 1.0
"""How often a growing answer is stored."""
ROOM_FOR_ANSWER = 256
"""Tokens kept free for an answer before a conversation counts as too long."""
MAX_ERROR_CHARS = 2000
"""An import takes as much."""

Put = Callable[[Turn], None]


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
    stored_prompt: bool = False
    """The system prompt is a stored turn's: as long as an import's may be."""


class Answerer:
    """Everything between a message that may be answered and its stored answer."""

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
        self.admission = admission
        self._recall = recall
        self._live: dict[str, threading.Event] = {}
        self._live_lock = threading.Lock()
        self._closing = threading.Event()
        self._unstored: dict[str, tuple[Turn, Put | None]] = {}
        """Ends of answers that the store refused, as the disk was full, and how they are to be
        stored: it is tried again."""

    @property
    def model(self) -> str:
        """The base model that answers, as it is stored with every turn."""
        return self._engine.info.model

    # Who is answering ----------------------------------------------------------------------

    def is_answering(self, conversation_id: str) -> bool:
        return conversation_id in self._live

    @property
    def idle(self) -> bool:
        """True when no answer is being written."""
        return not self._live

    def stop(self, conversation_id: str) -> bool:
        """End the running answer of a conversation; False when there is none."""
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

    @contextmanager
    def alive(self, conversation_id: str) -> Iterator[threading.Event]:
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

    def settled(self, conversation_id: str) -> list[Turn]:
        """The conversation's turns; one that nobody writes any more has an end.

        What could not be stored when an answer ended is stored now, or shown all the same.
        """
        began = conversation_id in self._live
        for turn, put in list(self._unstored.values()):
            try:
                (put or self._store.conversations.put_turn)(turn)
            except StoreError:
                continue
            except NotFound:
                pass  # purged meanwhile
            self._unstored.pop(turn.id, None)
        turns = self._store.conversations.turns(conversation_id)
        if began or conversation_id in self._live:
            return turns
        return [t if t.finish else self._ended(t) for t in turns]

    def _ended(self, turn: Turn) -> Turn:
        end, put = self._unstored.get(turn.id, (turn, None))
        # How a blind comparison stores it is what hides its version.
        return end if end.finish and put is None else replace(turn, finish="interrupted")

    # Before the model is asked -------------------------------------------------------------

    def prepare(
        self,
        owner: str,
        conversation_id: str | None,
        parent: str | None,
        text: str,
        options: Options,
        origin: str,
    ) -> tuple[Turn, list[Message]]:
        """The turn to be answered and what the model reads. Raises whatever can be refused."""
        turn = self._draft(conversation_id, parent, text, options, origin)
        path: list[Turn] = []
        if conversation_id is not None:
            path = branch_to(self._store.conversations.turns(conversation_id), parent)
            self._refuse_while_answering(conversation_id)
        try:
            messages = self._fitting(path[options.drop :], turn)
        except ContextOverflow as error:
            # Whoever agreed in this conversation to go on without its oldest turns is not asked
            # at each message again: the answer says how many were left out.
            agreed = path[-1].dropped_turns if path else 0
            if not agreed or error.drop is None:
                raise
            drop = max(agreed, error.drop)
            turn = replace(turn, dropped_turns=drop)
            messages = self._fitting(path[drop:], turn)
        if options.examples and (example := self._recall.find(owner, text)):
            longer = example.put_before_last(messages)
            # The conversation comes first: an example that does not fit is left out.
            if self._engine.count_tokens(longer) <= self._limit(turn.sampling):
                messages, turn = longer, replace(turn, sources=(example.source,))
        return turn, messages

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
            sampling = replace(sampling, seed=draw_seed())
        version = self._versions.serving(options.version)
        info = self._engine.info
        prompt = options.system_prompt
        if prompt is None:
            prompt = self._preferences.system_prompt()
        limit = MAX_MESSAGE_CHARS if options.stored_prompt else MAX_COMMENT_CHARS
        check_text(prompt, "The system prompt", limit, empty_ok=True)
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

    def _refuse_while_answering(self, conversation_id: str) -> None:
        if conversation_id in self._live:
            raise Busy(
                "already_answering",
                "An answer is still being written in this conversation. "
                "Stop it or wait for its end.",
            )

    # The answer ----------------------------------------------------------------------------

    def run(self, owner: str, turn: Turn, messages: Sequence[Message]) -> Iterator[Turn]:
        """Store the message, ask the engine, store what comes. A generator: runs when iterated."""
        with self.admission.ticket() as ticket:
            new = None if turn.conversation_id else new_conversation(owner, turn)
            if new:
                turn = replace(turn, conversation_id=new.id)
            with self.alive(turn.conversation_id) as stop:
                if new:
                    # In one commit: what cannot be stored leaves no empty conversation.
                    self._store.conversations.import_many([(new, [turn], [])])
                else:
                    self._store.duels.pass_over(turn.conversation_id)
                    self._store.conversations.add_turn(turn, head=True)
                yield from self.kept(turn, self.asked(turn, messages, stop, ticket))

    def asked(
        self, turn: Turn, messages: Sequence[Message], stop: threading.Event, ticket: Ticket
    ) -> Generator[Chunk, None, None]:
        """What the engine says, once it is this request's turn."""
        asked = time.monotonic()
        yield Chunk()
        while not ticket.ready.wait(0.1):
            if stop.is_set():
                yield Chunk("", "cancelled", Timings())
                return
            yield Chunk()
        waited_ms = (time.monotonic() - asked) * 1000
        chunks = self._engine.stream(messages, turn.sampling, turn.version, stop)
        with closing(chunks):
            for chunk in chunks:
                yield replace(chunk, timings=_later(chunk.timings, waited_ms))

    def kept(
        self, turn: Turn, chunks: Generator[Chunk, None, None], put: Put | None = None
    ) -> Iterator[Turn]:
        """The growing turn, stored by `put` while it grows and whatever ends it."""
        keep = put or self._store.conversations.put_turn
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
                        keep(replace(turn, finish=None))
                        stored = time.monotonic()
        except Exception as error:
            turn = replace(turn, finish="error", error=said_of(error))
            raise
        finally:
            if not turn.timings.total_ms:
                spent = (time.monotonic() - start) * 1000
                turn = replace(turn, timings=replace(turn.timings, total_ms=spent))
            try:
                keep(turn)
            except StoreError:
                self._unstored[turn.id] = turn, put
                raise
        yield turn


def _later(timings: Timings | None, waited_ms: float) -> Timings | None:
    """What it took whoever asked, who also waited in line."""
    if timings is None:
        return None
    ttft_ms, total_ms = timings.ttft_ms + waited_ms, timings.total_ms + waited_ms
    return replace(timings, ttft_ms=ttft_ms, total_ms=total_ms)


def said_of(error: Exception) -> str | None:
    """What is kept of an error; nothing of one that was not written for users."""
    return str(error)[:MAX_ERROR_CHARS] if isinstance(error, JavisError) else None


def new_conversation(owner: str, first: Turn) -> Conversation:
    """One that is named after its first message; not stored yet."""
    now = now_iso()
    return Conversation(new_conversation_id(), owner, title_of(first.user), now, now, first.id)


def draw_seed() -> int:
    return secrets.randbelow(MAX_SEED)


def _grown(turn: Turn, chunk: Chunk) -> Turn:
    turn = replace(turn, reply=turn.reply + chunk.text)
    if chunk.finish:
        turn = replace(turn, finish=chunk.finish, timings=chunk.timings or turn.timings)
    return turn


def title_of(text: str) -> str:
    """The name of a conversation until its user gives it one: the beginning of its first line."""
    line = " ".join(text.strip().splitlines()[0].split())
    return line if len(line) <= 60 else line[:59].rstrip() + "…"
