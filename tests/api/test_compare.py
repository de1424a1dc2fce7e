"""`/api/compare` as a client sees it."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from tests.api.conftest import MakeSite, Site

ROUTES = [
    ("GET", "/api/compare"),
    ("POST", "/api/compare/answers"),
    ("POST", "/api/compare/reports"),
    ("GET", "/api/compare/reports"),
    ("GET", "/api/compare/reports/compare-20260101T000000-abcdef.zip"),
    ("GET", "/api/compare/reports/compare-20260101T000000-abcdef/report.html"),
    ("DELETE", "/api/compare/reports/compare-20260101T000000-abcdef"),
]


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures have tests of their own."""
    monkeypatch.setattr("javis.service.compare_files.draw", lambda *_: b"\x89PNG no picture")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_it_is_the_admins_alone(make_site: MakeSite, method: str, path: str) -> None:
    site = make_site(password="secret", users="bob:builder")
    assert site.ask(method, path, json={"versions": ["base"]}).status_code == 401
    login = site.post("/login", {"name": "bob", "password": "builder"})
    site.headers["Cookie"] = login.headers["set-cookie"].partition(";")[0]
    answer = site.ask(method, path, json={"versions": ["base"], "prompts": ["x"]})
    assert answer.status_code == 403


def test_the_table(site: Site) -> None:
    found = site.get("/api/compare").json()
    # v1.1 is damaged.
    assert [row["version"] for row in found["rows"]] == ["base", "v1.0"]
    assert len(found["figures"]) == 6
    assert [n["code"] for n in found["notes"]] == ["no_suites"]
    one = site.get("/api/compare", params={"versions": ["v1.0"]}).json()
    assert [row["version"] for row in one["rows"]] == ["v1.0"]
    damaged = site.get("/api/compare", params={"versions": ["v1.1"]}).json()["rows"][0]
    assert damaged["refused"] == "its weights are cut short."


@pytest.mark.parametrize("name", ["v9.9", "../../etc", "j_" + "0" * 32])
def test_an_unknown_version_is_not_found(site: Site, name: str) -> None:
    answer = site.get("/api/compare", params={"versions": [name]})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] in ("no_version", "no_job")


def test_answers_side_by_side(site: Site) -> None:
    body = {"versions": ["base", "v1.0"], "prompts": ["hello"]}
    found = site.post("/api/compare/answers", body).json()
    (row,) = found["rows"]
    assert found["total"] == 1
    assert row["answers"]["v1.0"]["text"] == "[v1.0] hello"
    assert (row["prompt"], row["same"]) == ("hello", False)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"versions": []},
        {"versions": ["base"]},
        {"versions": ["base"], "prompts": [""]},
        {"versions": ["base"], "prompts": ["x"] * 21},
        {"versions": ["base"], "prompts": ["x"], "suite": "health"},
        {"versions": ["base"], "suite": "astrology"},
        {"versions": ["base"], "prompts": ["x"], "limit": -1},
        {"versions": "base", "prompts": ["x"]},
        {"versions": [1], "prompts": ["x"]},
    ],
)
def test_a_malformed_question_is_refused(site: Site, body: dict[str, object]) -> None:
    answer = site.post("/api/compare/answers", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_a_report_is_written_listed_downloaded_and_deleted(site: Site) -> None:
    made = site.post("/api/compare/reports", {"versions": ["base", "v1.0"]})
    assert made.status_code == 201
    report = made.json()
    address = f"/api/compare/reports/{report['report_id']}"
    assert site.get("/api/compare/reports").json()["reports"] == [report]
    page = site.get(f"{address}/report.html")
    assert page.headers["content-type"].startswith("text/html")
    # A page that others' words went into is never shown from this address, only saved.
    assert page.headers["content-disposition"].startswith("attachment")
    data = json.loads(site.get(f"{address}/report.json").content)
    assert [row["version"] for row in data["rows"]] == ["base", "v1.0"]
    packed = site.get(f"{address}.zip")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert len(archive.namelist()) == len(report["files"])
    assert site.ask("DELETE", address).json() == {
        "report_id": report["report_id"],
        "deleted": True,
    }
    assert site.get(f"{address}/report.json").status_code == 404


@pytest.mark.parametrize("path", ["..%2F..%2Fdata%2Fjavis.jnl", "x/report.json", "x.zip"])
def test_nothing_else_can_be_downloaded(site: Site, path: str) -> None:
    assert site.get(f"/api/compare/reports/{path}").status_code == 404
