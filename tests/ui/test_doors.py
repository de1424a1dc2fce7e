"""What a hostile client may ask of the page: plain refusals, never a fault, never a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from javis.ui.app import mount_options
from tests.e2e.serving import Served, scripted, serve

MIB = "x" * 1_000_000
SECRET = "nobody may read this"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("doors"), scripted()) as one:
        yield one


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


def refused(answer: httpx.Response) -> Any:
    """The words of a refusal in JSON, and no trace of how the server is made."""
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert "Traceback" not in answer.text and SECRET not in answer.text
    return answer.json()


# Functions and sessions ------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["?session_hash=nobody", "?session_hash=", ""])
def test_events_of_a_session_that_is_not_known(
    client: httpx.Client, query: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refused(client.get(f"gradio_api/queue/data{query}"))["detail"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("path", ["run/predict", "run/nothing/", "queue/join"])
@pytest.mark.parametrize("number", [-1, 9999, "a", 1e9, 1.5, [], {}])
def test_an_unknown_function(
    client: httpx.Client, capfd: pytest.CaptureFixture[str], path: str, number: object
) -> None:
    body = {"data": [], "fn_index": number, "session_hash": "mine"}
    refused(client.post(f"gradio_api/{path}", json=body))
    assert "Traceback" not in capfd.readouterr().err


def test_no_function_at_all(client: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("predict", "send", "__class__", "x" * 5000):
        refused(client.post(f"gradio_api/run/{name}", json={"data": []}))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("session", ["", MIB, "__proto__", "../..", 5, [], {}])
@pytest.mark.parametrize("path", ["run/predict", "queue/join"])
def test_a_made_up_session(client: httpx.Client, path: str, session: object) -> None:
    body = {"data": [], "fn_index": 9999, "session_hash": session}
    refused(client.post(f"gradio_api/{path}", json=body))


def test_a_session_gives_nobody_anothers_rights(served: Served, client: httpx.Client) -> None:
    """Who asks is read from each request; a session is only where the frames go."""
    [mine] = list(served.services.chat.reply("ann", "a private word"))[-1:]
    event = {"kind": "view", "conversation": mine.conversation_id, "call": "c"}

    def heard(user: str, session: str) -> str:
        body = {"data": [], "session_hash": session, "event_data": event}
        headers = {"x-test-user": user}
        return "".join(
            client.post(
                "gradio_api/run/predict", json={**body, "fn_index": number}, headers=headers
            ).text
            for number in range(40)
        )

    assert "a private word" in heard("ann", "anns")
    for session in ("anns", "__proto__"):
        assert "a private word" not in heard("bob", session)


@pytest.mark.parametrize("body", [None, [], "x", 1, {}, {"data": None}, {"data": "x"}])
@pytest.mark.parametrize("path", ["run/predict", "queue/join", "cancel", "reset"])
def test_no_object(client: httpx.Client, path: str, body: object) -> None:
    refused(client.post(f"gradio_api/{path}", json=body))


def test_a_call_by_hand_that_cannot_work(
    client: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """Gradio answers 500 whatever went wrong; but with a sentence, and without a trace."""
    said = set()
    for number in range(40):
        body = {"data": [], "fn_index": number, "session_hash": "mine"}
        answer = client.post("gradio_api/run/predict", json=body)
        if answer.status_code == 500:
            said.add(answer.json()["error"])
    assert any("takes 8 values, not 0" in (words or "") for words in said), said
    assert all(words and ("values, not 0" in words or "browser" in words) for words in said), said
    assert "Traceback" not in capfd.readouterr().err


# Doors our page does not use --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "component_server"),
        ("POST", "component_server/"),
        ("GET", "proxy=http://127.0.0.1:1/"),
        ("GET", "proxy=https://example.com/"),
        ("GET", "deep_link?session_hash=mine"),
        ("GET", "vibe-code"),
        ("POST", "vibe-code"),
        ("POST", "vibe-edit"),
        ("POST", "undo-vibe-edit"),
        ("POST", "vibe-starter-queries"),
        ("GET", "dev/reload"),
        ("GET", "runs"),
        ("GET", "mcp/"),
        ("GET", "stream/a/b/1/playlist.m3u8"),
        ("GET", "custom_component/1/client/component/style.css"),
        ("POST", "process_recording"),
        ("POST", "call/predict"),
        ("POST", "call/v2/predict"),
        ("GET", "call/predict/1"),
        ("POST", "api/predict"),
        ("GET", "token"),
        ("GET", "openapi.json"),
    ],
)
def test_other_doors_are_shut(client: httpx.Client, method: str, path: str) -> None:
    assert client.request(method, f"gradio_api/{path}", json={}).status_code == 404


@pytest.mark.parametrize("path", ["monitoring", "monitoring/summary", "monitoring/x"])
def test_monitoring_is_off(client: httpx.Client, path: str) -> None:
    refused(client.get(path))


# Files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["gradio_api/file=", "%67radio_api/file=", "file=", "static/"])
def test_no_file_is_served(served: Served, client: httpx.Client, door: str) -> None:
    data = served.services.settings.data_dir
    secret = data / "secret.txt"
    secret.write_text(SECRET)
    link = data / "uploads" / "link.txt"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    names = [
        *(str(p) for p in (secret, link, served.services.settings.journal)),
        *("/etc/passwd", "../../../../etc/passwd", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
        *("..%2f..%2f..%2fetc/passwd", "....//....//etc/passwd", "data/secret.txt"),
        *(f"file://{secret}", f"file:{secret}", f"{served.url}health", "http://127.0.0.1:1/"),
        *("%00", "\\\\host\\share", "~/x", "con"),
    ]
    for name in names:
        answer = client.get(door + name)
        assert 400 <= answer.status_code < 500, (name, answer.status_code)
        assert SECRET not in answer.text and "root:" not in answer.text


def test_gradio_itself_would_not_serve_private_folders(served: Served) -> None:
    """Behind the shut door, should a later page open it."""
    settings = served.services.settings
    blocked = {Path(p) for p in mount_options(settings)["blocked_paths"]}
    assert blocked == {settings.data_dir, settings.models_dir, settings.exports_dir}


# Requests of strange shapes ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["favicon.ico", "theme.css", "assets"])
def test_thousands_of_ranges(client: httpx.Client, path: str) -> None:
    if path == "assets":
        path = re.findall(r'"\./(assets/[^"]+\.js)"', client.get("").text)[0]
    whole = len(client.get(path).content)
    for one in ("0-", "0-0", "-1"):
        ranges = ",".join([one] * (15_000 // (len(one) + 1)))
        answer = client.get(path, headers={"Range": f"bytes={ranges}"})
        assert answer.status_code < 500
        assert len(answer.content) < 2 * whole + 1_000_000


@pytest.mark.parametrize("path", ["gradio_api/upload", "api/conversations/import", "login"])
@pytest.mark.parametrize("named", [True, False])
def test_ten_thousand_parts(client: httpx.Client, path: str, named: bool) -> None:
    extra = '; filename="f"' if named else ""
    part = f'--b\r\nContent-Disposition: form-data; name="files"{extra}\r\n\r\nx\r\n'
    answer = client.post(
        path,
        content=(part * 10_000 + "--b--\r\n").encode(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert answer.status_code < 500, answer.text[:200]
