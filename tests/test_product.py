"""The whole product over HTTP, with the real model: chat, rate, correct, crash, start again."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from javis.store import open_store
from tests.live import Live

LONG = "Write a very long and detailed story about a dog who travels around the world."
"""At temperature 0 its answer has more than 400 tokens; a drawn one may end anywhere."""


@pytest.fixture
def live(tmp_path: Path, embedded_gguf: Path) -> Iterator[Live]:
    live = Live(tmp_path / "data")
    yield live
    if live.process.poll() is None:
        live.kill(signal.SIGTERM)


def test_a_conversation_survives_kill_9(live: Live) -> None:
    first = live.http.post(
        "/api/chat", json={"message": "What is 2+2?", "temperature": 0, "max_tokens": 30}
    ).json()
    assert "4" in first["reply"]
    conversation = first["conversation_id"]
    rated = {
        "turn_id": first["turn_id"],
        "rating": "bad",
        "reasons": ["too_long"],
        "comment": "한 단어로",
        "correction": "Four.",
    }
    assert live.http.post("/api/feedback", json=rated).status_code == 200
    written = ""
    body = {
        "message": LONG,
        "conversation_id": conversation,
        "max_tokens": 800,
        "temperature": 0,
        "stream": True,
    }
    with (
        pytest.raises(httpx.RemoteProtocolError),
        live.http.stream("POST", "/api/chat", json=body) as stream,
    ):
        for line in stream.iter_lines():
            if line.startswith("data: {"):
                written += json.loads(line[6:]).get("text") or ""
            if len(written) > 450:
                live.process.send_signal(signal.SIGKILL)
    live.kill()

    live.start()
    assert any("cut off" in line for line in live.said)
    turns = live.http.get(f"/api/conversations/{conversation}").json()["turns"]
    assert [t["user"] for t in turns] == [
        "What is 2+2?",
        LONG,
    ]
    assert turns[0]["reply"] == first["reply"]
    assert turns[1]["finish"] == "interrupted"
    assert turns[1]["reply"]
    assert written.startswith(turns[1]["reply"][:100])
    feedback = live.http.get(f"/api/feedback/{first['turn_id']}").json()["current"]
    assert (feedback["rating"], feedback["correction"]) == ("bad", "Four.")
    # The conversation goes on.
    more = {"message": "Thanks.", "conversation_id": conversation, "max_tokens": 5}
    assert live.http.post("/api/chat", json=more).status_code == 200


def test_the_official_client_works_unchanged(live: Live) -> None:
    with openai.OpenAI(base_url=f"{live.address}/v1", api_key="none") as client:
        assert [m.id for m in client.models.list()] == ["base"]
        ask = [{"role": "user", "content": "What is 2+2?"}]
        whole = client.chat.completions.create(
            model="base", messages=ask, temperature=0, max_tokens=30, store=True
        )
        assert "4" in (whole.choices[0].message.content or "")
        pieces = client.chat.completions.create(
            model="base",
            messages=ask,
            temperature=0,
            max_tokens=30,
            stream=True,
            stream_options={"include_usage": True},
        )
        text, usage = "", None
        for piece in pieces:
            usage = piece.usage or usage
            text += piece.choices[0].delta.content or "" if piece.choices else ""
        assert text == whole.choices[0].message.content
        assert usage == whole.usage or usage.completion_tokens == whole.usage.completion_tokens
        with pytest.raises(openai.BadRequestError, match="temperature"):
            client.chat.completions.create(model="base", messages=ask, temperature=3)
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="v9.9", messages=ask)
    # The stored answer can be rated by its id.
    rated = live.http.post("/api/feedback", json={"turn_id": whole.id, "rating": "good"})
    assert rated.status_code == 200


def test_a_second_server_on_the_port_says_so(live: Live, tmp_path: Path) -> None:
    port = live.address.rsplit(":", 1)[1]
    with pytest.raises(AssertionError, match="may be running already"):
        Live(tmp_path / "other", port)


def test_a_second_server_on_the_data_folder_says_so(live: Live) -> None:
    with pytest.raises(AssertionError, match="running already with the data folder"):
        Live(live.data_dir)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_ordinary_end_stores_the_running_answer(live: Live, how: signal.Signals) -> None:
    body = {"message": LONG, "max_tokens": 800, "temperature": 0, "stream": True}
    with live.http.stream("POST", "/api/chat", json=body) as stream:
        for number, _ in enumerate(stream.iter_lines()):
            if number == 60:
                live.process.send_signal(how)
    live.process.wait(20)
    live.kill()
    assert not any("Traceback" in line for line in live.said)
    with open_store(live.data_dir / "javis.jnl") as store:
        (turn,) = store.conversations.iter_turns()
    assert turn.finish == "cancelled"
    assert turn.reply
