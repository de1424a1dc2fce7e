"""`/api/evaluations`, over the scripted engine and a suite of sums."""

from __future__ import annotations

import time
from typing import Any

import pytest

from javis.core.types import Message, SamplingParams
from javis.engine.scripted import ScriptedEngine
from javis.eval.harness_results import Kept, Row
from tests.api.conftest import MakeSite, Site
from tests.eval.small_suite import SumSuite

START = {"versions": ["base", "v1.0"], "suites": ["knowledge"]}


def sums(messages: list[Message], sampling: SamplingParams, version: str) -> str:
    """The version knows all sums, the base only half of them."""
    n = int(messages[-1].content.partition("+")[0])
    return str(2 * n) if version == "v1.0" or n < 6 else "no idea"


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> SumSuite:
    made = SumSuite()
    monkeypatch.setattr("javis.service.services.public_suites", lambda: {"knowledge": made})
    return made


@pytest.fixture
def site(suite: SumSuite, make_site: MakeSite) -> Site:
    return make_site(ScriptedEngine(sums))


def ended(site: Site, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while (row := site.get(f"/api/evaluations/{run_id}").json())["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return dict(row)


def test_an_evaluation_from_start_to_its_reports(site: Site) -> None:
    started = site.post("/api/evaluations", START)
    assert started.status_code == 202
    row = ended(site, started.json()["id"])
    assert row["state"] == "succeeded", row
    assert (row["done"], row["total"]) == (24, 24)
    assert [r["id"] for r in site.get("/api/evaluations").json()["evaluations"]] == [row["id"]]
    reports = site.get("/api/evaluations/reports").json()["reports"]
    scores = {r["subject"]["version"]: r["score"]["value"] for r in reports}
    # The damaged version has the weights of the other one, so what is known of them is its too.
    assert scores == {"base": 0.5, "v1.0": 1.0, "v1.1": 1.0}
    only = site.get("/api/evaluations/reports?version=v1.0").json()["reports"]
    assert [r["subject"]["version"] for r in only] == ["v1.0"]
    results = site.get("/api/evaluations/results?suite=knowledge&version=base").json()["results"]
    assert [r["score"] for r in results] == [1.0] * 6 + [0.0] * 6
    assert results[-1]["answers"] == ["no idea"]


def test_what_the_harness_found_is_told_under_the_name_of_today(site: Site) -> None:
    assert site.get("/api/evaluations/harness").json() == {"results": []}
    known = site.services.evaluation._known
    base, v10 = (known.subject(v) for v in site.services.versions.all()[:2])
    number = Row("kobest_copa", "acc", 0.5, float("nan"), 100)
    for subject in (base, v10):
        known.harness.keep(subject, [Kept("old name", number, False, None, "0.4.13", "2026")])
    rows = site.get("/api/evaluations/harness").json()["results"]
    assert [r["version"] for r in rows] == ["base", "v1.0", "v1.1"]  # one adapter, two names
    assert (rows[0]["task"], rows[0]["value"], rows[0]["error"]) == ("kobest_copa", 0.5, None)
    (only,) = site.get("/api/evaluations/harness?version=base").json()["results"]
    assert only == rows[0]


def test_the_suites_say_what_there_is_to_ask(site: Site) -> None:
    rows = {r["name"]: r for r in site.get("/api/evaluations/suites").json()["suites"]}
    assert rows["knowledge"]["items"] == 12
    assert rows["knowledge"]["seconds_per_item"] is None
    ended(site, site.post("/api/evaluations", START).json()["id"])
    rows = {r["name"]: r for r in site.get("/api/evaluations/suites").json()["suites"]}
    assert rows["knowledge"]["seconds_per_item"] > 0


def test_one_at_a_time_and_cancelled(suite: SumSuite, make_site: MakeSite) -> None:
    site = make_site(ScriptedEngine(sums, delay_s=0.1, parallel=2))
    run = site.post("/api/evaluations", START).json()
    second = site.post("/api/evaluations", START)
    assert (second.status_code, second.json()["error"]["code"]) == (429, "evaluating")
    assert site.post(f"/api/evaluations/{run['id']}/cancel").status_code == 200
    row = ended(site, run["id"])
    assert row["state"] == "cancelled"
    assert row["done"] < row["total"]
    assert len(suite.asked) <= row["done"] + 1
    again = ended(site, site.post("/api/evaluations", {**START, "sample": 1}).json()["id"])
    assert (again["state"], again["done"], again["total"]) == ("succeeded", 2, 2)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"versions": [], "suites": ["knowledge"]}, 400, "nothing_to_evaluate"),
        ({"versions": ["base"], "suites": []}, 400, "nothing_to_evaluate"),
        ({"versions": ["v9.9"], "suites": ["knowledge"]}, 400, "no_version"),
        ({"versions": ["v1.1"], "suites": ["knowledge"]}, 400, "version_refused"),
        ({"versions": ["base"], "suites": ["instruction"]}, 404, "no_suite"),
        ({"versions": ["base"], "suites": ["nonsense"]}, 400, None),
        ({"versions": ["base"], "suites": ["knowledge"], "sample": 0}, 400, None),
        ({"versions": ["base"], "suites": ["knowledge"], "sample": "all"}, 400, None),
    ],
)
def test_what_cannot_be_evaluated_is_said(
    site: Site, body: dict[str, Any], status: int, code: str | None
) -> None:
    answer = site.post("/api/evaluations", body)
    assert answer.status_code == status, answer.text
    if code:
        assert answer.json()["error"]["code"] == code
    assert site.get("/api/evaluations").json() == {"evaluations": []}


def test_unknown_ones_are_not_found(site: Site) -> None:
    assert site.get("/api/evaluations/e_none").status_code == 404
    assert site.post("/api/evaluations/e_none/cancel").status_code == 404
    answer = site.get("/api/evaluations/results?suite=knowledge&version=v9.9")
    assert answer.status_code == 404


def test_only_the_admin(suite: SumSuite, make_site: MakeSite) -> None:
    site = make_site(ScriptedEngine(sums), password="word", users="bob:bobs word")
    site.headers["Cookie"] = f"{site.auth.cookie}={site.auth.log_in('bob', 'bobs word', '-')}"
    for method, path in (
        ("POST", ""),
        ("GET", ""),
        ("GET", "/suites"),
        ("GET", "/reports"),
        ("GET", "/results?suite=knowledge&version=base"),
        ("GET", "/e_1"),
        ("POST", "/e_1/cancel"),
    ):
        answer = site.ask(method, f"/api/evaluations{path}", json=START)
        assert answer.status_code == 403, path
    assert suite.asked == []
