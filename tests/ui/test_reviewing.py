"""What the page's filters of Review may say."""

from __future__ import annotations

import pytest

from javis.core.errors import UserInputError
from javis.ui.edge import Payload
from javis.ui.reviewing import filters_of


@pytest.mark.parametrize("value", ["2026-07-02", "2026-07-01T15:00:00.000Z"])
def test_a_day_or_a_moment(value: str) -> None:
    filters = filters_of(Payload({"filters": {"since": value, "until": value}}))
    assert (filters.since, filters.until) == (value, value)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("yesterday", "bad_request"),
        ("2026-7-2", "bad_request"),
        ("2026-07-02T15:00", "bad_request"),
        ("2026-07-01T15:00:00.000Z\n", "bad_request"),
        ("+012026-07-01T15:00:00.000Z", "bad_request"),
        ("2026-02-30", "bad_date"),
        ("2026-02-30T15:00:00.000Z", "bad_date"),
        ("2026-02-03T25:00:00.000Z", "bad_date"),
    ],
)
def test_anything_else_is_refused(value: str, code: str) -> None:
    for name in ("since", "until"):
        with pytest.raises(UserInputError) as refused:
            filters_of(Payload({"filters": {name: value}}))
        assert refused.value.code == code
