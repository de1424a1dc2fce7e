"""Threads and processes at the same journal, and processes that are killed at it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from javis.core.errors import StoreCorrupt, StoreError
from javis.store.fs import OsFS
from javis.store.journal import JournalDB

ROOT = Path(__file__).resolve().parents[2]


def start(script, *args, **options):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


MIXED = """
import sys
from javis.store.journal import JournalDB
from tinydb import where
who, count = sys.argv[2], int(sys.argv[3])
db = JournalDB(sys.argv[1], compact_at_bytes=4000)
table = db.table("t", index=("who",))
for n in range(count):
    table.insert({"who": who, "n": n, "seen": 0})
    table.update(lambda row: row.update(seen=row["seen"] + 1), where("who") == who)
    if n % 10 == 9:
        table.remove((where("who") == who) & (where("n") == n - 9))
    assert table.get_by("who", who) is not None
print(len(table.find_by("who", who)))
"""


def test_four_processes_and_four_threads_lose_nothing(tmp_path):
    path = tmp_path / "a.jnl"
    JournalDB(path).close()
    processes = [start(MIXED, path, f"p{n}", 30) for n in range(4)]
    errors = []
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    with JournalDB(path, compact_at_bytes=4000) as db:
        table = db.table("t", index=("who",))

        def work(who):
            try:
                for n in range(50):
                    table.insert({"who": who, "n": n, "seen": 0})
                    assert len(table.find_by("who", who)) == n + 1
            except (StoreError, AssertionError) as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(old)
        for process in processes:
            assert process.communicate()[0].strip() == "27"
            assert process.returncode == 0
        assert errors == []
        for who in [f"t{n}" for n in range(4)]:
            assert sorted(row["n"] for row in table.find_by("who", who)) == list(range(50))
        for who in [f"p{n}" for n in range(4)]:
            rows = table.find_by("who", who)
            assert [row["seen"] for row in rows] == [30 - row["n"] for row in rows]
        assert len(table) == 4 * 50 + 4 * 27
        ids = [row.doc_id for row in table]
        assert len(ids) == len(set(ids)) and max(ids) == 4 * 50 + 4 * 30


class SlowStat(OsFS):
    """Lets something happen between the moment a stat was true and the moment it is used."""

    meanwhile = None

    def stat(self, path):
        state = super().stat(path)
        if self.meanwhile is not None:
            happen, self.meanwhile = self.meanwhile, None
            thread = threading.Thread(target=happen)
            thread.start()
            thread.join()
        return state


def test_a_write_between_a_reader_s_two_looks_is_no_damage(tmp_path):
    """Found by the test above on a busy machine: the file seemed to have shrunk."""
    fs = SlowStat()
    with JournalDB(tmp_path / "a.jnl", fs=fs) as db:
        db.insert({"n": 0})
        for meanwhile, count in (
            (lambda: db.insert({"n": 1}), 2),
            (db.storage.compact, 2),
            (lambda: db.remove(doc_ids=[1]), 1),
        ):
            for look in (db.all, db.storage.usage):
                fs.meanwhile = meanwhile
                look()
                assert fs.meanwhile is None
            db.truncate()
            db.insert_multiple([{}] * count)
            assert len(db) == count


class NoLock(OsFS):
    """The broken variant: everybody gets the lock."""

    def try_lock(self, fd, *, shared):
        return True

    def unlock(self, fd):
        pass


def test_without_the_lock_the_test_above_would_fail(tmp_path):
    one, two = (JournalDB(tmp_path / "a.jnl", fs=NoLock()) for _ in range(2))
    with one.storage.exclusive():
        two.insert({"n": 1})
        one.insert({"n": 2})
    with pytest.raises(StoreCorrupt):
        JournalDB(tmp_path / "a.jnl")


def test_a_lock_that_is_not_given_back_ends_in_a_clear_error(tmp_path):
    path = tmp_path / "a.jnl"
    with JournalDB(path, lock_timeout_s=0.3) as db:
        db.insert({"n": 0})
        holder = start(
            "import sys, time\nfrom javis.store.journal import JournalDB\n"
            "db = JournalDB(sys.argv[1])\n"
            "with db.storage.exclusive():\n"
            "    print('held', flush=True)\n    time.sleep(60)\n",
            path,
        )
        assert holder.stdout.readline() == "held\n"
        os.kill(holder.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(StoreError) as caught:
            db.insert({"n": 1})
        assert caught.value.code == "store_locked" and time.monotonic() - began < 2
        assert len(db) == 1, "readers need no lock while nothing changes"
        holder.kill()
        holder.communicate()
        assert db.insert({"n": 2}) == 2


def test_a_waiting_thread_ends_in_a_clear_error_too(tmp_path):
    with JournalDB(tmp_path / "a.jnl", lock_timeout_s=0.2) as db:
        codes = []

        def late():
            with pytest.raises(StoreError) as caught:
                db.insert({})
            codes.append(caught.value.code)

        with db.storage.exclusive():
            thread = threading.Thread(target=late)
            thread.start()
            thread.join()
        assert codes == ["store_locked"]


def test_exclusive_keeps_others_out_between_calls(tmp_path):
    path = tmp_path / "a.jnl"
    with JournalDB(path) as db:
        db.insert({"count": 0})
        other = start(
            "import sys\nfrom javis.store.journal import JournalDB\n"
            "db = JournalDB(sys.argv[1])\n"
            "for _ in range(100):\n"
            "    with db.storage.exclusive():\n"
            "        db.update({'count': db.all()[0]['count'] + 1})\n",
            path,
        )
        for _ in range(100):
            with db.storage.exclusive():
                count = db.all()[0]["count"]
                db.update({"count": count + 1})
        assert other.wait() == 0
        other.communicate()
        assert db.all()[0]["count"] == 200


WRITER = """
import sys
from javis.store.journal import JournalDB
db = JournalDB(sys.argv[1], compact_at_bytes=3000)
n = max((row["n"] for row in db), default=-1) + 1
while True:
    with db.change() as change:
        change.insert("_default", {"n": n, "text": "x" * (n % 700)})
        if n >= 5:
            change.remove("_default", [row.doc_id for row in db if row["n"] <= n - 5])
    print(n, flush=True)
    n += 1
"""


@pytest.mark.slow
def test_kill_9_under_load_loses_nothing(tmp_path):
    path = tmp_path / "a.jnl"
    for round_number in range(25):
        process = start(WRITER, path)
        acknowledged = int(process.stdout.readline())
        time.sleep(0.002 * round_number)
        process.kill()
        printed = process.communicate()[0].split()
        acknowledged = max([acknowledged, *map(int, printed)])
        with JournalDB(path) as db:
            numbers = sorted(row["n"] for row in db)
            assert numbers[-1] in (acknowledged, acknowledged + 1)
            assert numbers == list(range(max(0, numbers[-1] - 4), numbers[-1] + 1))


CALLS = """
import sys
from javis.store.journal import JournalDB
db = JournalDB(sys.argv[1])
for n in range(4):
    db.insert({"n": n, "text": "x" * 200})
    print(n, flush=True)
db.storage.compact()
db.insert({"n": 4})
print(4, flush=True)
"""


def strace(path, calls, action, when):
    inject = f"inject={calls}:{action}:when={when}"
    return subprocess.run(
        ["strace", "-f", "-qq", "-o", os.devnull, "-P", path, "-P", f"{path}.new", "-P",
         path.parent, "-e", f"trace={calls}", "-e", inject, sys.executable, "-c", CALLS, path],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("call", ["write", "fdatasync", "rename", "fsync"])
def test_sigkill_at_a_system_call_loses_nothing(tmp_path, call):
    """The kernel's own calls, where CrashFS only plays them. Needs the right to trace."""
    killed = 0
    for when in range(1, 10):
        path = tmp_path / f"{call}{when}" / "a.jnl"
        path.parent.mkdir()
        run = strace(path, call, "signal=SIGKILL", when)
        if run.returncode == 0:
            break
        assert "ptrace" not in run.stderr, run.stderr
        killed += 1
        printed = [int(line) for line in run.stdout.split()]
        with JournalDB(path) as db:
            numbers = [row["n"] for row in db]
            assert numbers[: len(printed)] == printed and len(numbers) <= len(printed) + 1
            db.insert({"n": "after"})
    assert killed >= 1


@pytest.mark.slow
def test_an_io_error_of_the_kernel_is_reported(tmp_path):
    path = tmp_path / "a.jnl"
    run = strace(path, "fdatasync", "error=EIO", 4)
    assert run.returncode == 1 and "Input/output error" in run.stderr
    with JournalDB(path) as db:
        printed = [int(line) for line in run.stdout.split()]
        assert [row["n"] for row in db][: len(printed)] == printed


@pytest.mark.slow
@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync"])
def test_a_call_that_a_signal_broke_off_is_made_again(tmp_path, call):
    path = tmp_path / "a.jnl"
    run = strace(path, call, "error=EINTR", "1+2")  # every other one
    assert run.returncode == 0, run.stderr
    with JournalDB(path) as db:
        assert [row["n"] for row in db] == list(range(5))


def test_two_stores_see_each_other_s_changes_at_once(tmp_path):
    with contextlib.ExitStack() as stack:
        one, two = (stack.enter_context(JournalDB(tmp_path / "a.jnl")) for _ in range(2))
        from tinydb import where

        query = where("n") == 1
        assert one.search(query) == [] == two.search(query)
        one.insert({"n": 1})
        assert two.search(query) == [{"n": 1}]
        two.update({"n": 2})
        assert one.search(query) == [] and json.dumps(one.all()) == '[{"n": 2}]'
