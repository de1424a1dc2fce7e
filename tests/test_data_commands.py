"""`javis export` and `javis take-in`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from javis.cli import app
from javis.core.errors import UserInputError
from javis.core.types import Conversation, Feedback, Turn
from javis.store import new_conversation_id, new_turn_id, now_iso, open_store
from tests.versions import tiny


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    with open_store(folder / "javis.jnl") as store:
        conversation_id = new_conversation_id()
        turn = Turn(new_turn_id(), conversation_id, None, now_iso(), "tea?", "Yes.", "stop")
        conversation = Conversation(conversation_id, "local", "t", now_iso(), now_iso(), turn.id)
        votes = [Feedback(turn.id, now_iso(), "good")]
        store.conversations.import_many([(conversation, [turn], votes)])
    return folder


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.parametrize("words", [("eval",), ("bench", "store")])
def test_numbers_that_could_not_be_written_are_not_measured(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    said = run(*words, "--json", tmp_path / "no" / "rows.json", code=2)
    assert "cannot be written" in " ".join(said.split())


def test_a_backup_into_a_folder_says_its_name(data: Path, tmp_path: Path) -> None:
    said = run("store", "backup", tmp_path, "--data-dir", data)
    assert Path(said.removeprefix("Saved to ").strip()).is_file()


def test_export_edit_take_in(data: Path, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    said = run("export", "--data-dir", data, "--exports-dir", exports)
    assert said.startswith("1 rows from 1 conversations are in ")
    (file,) = exports.glob("*.jsonl")
    edited = tmp_path / "edited.jsonl"
    edited.write_text(file.read_text().replace("Yes.", "Gladly.") + "{broken\n")
    said = run("take-in", edited, "--dry-run", "--data-dir", data, code=1)
    assert said.splitlines() == [
        "line 2: This line is no JSON.",
        "Would be taken in: 1. Known already: 0. Bad: 1.",
    ]
    run("take-in", edited, "--data-dir", data, code=1)
    said = run("export", "--filter", "all", "--output", "-", "--data-dir", data)
    assert json.loads(said)["messages"][-1]["content"] == "Gladly."


def test_an_answer_with_a_token_of_the_models_own_is_not_trusted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny, "TEMPLATE", tiny.TEMPLATE.replace("<|im_end|>", "<|over|>"))
    model = tiny.write_gguf(tiny.make_model("llama"), "llama", tmp_path / "own.gguf")
    with open_store(data / "javis.jnl") as store:
        talk = new_conversation_id()
        turn = Turn(new_turn_id(), talk, None, now_iso(), "coffee?", "No. <|over|>", "stop")
        conversation = Conversation(talk, "local", "t", now_iso(), now_iso(), turn.id)
        votes = [Feedback(turn.id, now_iso(), "good")]
        store.conversations.import_many([(conversation, [turn], votes)])
    words = ("export", "--filter", "good", "--output", "-", "--data-dir", data)
    monkeypatch.setenv("JAVIS_MODEL", str(tmp_path / "nowhere.gguf"))
    assert len(run(*words).splitlines()) == 2
    monkeypatch.setenv("JAVIS_MODEL", str(model))
    assert len(run(*words).splitlines()) == 1


def test_export_to_a_file_of_ones_own(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.csv"
    run("export", "--format", "csv", "--filter", "all", "--output", target, "--data-dir", data)
    assert "tea?" in target.read_text("utf-8-sig")
    assert json.loads((tmp_path / "mine.csv.manifest.json").read_text())["rows"] == 1
    with pytest.raises(UserInputError):
        run("export", "--output", target, "--data-dir", data)


def test_mistakes_are_told(data: Path, tmp_path: Path) -> None:
    for words in (
        ("export", "--format", "xml", "--data-dir", data),
        ("export", "--filter", "best", "--data-dir", data),
        ("export", "--data-dir", tmp_path / "nowhere"),
        ("take-in", tmp_path / "none.jsonl", "--data-dir", data),
    ):
        with pytest.raises(UserInputError):
            run(*words)


def test_what_is_not_there_is_said_before_anything_is_done(tmp_path: Path) -> None:
    for words in (("import-adapter", tmp_path / "no.zip"), ("store", "verify")):
        with pytest.raises(UserInputError, match="There is no"):
            run(*words, "--data-dir" if words[0] == "store" else "--models-dir", tmp_path)
    with pytest.raises(UserInputError, match="names none"):
        run("eval", "--suites", ",", "--data-dir", tmp_path)
