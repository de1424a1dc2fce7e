"""Which rated turns a reviewer looks for."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from javis.core.errors import UserInputError
from javis.core.learning import FLAG_KINDS, FlagKind, Status
from javis.dataset.candidates import Candidate, message_of
from javis.service.review_index import ReviewIndex

Test = Callable[[Candidate], bool]


@dataclass(frozen=True, slots=True)
class ReviewFilters:
    """Which rows to show; None shows all. Times are ISO dates or moments of the rating."""

    rating: Literal["good", "bad", "corrected"] | None = None
    version: str | None = None
    since: str | None = None
    until: str | None = None
    """A bare date is meant with its whole day."""
    flag: FlagKind | Literal["any"] | None = None
    status: Status | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        _one_of("rating", self.rating, ("good", "bad", "corrected"))
        _one_of("flag", self.flag, ("any", *FLAG_KINDS))
        _one_of("status", self.status, ("approved", "pending", "excluded"))
        for value in (self.since, self.until):
            if value:
                moment(value)


def test_of(filters: ReviewFilters, everything: bool) -> Test:
    """Whether a candidate passes all of the filters; the quick ones are asked first."""
    tests: list[Test] = []
    if filters.rating == "corrected":
        tests.append(lambda c: c.correction is not None)
    elif filters.rating:
        tests.append(lambda c: c.rating == filters.rating)
    if filters.status:
        tests.append(lambda c: c.status(everything) == filters.status)
    if filters.flag == "any":
        tests.append(lambda c: bool(c.related or c.own))
    elif filters.flag:
        tests.append(lambda c: any(flag.kind == filters.flag for flag in c.flags))
    if filters.version:
        tests.append(lambda c: c.turn.get("version") == filters.version)
    if filters.since:
        since = moment(filters.since)
        tests.append(lambda c: _rated_at(c) >= since)
    if filters.until:
        until = moment(filters.until, end=True)
        tests.append(lambda c: _rated_at(c) < until)
    if filters.text and filters.text.strip():
        finds = _finder(filters.text.strip())
        tests.append(lambda c: any(finds(text) for text in _texts(c) if text))
    return lambda candidate: all(test(candidate) for test in tests)


def similar_to(candidate: Candidate, index: ReviewIndex) -> list[Candidate]:
    """Those with the same answer or nearly the same prompt, the last rated first."""
    relations = index.relations
    found = (*relations.alike(candidate), *relations.alike_before(candidate))
    alike = {other.turn_id for other in found}
    reply = str(candidate.turn.get("reply", "")).strip()
    return [
        other
        for other in index.newest_first()
        if other is not candidate and (other.turn_id in alike or (reply and _says(other, reply)))
    ]


def moment(value: str, *, end: bool = False) -> str:
    """A moment as the store writes it. A bare date is its first moment, as an end its last one.

    Raises UserInputError for anything else.
    """
    try:
        if len(value) == 10:
            day = date.fromisoformat(value)
            return (day + timedelta(days=1) if end else day).isoformat()
        when = datetime.fromisoformat(value)
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        when += timedelta(milliseconds=1) if end else timedelta()
    except (ValueError, OverflowError):
        raise UserInputError(
            "bad_date", "'{value}' is no date such as 2026-11-21.", value=value[:40]
        ) from None
    return when.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _rated_at(candidate: Candidate) -> str:
    return str(candidate.feedback.get("created_at", ""))


def _says(candidate: Candidate, reply: str) -> bool:
    return str(candidate.turn.get("reply", "")).strip() == reply


def _texts(candidate: Candidate) -> tuple[str | None, ...]:
    feedback = candidate.feedback
    reply = candidate.turn.get("reply")
    return (
        message_of(candidate),
        reply,
        None if candidate.target == reply else candidate.target,
        feedback.get("correction"),
        feedback.get("comment"),
    )


def _finder(wanted: str) -> Callable[[str], bool]:
    """Whether a text mentions it, whatever the case."""
    # macOS types Hangul as single letters (NFD); they are to match whole syllables.
    wanted = unicodedata.normalize("NFC", wanted).casefold()
    if wanted.upper() == wanted:
        # Hangul has no case, so most of the work can be left out.
        return lambda text: wanted in _composed(text)
    return lambda text: wanted in _composed(text).casefold()


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _one_of(name: str, value: str | None, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        raise UserInputError(
            "bad_filter",
            "{name} must be one of {allowed}.",
            name=name,
            allowed=", ".join(allowed),
        )
