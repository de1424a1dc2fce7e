"""Two answers, a vote, and everything that can come between: on a real store and real threads."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from javis.core.arena import HIDDEN
from javis.core.errors import Busy, EngineError, NotFound, UserInputError
from javis.core.settings import Settings
from javis.core.types import Message, SamplingParams, Timings, Turn, Version
from javis.engine.scripted import ScriptedEngine
from javis.service.answerer import Options
from javis.service.arena import ArenaService, DuelFrame
from javis.service.services import Services, join
from javis.store import Store, open_store
from javis.versions.registry import Registry

ME = "local"
NAMES = ("base", "v1.0", "v1.1")


class Shelf(Registry):
    """Two versions without files; `base` is in use."""

    weights = "ab"

    def versions(self) -> list[Version]:
        first = Version("v1.0", "/models/v1.0", "scripted", self.weights * 32)
        return [first, replace(first, name="v1.1", sha256="cd" * 32)]

    def current(self) -> str:
        return "base"


@dataclass(frozen=True, slots=True)
class Site:
    services: Services
    store: Store
    engine: ScriptedEngine

    @property
    def arena(self) -> ArenaService:
        return self.services.arena


Make = Callable[..., Site]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a program that compares always; a second one on the same folder is a restart."""
    made: list[Site] = []

    def build(queue: int = 2, **engine: object) -> Site:
        settings = Settings(
            data_dir=tmp_path / "data", models_dir=tmp_path / "models", queue=queue
        ).absolute()
        settings.data_dir.mkdir(exist_ok=True)
        store = open_store(settings.journal)
        scripted = ScriptedEngine(**engine)  # type: ignore[arg-type]
        site = Site(join(settings, store, scripted, Shelf(settings.models_dir)), store, scripted)
        site.arena.set_plan(True, 1.0)
        made.append(site)
        return site

    yield build
    for site in made:
        site.store.close()


def last_frame(states: Iterator[Turn | DuelFrame]) -> DuelFrame:
    last = list(states)[-1]
    assert isinstance(last, DuelFrame)
    return last


def growing(site: Site, text: str = "hi") -> tuple[Iterator[Turn | DuelFrame], DuelFrame]:
    """A comparison both of whose answers have begun."""
    states = site.arena.reply(ME, text)
    for state in states:
        assert isinstance(state, DuelFrame)
        if state.left.reply and state.right.reply:
            return states, state
    raise AssertionError("no answer came")


def long(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    return f"[{version}] " + "word " * 500


def test_two_versions_answer_and_nothing_says_who(make: Make) -> None:
    site = make()
    frame = last_frame(site.arena.reply(ME, "hi"))
    stored = site.store.conversations.turns(frame.conversation_id)
    assert [t.id for t in stored] == [frame.left.id, frame.right.id]
    assert {t.reply for t in stored} >= {"[base] hi"}
    assert all(t.finish == "stop" for t in stored)
    everything = [
        *stored,
        frame.left,
        frame.right,
        *(v.turn for v in site.services.chat.view(ME, frame.conversation_id).turns),
    ]
    assert {(t.version, t.version_sha256) for t in everything} == {(HIDDEN, None)}
    # What is cached would tell the version that answered before.
    assert {t.timings for t in everything} == {Timings()}
    taken = json.dumps(list(site.services.library.take_out(ME)), default=str)
    assert '"version": "hidden"' in taken
    assert not any(name in taken.replace("[base]", "").replace("[v1.", "") for name in NAMES)
    view = site.services.chat.view(ME, frame.conversation_id)
    assert view.open_duel is not None and view.open_duel.id == frame.duel


def test_nothing_says_who_before_the_first_word_either(make: Make) -> None:
    site = make(delay_s=60)
    states = site.arena.reply(ME, "hi")
    frame = next(states)
    assert isinstance(frame, DuelFrame)
    stored = site.store.conversations.turns(frame.conversation_id)
    assert [(t.version, t.version_sha256) for t in stored] == [(HIDDEN, None)] * 2
    states.close()  # type: ignore[attr-defined]


def test_what_both_took_comes_out_with_the_names(make: Make) -> None:
    site = make()
    frame = last_frame(site.arena.reply(ME, "hi"))
    site.arena.vote(ME, frame.duel, "left")
    took = [turn.timings for turn in site.store.conversations.turns(frame.conversation_id)]
    assert [t.completion_tokens for t in took] == [2, 2]
    assert all(t.total_ms > 0 for t in took)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_chosen_answer_goes_on_and_the_names_come_out(make: Make, side: str) -> None:
    site = make()
    frame = last_frame(site.arena.reply(ME, "hi"))
    duel = site.arena.vote(ME, frame.duel, side)
    chosen = getattr(frame, side).id
    view = site.services.chat.view(ME, frame.conversation_id)
    assert view.conversation.head == chosen
    assert view.open_duel is None
    for turn in site.store.conversations.turns(frame.conversation_id):
        assert turn.reply == f"[{turn.version}] hi"
        assert (turn.version_sha256 is None) == (turn.version == "base")
    assert {duel.left_version, duel.right_version} > {"base"}
    (shown,) = view.turns
    assert shown.duel is not None and shown.duel.winner == side
    more = list(site.services.chat.reply(ME, "more", frame.conversation_id))[-1]
    assert more.parent_id == chosen


@pytest.mark.parametrize("vote", ["tie", "both_bad", "skipped"])
def test_without_a_winner_the_version_in_use_goes_on(make: Make, vote: str) -> None:
    site = make()
    for _ in range(4):
        frame = last_frame(site.arena.reply(ME, "hi"))
        site.arena.vote(ME, frame.duel, vote)
        (shown,) = site.services.chat.view(ME, frame.conversation_id).turns
        assert shown.turn.version == "base"


def test_sides_are_drawn(make: Make) -> None:
    site = make()
    mains = {
        site.arena.vote(ME, last_frame(site.arena.reply(ME, str(n))).duel, "tie").main
        for n in range(20)
    }
    assert mains == {"left", "right"}


def test_the_opponent_with_the_fewest_votes_is_next(make: Make) -> None:
    site = make()
    met = []
    for n in range(6):
        duel = site.arena.vote(ME, last_frame(site.arena.reply(ME, str(n))).duel, "tie")
        met += [{duel.left_version, duel.right_version} - {"base"}]
    assert sorted(name for pair in met for name in pair) == ["v1.0"] * 3 + ["v1.1"] * 3


def test_the_version_that_was_asked_for_is_always_one_of_them(make: Make) -> None:
    site = make()
    states = site.arena.reply(ME, "hi", options=Options(version="v1.1"))
    duel = site.arena.vote(ME, last_frame(states).duel, "tie")
    assert "v1.1" in (duel.left_version, duel.right_version)
    assert duel.version(duel.main) == "v1.1"


def test_only_when_turned_on_and_only_for_its_share(make: Make) -> None:
    site = make()
    site.arena.set_plan(False, 1.0)
    assert all(isinstance(s, Turn) for s in site.arena.reply(ME, "hi"))
    site.arena.set_plan(True, 0.3)
    asked = 120
    kinds = [isinstance(list(site.arena.reply(ME, "hi"))[-1], DuelFrame) for _ in range(asked)]
    assert 0.15 * asked < sum(kinds) < 0.5 * asked
    site.arena.set_plan(True, 1.0, ["v9.9"])
    assert all(isinstance(s, Turn) for s in site.arena.reply(ME, "hi"))


@pytest.mark.parametrize(
    ("on", "share", "versions", "code"),
    [
        ("yes", 0.5, (), "not_yes_or_no"),
        (True, 0, (), "bad_share"),
        (True, 1.5, (), "bad_share"),
        (True, float("nan"), (), "bad_share"),
        (True, "half", (), "bad_share"),
        (True, 0.5, "v1.0", "bad_versions"),
        (True, 0.5, [1], "bad_versions"),
    ],
)
def test_a_plan_is_whole_or_refused(
    make: Make, on: object, share: object, versions: object, code: str
) -> None:
    site = make()
    before = site.arena.plan()
    with pytest.raises(UserInputError) as caught:
        site.arena.set_plan(on, share, versions)
    assert caught.value.code == code
    assert site.arena.plan() == before


def test_a_vote_before_the_end_stops_the_other_answer_only(make: Make) -> None:
    def slow(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
        return f"[{version}] " + "word " * 60

    site = make(answer=slow, delay_s=0.01)
    states, frame = growing(site)
    duel = site.arena.vote(ME, frame.duel, "right")
    assert duel.early
    rest = list(states)
    assert all(isinstance(state, Turn) for state in rest)
    last = rest[-1]
    assert isinstance(last, Turn)
    assert (last.id, last.finish, last.version) == (frame.right.id, "stop", duel.right_version)
    left, right = site.store.conversations.turns(frame.conversation_id)
    assert (left.finish, right.finish) == ("cancelled", "stop")
    assert len(left.reply) < len(right.reply) == len(slow([], SamplingParams(), right.version))
    assert (left.version, right.version) == (duel.left_version, duel.right_version)


def test_a_vote_waits_for_two_beginnings(make: Make) -> None:
    """With one place the answers come one after the other."""
    site = make(answer=long, delay_s=0.01, parallel=1)
    states = site.arena.reply(ME, "hi")
    frame = next(s for s in states if isinstance(s, DuelFrame) and s.left.reply)
    assert frame.right.reply == ""
    with pytest.raises(UserInputError) as caught:
        site.arena.vote(ME, frame.duel, "left")
    assert caught.value.code == "too_early"
    states.close()  # type: ignore[attr-defined]


def test_one_place_writes_one_answer_after_the_other(make: Make) -> None:
    most = 0
    site = make(parallel=1, delay_s=0.01)
    for state in site.arena.reply(ME, "one two three"):
        most = max(most, site.engine.running)
    assert most == 1
    assert isinstance(state, DuelFrame)
    assert state.left.reply and state.right.reply


def test_no_room_for_two_means_one_answer(make: Make) -> None:
    site = make(queue=0, parallel=1)
    states = list(site.arena.reply(ME, "hi"))
    assert isinstance(states[-1], Turn)
    assert (states[-1].reply, states[-1].version) == ("[base] hi", "base")


def test_what_cannot_be_stored_leaves_no_empty_conversation(make: Make) -> None:
    site = make()
    site.services.chat.stop_all()
    with pytest.raises(Busy, match="shut down"):
        next(site.arena.reply(ME, "hi"))
    assert site.services.library.page(ME)[1] == 0


@pytest.mark.parametrize("failing", ["base", "v1"])
def test_when_one_answer_fails_the_other_one_goes_on_uncounted(make: Make, failing: str) -> None:
    def answer(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
        if version.startswith(failing):
            raise EngineError("engine_failed", "The model failed: {e}", e="scripted")
        return f"[{version}] fine"

    site = make(answer=answer)
    last = list(site.arena.reply(ME, "hi"))[-1]
    assert isinstance(last, Turn)
    assert last.finish == "stop" and not last.version.startswith(failing)
    view = site.services.chat.view(ME, last.conversation_id)
    assert view.conversation.head == last.id
    assert view.open_duel is None
    assert site.arena.standings().votes == 0
    with pytest.raises(UserInputError, match="ended"):
        site.arena.vote(ME, view.turns[0].duel.id, "left")  # type: ignore[union-attr]


def test_when_both_fail_it_is_said_and_both_are_kept(make: Make) -> None:
    site = make(fail_after=1)
    states = site.arena.reply(ME, "one two three")
    with pytest.raises(EngineError):
        list(states)
    ((conversation,), _) = site.services.library.page(ME)
    turns = site.store.conversations.turns(conversation.id)
    assert [(t.finish, bool(t.reply)) for t in turns] == [("error", True)] * 2
    assert {t.version for t in turns} & {"base"}
    assert site.services.chat.idle


def test_the_very_same_answer_twice_is_no_question(make: Make) -> None:
    site = make(answer=lambda *_: "the same")
    last = list(site.arena.reply(ME, "hi"))[-1]
    assert isinstance(last, Turn) and last.version == "base"
    view = site.services.chat.view(ME, last.conversation_id)
    assert view.open_duel is None
    assert view.turns[0].duel is not None and view.turns[0].duel.end == "same"


def test_stop_keeps_both_and_they_can_still_be_judged(make: Make) -> None:
    site = make(answer=long, delay_s=0.01)
    states, frame = growing(site)
    assert site.services.chat.stop(ME, frame.conversation_id)
    last = last_frame(states)
    assert (last.left.finish, last.right.finish) == ("cancelled", "cancelled")
    assert site.arena.vote(ME, frame.duel, "left").early


def test_closing_the_page_stops_both_and_a_restart_still_asks(make: Make) -> None:
    site = make(answer=long, delay_s=0.01)
    states, frame = growing(site)
    states.close()  # type: ignore[attr-defined]
    assert site.engine.running == 0 and site.services.chat.idle
    site.store.close()
    again = make()
    view = again.services.chat.view(ME, frame.conversation_id)
    assert view.open_duel is not None
    assert [t.finish for t in (view.open_duel.left, view.open_duel.right)] == ["cancelled"] * 2
    assert all(t.reply and t.version == HIDDEN for t in (view.open_duel.left, view.open_duel.right))
    assert again.arena.vote(ME, frame.duel, "left").early


def test_a_crash_in_the_middle_loses_nothing(make: Make) -> None:
    """The first program is left as it is; a second one opens what it had stored."""
    site = make(answer=long, delay_s=0.02)
    states, frame = growing(site)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        next(states)
        turns = site.store.conversations.turns(frame.conversation_id)
        if all(t.reply for t in turns):
            break
    again = make()
    again.store.conversations.mark_interrupted()
    view = again.services.chat.view(ME, frame.conversation_id)
    assert view.open_duel is not None and view.turns[0].turn.user == "hi"
    assert {t.finish for t in (view.open_duel.left, view.open_duel.right)} == {"interrupted"}
    assert again.arena.vote(ME, frame.duel, "right").end == "right"
    assert again.services.chat.view(ME, frame.conversation_id).conversation.head == frame.right.id
    site.services.chat.stop_all()
    list(states)


@pytest.mark.parametrize("step", ["reply", "regenerate", "edit", "edit_reply", "select", "branch"])
def test_going_on_without_a_vote_ends_it_uncounted(make: Make, step: str) -> None:
    site = make()
    chat = site.services.chat
    frame = last_frame(site.arena.reply(ME, "hi"))
    conversation = frame.conversation_id
    duel = site.store.duels.get(frame.duel, ME)
    main = duel.turn(duel.main)
    if step == "reply":
        assert list(chat.reply(ME, "more", conversation))[-1].parent_id == main
    elif step == "regenerate":
        list(chat.regenerate(ME, frame.left.id))
    elif step == "edit":
        list(chat.edit_message(ME, frame.left.id, "other"))
    elif step == "edit_reply":
        assert chat.edit_reply(ME, frame.left.id, "mine").version == duel.left_version
    elif step == "select":
        chat.select(ME, frame.right.id)
    else:
        copy = chat.branch(ME, frame.left.id, "copy")
        assert chat.view(ME, copy.id).turns[0].turn.version == duel.left_version
    assert site.store.duels.get(frame.duel, ME).end == "skipped"
    turns = site.store.conversations.turns(conversation)[:2]
    assert [t.version for t in turns] == [duel.left_version, duel.right_version]
    assert (site.arena.standings().votes, site.arena.standings().skipped) == (0, 1)


def test_a_refused_message_leaves_the_question_open(make: Make) -> None:
    site = make()
    frame = last_frame(site.arena.reply(ME, "hi"))
    with pytest.raises(UserInputError):
        list(site.arena.reply(ME, "word " * 9000, frame.conversation_id))
    assert site.store.duels.get(frame.duel, ME).is_open


def test_a_vote_is_the_writers_own_and_final(make: Make) -> None:
    site = make()
    frame = last_frame(site.arena.reply(ME, "hi"))
    with pytest.raises(NotFound):
        site.arena.vote("somebody", frame.duel, "left")
    with pytest.raises(NotFound):
        site.arena.vote(ME, "d_none", "left")
    with pytest.raises(UserInputError, match="no vote"):
        site.arena.vote(ME, frame.duel, "base")
    with pytest.raises(UserInputError, match="after the vote"):
        site.arena.duel(ME, frame.duel)
    first = site.arena.vote(ME, frame.duel, "left")
    assert site.arena.vote(ME, frame.duel, "left") == first
    with pytest.raises(UserInputError, match="taken back"):
        site.arena.vote(ME, frame.duel, "right")
    assert site.arena.standings().votes == 1
    assert site.arena.vote(ME, frame.duel, "skipped").end == "skipped"
    assert site.arena.standings().votes == 0
    assert site.arena.duel(ME, frame.duel).left_version == first.left_version


def test_many_at_once_end_well(make: Make) -> None:
    """Votes come while answers are written, from several people; every name comes out right."""
    site = make(answer=long, delay_s=0.001, parallel=4, queue=32)
    ended: list[str] = []

    def one(number: int) -> None:
        for state in site.arena.reply(ME, f"hi {number}"):
            if isinstance(state, DuelFrame) and state.left.reply and state.right.reply:
                site.arena.vote(ME, state.duel, ("left", "right", "tie")[number % 3])
        assert isinstance(state, Turn)
        ended.append(state.id)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(ended) == 6 and site.engine.running == 0 and site.services.chat.idle
    for turn in site.store.conversations.iter_turns():
        assert turn.reply == "" or turn.reply.startswith(f"[{turn.version}]")
    assert site.arena.standings().votes == 6


def test_busy_conversations_take_no_second_message(make: Make) -> None:
    site = make(answer=long, delay_s=0.01)
    states, frame = growing(site)
    with pytest.raises(Busy):
        list(site.arena.reply(ME, "again", frame.conversation_id))
    states.close()  # type: ignore[attr-defined]


def test_votes_of_other_weights_and_models_are_not_mixed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make()
    for n in range(4):
        site.arena.vote(ME, last_frame(site.arena.reply(ME, str(n))).duel, "left")
    assert site.arena.standings().votes == 4
    site.store.close()
    monkeypatch.setattr(Shelf, "weights", "ef")
    again = make()
    assert again.arena.standings().votes == 2
    again.engine.info = replace(again.engine.info, model="another")
    assert again.arena.standings().votes == 0


def test_standings_follow_the_votes(make: Make) -> None:
    """Somebody who always prefers v1.1 and finds v1.0 like the base."""
    site = make()
    for n in range(44):
        frame = last_frame(site.arena.reply(ME, str(n)))
        duel = site.store.duels.get(frame.duel, ME)
        sides = {duel.left_version: "left", duel.right_version: "right"}
        site.arena.vote(ME, frame.duel, sides.get("v1.1", "tie"))
    found = site.arena.standings()
    assert found.enough and found.votes == 44 and found.reference == "base"
    assert found.rows[0].version == "v1.1"
    best = found.rows[0].strength
    assert best is not None and best.low > 0
    equal = next(row for row in found.rows if row.version == "v1.0").strength
    assert equal is not None and equal.low < 0 < equal.high
