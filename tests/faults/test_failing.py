"""Calls that fail: full disks, broken disks, short writes, files that go away under the store."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import warnings

import pytest

from javis.core.errors import StoreCorrupt, StoreError
from javis.store.journal import JournalDB
from tests.faults.crashfs import FailingFS


@pytest.fixture
def fs():
    return FailingFS()


@pytest.fixture
def db(tmp_path, fs):
    with JournalDB(tmp_path / "a.jnl", fs=fs) as db:
        db.insert({"n": 0})
        yield db


def reread(db):
    with JournalDB(db.storage.path) as again:
        return [row["n"] for row in again]


def fails(call, code):
    with pytest.raises(StoreError) as caught:
        call()
    assert caught.value.code == code, caught.value
    return caught.value


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
@pytest.mark.parametrize("most_bytes", [None, 7])
def test_a_failed_write_changes_nothing_and_the_store_goes_on(db, fs, error, most_bytes):
    fs.most_bytes = most_bytes
    before = db.storage.path.read_bytes()
    for after in range(3 if most_bytes else 1):
        fs.fail("write", error, after)
        failure = fails(lambda: db.insert({"n": 1}), "not_saved")
        assert errno.errorcode[error] in str(failure)
        assert db.storage.path.read_bytes() == before and [r["n"] for r in db] == [0]
    fs.heal()
    assert db.insert({"n": 2}) == 2 and reread(db) == [0, 2]


def test_short_writes_are_finished(db, fs):
    fs.most_bytes = 3
    db.insert({"n": 1})
    db.storage.compact()
    assert reread(db) == [0, 1]


def test_a_failed_rollback_poisons(db, fs):
    fs.most_bytes = 7
    fs.fail("write", after=1)
    fs.fail("truncate")
    fails(lambda: db.insert({"n": 1}), "sync_failed")
    fs.heal()
    fails(lambda: db.insert({"n": 2}), "store_poisoned")
    assert [row["n"] for row in db] == [0] and reread(db) == [0]
    db.storage.reopen()
    db.insert({"n": 3})
    assert reread(db) == [0, 3]


@pytest.mark.parametrize("rollback", [True, False])
def test_a_failed_sync_poisons_until_reopened(db, fs, rollback):
    fs.fail("sync")
    if not rollback:
        fs.fail("truncate")
    fails(lambda: db.insert({"n": 1}), "sync_failed")
    fs.heal()
    error = fails(lambda: db.insert({"n": 2}), "store_poisoned")
    assert "EIO" in str(error)
    assert [row["n"] for row in db] == [0]
    db.storage.reopen()
    # Unacknowledged: it may be there or not, but not half, and the store goes on.
    assert [row["n"] for row in db] == [0] if rollback else [0, 1]
    db.insert({"n": 3})
    assert reread(db)[-1] == 3


def test_a_store_that_forgets_a_failed_sync_is_found_out(db, fs, monkeypatch):
    """The broken variant of the test above."""
    monkeypatch.setattr(fs, "sync", lambda fd: None)
    fs.fail("sync")
    assert db.insert({"n": 1}) == 2  # acknowledged although nothing was synced


@pytest.mark.parametrize("call", ["create", "write", "sync", "replace"])
def test_a_failed_compaction_keeps_the_old_file(db, fs, call):
    db.update({"n": 1})
    before = db.storage.path.read_bytes()
    fs.fail(call, errno.ENOSPC)
    fails(db.storage.compact, "not_compacted")
    fs.heal()
    assert db.storage.path.read_bytes() == before
    assert not list(db.storage.path.parent.glob("*.new"))
    db.insert({"n": 2})
    assert reread(db) == [1, 2]


@pytest.mark.parametrize("call", ["sync_dir", "open_append"])
def test_a_compaction_that_fails_after_the_rename_poisons(db, fs, call):
    fs.fail(call)
    fails(db.storage.compact, "sync_failed")
    fs.heal()
    fails(lambda: db.insert({"n": 1}), "store_poisoned")
    assert [row["n"] for row in db] == [0]
    db.storage.reopen()
    db.insert({"n": 2})
    assert reread(db) == [0, 2]


def test_a_compaction_nobody_asked_for_fails_without_a_word(tmp_path, fs):
    with JournalDB(tmp_path / "a.jnl", fs=fs, compact_at_bytes=2000) as db:
        fs.fail("create", errno.ENOSPC)
        db.insert({"n": 0, "x": "x" * 500})
        for number in range(20):
            db.update({"n": number})
        assert db.storage.usage().total > 4000
        fs.heal()
        for number in range(20):
            db.update({"n": number})
        assert db.storage.usage().total < 6000
        assert reread(db) == [19]


def test_unreadable_files_are_reported_and_left_alone(db, fs, tmp_path):
    for call, error in (("open_append", errno.EACCES), ("read", errno.EIO)):
        fs.fail(call, error)
        fails(lambda: JournalDB(db.storage.path, fs=fs), "store_unreadable")
        fs.heal()
    fs.fail("create", errno.EROFS)
    fails(lambda: JournalDB(tmp_path / "new.jnl", fs=fs), "store_unreadable")
    fails(lambda: JournalDB(tmp_path), "store_unreadable")
    fails(lambda: JournalDB(tmp_path / "a.jnl" / "b.jnl"), "store_unreadable")
    assert reread(db) == [0]


def test_a_read_error_while_catching_up_is_no_damage(db, fs):
    with JournalDB(db.storage.path) as other:
        other.insert({"n": 1})
        fs.fail("read")
        fails(db.all, "store_unreadable")
        fs.heal()
        assert [row["n"] for row in db] == [0, 1]
        other.storage.compact()
        fs.fail("read")
        fails(db.all, "store_unreadable")
        fs.heal()
        assert [row["n"] for row in db] == [0, 1]
        db.insert({"n": 2})
        assert [row["n"] for row in other] == [0, 1, 2]


# -- the file changes under an open store --------------------------------------------------------


def test_a_deleted_journal_is_not_taken_for_an_empty_one(db):
    db.storage.path.rename(db.storage.path.with_name("moved"))
    for call in (db.all, lambda: db.insert({}), lambda: len(db), db.storage.compact):
        fails(call, "store_gone")
    assert not db.storage.path.exists()
    db.storage.path.with_name("moved").rename(db.storage.path)
    db.storage.reopen()
    assert db.insert({"n": 1}) == 2


@pytest.mark.parametrize("size", [0, 40])
def test_a_shrunken_journal_is_damage(db, size):
    os.truncate(db.storage.path, size)
    for call in (db.all, lambda: db.insert({})):
        with pytest.raises(StoreCorrupt):
            call()
    assert db.storage.path.stat().st_size == size


def test_a_replaced_journal_is_read_anew(db, tmp_path):
    shutil.copy(db.storage.path, tmp_path / "copy")
    db.insert({"n": 1})
    (tmp_path / "copy").replace(db.storage.path)
    assert [row["n"] for row in db] == [0]
    db.insert({"n": 2})
    assert reread(db) == [0, 2]
    (tmp_path / "bad").write_bytes(b"{}")
    (tmp_path / "bad").replace(db.storage.path)
    for call in (db.all, lambda: db.insert({})):
        with pytest.raises(StoreCorrupt):
            call()
    assert db.storage.path.read_bytes() == b"{}"


def test_foreign_bytes_at_the_end_are_damage(db):
    with db.storage.path.open("ab") as file:
        file.write(b"hello\n")
    before = db.storage.path.read_bytes()
    for call in (db.all, lambda: db.insert({})):
        with pytest.raises(StoreCorrupt):
            call()
    assert db.storage.path.read_bytes() == before


def test_a_deleted_lock_file_still_locks_everybody_out(db):
    db.storage.path.with_name("a.jnl.lock").unlink()
    with JournalDB(db.storage.path, lock_timeout_s=0.1) as other:
        # `other` has made a new lock file; the old one that `db` has open means nothing now.
        with db.storage.exclusive():
            fails(lambda: other.insert({"n": 1}), "store_locked")
        other.insert({"n": 2})
        db.insert({"n": 3})
    assert reread(db) == [0, 2, 3]


def test_a_closed_store_says_so(db):
    db.close()
    fails(db.all, "store_closed")
    fails(lambda: db.insert({}), "store_closed")
    db.close()


def test_a_forked_child_is_refused(db):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        codes = []
        for call in (db.all, lambda: db.insert({}), db.storage.compact):
            try:
                call()
            except StoreError as error:
                codes.append(error.code)
        os._exit(0 if codes == ["store_forked"] * 3 else 1)
    assert os.waitpid(child, 0)[1] == 0
    db.insert({"n": 1})
    assert reread(db) == [0, 1]


# -- a disk that is really full --------------------------------------------------------------


def test_a_full_disk_refuses_the_new_and_keeps_the_old(tmp_path):
    """RLIMIT_FSIZE stands for the disk, as it needs no rights: a write there ends short."""
    script = """
import resource, sys
from javis.core.errors import StoreError
from javis.store.journal import JournalDB
db = JournalDB(sys.argv[1])
saved = 0
try:
    while True:
        db.insert({"n": saved, "text": "x" * 1000})
        saved += 1
except StoreError as error:
    assert error.code == "not_saved", error
assert len(db) == saved
try:
    db.storage.compact()
except StoreError:
    pass
db.remove(doc_ids=[1])  # a small record still fits, or not; nothing breaks
print(saved)
"""
    limit = 64 * 1024
    run = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.jnl"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert run.returncode == 0, run.stderr
    saved = int(run.stdout)
    assert saved > 40 and (tmp_path / "a.jnl").stat().st_size <= limit
    with JournalDB(tmp_path / "a.jnl") as db:
        assert [row["n"] for row in db] == list(range(1, saved))
        db.insert({"n": "more"})


def test_stock_tinydb_loses_everything_on_a_full_disk(tmp_path):
    """The same test on the storage that JAVIS does not use, to show that it can fail."""
    script = """
import sys
from tinydb import TinyDB
db = TinyDB(sys.argv[1])
while True:
    db.insert({"text": "x" * 1000})
"""
    limit = 16 * 1024
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.json"],
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    from tinydb import TinyDB

    with pytest.raises(ValueError), TinyDB(tmp_path / "a.json") as db:
        len(db)
