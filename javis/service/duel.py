"""Two answers that are being written side by side, and a vote that may come meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType

from javis.core.arena import Duel, Side, other
from javis.core.errors import JavisError, UserInputError
from javis.core.types import Message, Turn
from javis.service.admission import Admission, Ticket
from javis.service.answerer import Answerer, said_of
from javis.store import Store
from javis.store.duels import hidden

LOG = logging.getLogger("javis.arena")
SIDES: tuple[Side, Side] = ("left", "right")
NATURAL = ("stop", "length")
"""Ends that the model chose itself: an empty answer then is its answer."""
WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class DuelFrame:
    """Both answers as far as they are; neither says who writes it."""

    duel: str
    left: Turn
    right: Turn

    @property
    def conversation_id(self) -> str:
        return self.left.conversation_id

    @property
    def finish(self) -> str | None:
        """None while either is being written."""
        return self.left.finish and self.right.finish


def can_be_judged(turns: Sequence[Turn]) -> None:
    """Raises UserInputError when there is nothing to compare yet, or no more."""
    if len(turns) < 2 or any(turn.finish == "error" for turn in turns):
        raise UserInputError("answer_missing", "One of the answers is missing.")
    if any(not turn.reply.strip() and turn.finish not in NATURAL for turn in turns):
        raise UserInputError("too_early", "Vote once both answers have begun.")


class Place:
    """A place at the engine for one of two answers; left once, by whoever comes first.

    The first answer has to leave it by itself: where the engine has but one place, the second
    one waits for it.
    """

    def __init__(self, admission: Admission) -> None:
        self._stack = ExitStack()
        self.ticket: Ticket = self._stack.enter_context(admission.ticket())

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class LiveDuel:
    """The two writers, each in a thread of its own, and what is to be shown of them."""

    def __init__(
        self,
        store: Store,
        answerer: Answerer,
        duel: Duel,
        turns: tuple[Turn, Turn],
        messages: Sequence[Message],
        places: tuple[Place, Place],
    ) -> None:
        self._store = store
        self._answerer = answerer
        self._messages = messages
        self._duel = duel
        self._shown: Side | None = None
        """The side that goes on, once the comparison has ended."""
        self._turns: dict[Side, Turn] = dict(zip(SIDES, turns, strict=True))
        self._errors: dict[Side, Exception] = {}
        self._stops: dict[Side, threading.Event] = {side: threading.Event() for side in SIDES}
        self._news = threading.Condition()
        self._changes = 0
        self._writing = len(SIDES)
        self._threads = [
            threading.Thread(
                target=self._write, args=(side, place), name=f"arena-{side}", daemon=True
            )
            for side, place in zip(SIDES, places, strict=True)
        ]

    def frames(self, stop: threading.Event) -> Iterator[Turn | DuelFrame]:
        """What is to be shown, again and again; closing it stops both answers."""
        for thread in self._threads:
            thread.start()
        try:
            yield from self._growing(stop)
        finally:
            for event in self._stops.values():
                event.set()
            for thread in self._threads:
                thread.join()
            self._conclude()
        yield self._state()
        if len(self._errors) == len(SIDES):
            raise self._errors["left"]
        if self._shown and isinstance(error := self._errors.get(self._shown), JavisError):
            raise error

    def vote(self, vote: str) -> Duel:
        """Take a vote while the answers are written; the one not chosen stops."""
        with self._news:
            if vote != "skipped" and self._duel.is_open:
                can_be_judged([self._turns[side] for side in SIDES])
            early = any(self._turns[side].finish is None for side in SIDES)
            show: Side = vote if vote in SIDES else self._duel.main
            self._end(vote, show, early=early)
            if self._shown:
                self._stops[other(self._shown)].set()
            return self._duel

    # Inside --------------------------------------------------------------------------------

    def _growing(self, stop: threading.Event) -> Iterator[Turn | DuelFrame]:
        seen = -1
        while self._writing:
            with self._news:
                self._news.wait_for(lambda: self._changes != seen, WAIT_S)  # noqa: B023
                seen = self._changes
            if stop.is_set():
                for event in self._stops.values():
                    event.set()
            state = self._state()
            if state.finish is None:
                yield state

    def _state(self) -> Turn | DuelFrame:
        with self._news:
            if self._shown:
                return self._turns[self._shown]
            return DuelFrame(self._duel.id, *(hidden(self._turns[side]) for side in SIDES))

    def _write(self, side: Side, place: Place) -> None:
        turn = self._turns[side]
        chunks = self._answerer.asked(turn, self._messages, self._stops[side], place.ticket)
        try:
            for grown in self._answerer.kept(turn, chunks, self._put):
                turn = grown
                self._take(side, turn)
        except Exception as error:  # the outer edge of the thread
            if not isinstance(error, JavisError):
                LOG.error("an answer broke off", exc_info=error)
            self._errors[side] = error
            self._take(side, replace(turn, finish="error", error=said_of(error)))
        finally:
            place.close()
            with self._news:
                self._writing -= 1
                self._changes += 1
                self._news.notify_all()

    def _take(self, side: Side, turn: Turn) -> None:
        with self._news:
            self._turns[side] = turn
            self._changes += 1
            self._news.notify_all()

    def _put(self, turn: Turn) -> None:
        # Under the lock: a vote that names the versions must not be overwritten.
        with self._news:
            if not self._shown and turn.finish:
                self._store.duels.keep_timings(self._duel.id, turn)
            self._store.conversations.put_turn(turn if self._shown else hidden(turn))

    def _conclude(self) -> None:
        """End a comparison that nobody can judge; one that somebody can waits for the vote."""
        left, right = (self._turns[side] for side in SIDES)
        main = self._duel.main
        with self._news:
            if self._shown:
                return
            if self._errors:
                alive = next((side for side in SIDES if side not in self._errors), main)
                self._end("failed", alive)
            elif left.finish in NATURAL and right.finish in NATURAL:
                if left.reply.strip() == right.reply.strip():
                    self._end("same", main)
            elif not (left.reply.strip() and right.reply.strip()):
                self._end("skipped", "left" if left.reply.strip() else "right")

    def _end(self, end: str, show: Side, *, early: bool = False) -> None:
        was_open = self._duel.is_open
        self._duel = self._store.duels.end(self._duel.id, end, show, early=early)  # type: ignore[arg-type]
        if was_open:
            self._shown = show
