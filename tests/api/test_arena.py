"""`/api/arena`: who may ask what, and nothing told before the vote."""

from __future__ import annotations

from typing import Any

import pytest

from javis.service.arena import DuelFrame
from tests.api.conftest import MakeSite, Site

PLAN = {"on": True, "share": 1.0}


def compared(site: Site, owner: str = "local") -> DuelFrame:
    """A comparison that waits for a vote, as the page starts one."""
    site.services.arena.set_plan(True, 1.0)
    last = list(site.services.arena.reply(owner, "hello"))[-1]
    assert isinstance(last, DuelFrame)
    return last


def test_the_plan_is_set_and_read(site: Site) -> None:
    assert site.get("/api/arena").json()["on"] is False
    kept = site.ask("PUT", "/api/arena", json={**PLAN, "share": 0.5, "versions": ["v1.0"]}).json()
    assert (kept["on"], kept["share"], kept["versions"]) == (True, 0.5, ["v1.0"])
    assert kept["contestants"] == ["base", "v1.0"]
    assert site.get("/api/arena").json() == kept


@pytest.mark.parametrize(
    "body",
    [{"on": 1, "share": 0.5}, {"on": True}, {"on": True, "share": 2}, {**PLAN, "versions": "v"}],
)
def test_a_malformed_plan_is_refused(site: Site, body: dict[str, Any]) -> None:
    assert site.ask("PUT", "/api/arena", json=body).status_code == 400
    assert site.get("/api/arena").json()["on"] is False


def test_a_vote_tells_who_wrote_what(site: Site) -> None:
    frame = compared(site)
    address = f"/api/arena/duels/{frame.duel}"
    refused = site.get(address)
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "still_blind"
    said = site.get(f"/api/conversations/{frame.conversation_id}").text
    assert '"hidden"' in said and "v1.0" not in said.replace("[v1.0] hello", "")
    voted = site.post(f"{address}/vote", {"vote": "left"}).json()
    assert {voted["left_version"], voted["right_version"]} == {"base", "v1.0"}
    assert "owner" not in voted
    assert site.get(address).json() == voted
    assert site.post(f"{address}/vote", {"vote": "right"}).json()["error"]["code"] == (
        "already_voted"
    )
    assert site.post(f"{address}/vote", {"vote": "nobody"}).status_code == 400
    found = site.get("/api/arena/standings").json()
    assert found["votes"] == 1 and not found["enough"]
    assert {row["missing"] for row in found["rows"]} == {19}


def test_other_peoples_comparisons_are_not_there(site: Site) -> None:
    frame = compared(site, owner="somebody")
    vote = site.post(f"/api/arena/duels/{frame.duel}/vote", {"vote": "left"})
    assert vote.status_code == 404


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("PUT", ""), ("GET", "/standings")])
def test_only_the_admin_sees_and_sets_the_plan(make_site: MakeSite, method: str, path: str) -> None:
    site = make_site(password="secret", users="bob:builder")
    asked = {"json": PLAN} if method == "PUT" else {}
    assert site.ask(method, f"/api/arena{path}", **asked).status_code == 401
    login = site.post("/login", {"name": "bob", "password": "builder"})
    site.headers["Cookie"] = login.headers["set-cookie"].partition(";")[0]
    assert site.ask(method, f"/api/arena{path}", **asked).status_code == 403
    assert not site.services.arena.plan().on
    # His own comparisons are his to judge.
    frame = compared(site, owner="bob")
    vote = site.post(f"/api/arena/duels/{frame.duel}/vote", {"vote": "tie"})
    assert vote.json()["end"] == "tie"
