"""docs/api.md names every route, and every command in it works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.api.conftest import MakeSite, Site

TEXT = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:7860"


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A server with the password of the login example."""
    site = make_site(password="…", api_key="key")
    site.headers["Authorization"] = "Bearer key"
    return site


def commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    found = []
    for block in blocks:
        # What a pipe brings, as an argument.
        block = re.sub(
            r"printf ('.*') \|\n  (curl .*) --data-binary @-",
            lambda pipe: f"{pipe[2]} --data-binary {pipe[1]}".replace("\\n", "\n"),
            block,
        )
        found += [f"curl {rest.strip()}" for rest in re.split(r"^curl ", block, flags=re.M)[1:]]
    return found


def test_every_route_is_there(site: Site) -> None:
    for path in site.get("/openapi.json").json()["paths"]:
        short = path.replace("/api/conversations/{conversation_id}", "")
        assert path in TEXT or short in ("/restore",), path


@pytest.mark.parametrize("command", commands())
def test_command(site: Site, command: str) -> None:
    turn = site.chat("a colour")
    known = {
        "$JAVIS": ADDRESS,
        "$CONVERSATION": turn["conversation_id"],
        "$TURN": turn["turn_id"],
    }
    for name, value in known.items():
        command = command.replace(name, value)
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    method, address, headers, content = "", "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, value = next(words).split(": ")
            headers[name] = value
        elif word == "-d":
            content = next(words)
            json.loads(content)
        elif word == "--data-binary":
            content = next(words)
        elif word != "-N":
            address = word
    if "/api/review/" in address:
        site.post("/api/feedback", {"turn_id": turn["turn_id"], "rating": "good"})
    if address.endswith("/restore"):
        site.ask("DELETE", address.removesuffix("/restore"))
    method = method or ("POST" if content else "GET")
    answer = site.ask(method, address, headers=headers, content=content)
    assert answer.status_code == 200, answer.text


def test_there_are_commands() -> None:
    assert len(commands()) > 15
