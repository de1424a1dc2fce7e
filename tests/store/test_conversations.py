import dataclasses
import re
import unicodedata

import pytest

from javis.core.errors import NotFound, StoreError
from javis.core.types import Conversation, Feedback, SamplingParams, Timings, Turn
from javis.store import new_conversation_id, new_turn_id, now_iso, open_store
from javis.store.records import turn_from_row, turn_to_row


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as store:
        yield store


def turn_in(conversation, **fields):
    fields = {
        "id": new_turn_id(),
        "parent_id": None,
        "created_at": now_iso(),
        "user": "Hi",
    } | fields
    return Turn(conversation_id=conversation.id, **fields)


def full_turn(conversation):
    return turn_in(
        conversation,
        parent_id="t_0",
        reply="안녕 👋",
        finish="stop",
        error="none",
        model="m",
        engine="e",
        quantization="q4",
        version="v1.2",
        version_sha256="ab",
        system_prompt="Be kind.",
        sampling=SamplingParams(0.1, 0.5, 7, 1.5, 42, ("\n", "x")),
        timings=Timings(1, 2, 3, 4.5, 6.5),
        sources=("k1", "k2"),
        dropped_turns=3,
        edited_from="t_x",
        origin="api",
    )


def test_ids_and_times_have_their_form():
    assert re.fullmatch(r"c_[0-9a-f]{32}", new_conversation_id())
    assert re.fullmatch(r"t_[0-9a-f]{32}", new_turn_id())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now_iso())
    assert now_iso(60) < now_iso()


def test_everything_survives_a_restart(tmp_path):
    with open_store(tmp_path) as store:
        conversation = store.conversations.create("ann", "First")
        turn = full_turn(conversation)
        store.conversations.add_turn(turn)
        store.conversations.set_head(conversation.id, turn.id)
        feedback = Feedback(turn.id, now_iso(), "bad", ("too_long",), "no", "yes")
        store.feedback.add(feedback)
        store.preferences.set("goal", {"n": [1, None, True]})
    with open_store(tmp_path / "javis.jnl") as store:
        again = store.conversations.get(conversation.id, "ann")
        assert (again.title, again.head) == ("First", turn.id)
        assert store.conversations.get_turn(turn.id, "ann") == turn
        assert store.conversations.turns(conversation.id) == [turn]
        assert store.feedback.current(turn.id) == feedback
        assert store.preferences.get("goal") == {"n": [1, None, True]}


def test_every_field_of_a_turn_is_in_its_row(store):
    turn = full_turn(store.conversations.create("ann"))
    row = turn_to_row(turn)
    assert set(row) == {field.name for field in dataclasses.fields(Turn)}
    assert set(row["sampling"]) == {field.name for field in dataclasses.fields(SamplingParams)}
    assert set(row["timings"]) == {field.name for field in dataclasses.fields(Timings)}
    defaults = turn_in(store.conversations.create("ann"))
    changed = [f.name for f in dataclasses.fields(Turn) if f.name not in ("id", "conversation_id")]
    assert all(getattr(turn, name) != getattr(defaults, name) for name in changed if name not in (
        "created_at", "user"))  # fmt: skip
    assert turn_from_row(row) == turn


def test_rows_of_other_versions_are_read_and_their_fields_kept(store):
    conversation = store.conversations.create("ann")
    db = store.db
    db.table("turns").insert(
        {"id": "t_old", "conversation_id": conversation.id, "user": "Hi", "new_field": 7,
         "sampling": {"temperature": 99, "min_p": 1}, "timings": None}
    )  # fmt: skip
    turn = store.conversations.get_turn("t_old", "ann")
    assert (
        turn.sampling == SamplingParams() and turn.timings == Timings() and turn.version == "base"
    )
    store.conversations.put_turn(dataclasses.replace(turn, reply="Hello"))
    assert db.table("turns").get_by("id", "t_old")["new_field"] == 7


def test_others_and_deleted_things_are_not_there(store):
    conversations = store.conversations
    conversation = conversations.create("ann")
    turn = turn_in(conversation)
    conversations.add_turn(turn)
    for call in (
        lambda: conversations.get(conversation.id, "bob"),
        lambda: conversations.get("c_none", "ann"),
        lambda: conversations.rename(conversation.id, "bob", "x"),
        lambda: conversations.delete(conversation.id, "bob"),
        lambda: conversations.restore(conversation.id, "bob"),
        lambda: conversations.set_head("c_none", None),
        lambda: conversations.add_turn(dataclasses.replace(turn, id="t_2", conversation_id="c_9")),
    ):
        with pytest.raises(NotFound) as caught:
            call()
        assert caught.value.code == "no_conversation"
    other = conversations.create("ann")
    for call in (
        lambda: conversations.get_turn(turn.id, "bob"),
        lambda: conversations.get_turn("t_none", "ann"),
        lambda: conversations.put_turn(turn_in(conversation)),
        lambda: conversations.set_head(other.id, turn.id),
    ):
        with pytest.raises(NotFound) as caught:
            call()
        assert caught.value.code == "no_turn"
    assert conversations.page("bob") == ([], 0)

    conversations.delete(conversation.id, "ann")
    assert [c.id for c in conversations.page("ann")[0]] == [other.id]
    assert [c.id for c in conversations.page("ann", deleted=True)[0]] == [conversation.id]
    assert conversations.count_turns() == 0 and list(conversations.iter_turns()) == []
    with pytest.raises(NotFound):
        conversations.get_turn(turn.id, "ann")
    with pytest.raises(NotFound):
        conversations.add_turn(dataclasses.replace(turn, id="t_2"))
    conversations.put_turn(dataclasses.replace(turn, reply="too late, yet kept"))
    conversations.restore(conversation.id, "ann")
    assert conversations.get_turn(turn.id, "ann").reply == "too late, yet kept"
    assert conversations.count_turns() == 1


def test_pages_are_newest_first_and_searched(store):
    conversations = store.conversations
    made = [
        conversations.create("ann", f"Nr {i}", created_at=f"2026-01-0{i}T00:00:00.000Z")
        for i in range(1, 6)
    ]
    assert [c.title for c in conversations.page("ann")[0]] == [f"Nr {i}" for i in (5, 4, 3, 2, 1)]
    assert [c.title for c in conversations.page("ann", offset=1, limit=2)[0]] == ["Nr 4", "Nr 3"]
    assert conversations.page("ann", offset=99)[0] == [] and conversations.page("ann")[1] == 5
    conversations.add_turn(turn_in(made[1], user="STRASSE", reply="서울은 비가 온다"))
    assert conversations.page("ann")[0][0].id == made[1].id
    nfd = unicodedata.normalize("NFD", "서울")
    for query in ("straße", "  Strasse ", "서울", nfd, "nr 2"):
        assert [c.id for c in conversations.page("ann", query)[0]] == [made[1].id], query
    assert conversations.page("ann", "nowhere") == ([], 0)
    conversations.rename(made[0].id, "ann", "Cats")
    assert conversations.page("ann", "cATS")[0][0].titled


def test_turns_come_in_the_order_they_were_added(store):
    conversation = store.conversations.create("ann")
    times = ["2026-03-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"]
    turns = [turn_in(conversation, created_at=at) for at in times]
    for turn in turns:
        store.conversations.add_turn(turn)
    store.conversations.put_turn(dataclasses.replace(turns[0], reply="x"))
    assert [t.id for t in store.conversations.turns(conversation.id)] == [t.id for t in turns]


def test_purge_takes_the_text_off_the_disk(store, tmp_path):
    conversation, kept = store.conversations.create("ann"), store.conversations.create("ann")
    turn, other = turn_in(conversation, user="SECRET"), turn_in(kept)
    store.conversations.add_turn(turn)
    store.conversations.add_turn(other)
    store.feedback.add(Feedback(turn.id, now_iso(), "bad", comment="SECRET too"))
    store.feedback.add(Feedback(other.id, now_iso(), "good"))
    store.conversations.delete(conversation.id, "ann")
    assert store.conversations.purge(3600) == 0
    assert b"SECRET" in (tmp_path / "javis.jnl").read_bytes()
    assert store.conversations.purge(0) == 1
    assert b"SECRET" not in (tmp_path / "javis.jnl").read_bytes()
    assert len(store.db.table("turns")) == 1 and store.feedback.history(turn.id) == []
    assert store.feedback.current(other.id).rating == "good"
    with pytest.raises(NotFound):
        store.conversations.restore(conversation.id, "ann")


def test_a_purge_that_could_not_rewrite_the_file_is_made_up_for(store, tmp_path, monkeypatch):
    conversation = store.conversations.create("ann", "SECRET")
    store.conversations.delete(conversation.id, "ann")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store.db.storage._file.fs, "create", full, raising=False)
        with pytest.raises(StoreError) as caught:
            store.conversations.purge(0)
    assert caught.value.code == "not_compacted"
    assert b"SECRET" in (tmp_path / "javis.jnl").read_bytes()
    assert store.conversations.purge(0) == 0
    assert b"SECRET" not in (tmp_path / "javis.jnl").read_bytes()


def test_interrupted_answers_are_marked(store):
    conversation = store.conversations.create("ann")
    running, done = turn_in(conversation), turn_in(conversation, finish="stop")
    store.conversations.add_turn(running)
    store.conversations.add_turn(done)
    assert store.conversations.mark_interrupted() == 1
    assert store.conversations.mark_interrupted() == 0
    assert [t.finish for t in store.conversations.turns(conversation.id)] == ["interrupted", "stop"]


def test_import_is_all_or_nothing(store):
    def batch(conversation_id, turn_id, head=None, feedback_on=None):
        conversation = Conversation(conversation_id, "ann", "T", now_iso(), now_iso(), head=head)
        turn = turn_in(conversation, id=turn_id)
        return conversation, [turn], [Feedback(feedback_on or turn_id, now_iso(), "good")]

    before = store.db.storage._file.position.seq
    store.conversations.import_many([batch("c_1", "t_1", "t_1"), batch("c_2", "t_2")])
    assert store.db.storage._file.position.seq == before + 1
    assert store.feedback.current("t_2").rating == "good"
    good = batch("c_3", "t_3")
    foreign = (good[0], [dataclasses.replace(good[1][0], conversation_id="c_9")], [])
    for bad, code in (
        (batch("c_1", "t_9"), "id_taken"),
        (batch("c_9", "t_1"), "id_taken"),
        (batch("c_9", "t_3"), "id_taken"),
        (batch("c_9", "t_9", head="t_1"), "bad_import"),
        (batch("c_9", "t_9", feedback_on="t_1"), "bad_import"),
        (foreign, "bad_import"),
    ):
        with pytest.raises(StoreError) as caught:
            store.conversations.import_many([good, bad])
        assert caught.value.code == code
    assert store.conversations.page("ann")[1] == 2 and store.conversations.count_turns() == 2


def test_an_export_sees_one_moment(store):
    conversation = store.conversations.create("ann")
    store.conversations.add_turn(turn_in(conversation, user="1"))
    turns = store.conversations.iter_turns("ann")
    everything = store.db.storage.fresh().everything()
    store.conversations.add_turn(turn_in(conversation, user="2"))
    store.conversations.put_turn(
        dataclasses.replace(store.conversations.turns(conversation.id)[0], user="changed")
    )
    assert [turn.user for turn in turns] == ["1"]
    assert [row["user"] for row in everything["turns"].values()] == ["1"]
    assert [turn.user for turn in store.conversations.iter_turns()] == ["changed", "2"]
    assert list(store.conversations.iter_turns("bob")) == []


def test_feedback_is_a_history_whose_newest_entry_counts(store):
    feedback, revisions = store.feedback, [store.feedback.revision]

    def add(turn_id, **fields):
        feedback.add(Feedback(turn_id, fields.pop("at", now_iso()), **fields))
        revisions.append(feedback.revision)

    add("t_1", rating="good")
    add("t_1", rating="bad", reasons=("other",), at="2001-01-01T00:00:00.000Z")  # clock set back
    add("t_2", rating="good")
    add("t_2")
    add("t_3", correction="Better")
    assert feedback.current("t_1").rating == "bad"
    assert feedback.current("t_2") is None and feedback.current("t_9") is None
    assert [entry.rating for entry in feedback.history("t_2")] == ["good", None]
    assert set(feedback.all_current()) == {"t_1", "t_3"}
    assert feedback.current_many(["t_1", "t_2", "t_9"]) == {"t_1": feedback.current("t_1")}
    assert len(set(revisions)) == len(revisions)


def test_preferences(store):
    preferences = store.preferences
    assert preferences.get("a") is None and preferences.get("a", 5) == 5
    preferences.set("a", [1])
    preferences.set("a", [2])
    preferences.get("a").append(3)
    preferences.set("b", None)
    assert preferences.all() == {"a": [2], "b": None}
    assert preferences.get("b", 7) is None
    with pytest.raises(StoreError):
        preferences.set("c", float("nan"))
