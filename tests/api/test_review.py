"""`/api/review` and `/api/export-training`: for admins only, and safe against anything sent."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import MakeSite, Site
from tests.api.test_completions import error_of

REVIEW = "/api/review"
EXPORT = "/api/export-training"
TAKE_IN = f"{EXPORT}/take-in"
NDJSON = {"Content-Type": "application/x-ndjson"}
ROW = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}


def rated(site: Site, message: str, rating: str = "good", **more: object) -> str:
    turn = str(site.chat(message)["turn_id"])
    site.post("/api/feedback", {"turn_id": turn, "rating": rating, **more})
    return turn


def test_page_filters_and_one_row(site: Site) -> None:
    one = rated(site, "apples")
    two = rated(site, "mail kim@example.com", reasons=["too_long"], comment="hm")
    page = site.get(REVIEW).json()
    assert (page["total"], page["offset"], page["limit"]) == (2, 0, 50)
    assert [row["turn_id"] for row in page["rows"]] == [two, one]
    assert page["counts"]["personal"] == page["counts"]["pending"] == 1
    for query in ({"flag": "personal"}, {"status": "pending"}, {"text": "KIM@"}, {"limit": 1}):
        assert site.get(REVIEW, params=query).json()["rows"][0]["turn_id"] == two
    row = site.get(f"{REVIEW}/{two}").json()
    assert row["prompt"] == [{"role": "user", "content": "mail kim@example.com"}]
    assert row["flags"] == [{"kind": "personal", "detail": "email", "others": []}]
    assert (row["reasons"], row["comment"]) == (["too_long"], "hm")
    assert row["masked"]["user"] == "mail [email]"
    assert row["history"] == []


def test_decide_bulk_and_similar(site: Site) -> None:
    one, two = rated(site, "mail kim@example.com"), rated(site, "mail kim@example.com!")
    row = site.post(f"{REVIEW}/{one}", {"action": "edit", "user": "mail", "target": "ok"}).json()
    assert (row["status"], row["target"], row["edited"]) == ("approved", "ok", True)
    similar = site.get(f"{REVIEW}/{one}/similar").json()
    assert [r["turn_id"] for r in similar["rows"]] == [two]
    assert site.post(f"{REVIEW}/{one}/similar", {"turn_ids": [two]}).json() == {"changed": 1}
    assert site.get(f"{REVIEW}/{two}").json()["target"] == "ok"
    assert site.get(f"{REVIEW}/{two}").json()["history"][0]["by"] == "local"
    body = {"action": "exclude", "filters": {"status": "approved"}}
    assert site.post(f"{REVIEW}/bulk", body).json() == {"changed": 2}
    body = {"action": "reset", "turn_ids": [one]}
    assert site.post(f"{REVIEW}/bulk", body).json() == {"changed": 1}
    assert site.get(REVIEW, params={"status": "excluded"}).json()["total"] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rating", "great"),
        ("flag", "x"),
        ("status", "x"),
        ("since", "yesterday"),
        ("until", "x" * 101),
        ("text", "x" * 1001),
        ("offset", "-1"),
        ("limit", "201"),
        ("limit", "x"),
    ],
)
def test_bad_filters(site: Site, name: str, value: str) -> None:
    error_of(site.get(REVIEW, params={name: value}))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "delete"},
        {"action": "edit"},
        {"action": "edit", "target": ""},
        {"action": "edit", "target": 5},
        {"action": "approve", "target": "x"},
        {"action": "edit", "target": "x\ud800"},
        [],
        "x",
    ],
)
def test_bad_decisions(site: Site, body: Any) -> None:
    turn = rated(site, "apples")
    content = json.dumps(body)
    answer = site.ask(
        "POST", f"{REVIEW}/{turn}", content=content, headers={"Content-Type": "application/json"}
    )
    error_of(answer)
    assert site.get(f"{REVIEW}/{turn}").json()["decided"] is False


def test_bad_bulk(site: Site) -> None:
    turn = rated(site, "apples")
    for body in (
        {"action": "approve"},
        {"action": "edit", "turn_ids": [turn]},
        {"action": "approve", "turn_ids": [turn], "filters": {}},
        {"action": "approve", "turn_ids": ["x"] * 10_001},
        {"action": "approve", "filters": {"since": "x"}},
    ):
        error_of(site.post(f"{REVIEW}/bulk", body))
    error_of(site.post(f"{REVIEW}/bulk", {"action": "approve", "turn_ids": ["t_none"]}), 404)


def test_unknown_turns(site: Site) -> None:
    unrated = site.chat("hi")["turn_id"]
    for turn in (unrated, "t_none", "..%2f..%2fetc", "%00", "x" * 3000):
        error_of(site.get(f"{REVIEW}/{turn}"), 404)
        error_of(site.post(f"{REVIEW}/{turn}", {"action": "approve"}), 404)
        error_of(site.get(f"{REVIEW}/{turn}/similar"), 404)
        error_of(site.post(f"{REVIEW}/{turn}/similar", {"turn_ids": []}), 404)


def test_only_admins(make_site: MakeSite) -> None:
    site = make_site(password="pw", users="bob:bobpw", api_key="key")
    site.headers["Authorization"] = "Bearer key"
    turn = rated(site, "secret of the admin")
    site.headers.clear()
    routes: list[tuple[str, str, Any]] = [
        ("GET", REVIEW, None),
        ("GET", f"{REVIEW}/{turn}", None),
        ("POST", f"{REVIEW}/{turn}", {"action": "exclude"}),
        ("POST", f"{REVIEW}/bulk", {"action": "exclude", "turn_ids": [turn]}),
        ("GET", f"{REVIEW}/{turn}/similar", None),
        ("POST", f"{REVIEW}/{turn}/similar", {"turn_ids": []}),
        ("GET", EXPORT, None),
        ("POST", TAKE_IN, ROW),
        ("DELETE", f"{TAKE_IN}/x", None),
    ]
    cookie = {"Cookie": f"{site.auth.cookie}={site.auth.log_in('bob', 'bobpw', '1.2.3.4')}"}
    for method, path, body in routes:
        assert site.ask(method, path, json=body).status_code in (401, 403), path
        answer = site.ask(method, path, json=body, headers=cookie)
        assert answer.status_code == 403, path
        assert "secret" not in answer.text
    assert site.services.review.get(turn).decided is False
    assert site.services.review.approved().examples[0].turn_id == turn


# -- export ----------------------------------------------------------------------------------


def exports(site: Site) -> list[Path]:
    return sorted(site.services.settings.exports_dir.iterdir())


def test_export_is_sent_and_kept(site: Site) -> None:
    one = rated(site, "사과")
    rated(site, "pears", "bad")
    answer = site.get(EXPORT, params={"feedback_filter": "good"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"].startswith('attachment; filename="javis-messages-')
    (row,) = map(json.loads, answer.text.splitlines())
    assert row["turn_id"] == one
    assert row["messages"][0]["content"] == "사과"
    data, manifest = exports(site)
    assert data.read_bytes() == answer.content
    assert json.loads(manifest.read_text())["sha256"] == hashlib.sha256(answer.content).hexdigest()
    for format in ("sharegpt", "alpaca", "preference", "kto", "csv"):
        for which in ("good", "bad", "all"):
            query = {"feedback_filter": which, "format": format}
            assert site.get(EXPORT, params=query).status_code == 200
    assert "text/csv" in site.get(EXPORT, params={"format": "csv"}).headers["content-type"]


def test_nothing_to_export(site: Site) -> None:
    answer = site.get(EXPORT)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "query", [{"format": "xml"}, {"feedback_filter": "best"}, {"format": "../../etc/passwd"}]
)
def test_bad_exports(site: Site, query: Any) -> None:
    error_of(site.get(EXPORT, params=query))


def test_a_folder_that_cannot_be_written_is_told(site: Site) -> None:
    rated(site, "apples")
    site.services.settings.exports_dir.write_text("a file is in the way")
    error = error_of(site.get(EXPORT), 503)
    assert error["code"] == "export_failed"


# -- take-in ---------------------------------------------------------------------------------


def test_take_in_and_back(site: Site) -> None:
    content = "\n".join([json.dumps(ROW), "{", json.dumps({"messages": []})])
    tried = site.ask("POST", f"{TAKE_IN}?dry_run=true", content=content, headers=NDJSON).json()
    assert (tried["accepted"], tried["batch"]) == (1, "")
    assert site.services.review.approved().examples == ()
    taken = site.ask("POST", TAKE_IN, content=content, headers=NDJSON).json()
    assert (taken["accepted"], taken["bad_rows"]) == (1, 2)
    assert [(bad["line"], bad["code"]) for bad in taken["bad"]] == [
        (2, "row_not_json"),
        (3, "row_messages"),
    ]
    assert len(site.services.review.approved().examples) == 1
    (file,) = site.get(TAKE_IN).json()["files"]
    assert (file["name"], file["rows"]) == (taken["batch"], 1)
    assert site.ask("DELETE", f"{TAKE_IN}/{taken['batch']}").json() == {"removed": 1}
    assert site.services.review.approved().examples == ()
    error_of(site.ask("DELETE", f"{TAKE_IN}/{taken['batch']}"))


def test_an_edited_export_comes_back(site: Site) -> None:
    turn = rated(site, "apples")
    text = site.get(EXPORT).text.replace("[base] apples", "Red ones.")
    taken = site.ask("POST", TAKE_IN, content=text, headers=NDJSON).json()
    assert (taken["accepted"], taken["bad"]) == (1, [])
    (example,) = site.services.review.approved().examples
    assert (example.turn_id, example.messages[-1].content) == (turn, "Red ones.")


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[" * 10_000, b"\n" * 1000])
def test_strange_files(site: Site, content: bytes) -> None:
    answer = site.ask("POST", TAKE_IN, content=content, headers=NDJSON)
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 0


def test_a_large_file_is_taken_and_a_huge_one_refused(site: Site) -> None:
    line = json.dumps({"messages": [*ROW["messages"][:1], {"role": "assistant", "content": "%d"}]})
    content = "\n".join(line % number for number in range(1000)).encode()
    content += b"\n" + b" " * (9 << 20)
    assert site.ask("POST", TAKE_IN, content=content, headers=NDJSON).json()["accepted"] == 1000
    error_of(site.ask("POST", TAKE_IN, content=b" " * (65 << 20), headers=NDJSON), 413)
