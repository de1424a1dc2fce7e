import errno
import json
import os

import pytest
from tinydb import TinyDB, where

from javis.core.errors import StoreError
from javis.core.types import Turn
from javis.store import JournalDB, maintenance, new_turn_id, now_iso, open_store
from javis.store.migrations import MIGRATIONS, migrate


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "data" / "javis.jnl") as store:
        yield store


@pytest.fixture
def filled(store):
    conversation = store.conversations.create("ann", "한국")
    store.conversations.add_turn(
        Turn(new_turn_id(), conversation.id, None, now_iso(), "Hi", "Hello \u2028 </s>"), head=True
    )
    return store


def code_of(call):
    with pytest.raises(StoreError) as caught:
        call()
    return caught.value.code


def test_a_backup_is_a_whole_store(filled, tmp_path):
    target = maintenance.backup(filled.db, tmp_path / "copy.jnl")
    assert maintenance.verify(target).ok
    with open_store(target) as copy:
        assert copy.conversations.page("ann") == filled.conversations.page("ann")
        assert list(copy.conversations.iter_turns()) == list(filled.conversations.iter_turns())
    assert code_of(lambda: maintenance.backup(filled.db, target)) == "file_exists"
    assert code_of(lambda: maintenance.backup(filled.db, tmp_path / "no" / "x")) == "file_failed"
    assert code_of(lambda: maintenance.backup(filled.db, filled.db.storage.path)) == "file_exists"
    (tmp_path / "folder").mkdir()
    named = maintenance.backup(filled.db, tmp_path / "folder")
    assert named.parent == tmp_path / "folder" and maintenance.verify(named).ok
    last = maintenance.health(filled.db)["last_backup"]
    assert last["path"] == str(named) and last["at"] <= now_iso()


def test_a_backup_leaves_a_torn_end_out(filled, tmp_path):
    with filled.db.storage.path.open("ab") as file:
        file.write(b"JVS1 torn")
    target = maintenance.backup(filled.db, tmp_path / "copy.jnl")
    assert maintenance.verify(target).unfinished_bytes == 0


def test_plain_tinydb_opens_an_export(filled, tmp_path):
    filled.preferences.set("a", {"b": [1.5, None, True, "한 \u2028 👋"]})
    target = maintenance.export_tinydb(filled.db, tmp_path / "all.json")
    with TinyDB(target) as plain:
        assert plain.storage.read() == filled.db.storage.read()
        assert plain.table("turns").search(where("user") == "Hi")
    assert code_of(lambda: maintenance.export_tinydb(filled.db, target)) == "file_exists"
    with JournalDB(tmp_path / "empty.jnl") as empty:
        maintenance.export_tinydb(empty, tmp_path / "empty.json")
    assert (tmp_path / "empty.json").read_text() == "{}"


def test_a_disk_that_can_only_be_read_is_verified_all_the_same(filled, monkeypatch):
    real = os.open

    def read_only(path, flags, *mode):
        if flags & (os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    assert maintenance.verify(filled.db.storage.path).ok


def test_verify_and_health_say_what_is_there(filled):
    report = maintenance.verify(filled.db.storage.path)
    assert report.ok and report.rows == {"conversations": 1, "turns": 1}
    assert report.schema == len(MIGRATIONS) and "whole records" in str(report)
    health = maintenance.health(filled.db)
    assert health["rows"] == {"conversations": 1, "turns": 1} and health["private"]
    assert health["bytes"] == filled.db.storage.path.stat().st_size == report.bytes
    assert 0 < health["dead_ratio"] < 1 and health["last_backup"] is None
    json.dumps(health)
    filled.db.storage.compact()
    assert maintenance.health(filled.db)["dead_ratio"] < 0.3
    missing = filled.db.storage.path.with_name("nowhere")
    assert code_of(lambda: maintenance.verify(missing)) == "file_failed"
    assert not list(missing.parent.glob("nowhere*"))


def test_repair_makes_a_store_that_opens(filled, tmp_path):
    for _ in range(3):
        filled.conversations.create("ann")
    path = filled.db.storage.path
    data = bytearray(path.read_bytes())
    data[data.index(b'"title":""')] ^= 4
    path.write_bytes(data)
    assert code_of(lambda: open_store(path)) == "store_corrupt"
    report = maintenance.repair(path, tmp_path / "out.jnl")
    assert report.rows == {"conversations": 3, "turns": 1} and "Lost: record" in str(report)
    with open_store(tmp_path / "out.jnl") as saved:
        assert saved.conversations.page("ann")[1] == 3


# -- migrations --------------------------------------------------------------------------------


def test_migrations_run_once_and_in_order(tmp_path):
    ran = []

    def rename(db, change):
        ran.append(2)
        for doc_id, row in db.table("t").peek().items():
            change.put("t", doc_id, {"new": row["old"]})

    first = (lambda db, change: ran.append(1),)
    with JournalDB(tmp_path / "a.jnl") as db:
        assert migrate(db, first) == 1
        db.table("t").insert({"old": 5})
    for _ in range(2):
        with JournalDB(tmp_path / "a.jnl") as db:
            assert migrate(db, (*first, rename)) == 2
            assert db.table("t").all() == [{"new": 5}] and ran == [1, 2]
            db.storage.compact()
    with JournalDB(tmp_path / "a.jnl") as db:
        assert code_of(lambda: migrate(db, first)) == "store_too_new"


def test_a_migration_that_fails_changes_nothing(tmp_path):
    def fails(db, change):
        change.insert("t", {})
        raise RuntimeError

    with JournalDB(tmp_path / "a.jnl") as db:
        with pytest.raises(RuntimeError):
            migrate(db, (fails,))
        assert db.storage.schema == 0 and db.tables() == set()


# -- the old feedback.json ---------------------------------------------------------------------

ROWS = {
    "_default": {
        "1": {"prompt": "P1", "response": "R1", "rating": "good", "timestamp": "2025-01-02 03:04"},
        "2": {"user": "P2", "assistant": "R2", "feedback": -1, "comment": "no", "correction": "C"},
        "3": {"question": "P3", "answer": "R3", "thumb": True, "created_at": 1735787045},
        "4": {"prompt": "P4", "response": "R4", "rating": "DISLIKE", "timestamp": "yesterday"},
        "5": {"prompt": "P5", "response": "R5"},
        "6": {"prompt": "P6", "rating": "good"},
        "7": {"prompt": "P7", "response": "R7", "rating": "meh"},
        "8": ["no", "row"],
        "9": {"prompt": 9, "response": "R9"},
        "10": {"prompt": "bad \ud800", "response": "R10"},
        "11": {"prompt": "P12", "response": "R12", "comment": ["no text"]},
        "12": {"prompt": "P12", "response": "R12", "model": "\ud800"},
    },
    "more": {"1": {"prompt": "P11", "response": "R11", "rating": 1.0, "timestamp": 1735787045678}},
}  # fmt: skip


def test_an_old_file_is_imported_once_and_kept(store, tmp_path):
    old = tmp_path / "feedback.json"
    content = json.dumps(ROWS)
    old.write_text(content)
    report = maintenance.import_tinydb(store.db, old)
    assert (report.imported, report.rated, report.already) == (6, 5, False)
    assert [line.split(":")[0] for line in report.not_understood] == [
        f"_default/{n}" for n in (6, 7, 8, 9, 10, 11, 12)
    ]
    assert "7 rows were not understood" in str(report)
    assert not old.exists() and report.kept_as == f"{old}.imported"
    assert (tmp_path / "feedback.json.imported").read_text() == content

    turns = {turn.user: turn for turn in store.conversations.iter_turns("admin")}
    votes = {user: store.feedback.current(turn.id) for user, turn in turns.items()}
    assert {user: vote and vote.rating for user, vote in votes.items()} == {
        "P1": "good", "P2": "bad", "P3": "good", "P4": "bad", "P5": None, "P11": "good",
    }  # fmt: skip
    assert (votes["P2"].comment, votes["P2"].correction) == ("no", "C")
    assert turns["P11"].created_at == "2025-01-02T03:04:05.678Z"
    assert turns["P3"].created_at == "2025-01-02T03:04:05.000Z"
    assert turns["P1"].finish == "imported" and turns["P1"].reply == "R1"
    assert store.conversations.page("admin", "P11")[0][0].head == turns["P11"].id

    old.write_text(content)  # as after a crash between the commit and the renaming
    again = maintenance.import_tinydb(store.db, old)
    assert again.already and again.imported == 0 and not old.exists()
    assert store.conversations.count_turns() == 6
    assert again.kept_as.endswith(".imported-1") and "before" in str(again)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', "\ufeff[", '"x"', "[" * 100_000])
def test_an_unreadable_old_file_is_left_alone(store, tmp_path, content):
    old = tmp_path / "feedback.json"
    old.write_text(content)
    assert code_of(lambda: maintenance.import_tinydb(store.db, old)) == "import_unreadable"
    assert old.read_text() == content and store.conversations.count_turns() == 0


def test_an_old_file_with_a_byte_order_mark(store, tmp_path):
    old = tmp_path / "feedback.json"
    old.write_text("\ufeff" + json.dumps({"t": {"1": {"user": "U", "answer": "A", "thumb": "up"}}}))
    assert maintenance.import_tinydb(store.db, old, "ann").rated == 1
    assert store.conversations.page("ann")[1] == 1
