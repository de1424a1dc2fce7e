"""Blind comparison in the chat: for a share of the prompts two versions answer, and a vote says
which one did better. Until the vote nothing that leaves the service says who wrote what: the
turns themselves are stored without a name (`store.duels`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from javis.core.arena import VOTES, ArenaPlan, Duel, Match, Side, Standings
from javis.core.errors import Busy, UserInputError
from javis.core.types import MAX_MESSAGE_CHARS, Message, Turn, Version, check_text
from javis.eval import arena as statistics
from javis.service.answerer import Answerer, Options, draw_seed, new_conversation
from javis.service.chat import ChatService
from javis.service.duel import DuelFrame, LiveDuel, Place, can_be_judged
from javis.service.preferences import Preferences
from javis.service.versions import VersionService
from javis.store import Store, new_turn_id, now_iso
from javis.store.duels import new_duel_id

__all__ = ["ArenaService", "DuelFrame"]

COUNTED: tuple[str, ...] = VOTES


class ArenaService:
    """Starts comparisons, takes the votes, and says what they come to."""

    def __init__(
        self,
        store: Store,
        chat: ChatService,
        answerer: Answerer,
        versions: VersionService,
        preferences: Preferences,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._chat = chat
        self._answerer = answerer
        self._versions = versions
        self._preferences = preferences
        # Sides must not be guessed from earlier ones.
        self._chance = chance or random.SystemRandom()
        self._live: dict[str, LiveDuel] = {}
        self._counted: tuple[object, Standings] | None = None

    # The plan ------------------------------------------------------------------------------

    def plan(self) -> ArenaPlan:
        return self._preferences.arena()

    def set_plan(self, on: object, share: object, versions: object = ()) -> ArenaPlan:
        """UserInputError for anything malformed; then nothing is changed."""
        return self._preferences.set_arena(on, share, versions)

    def contestants(self) -> list[str]:
        """The versions that can answer now and so could be compared, the base first."""
        return [version.name for version in self._versions.usable()]

    # Answering -----------------------------------------------------------------------------

    def reply(
        self,
        owner: str,
        text: str,
        conversation_id: str | None = None,
        options: Options | None = None,
        after: str | None = None,
    ) -> Iterator[Turn | DuelFrame]:
        """Like `ChatService.reply`, now and then with two answers.

        Frames as long as nobody knows who wrote what, then the one turn that goes on.
        """
        options = options or Options()
        opponent = self._opponent(options)
        if opponent is None:
            return self._chat.reply(owner, text, conversation_id, options, after=after)
        check_text(text, "The message", MAX_MESSAGE_CHARS)
        parent = self._chat.end_of(owner, conversation_id, after) if conversation_id else None
        return self._start(owner, conversation_id, parent, text, options, opponent)

    def edit_message(
        self, owner: str, turn_id: str, text: str, options: Options | None = None
    ) -> Iterator[Turn | DuelFrame]:
        """Like `ChatService.edit_message`, now and then with two answers."""
        options = options or Options()
        opponent = self._opponent(options)
        if opponent is None:
            return self._chat.edit_message(owner, turn_id, text, options)
        check_text(text, "The message", MAX_MESSAGE_CHARS)
        turn = self._chat.turn(owner, turn_id)
        return self._start(owner, turn.conversation_id, turn.parent_id, text, options, opponent)

    # Voting --------------------------------------------------------------------------------

    def vote(self, owner: str, duel_id: str, vote: str) -> Duel:
        """Say which answer is better, that there is no difference, or (`skipped`) nothing.

        A vote before the end is fine once both have begun: the answer that was not chosen stops,
        the other one goes on. Raises NotFound, UserInputError.
        """
        if vote not in (*VOTES, "skipped"):
            raise UserInputError("bad_vote", "'{vote}' is no vote.", vote=str(vote)[:40])
        duel = self._store.duels.get(duel_id, owner)
        live = self._live.get(duel_id)
        if live is not None:
            return live.vote(vote)
        turns = self._store.conversations.turns_by_id((duel.left, duel.right))
        both = [turns[i] for i in (duel.left, duel.right) if i in turns]
        if vote != "skipped" and duel.is_open:
            can_be_judged(both)
        early = any(turn.finish not in ("stop", "length") for turn in both)
        return self._store.duels.end(duel_id, vote, _shown(duel, vote), early=early)  # type: ignore[arg-type]

    def duel(self, owner: str, duel_id: str) -> Duel:
        """Who stood against whom. UserInputError while it is not over: it is blind until then."""
        duel = self._store.duels.get(duel_id, owner)
        if duel.is_open:
            raise UserInputError("still_blind", "Who wrote which answer is told after the vote.")
        return duel

    def votes(self) -> int:
        """How many votes count."""
        return sum(duel.end in COUNTED for duel in self._comparable())

    def standings(self) -> Standings:
        """What the votes of all users say, against the version in use."""
        counted = [duel for duel in self._comparable() if duel.end in COUNTED]
        passed = sum(duel.end == "skipped" for duel in self._comparable())
        matches = [match_of(duel) for duel in counted]
        votes = (tuple(matches), self._versions.current(), passed)
        if self._counted is None or self._counted[0] != votes:
            # Drawing many samples takes seconds; the same votes say the same.
            found = statistics.standings(matches, self._versions.current(), skipped=passed)
            self._counted = votes, found
        return self._counted[1]

    # Inside --------------------------------------------------------------------------------

    def _opponent(self, options: Options) -> Version | None:
        """Who answers beside the version that was asked for; mostly nobody.

        The one that met it least so far, so that every pair gets its votes.
        """
        plan = self.plan()
        if not plan.on or self._versions.pinned or self._chance.random() >= plan.share:
            return None
        main = options.version or self._versions.current()
        usable = self._versions.usable()
        others = [
            version
            for version in usable
            if version.name != main and (not plan.versions or version.name in plan.versions)
        ]
        if not others or main not in {version.name for version in usable}:
            return None
        met: Counter[str] = Counter()
        for duel in self._comparable():
            pair = {duel.left_version, duel.right_version}
            if duel.end in COUNTED and main in pair:
                met.update(pair - {main})
        fewest = min(met[version.name] for version in others)
        return self._chance.choice([v for v in others if met[v.name] == fewest])

    def _comparable(self) -> list[Duel]:
        """Comparisons of the versions as they are now: same base model, same weights."""
        model = self._answerer.model
        weights = {version.name: version.sha256 for version in self._versions.all()}

        def same(name: str, sha256: str | None) -> bool:
            # A deleted version keeps its votes.
            return name not in weights or weights[name] == sha256

        return [
            duel
            for duel in self._store.duels.all()
            if duel.model == model
            and same(duel.left_version, duel.left_sha256)
            and same(duel.right_version, duel.right_sha256)
        ]

    def _start(
        self,
        owner: str,
        conversation_id: str | None,
        parent: str | None,
        text: str,
        options: Options,
        opponent: Version,
    ) -> Iterator[Turn | DuelFrame]:
        mine, messages = self._answerer.prepare(
            owner, conversation_id, parent, text, options, "chat"
        )
        sampling = mine.sampling
        if options.sampling is None or options.sampling.seed is None:
            # Otherwise two versions that are nearly the same say the very same.
            sampling = replace(sampling, seed=draw_seed())
        theirs = replace(
            mine,
            id=new_turn_id(),
            version=opponent.name,
            version_sha256=opponent.sha256,
            sampling=sampling,
        )
        return self._run(owner, mine, theirs, messages)

    def _run(
        self, owner: str, mine: Turn, theirs: Turn, messages: Sequence[Message]
    ) -> Iterator[Turn | DuelFrame]:
        """Both answers at once, or one after the other where the engine has one place."""
        with Place(self._answerer.admission) as first:
            try:
                second = Place(self._answerer.admission)
            except Busy:
                second = None
            if second is not None:
                with second:
                    yield from self._both(owner, mine, theirs, messages, (first, second))
                return
        # No room for two: one answer is what was asked for.
        yield from self._answerer.run(owner, mine, messages)

    def _both(
        self,
        owner: str,
        mine: Turn,
        theirs: Turn,
        messages: Sequence[Message],
        places: tuple[Place, Place],
    ) -> Iterator[Turn | DuelFrame]:
        new = None if mine.conversation_id else new_conversation(owner, mine)
        conversation = new.id if new else mine.conversation_id
        mine, theirs = (replace(t, conversation_id=conversation) for t in (mine, theirs))
        main: Side = self._chance.choice(("left", "right"))
        left, right = (mine, theirs) if main == "left" else (theirs, mine)
        duel = _duel_of(owner, left, right, main)
        with self._answerer.alive(conversation) as stop:
            self._store.duels.pass_over(conversation)
            self._store.duels.open(duel, left, right, new)
            live = LiveDuel(self._store, self._answerer, duel, (left, right), messages, places)
            self._live[duel.id] = live
            try:
                yield from live.frames(stop)
            finally:
                del self._live[duel.id]


def match_of(duel: Duel) -> Match:
    """A vote as the statistics take it."""
    result = {"left": "first", "right": "second"}.get(duel.end, duel.end)
    return Match(duel.left_version, duel.right_version, result, duel.conversation_id)  # type: ignore[arg-type]


def _shown(duel: Duel, vote: str) -> Side:
    """The side whose answer the conversation goes on with."""
    return vote if vote in ("left", "right") else duel.main  # type: ignore[return-value]


def _duel_of(owner: str, left: Turn, right: Turn, main: Side) -> Duel:
    return Duel(
        id=new_duel_id(),
        conversation_id=left.conversation_id,
        owner=owner,
        created_at=now_iso(),
        left=left.id,
        right=right.id,
        left_version=left.version,
        right_version=right.version,
        left_sha256=left.version_sha256,
        right_sha256=right.version_sha256,
        model=left.model,
        main=main,
    )
