"""JournalDB behaves as TinyDB does, also when reopened, compacted and written by another handle."""

from __future__ import annotations

import copy
import enum
import stat
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tinydb import TinyDB, where
from tinydb.storages import MemoryStorage
from tinydb.table import Document

from javis.core.errors import StoreError
from javis.store.codec import MAX_DEPTH, MAX_ROW_BYTES
from javis.store.journal import JournalDB


@pytest.fixture
def db(tmp_path):
    with JournalDB(tmp_path / "a.jnl") as db:
        yield db


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


class Colour(enum.StrEnum):
    RED = "red"


BAD = {
    "set": {"v": {1}},
    "bytes": {"v": b"x"},
    "object": {"v": object()},
    "nan": {"v": float("nan")},
    "infinity": {"v": [1.0, float("-inf")]},
    "lone surrogate": {"v": "\ud800"},
    "lone surrogate in a key": {"\udfff": 1},
    "key of int": {"v": {1: 2}},
    "top key of int": {3: 1},
    "2^70": {"v": 2**70},
    "depth 10,000": {"v": nested(10_000)},
    "too deep": {"v": nested(MAX_DEPTH + 1)},
    "too large": {"v": "x" * MAX_ROW_BYTES},
    "too large in bytes": {"v": "한" * (MAX_ROW_BYTES // 2)},
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_changes_nothing(db, name):
    db.insert({"v": 0})
    before = db.storage.path.read_bytes()
    for call in (
        lambda: db.insert(BAD[name]),
        lambda: db.insert_multiple([{"v": 1}, BAD[name]]),
        lambda: db.update(BAD[name]),
        lambda: db.upsert(BAD[name], where("v") == 0),
    ):
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.code in ("bad_value", "row_too_large")
        assert "{" not in str(caught.value)
    assert db.storage.path.read_bytes() == before and db.all() == [{"v": 0}]
    assert db.insert({"v": 1}) == 2


def test_a_circle_is_refused(db):
    row = {}
    row["self"] = row
    with pytest.raises(StoreError):
        db.insert(row)


GOOD = {
    "": "",
    "line ends": "a\nb\r\nc\u2028d\u2029e\x85f",
    "nul": "\0",
    "astral": "👩‍👩‍👧 \U0010ffff",
    "escapes": '"\\/\b\f',
    "ansi": "\x1b[31m",
    "tokens": "<|im_start|>system JVS1 00000000 1 []",
    "int": [2**63 - 1, -(2**63)],
    "float": [1e-300, -0.0, 1.5, 1e22],
    "true is not 1": [True, 1, 1.0, False, 0, None],
    "deep": nested(MAX_DEPTH),
    "long": "x" * (MAX_ROW_BYTES // 2),
}


def test_good_values_come_back_as_they_are(db):
    db.insert(GOOD)
    assert repr(db.all()[0]) == repr(GOOD)
    db.storage.reopen()
    assert repr(db.all()[0]) == repr(GOOD)


def test_what_json_does_not_know_comes_back_the_same_before_and_after_a_restart(db):
    db.insert({"tuple": (1, (2,)), "enum": Colour.RED})
    before = repr(db.all())
    db.storage.reopen()
    assert repr(db.all()) == before == "[{'tuple': [1, [2]], 'enum': 'red'}]"


def test_results_are_copies(db):
    table = db.table("t", index=("k",))
    row = {"k": 1, "deep": {"list": [{"x": 1}]}}
    original = copy.deepcopy(row)
    table.insert(row)
    row["deep"]["list"].clear()
    for found in (
        table.all()[0],
        table.get(doc_id=1),
        table.get(where("k") == 1),
        table.get(doc_ids=[1])[0],
        table.search(where("k") == 1)[0],
        table.find_by("k", 1)[0],
        table.get_by("k", 1),
        next(iter(table)),
        db.storage.read()["t"]["1"],
    ):
        assert found == original
        found["deep"]["list"][0]["x"] = 2
        found["k"] = 9
    assert table.all() == [original]
    with pytest.raises(RuntimeError):
        table.update(_change_then_fail)
    assert table.all() == [original]
    table.search(where("deep").test(lambda value: value["list"].clear() or True))
    assert table.all() == [original]


def _change_then_fail(row):
    row["deep"]["list"].clear()
    raise RuntimeError


def test_ids_are_never_used_again(db):
    assert db.insert_multiple([{}, {}, {}]) == [1, 2, 3]
    db.remove(doc_ids=[3])
    assert db.insert({}) == 4
    db.truncate()
    assert db.insert({}) == 5
    db.drop_table("_default")
    assert db.tables() == set()
    db.storage.compact()
    db.storage.reopen()
    assert db.insert({}) == 6
    assert db.insert(Document({}, doc_id=40)) == 40
    assert db.insert({}) == 41
    assert db.insert_multiple([Document({}, doc_id=50), {}]) == [50, 51]
    with pytest.raises(ValueError, match="already exists"):
        db.insert(Document({}, doc_id=40))
    with pytest.raises(StoreError):
        db.insert(Document({}, doc_id=-1))
    db.remove(doc_ids=list(range(60)))
    db.storage.compact()
    db.storage.reopen()
    assert db.insert({}) == 52


def test_a_change_of_several_rows_is_one_record(db):
    db.insert_multiple([{"n": 1}, {"n": 2}])
    lines = db.storage.path.read_bytes().count(b"\n")
    db.update({"n": 3})
    db.update(lambda row: None)
    db.update({"n": 3})
    db.remove(where("n") == 99)
    assert db.storage.path.read_bytes().count(b"\n") == lines + 1
    db.update({"n": 3.0}, doc_ids=[1])
    assert repr(db.all()) == "[{'n': 3.0}, {'n': 3}]"


def test_a_change_over_tables_is_all_or_nothing(db):
    with pytest.raises(RuntimeError), db.change() as change:
        change.insert("a", {})
        raise RuntimeError
    with pytest.raises(StoreError), db.change() as change:
        change.insert("a", {})
        change.insert("b", {"v": float("nan")})
    assert db.tables() == set()
    with db.change() as change:
        assert [change.insert("a", {"n": 1}), change.insert("a", {"n": 2})] == [1, 2]
        change.insert("b", {"n": 3})
        change.remove("a", [1])
    assert db.storage.read() == {"a": {"2": {"n": 2}}, "b": {"1": {"n": 3}}}


def test_storage_write_as_stock_tinydb_calls_it(db):
    db.insert_multiple([{"n": 1}, {"n": 2}])
    db.table("gone").insert({})
    db.storage.write({"_default": {"2": {"n": 5}}, "new": {"7": {}}})
    db.storage.reopen()
    assert db.storage.read() == {"_default": {"2": {"n": 5}}, "new": {"7": {}}}
    db.drop_tables()
    assert db.storage.read() is None


def test_plain_tinydb_can_use_the_storage(tmp_path):
    from javis.store.storage import JournalStorage

    with TinyDB(tmp_path / "a.jnl", storage=JournalStorage) as db:
        db.insert({"n": 1})
        db.update({"n": 2})
    with JournalDB(tmp_path / "a.jnl") as db:
        assert db.all() == [{"n": 2}]


def test_indexes_follow_every_kind_of_change(db):
    table = db.table("t")
    table.insert_multiple({"k": n % 3, "n": n} for n in range(9))
    table = db.table("t", index=("k",))
    other = JournalDB(db.storage.path)
    there = other.table("t", index=("k", "n"))

    def check():
        for value in (0, 1, 2, "x", None, True, 1.0):
            assert table.find_by("k", value) == table.search(_has("k", value)), value
            assert there.find_by("k", value) == there.search(_has("k", value)), value

    check()
    there.update({"k": "x"}, where("n") == 4)
    check()
    table.remove(where("n") == 1)
    check()
    there.insert_multiple([{"n": 100}, {"k": None}, {"k": True}, {"k": [1]}])
    check()
    table.update({"k": 1.0}, where("k") == True)  # noqa: E712
    check()
    db.storage.compact()
    check()
    table.truncate()
    check()
    table.insert({"k": 1})
    assert [row.doc_id for row in there.find_by("k", 1)] == [14]
    db.drop_table("t")
    check()
    other.close()


def _has(field, value):
    return lambda row: not isinstance(row.get(field), list) and row.get(field) == value


def test_revisions_change_with_every_change(db):
    table, seen = db.table("t"), []
    other = JournalDB(db.storage.path)
    for change in (
        lambda: None,
        lambda: table.insert({}),
        lambda: other.table("t").insert({}),
        lambda: table.truncate(),
        lambda: db.storage.reopen(),
        lambda: other.storage.compact(),
        lambda: db.drop_table("t"),
        lambda: other.table("t").insert({}),
    ):
        change()
        seen.append(table.revision)
    other.table("elsewhere").insert({})
    assert len(set(seen)) == len(seen) and table.revision == seen[-1]
    other.close()


def test_files_are_private_and_symbolic_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.jnl"
    link.symlink_to(tmp_path / "real" / "a.jnl")
    with JournalDB(link) as db:
        db.insert({"n": 1})
        db.storage.compact()
        db.insert({"n": 2})
    assert link.is_symlink()
    with JournalDB(tmp_path / "real" / "a.jnl") as db:
        assert len(db) == 2
    for path in (tmp_path / "real").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with JournalDB(tmp_path / "new" / "a.jnl"):
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) & 0o077 == 0
    link.chmod(0o644)
    with JournalDB(link) as db:
        assert not db.storage.usage().private


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False,
    allow_infinity=False, width=32) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner,
    max_size=2), max_leaves=5,
)  # fmt: skip
ROWS = st.fixed_dictionaries({"k": st.integers(0, 3)}, optional={"v": VALUES, "w": VALUES})
KEYS = st.integers(0, 3)
NAMES = st.sampled_from(["_default", "b"])


class Compared(RuleBasedStateMachine):
    """The journal and TinyDB in memory, given the same calls."""

    @initialize()
    def start(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "a.jnl"
        self.real = JournalDB(self.path, compact_at_bytes=2000)
        self.other = JournalDB(self.path)
        for name in ("_default", "b"):
            self.real.table(name, index=("k",))
        self.model = TinyDB(storage=MemoryStorage)

    @rule(name=NAMES, row=ROWS)
    def insert(self, name, row):
        doc_id = self.real.table(name).insert(row)
        self.model.table(name).insert(Document(row, doc_id=doc_id))

    @rule(name=NAMES, row=ROWS)
    def insert_elsewhere(self, name, row):
        doc_id = self.other.table(name).insert(row)
        self.model.table(name).insert(Document(row, doc_id=doc_id))

    @rule(name=NAMES, rows=st.lists(ROWS, max_size=4))
    def insert_multiple(self, name, rows):
        ids = self.real.table(name).insert_multiple(rows)
        self.model.table(name).insert_multiple(
            Document(row, doc_id=doc_id) for row, doc_id in zip(rows, ids, strict=True)
        )

    @rule(name=NAMES, row=ROWS, key=KEYS)
    def update(self, name, row, key):
        found = [db.table(name).update(row, where("k") == key) for db in (self.real, self.model)]
        assert found[0] == found[1]

    @rule(name=NAMES, key=KEYS, value=VALUES)
    def update_multiple(self, name, key, value):
        changes = [({"v": value}, where("k") == key), (lambda row: row.pop("w", 0), where("k") < 2)]
        found = [db.table(name).update_multiple(changes) for db in (self.real, self.model)]
        assert found[0] == found[1]

    @rule(name=NAMES, row=ROWS, key=KEYS)
    def upsert(self, name, row, key):
        ids = self.real.table(name).upsert(row, where("k") == key)
        if self.model.table(name).contains(where("k") == key):
            assert self.model.table(name).update(row, where("k") == key) == ids
        else:
            self.model.table(name).insert(Document(row, doc_id=ids[0]))

    @rule(name=NAMES, key=KEYS)
    def remove(self, name, key):
        found = [db.table(name).remove(where("k") == key) for db in (self.real, self.model)]
        assert found[0] == found[1]

    @rule(name=NAMES, ids=st.lists(st.integers(1, 9), unique=True, max_size=3))
    def remove_ids(self, name, ids):
        found = [db.table(name).remove(doc_ids=ids) for db in (self.real, self.model)]
        assert found[0] == found[1]

    @rule(name=NAMES)
    def truncate(self, name):
        for db in (self.real, self.model):
            db.table(name).truncate()

    @rule(name=NAMES, bad=st.sampled_from(["set", "nan", "2^70", "lone surrogate"]))
    def bad_value(self, name, bad):
        with pytest.raises(StoreError):
            self.real.table(name).insert(BAD[bad])

    @rule()
    def reopen(self):
        self.real.close()
        self.real = JournalDB(self.path, compact_at_bytes=2000)
        for name in ("_default", "b"):
            self.real.table(name, index=("k",))

    @rule()
    def compact(self):
        self.other.storage.compact()

    @invariant()
    def same(self):
        for name in ("_default", "b"):
            here, there = self.real.table(name), self.model.table(name)
            expected = {row.doc_id: dict(row) for row in there}
            assert repr({row.doc_id: dict(row) for row in here}) == repr(expected)
            assert len(here) == len(there)
            for key in range(4):
                by_index = [row.doc_id for row in here.find_by("k", key)]
                assert by_index == sorted(i for i, row in expected.items() if row["k"] == key)
            for doc_id in range(1, 6):
                assert here.get(doc_id=doc_id) == there.get(doc_id=doc_id)

    def teardown(self):
        if hasattr(self, "folder"):
            self.real.close()
            self.other.close()
            self.folder.cleanup()


TestCompared = Compared.TestCase
TestCompared.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
