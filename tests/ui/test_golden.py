"""The star's handlers: for the admin, and deaf to junk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from javis.service.services import Services
from javis.ui.edge import Edge, Json
from javis.ui.golden import MAX_CHARS, Golden
from javis.ui.texts import Texts
from tests.ui.test_admin_only import Somebody, services
from tests.ui.test_edge import JUNK

__all__ = ["services"]
ADMIN = Somebody("ann", is_admin=True)


@pytest.fixture
def turn(services: Services) -> Iterator[str]:
    talk = {"user": "Tea? " * 1000, "assistant": "Green.", "rating": "bad"}
    rows = services.library.bring_in("ann", {"conversations": [{"title": "t", "turns": [talk]}]})
    view = services.chat.view("ann", rows[0].id)
    yield view.turns[0].turn.id


def ask(services: Services, asker: Somebody, kind: str, /, **data: Any) -> Json:
    edge = Edge(lambda request: asker, Texts())
    event = SimpleNamespace(_data={"kind": kind, "call": "c1", **data})
    return edge.call(Golden(services).table())(event, SimpleNamespace())


def test_mark_list_and_take_out(services: Services, turn: str, tmp_path: Path) -> None:
    assert ask(services, ADMIN, "golden_rows")["ok"] == {"total": 0, "rows": []}
    kept = ask(services, ADMIN, "golden_mark", turn=turn, on=True)["ok"]
    assert kept == {"on": True, "wanted": False}
    assert ask(services, ADMIN, "golden_ids")["ok"] == {"ids": [turn]}
    (row,) = ask(services, ADMIN, "golden_rows")["ok"]["rows"]
    assert (row["id"], row["wanted"], row["earlier"]) == (turn, None, 0)
    assert len(row["message"]) == MAX_CHARS
    kept = ask(services, ADMIN, "golden_mark", turn=turn, on=False)["ok"]
    assert kept == {"on": False, "wanted": False}
    assert services.golden.rows() == []


def test_strangers_and_junk_change_nothing(services: Services, turn: str) -> None:
    for kind in Golden(services).table():
        reply = ask(services, Somebody(), kind, turn=turn, on=True)
        assert reply["error"]["code"] == "admin_only"
        for junk in (junk for junk in JUNK if not isinstance(junk, bool)):
            for fields in ({"turn": junk, "on": True}, {"turn": turn, "on": junk}):
                reply = ask(services, ADMIN, kind, **fields)
                assert reply.get("error", {}).get("code") != "unforeseen", (kind, junk)
    assert services.golden.rows() == []
