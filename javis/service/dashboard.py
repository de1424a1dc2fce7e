"""What happened lately: use, thumbs, speed and training runs, counted from what is stored."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from zoneinfo import ZoneInfo

from javis.core.arena import HIDDEN
from javis.core.learning import TrainJob
from javis.core.types import BASE, Rating, Turn
from javis.dataset.readiness import Readiness
from javis.service.review import ReviewService
from javis.service.thumbs import Thumbs, maker, written_here
from javis.service.training import TrainingService
from javis.service.versions import VersionService
from javis.store import Store

MAX_DAYS = 366
MAX_RUNS = 20
Vote = tuple[str, Turn, Rating]
"""Day, answer and thumb."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the reader's calendar."""

    date: str
    answers: int = 0
    conversations: int = 0
    """In which at least one answer was given on this day."""
    good: int = 0
    bad: int = 0
    """Thumbs given on this day that still count."""
    tokens_per_s: float | None = None
    """Median of the day's answers; None when there is none to measure."""
    first_token_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast answers came. `slow` is what nine of ten answers were better than."""

    version: str
    answers: int
    tokens_per_s: float
    slow_tokens_per_s: float
    first_token_ms: float
    slow_first_token_ms: float


@dataclass(frozen=True, slots=True)
class Liked:
    """Thumbs that a version got in these days."""

    version: str
    thumbs: Thumbs


@dataclass(frozen=True, slots=True)
class DashboardView:
    days: Sequence[Day]
    """Oldest first, days without anything too."""
    answers: int
    conversations: int
    thumbs: Thumbs
    versions: Sequence[Liked]
    """Those that got thumbs and the one in use; the base first, then as they were made."""
    speeds: Sequence[Speed]
    readiness: Readiness
    runs: Sequence[TrainJob]
    """The newest first."""


class Dashboard:
    """Reads the journal anew each time: it is asked when somebody looks, not all the time."""

    def __init__(
        self,
        store: Store,
        versions: VersionService,
        review: ReviewService,
        training: TrainingService,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._store = store
        self._versions = versions
        self._review = review
        self._training = training
        self._now = now

    def view(self, days: int = 30, zone: datetime.tzinfo = datetime.UTC) -> DashboardView:
        """The last `days` days, today included, by the calendar of `zone`."""
        dates = last_dates(self._now().astimezone(zone).date(), days)
        # A day more, as a day of the reader's may begin on another one here.
        since = (datetime.date.fromisoformat(dates[0]) - datetime.timedelta(days=2)).isoformat()
        turns = self._store.conversations.iter_turns(since=since)
        asked = [(_date(t.created_at, zone), t) for t in turns if written_here(t)]
        asked = [(date, turn) for date, turn in asked if date in dates]
        votes = self._votes(dates, zone)
        return DashboardView(
            days=_by_day(dates, asked, votes),
            answers=len(asked),
            conversations=len({t.conversation_id for _, t in asked}),
            thumbs=_thumbs([rating for _, _, rating in votes]),
            versions=self._liked(votes),
            speeds=self._speeds([t for _, t in asked]),
            readiness=self._review.readiness(),
            runs=self._training.jobs()[:MAX_RUNS],
        )

    def _votes(self, dates: Sequence[str], zone: datetime.tzinfo) -> list[Vote]:
        """Those that count and were given in these days."""
        rated = self._store.feedback.all_current().items()
        given = {id_: (_date(f.created_at, zone), f.rating) for id_, f in rated if f.rating}
        recent = {id_: vote for id_, vote in given.items() if vote[0] in dates}
        found = []
        for turn in self._store.conversations.turns_by_id(recent).values():
            date, rating = recent[turn.id]
            if rating and written_here(turn):
                found.append((date, turn, rating))
        return found

    def _named(self, turns: Iterable[Turn]) -> set[str]:
        """The ids of the turns that say something about the version they name.

        A base of another model and an adapter that once had this name are other ones, and a turn
        of a blind comparison names none until there is a vote.
        """
        makers = {
            v.name: v.base_model if v.name == BASE else v.sha256 for v in self._versions.all()
        }
        return {
            turn.id
            for turn in turns
            if turn.version != HIDDEN
            and maker(turn) in (None, makers.get(turn.version, maker(turn)))
        }

    def _liked(self, votes: Sequence[Vote]) -> list[Liked]:
        by_version: dict[str, list[Rating]] = {self._versions.current(): []}
        named = self._named(turn for _, turn, _ in votes)
        for _, turn, rating in votes:
            if turn.id in named:
                by_version.setdefault(turn.version, []).append(rating)
        return [Liked(name, _thumbs(by_version[name])) for name in self._in_order(by_version)]

    def _speeds(self, turns: Sequence[Turn]) -> list[Speed]:
        measured = defaultdict(list)
        named = self._named(turns)
        for turn in turns:
            if turn.id in named and is_measured(turn):
                measured[turn.version].append(turn)
        return [_speed(name, measured[name]) for name in self._in_order(measured)]

    def _in_order(
        self, names: Sequence[str] | dict[str, list[Rating]] | dict[str, list[Turn]]
    ) -> list[str]:
        known = [v.name for v in self._versions.all()]
        return [n for n in known if n in names] + sorted(n for n in names if n not in known)


def last_dates(today: datetime.date, days: int) -> tuple[str, ...]:
    """`days` dates up to today, oldest first."""
    count = max(1, min(days, MAX_DAYS))
    return tuple(
        (today - datetime.timedelta(days=back)).isoformat() for back in range(count - 1, -1, -1)
    )


def zone_named(name: str) -> datetime.tzinfo:
    """The time zone of a browser; UTC for what is none or not known here."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return datetime.UTC


def is_measured(turn: Turn) -> bool:
    """Whether the answer says something about speed: it ended and has more than one token."""
    return turn.finish is not None and turn.timings.tokens_per_second > 0


def _date(at: str, zone: datetime.tzinfo) -> str:
    """The calendar day of a time; "" for a time that cannot be read."""
    try:
        moment = datetime.datetime.fromisoformat(at)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.astimezone(zone).date().isoformat()
    except (ValueError, OverflowError):
        # Imports may bring the first or the last year there is.
        return ""


def _by_day(
    dates: Sequence[str],
    asked: Sequence[tuple[str, Turn]],
    votes: Sequence[Vote],
) -> list[Day]:
    turns = defaultdict(list)
    for date, turn in asked:
        turns[date].append(turn)
    thumbs = Counter((date, rating) for date, _, rating in votes)
    return [_day(date, turns[date], thumbs[date, "good"], thumbs[date, "bad"]) for date in dates]


def _day(date: str, turns: Sequence[Turn], good: int, bad: int) -> Day:
    measured = [t.timings for t in turns if is_measured(t)]
    return Day(
        date=date,
        answers=len(turns),
        conversations=len({t.conversation_id for t in turns}),
        good=good,
        bad=bad,
        tokens_per_s=median(t.tokens_per_second for t in measured) if measured else None,
        first_token_ms=median(t.ttft_ms for t in measured) if measured else None,
    )


def _speed(version: str, turns: Sequence[Turn]) -> Speed:
    speeds = [t.timings.tokens_per_second for t in turns]
    waits = [t.timings.ttft_ms for t in turns]
    return Speed(
        version=version or BASE,
        answers=len(turns),
        tokens_per_s=median(speeds),
        slow_tokens_per_s=_tenths(speeds)[0],
        first_token_ms=median(waits),
        slow_first_token_ms=_tenths(waits)[-1],
    )


def _tenths(values: Sequence[float]) -> list[float]:
    return quantiles(values, n=10, method="inclusive") if len(values) > 1 else [values[0]]


def _thumbs(ratings: Sequence[Rating | str]) -> Thumbs:
    good = sum(rating == "good" for rating in ratings)
    return Thumbs(good, len(ratings) - good)
