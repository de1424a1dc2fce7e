"""The power goes off at every call that changes the disk, with every fate of unsynced writes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from javis.core.errors import StoreCorrupt
from javis.store.journal import JournalDB
from tests.faults.crashfs import FATES, Crash, CrashFS

PATH = Path("/crash/javis.jnl")
SEED = 7


def rows_of(db):
    return {
        (name, doc_id): row
        for name, rows in db.storage.fresh().everything().items()
        for doc_id, row in rows.items()
    }


class Workload:
    """Steps over a store; `acked` is the state after the last one that returned."""

    def __init__(self) -> None:
        self.acked = {}
        self.next = {}

    def run(self, fs) -> None:
        rng = random.Random(SEED)
        db = JournalDB(PATH, fs=fs)
        turns, notes = db.table("turns", index=("k",)), db.table("notes")
        for number in range(35):
            text = "x" * rng.choice((5, 300, 3000))
            steps = (
                (lambda n=number, t=text: turns.insert({"k": n, "text": t})),
                (lambda n=number, t=text: turns.update({"k": -n, "text": t}, doc_ids=[n // 2])),
                (lambda n=number: notes.insert_multiple([{"n": n}, {"n": -n}])),
                (lambda n=number: turns.remove(doc_ids=[n - 2])),
                db.storage.compact,
                db.storage.reopen,
                (lambda n=number: self._two_tables(db, n)),
            )
            step = steps[number % len(steps)]
            self.next = self._after(step, db, number, text)
            step()
            self.acked = rows_of(db)
        db.close()

    def _two_tables(self, db, number) -> None:
        with db.change() as change:
            change.insert("turns", {"k": number})
            change.insert("notes", {"n": number})
            change.remove("notes", [1])

    def _after(self, step, db, number, text):
        """The state the step leads to, found by playing it on a copy that cannot crash."""
        copy = CrashFS()
        twin = JournalDB(PATH, fs=copy)
        with twin.change() as change:
            for (name, doc_id), row in self.acked.items():
                change.put(name, doc_id, row)
            for name in ("turns", "notes"):
                change.ops.append(["next", name, db.storage.memory.next_id(name)])
        kind = number % 7
        turns, notes = twin.table("turns"), twin.table("notes")
        if kind == 0:
            turns.insert({"k": number, "text": text})
        elif kind == 1:
            turns.update({"k": -number, "text": text}, doc_ids=[number // 2])
        elif kind == 2:
            notes.insert_multiple([{"n": number}, {"n": -number}])
        elif kind == 3:
            turns.remove(doc_ids=[number - 2])
        elif kind == 6:
            self._two_tables(twin, number)
        return rows_of(twin)


def count_calls(make) -> int:
    fs = make(None)
    Workload().run(fs)
    return fs.calls


def violations(make, fates=FATES) -> list[str]:
    """Every crash point and fate after which an acknowledged state is gone."""
    found = []
    for crash_at in range(1, count_calls(make) + 1):
        fs, workload = make(crash_at), Workload()
        with pytest.raises(Crash):
            workload.run(fs)
        for fate in fates:
            for names_kept in range(fs.names_pending() + 1):
                rng = random.Random(f"{crash_at} {fate} {names_kept}")
                disk = fs.after_crash(fate, names_kept, rng)
                where = f"call {crash_at}, {fate}, {names_kept} names"
                try:
                    db = JournalDB(PATH, fs=disk)
                except StoreCorrupt as error:
                    # Garbage that happens to end in a newline looks like a damaged record. It is
                    # refused rather than cut, and must lie behind everything acknowledged.
                    if fate != "garbage":
                        found.append(f"{where}: {error}")
                    continue
                if rows_of(db) not in (workload.acked, workload.next):
                    found.append(f"{where}: {len(rows_of(db))} rows")
                    continue
                doc_id = db.table("turns").insert({"k": "after"})
                again = JournalDB(PATH, fs=disk)
                if again.table("turns").get(doc_id=doc_id) != {"k": "after"}:
                    found.append(f"{where}: the store did not go on")
    return found


def test_no_crash_loses_what_was_acknowledged():
    assert count_calls(CrashFS) > 40
    assert violations(CrashFS) == []


@pytest.mark.parametrize("fate", ["cut", "blank"])
def test_a_second_crash_while_mending_loses_nothing(fate):
    torn = 0
    for seed in range(30):
        fs = CrashFS()
        db = JournalDB(PATH, fs=fs)
        db.insert({"k": "acknowledged"})
        fs.crash_at = fs.calls + 1
        with pytest.raises(Crash):
            db.insert({"k": "x" * 2000})
        for crash_at in range(1, 8):
            disk = fs.after_crash(fate, 0, random.Random(seed))
            size = len(disk._names[str(PATH)].data)
            disk.crash_at = crash_at
            try:
                JournalDB(PATH, fs=disk)
            except Crash:
                torn += 1
                for names_kept in range(disk.names_pending() + 1):
                    for second in FATES[:3]:
                        last = disk.after_crash(second, names_kept, random.Random(seed))
                        rows = JournalDB(PATH, fs=last).all()
                        assert {"k": "acknowledged"} in rows, (size, crash_at, second)
    assert torn > 30


class NoSync(CrashFS):
    def _make_safe(self, file):
        pass


class NoDirSync(CrashFS):
    def sync_dir(self, path):
        self._step()


class NoTornRule(CrashFS):
    """Writes only half of what it was given and says it was all."""

    def write(self, fd, data):
        super().write(fd, data[: max(1, len(data) // 2)])
        return len(data)


@pytest.mark.parametrize("broken", [NoSync, NoDirSync])
def test_the_sweep_finds_a_missing_sync(broken):
    assert violations(broken, ("dropped",))


def test_the_sweep_finds_lost_bytes():
    with pytest.raises((AssertionError, StoreCorrupt)):
        assert violations(NoTornRule, ("kept",)) == []


def test_the_sweep_finds_a_store_that_cuts_too_much(monkeypatch):
    """A reader that takes any bad end for torn would lose a rotten acknowledged record."""
    fs = CrashFS()
    db = JournalDB(PATH, fs=fs)
    db.insert({"k": 1})
    db.close()
    data = fs._names[str(PATH)].data
    data[-6] ^= 1
    with pytest.raises(StoreCorrupt):
        JournalDB(PATH, fs=fs)
    monkeypatch.setattr("javis.store.reader.has_blank_sector", lambda *_: True)
    assert len(JournalDB(PATH, fs=fs)) == 0  # what the rule protects from
