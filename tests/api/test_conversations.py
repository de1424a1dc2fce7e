"""`/api/conversations`: list, read, rename, delete, import and export."""

from __future__ import annotations

import json
from email.message import Message
from typing import Any

import pytest

from javis.api.conversations import EXPORT_BLOCK_CHARS, disposition
from tests.api.conftest import Site
from tests.api.test_completions import error_of

PATH = "/api/conversations"


def example(title: str = "Tea", **turn: object) -> dict[str, Any]:
    return {"title": title, "turns": [{"user": "Which tea?", "assistant": "Green.", **turn}]}


def bring_in(site: Site, *conversations: object) -> list[str]:
    answer = site.post(f"{PATH}/import", {"conversations": conversations})
    assert answer.status_code == 200, answer.text
    assert answer.json()["imported"] == len(conversations)
    return [c["id"] for c in answer.json()["conversations"]]


def test_pages_and_search(site: Site) -> None:
    for number in range(5):
        site.chat(f"talk {number}")
    page = site.get(PATH, params={"offset": 1, "limit": 2}).json()
    assert page["total"] == 5
    assert [c["title"] for c in page["conversations"]] == ["talk 3", "talk 2"]
    assert "owner" not in page["conversations"][0]
    found = site.get(PATH, params={"query": "talk 4"}).json()
    assert [c["title"] for c in found["conversations"]] == ["talk 4"]
    assert site.get(PATH, params={"offset": 99}).json()["conversations"] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("offset", "-1"),
        ("offset", "x"),
        ("offset", "9" * 5000),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "1e9"),
        ("query", "x" * 1001),
    ],
)
def test_bad_pages(site: Site, name: str, value: str) -> None:
    assert error_of(site.get(PATH, params={name: value}))["param"] == name


def test_read_rename_delete_restore(site: Site) -> None:
    turn = site.chat("hello")
    path = f"{PATH}/{turn['conversation_id']}"
    site.post("/api/feedback", {"turn_id": turn["turn_id"], "rating": "good"})
    shown = site.get(path).json()
    assert shown["conversation"]["title"] == "hello"
    assert shown["answering"] is False
    assert shown["turns"][0]["feedback"]["rating"] == "good"
    assert shown["turns"][0]["answers"] == [turn["turn_id"]]
    assert site.ask("PATCH", path, json={"title": " New  name "}).json()["title"] == "New name"
    for bad in ({"title": ""}, {"title": "x" * 201}, {"title": 5}, {}):
        error_of(site.ask("PATCH", path, json=bad))
    assert site.ask("DELETE", path).json()["deleted"] is True
    error_of(site.get(path), 404)
    error_of(site.ask("DELETE", path), 404)
    assert site.post(f"{path}/restore").json()["title"] == "New name"
    assert site.get(path).status_code == 200


@pytest.mark.parametrize("wrong", ["no-such", "..%2f..%2fetc", "%00", "x" * 3000, "1' OR 1=1"])
def test_unknown(site: Site, wrong: str) -> None:
    path = f"{PATH}/{wrong}"
    error_of(site.get(path), 404)
    error_of(site.ask("DELETE", path), 404)
    error_of(site.ask("PATCH", path, json={"title": "x"}), 404)
    error_of(site.post(f"{path}/restore"), 404)
    for format in ("json", "markdown"):
        error_of(site.get(f"{path}/export", params={"format": format}), 404)


def test_import_and_export_round(site: Site) -> None:
    rated = example("Rated", rating="bad", reasons=["too_short"], correction="Green tea, gladly.")
    bring_in(site, example("Tee ☕ 차"), rated)
    exported = site.get(f"{PATH}/export")
    assert exported.headers["content-disposition"].startswith("attachment")
    rows = exported.json()["conversations"]
    assert {row["title"] for row in rows} == {"Tee ☕ 차", "Rated"}
    bring_in(site, *rows)
    again = site.get(f"{PATH}/export").json()["conversations"]
    votes = [t.get("correction") for row in again for t in row["turns"]]
    assert votes.count("Green tea, gladly.") == 2
    assert len(again) == 4


def test_export_of_nothing_and_of_much(site: Site) -> None:
    assert site.get(f"{PATH}/export").json() == {"conversations": []}
    long = "x" * (EXPORT_BLOCK_CHARS // 2)
    bring_in(site, *[example(f"n{i}", model="m", comment=long[:10_000]) for i in range(20)])
    bring_in(site, example("long", user=long))
    assert len(site.get(f"{PATH}/export").json()["conversations"]) == 21


def test_bad_import_changes_nothing_and_names_each_row(site: Site) -> None:
    rows = [example(), {"turns": 5}, example(user=""), example(rating="great"), example(user=None)]
    error = error_of(site.post(f"{PATH}/import", {"conversations": rows}))
    assert error["code"] == "import_refused"
    assert len(error["problems"]) == 4
    assert error["problems"][0].startswith("conversation 2")
    assert error["problems"][1].startswith("conversation 3, turn 1")
    assert site.get(PATH).json()["total"] == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 200_000,
        b'{"conversations": []}',
        b'{"conversations": {}}',
        b'{"conversations": [7]}',
        b'{"conversations": ["x", null]}',
        b'{"conversations": [{"turns": [{"user": "\\ud800", "assistant": "x"}]}]}',
    ],
    ids=range(12),
)
def test_broken_import(site: Site, content: bytes) -> None:
    answer = site.ask(
        "POST", f"{PATH}/import", content=content, headers={"Content-Type": "application/json"}
    )
    error_of(answer)
    assert site.get(PATH).json()["total"] == 0


def test_import_must_be_said_to_be_json(site: Site) -> None:
    """A page of another site can send text/plain without asking the browser first."""
    body = json.dumps({"conversations": [example()]})
    for kind in ("text/plain", None):
        error_of(site.ask("POST", f"{PATH}/import", content=body, headers={"Content-Type": kind}))


def test_single_exports(site: Site) -> None:
    [first] = bring_in(site, example('a/../b"c\r\nX: y'))
    as_json = site.get(f"{PATH}/{first}/export")
    assert len(as_json.json()["conversations"]) == 1
    as_text = site.get(f"{PATH}/{first}/export", params={"format": "markdown"})
    assert as_text.headers["content-type"] == "text/markdown; charset=utf-8"
    assert "Which tea?" in as_text.text
    assert "x" not in as_text.headers
    error_of(site.get(f"{PATH}/{first}/export", params={"format": "exe"}))


@pytest.mark.parametrize(
    ("title", "plain", "name"),
    [
        ("Tea", "Tea.md", "Tea.md"),
        ("차 이야기", "conversation.md", "차 이야기.md"),
        ("../../etc/passwd", "etc passwd.md", "etc passwd.md"),
        ('a"b\\c\r\nSet-Cookie: x', "a b c Set-Cookie x.md", "a b c Set-Cookie x.md"),
        ("", "conversation.md", "conversation.md"),
        ("...", "conversation.md", "conversation.md"),
        ("\x00\u202egpj.exe", "gpj.exe.md", "gpj.exe.md"),
        ("x" * 300, "x" * 80 + ".md", "x" * 80 + ".md"),
    ],
)
def test_file_names(title: str, plain: str, name: str) -> None:
    header = disposition(title, "md")
    header.encode("latin-1")
    assert f'filename="{plain}"' in header
    parsed = Message()
    parsed["Content-Disposition"] = header.replace(f'filename="{plain}"; ', "")
    assert parsed.get_filename() == name
