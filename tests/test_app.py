"""The composition root: start-up on what an earlier run left behind."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from starlette.responses import PlainTextResponse

from javis.app import LOCAL_USER, diagnose, only_server, open_data, serve, take_port, web_config
from javis.cli import main
from javis.core.errors import EngineError, StoreError, UserInputError
from javis.core.settings import Settings
from javis.core.types import Turn


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data").absolute(tmp_path)


def test_an_old_feedback_file_is_taken_in_once(settings: Settings) -> None:
    settings.data_dir.mkdir()
    old = settings.data_dir / "feedback.json"
    row = {"prompt": "hi", "response": "hello", "rating": "good"}
    old.write_text(json.dumps({"_default": {"1": row}}))
    said: list[str] = []
    store = open_data(settings, said.append)
    (conversation,) = store.conversations.page(LOCAL_USER)[0]
    (turn,) = store.conversations.turns(conversation.id)
    assert (turn.user, turn.reply) == ("hi", "hello")
    assert not old.exists()
    store.close()
    store = open_data(settings, said.append)
    assert store.conversations.page(LOCAL_USER)[1] == 1
    store.close()


def test_a_damaged_old_file_is_told_and_left_alone(settings: Settings) -> None:
    settings.data_dir.mkdir()
    old = settings.data_dir / "feedback.json"
    old.write_text('{"_default": {"1": ')
    said: list[str] = []
    open_data(settings, said.append).close()
    assert "left as it is" in said[-1]
    assert old.read_text() == '{"_default": {"1": '


def test_what_cannot_be_cleared_away_keeps_nobody_from_chatting(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    cleared: list[object] = []
    monkeypatch.setattr("javis.app.forget_gone", full)
    monkeypatch.setattr("javis.app.forget_purged", lambda *given: cleared.append(given))
    said: list[str] = []
    open_data(settings, said.append).close()
    assert ["No space left" in line for line in said] == [True]
    assert len(cleared) == 1


def test_a_taken_port_is_told_in_plain_words(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = settings.model_copy(update={"port": other.getsockname()[1]})
        with pytest.raises(UserInputError, match="choose another port"):
            take_port(taken)


def test_a_second_server_on_the_data_folder_is_refused(settings: Settings) -> None:
    """It would mark what the first one is answering as cut off."""
    with open_data(settings, print) as store:
        conversation = store.conversations.create(LOCAL_USER)
        turn = Turn("a", conversation.id, None, conversation.created_at, "hi")
        store.conversations.add_turn(turn)
        with (
            only_server(settings),
            pytest.raises(UserInputError, match=re.escape(str(settings.data_dir))),
        ):
            serve(settings.model_copy(update={"port": 0}), say=print)
        assert store.conversations.get_turn(turn.id, LOCAL_USER).finish is None
    # The lock ended with its holder.
    with only_server(settings):
        pass


def test_a_data_folder_that_cannot_be_written_is_said_plainly(settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    (settings.data_dir / ".server").mkdir()
    with pytest.raises(StoreError, match="--data-dir"), only_server(settings):
        pass


def test_commands_work_beside_a_server(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    open_data(settings, print).close()
    command = ["javis", "store", "verify", "--data-dir", str(settings.data_dir)]
    monkeypatch.setattr("sys.argv", command)
    with only_server(settings), pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code


def test_more_connections_than_can_be_get_a_plain_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("javis.app.MAX_CONNECTIONS", 4)
    server = uvicorn.Server(web_config(PlainTextResponse("fine")))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{address[1]}/"
        with ExitStack() as idle:
            for _ in range(5):
                idle.enter_context(socket.create_connection(address))
            refused = httpx.get(url, timeout=20)
        assert (refused.status_code, refused.text) == (503, "Service Unavailable")
        deadline = time.monotonic() + 20
        while httpx.get(url, timeout=20).status_code != 200:
            assert time.monotonic() < deadline
        server.should_exit = True
        thread.join(20)


def test_verify_says_and_returns_whether_all_is_whole(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    open_data(settings, print).close()
    command = ["javis", "store", "verify", "--data-dir", str(settings.data_dir)]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    journal = settings.journal.read_bytes()
    settings.journal.write_bytes(journal[:10] + b"X" + journal[11:])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 1
    assert "Traceback" not in capsys.readouterr().err


def test_the_doctor_fails_when_nothing_can_be_run(settings: Settings) -> None:
    lines = diagnose(settings.model_copy(update={"model": "no such model", "offline": True}))
    assert next(lines).startswith("Python")
    with pytest.raises(EngineError, match="no such model"):
        list(lines)


def test_a_mistyped_user_list_is_told_before_a_model_is_loaded(settings: Settings) -> None:
    wrong = settings.model_copy(
        update={"password": SecretStr("long"), "users": SecretStr("bad"), "port": 0}
    )
    said: list[str] = []
    with pytest.raises(UserInputError, match="JAVIS_USERS"):
        serve(wrong, say=said.append)
    assert said == []


def test_a_data_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreError, match="cannot be made"):
        open_data(Settings(data_dir=tmp_path / "data").absolute(tmp_path), print)
