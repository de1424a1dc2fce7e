"""Corrections help at once: the one of a similar question is shown to the model as an example.

It is put before the new message as a question and its answer, and the turn says so in `sources`.
Review and training read the conversation without it, so an example is never learned from itself.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from javis.core.errors import NotFound
from javis.core.types import Message, Turn
from javis.knowledge.nearest import VectorCache
from javis.service.preferences import Preferences
from javis.store import Store

LOG = logging.getLogger("javis.recall")
SIMILAR = 0.6
"""Least cosine of two questions that count as similar. Paraphrases measured 0.55 to 0.90, other
questions of the same kind (another country's capital) up to 0.80, unrelated ones below 0.50."""
MAX_CHARS = 4_000
"""A longer correction would crowd out the conversation."""
TRIES = 5
PREFIX = "correction:"


@dataclass(frozen=True, slots=True)
class Recalled:
    """A correction that is shown to the model."""

    turn_id: str
    question: str
    answer: str
    at: str
    """When it was written."""

    @property
    def source(self) -> str:
        return PREFIX + self.turn_id

    def put_before_last(self, messages: list[Message]) -> list[Message]:
        """The prompt with the example right before the new message.

        There, and not at the beginning, what the engine has in its cache stays in use.
        """
        example = [Message("user", self.question), Message("assistant", self.answer)]
        return [*messages[:-1], *example, messages[-1]]


class Recall:
    """Finds the user's own correction of a similar question."""

    def __init__(self, store: Store, preferences: Preferences, vectors: VectorCache) -> None:
        self._store = store
        self._preferences = preferences
        self._vectors = vectors
        self._lock = threading.Lock()
        self._corrected: tuple[int, dict[str, tuple[str, str]]] = (-1, {})
        self._worker: threading.Thread | None = None

    def find(self, owner: str, text: str) -> Recalled | None:
        """The best example for a message; None when there is none or the user turned it off.

        A correction counts from the moment its question is embedded, a second after it is saved.
        """
        if not self._preferences.use_corrections():
            return None
        corrected = self._questions()
        # Asked anew each time: a conversation may be deleted and brought back.
        owners = self._store.conversations.owners({c for _, c in corrected.values()})
        questions = {i: q for i, (q, c) in corrected.items() if owners.get(c) == owner}
        for turn_id, cosine in self._vectors.closest(text, questions)[:TRIES]:
            if cosine < SIMILAR:
                break
            if example := self.get(owner, turn_id):
                return example
        return None

    def get(self, owner: str, turn_id: str) -> Recalled | None:
        """The correction of a turn, if it is there, the owner's, and short enough."""
        try:
            turn = self._store.conversations.get_turn(turn_id, owner)
        except NotFound:
            return None
        vote = self._store.feedback.current(turn_id)
        if vote is None or not vote.correction or len(vote.correction) > MAX_CHARS:
            return None
        return Recalled(turn_id, turn.user, vote.correction, vote.created_at)

    def used_at(self, owner: str, turn: Turn) -> str | None:
        """The date of the correction that an answer was shown; "" when it is no longer there."""
        for source in turn.sources:
            if source.startswith(PREFIX):
                example = self.get(owner, source.removeprefix(PREFIX))
                return example.at if example else ""
        return None

    def learn(self) -> None:
        """Embed the questions that are new, in the background."""
        with self._lock:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._learn, name="recall", daemon=True)
                self._worker.start()

    def wait(self, timeout: float | None = None) -> None:
        """Until everything that was there at the call is embedded."""
        worker = self._worker
        if worker:
            worker.join(timeout)

    def _learn(self) -> None:
        try:
            done = -1
            while done != self._store.feedback.revision:
                done = self._store.feedback.revision
                questions = [q for q, _ in self._questions().values()]
                self._vectors.learn(questions)
                self._vectors.forget_all_but(questions)
        except Exception:  # a thread's border: without examples the chat goes on
            LOG.exception("the corrections could not be made ready as examples")

    def _questions(self) -> dict[str, tuple[str, str]]:
        """Question and conversation of every corrected turn, deleted ones too."""
        revision = self._store.feedback.revision
        with self._lock:
            known, questions = self._corrected
        if known == revision:
            return questions
        corrected = [i for i, f in self._store.feedback.all_current().items() if f.correction]
        turns = self._store.conversations.turns_by_id(corrected, deleted=True)
        questions = {i: (t.user, t.conversation_id) for i, t in turns.items()}
        with self._lock:
            self._corrected = (revision, questions)
        return questions
