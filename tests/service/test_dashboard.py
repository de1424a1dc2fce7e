"""The dashboard's numbers against counts made by hand."""

from __future__ import annotations

import datetime
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from javis.core.arena import HIDDEN
from javis.core.types import Feedback, Rating, Timings, Turn, Version
from javis.eval.intervals import wilson
from javis.service.dashboard import MAX_DAYS, Dashboard, last_dates, zone_named
from javis.store import now_iso
from tests.service.conftest import Application, Make

SEOUL = ZoneInfo("Asia/Seoul")
NOW = datetime.datetime(2026, 3, 10, 16, 0, tzinfo=datetime.UTC)
"""In Seoul the 11th has begun."""


@pytest.fixture
def app(make: Make) -> Application:
    return make(versions=("v1.0",))


def board(app: Application) -> Dashboard:
    s = app.services
    return Dashboard(app.store, s.versions, s.review, s.training, now=lambda: NOW)


def turn(app: Application, conversation: str, id_: str, at: str, **changed: object) -> Turn:
    made = Turn(
        id=id_,
        conversation_id=conversation,
        parent_id=None,
        created_at=at,
        user="hello",
        reply="hi",
        finish="stop",
        # Ten tokens after the first in 500 ms: 20 tokens a second.
        timings=Timings(completion_tokens=11, ttft_ms=100, total_ms=600),
    )
    made = replace(made, **changed)  # type: ignore[arg-type]
    app.store.conversations.add_turn(made)
    return made


def vote(app: Application, turn_id: str, at: str, rating: Rating | None) -> None:
    app.store.feedback.add(Feedback(turn_id, at, rating))


def test_a_day_is_a_day_of_the_readers_calendar(app: Application) -> None:
    here = app.store.conversations.create("ann").id
    there = app.store.conversations.create("bob").id
    turn(app, here, "a", "2026-03-09T14:59:00+00:00")  # the 9th in Seoul, too
    turn(app, here, "b", "2026-03-09T15:01:00+00:00")  # the 10th in Seoul
    turn(app, there, "c", "2026-03-10T15:30:00+00:00")  # the 11th in Seoul
    world = board(app).view(3)
    assert [(d.date, d.answers) for d in world.days] == [
        ("2026-03-08", 0),
        ("2026-03-09", 2),
        ("2026-03-10", 1),
    ]
    assert (world.answers, world.conversations) == (3, 2)
    seoul = board(app).view(3, SEOUL)
    assert [(d.date, d.answers) for d in seoul.days] == [
        ("2026-03-09", 1),
        ("2026-03-10", 1),
        ("2026-03-11", 1),
    ]


def test_only_what_was_asked_here_counts_as_use(app: Application) -> None:
    one = app.store.conversations.create("ann").id
    gone = app.store.conversations.create("ann").id
    turn(app, one, "asked", "2026-03-10T10:00:00+00:00")
    turn(app, one, "import", "2026-03-10T10:00:00+00:00", origin="import")
    turn(app, one, "edit", "2026-03-10T10:00:00+00:00", origin="edit")
    turn(app, one, "old", "2026-01-10T10:00:00+00:00")
    turn(app, gone, "deleted", "2026-03-10T10:00:00+00:00")
    app.store.conversations.delete(gone, "ann")
    view = board(app).view(7)
    assert view.answers == sum(d.answers for d in view.days) == 1


def test_thumbs_are_counted_by_version_and_by_the_day_they_were_given(app: Application) -> None:
    one = app.store.conversations.create("ann").id
    for n in range(6):
        version = "v1.0" if n < 4 else "base"
        turn(app, one, f"t{n}", "2026-01-01T10:00:00+00:00", version=version)
    for n, rating in enumerate(("good", "good", "bad", "good", "bad", "good")):
        vote(app, f"t{n}", "2026-03-09T10:00:00+00:00", rating)  # type: ignore[arg-type]
    vote(app, "t3", "2026-03-10T10:00:00+00:00", "bad")  # changed her mind
    vote(app, "t5", "2026-03-10T10:00:00+00:00", None)  # taken back
    view = board(app).view(2)
    assert [(d.good, d.bad) for d in view.days] == [(2, 2), (0, 1)]
    assert [(v.version, v.thumbs.good, v.thumbs.bad) for v in view.versions] == [
        ("base", 0, 1),
        ("v1.0", 2, 2),
    ]
    assert view.versions[1].thumbs.rate == wilson(2, 4)
    assert view.thumbs.total == 5


ELSEWHERE = [
    {"origin": "import"},
    {"origin": "edit", "finish": "edited"},
    {"origin": "api", "finish": "imported"},  # sent along by a program
    {"edited_from": "t_1"},  # copied into a branch
]


@pytest.mark.parametrize("changed", ELSEWHERE)
def test_what_was_written_elsewhere_says_nothing_about_a_version(
    app: Application, changed: dict[str, object]
) -> None:
    one = app.store.conversations.create("ann").id
    turn(app, one, "a", "2026-03-10T10:00:00+00:00", version="v1.0", **changed)
    vote(app, "a", "2026-03-10T10:00:00+00:00", "good")
    view = board(app).view(1)
    assert (view.answers, view.thumbs.total) == (0, 0)
    assert [(v.version, v.thumbs.total) for v in view.versions] == [("base", 0)]


def test_speed_is_the_median_and_what_nine_of_ten_were_better_than(app: Application) -> None:
    one = app.store.conversations.create("ann").id
    for n in range(1, 11):
        timings = Timings(completion_tokens=10 * n + 1, ttft_ms=10 * n, total_ms=1000 + 10 * n)
        turn(app, one, f"t{n}", "2026-03-10T10:00:00+00:00", timings=timings)
    unmeasured = Timings(completion_tokens=1, ttft_ms=9000, total_ms=9000)
    turn(app, one, "one token", "2026-03-10T10:00:00+00:00", timings=unmeasured)
    turn(app, one, "running", "2026-03-10T10:00:00+00:00", finish=None)
    view = board(app).view(1)
    [speed] = view.speeds
    assert (speed.version, speed.answers) == ("base", 10)
    assert speed.tokens_per_s == pytest.approx(55)
    assert speed.slow_tokens_per_s == pytest.approx(19)
    assert speed.first_token_ms == pytest.approx(55)
    assert speed.slow_first_token_ms == pytest.approx(91)
    assert view.days[0].tokens_per_s == pytest.approx(55)
    assert view.days[0].answers == 12


def test_a_branch_adds_only_what_is_asked_in_it(app: Application) -> None:
    s, me = app.services, "local"
    *_, first = s.chat.reply(me, "one")
    *_, again = s.chat.regenerate(me, first.id)
    copy = s.chat.branch(me, again.id, "copy")
    now = now_iso()
    for turn_id in (again.id, copy.head or ""):
        app.store.feedback.add(Feedback(turn_id, now, "bad"))
    board = Dashboard(app.store, s.versions, s.review, s.training)
    view = board.view(2)
    assert (view.answers, view.conversations, view.thumbs.total) == (2, 1, 1)
    (base,) = (d for d in s.versions.details() if d.version.name == "base")
    assert base.thumbs.total == 1
    *_, more = s.chat.reply(me, "two", copy.id)
    *_, other = s.chat.edit_message(me, more.id, "three")
    s.chat.edit_reply(me, other.id, "my own words")
    view = board.view(2)
    assert (view.answers, view.conversations) == (4, 2)


OTHERS = [
    {"model": "another"},  # a base model that answered before
    {"version": HIDDEN, "model": "scripted"},  # of a blind comparison without a vote
    {"version": "v1.0", "version_sha256": "ff" * 32},  # an adapter that once had this name
]


def test_a_version_has_its_own_numbers_alone(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, adapter = Version("base", None, "scripted", None), Version("v1.0", "", "", "ab" * 32)
    monkeypatch.setattr(app.services.versions, "all", lambda: [base, adapter])
    one, at = app.store.conversations.create("ann").id, "2026-03-10T10:00:00+00:00"
    own = [{"model": "scripted"}, {"version": "v1.0", "version_sha256": adapter.sha256}]
    for n, changed in enumerate([*own, *OTHERS]):
        turn(app, one, f"t{n}", at, **changed)
        vote(app, f"t{n}", at, "good")
    view = board(app).view(1)
    assert [(v.version, v.thumbs.total) for v in view.versions] == [("base", 1), ("v1.0", 1)]
    assert [(s.version, s.answers) for s in view.speeds] == [("base", 1), ("v1.0", 1)]
    # What was asked and said on a day stays, whoever answered.
    assert (view.answers, view.days[0].good, view.thumbs.total) == (5, 5, 5)


def test_nothing_yet_is_no_failure(app: Application) -> None:
    view = board(app).view(30)
    assert len(view.days) == 30
    assert [v.version for v in view.versions] == ["base"]
    assert (view.answers, view.speeds, view.runs, view.days[0].tokens_per_s) == (0, [], [], None)


def test_a_time_or_zone_that_cannot_be_read_is_left_out(app: Application) -> None:
    one = app.store.conversations.create("ann").id
    turn(app, one, "odd", "yesterday")
    turn(app, one, "naive", "2026-03-10T10:00:00")
    assert board(app).view(7).answers == 1
    assert zone_named("Asia/Seoul") == SEOUL
    for junk in ("", "Mars/Base", "../../etc/passwd", "Asia", "x" * 400, "\0"):
        assert zone_named(junk) == datetime.UTC


def test_a_window_has_an_end() -> None:
    today = datetime.date(2026, 3, 10)
    assert last_dates(today, 0) == ("2026-03-10",)
    assert len(last_dates(today, 10**6)) == MAX_DAYS


def test_turns_can_be_read_from_a_time_on(app: Application) -> None:
    one = app.store.conversations.create("ann").id
    for day in ("08", "09", "10"):
        turn(app, one, day, f"2026-03-{day}T00:00:00.000Z")
    since = app.store.conversations.iter_turns(since="2026-03-09")
    assert [t.id for t in since] == ["09", "10"]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_time_at_the_edge_of_all_times_breaks_no_board(app: Application, at: str) -> None:
    """Such as the default date of other programs, in what they export."""
    one = app.store.conversations.create("ann").id
    turn(app, one, "a", at)
    vote(app, "a", at, "good")
    for zone in ("America/New_York", "Asia/Seoul"):
        assert board(app).view(30, ZoneInfo(zone)).thumbs.total == 0
