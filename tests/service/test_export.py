"""Export and take-in: formats, filters, manifests, snapshots, and edited files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from javis.core.errors import JavisError, StoreError, UserInputError
from javis.core.types import Feedback
from javis.dataset.export import CSV_COLUMNS, FILTERS, FORMATS
from javis.service.export import ExportService
from javis.service.review import ReviewFilters, ReviewService
from javis.store import now_iso
from javis.store.fs import OsFS
from javis.store.reviews import ReviewStore, Snapshot
from tests.service.conftest import Application, Make
from tests.service.test_chat import ME
from tests.service.test_review import put


@pytest.fixture
def app(make: Make) -> Application:
    return make()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exports"


@pytest.fixture
def export(app: Application, folder: Path) -> ExportService:
    return ExportService(app.store, app.services.review, folder)


def some(app: Application) -> dict[str, str]:
    """A liked, a corrected and a disliked turn, one that is pending, and one excluded."""
    liked, after = put(
        app.store,
        ("사과는?", "빨갛습니다.", "good", None),
        ("배는?", "노랗습니다.", "good", None),
        system_prompt="짧게 답하세요.",
    )
    (corrected,) = put(app.store, ("plums?", "Red.", "bad", "Blue."))
    (disliked,) = put(app.store, ("pears?", "Who knows.", "bad", None))
    put(app.store, ("mail a@b.com", "Done.", "good", None))
    (excluded,) = put(app.store, ("canary", "canary", "good", None))
    app.services.review.decide(excluded, "exclude")
    return {"liked": liked, "after": after, "corrected": corrected, "disliked": disliked}


def rows_of(export: ExportService, format: Any, which: Any) -> list[dict[str, Any]]:
    text = b"".join(export.stream(format, which)).decode("utf-8")
    return [json.loads(line) for line in text.splitlines()]


# -- formats ---------------------------------------------------------------------------------


def test_messages(app: Application, export: ExportService) -> None:
    ids = some(app)
    rows = rows_of(export, "messages", "good")
    assert {row["turn_id"] for row in rows} == {ids["liked"], ids["after"], ids["corrected"]}
    by_id = {row["turn_id"]: row for row in rows}
    assert by_id[ids["after"]]["messages"] == [
        {"role": "system", "content": "짧게 답하세요."},
        {"role": "user", "content": "사과는?"},
        {"role": "assistant", "content": "빨갛습니다."},
        {"role": "user", "content": "배는?"},
        {"role": "assistant", "content": "노랗습니다."},
    ]
    assert by_id[ids["corrected"]]["messages"][-1]["content"] == "Blue."
    assert by_id[ids["corrected"]]["source"] == "correction"
    (liked,) = [row for row in rows if row["turn_id"] == ids["liked"]]
    assert (liked["source"], liked["rating"]) == ("liked", "good")


def test_filters(app: Application, export: ExportService) -> None:
    ids = some(app)
    bad = {row["turn_id"]: row for row in rows_of(export, "messages", "bad")}
    assert bad.keys() == {ids["corrected"], ids["disliked"]}
    assert bad[ids["corrected"]]["messages"][-1]["content"] == "Red."
    assert {row["source"] for row in bad.values()} == {"disliked"}
    everything = {row["turn_id"]: row for row in rows_of(export, "messages", "all")}
    assert everything.keys() == set(ids.values())
    assert everything[ids["corrected"]]["messages"][-1]["content"] == "Blue."
    labels = {which: [row["label"] for row in rows_of(export, "kto", which)] for which in FILTERS}
    assert labels["good"] == [True] * 3
    assert labels["bad"] == [False] * 2
    assert sorted(labels["all"]) == [False] * 2 + [True] * 3


def test_preference_kto_sharegpt_and_alpaca(app: Application, export: ExportService) -> None:
    ids = some(app)
    (pair,) = rows_of(export, "preference", "good")
    assert pair == {
        "prompt": [{"role": "user", "content": "plums?"}],
        "chosen": [{"role": "assistant", "content": "Blue."}],
        "rejected": [{"role": "assistant", "content": "Red."}],
        "turn_id": ids["corrected"],
        "conversation_id": pair["conversation_id"],
        "source": "correction",
        "rating": "",
    }
    (row,) = [r for r in rows_of(export, "kto", "bad") if r["turn_id"] == ids["disliked"]]
    assert row["prompt"] == [{"role": "user", "content": "pears?"}]
    assert row["completion"] == [{"role": "assistant", "content": "Who knows."}]
    assert row["label"] is False
    (share,) = [r for r in rows_of(export, "sharegpt", "good") if r["turn_id"] == ids["after"]]
    assert [m["from"] for m in share["conversations"]] == ["system", "human", "gpt", "human", "gpt"]
    (alpaca,) = [r for r in rows_of(export, "alpaca", "good") if r["turn_id"] == ids["after"]]
    assert (alpaca["instruction"], alpaca["input"], alpaca["output"]) == (
        "배는?",
        "",
        "노랗습니다.",
    )
    assert (alpaca["system"], alpaca["history"]) == ("짧게 답하세요.", [["사과는?", "빨갛습니다."]])


@pytest.mark.parametrize("which", FILTERS)
def test_pending_and_excluded_rows_are_in_no_file(
    app: Application, export: ExportService, which: Any
) -> None:
    some(app)
    for format in FORMATS:
        text = b"".join(export.stream(format, which)).decode()
        assert "a@b.com" not in text
        assert "canary" not in text


@pytest.mark.parametrize("format", [f for f in FORMATS if f != "csv"])
def test_datasets_opens_every_format(
    app: Application, export: ExportService, tmp_path: Path, format: Any
) -> None:
    from datasets import load_dataset

    some(app)
    done = export.write(format, "all")
    loaded = load_dataset(
        "json", data_files=str(done.path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == done.rows > 0
    assert loaded[0] == {name: rows_of(export, format, "all")[0][name] for name in loaded.features}


def test_trl_takes_its_formats_for_what_they_are(app: Application, export: ExportService) -> None:
    from trl.data_utils import is_conversational  # heavy

    some(app)
    columns = {
        "messages": {"messages"},
        "preference": {"prompt", "chosen", "rejected"},
        "kto": {"prompt", "completion", "label"},
    }
    for format, names in columns.items():
        for row in rows_of(export, format, "all"):
            assert is_conversational({name: row[name] for name in names})
            assert row.keys() - names == {"turn_id", "conversation_id", "source", "rating"}


# -- CSV -------------------------------------------------------------------------------------


def test_csv_runs_no_formula_and_comes_back(app: Application, export: ExportService) -> None:
    formula = '=HYPERLINK("http://evil","x")\n@second, "quoted"\r\n\ttab'
    (turn,) = put(app.store, (formula, "-1+2 is one", "good", None), system_prompt="+be kind")
    app.store.feedback.add(Feedback(turn, now_iso(), "good", (), "mail me: a@b.com"))
    text = b"".join(export.stream("csv", "all")).decode("utf-8-sig")
    header, record = csv.reader(io.StringIO(text, newline=""))
    assert tuple(header) == CSV_COLUMNS
    for cell in record:
        for line in cell.replace("\r\n", "\n").split("\n"):
            assert not line.lstrip(" ").startswith(tuple("=+-@\t"))
    assert record[header.index("comment")] == "mail me: [email]"
    # Unchanged, it says nothing new; changed, the cell is what was typed.
    assert export.take_in(text.encode()).unchanged == 1
    changed = text.replace("-1+2 is one", "-1+2 is 1")
    assert changed != text
    assert export.take_in(changed.encode("utf-8-sig")).accepted == 1
    (example,) = app.services.review.approved().examples
    assert [m.content for m in example.messages] == ["+be kind", formula, "-1+2 is 1"]


# -- files -----------------------------------------------------------------------------------


def test_file_and_manifest(app: Application, export: ExportService, folder: Path) -> None:
    some(app)
    done = export.write("messages", "good")
    manifest = json.loads(done.manifest.read_text())
    data = done.path.read_bytes()
    assert manifest["sha256"] == hashlib.sha256(data).hexdigest() == done.sha256
    assert manifest["rows"] == done.rows == len(data.splitlines()) == len(manifest["row_ids"]) == 3
    assert manifest["conversations"] == done.conversations == 2
    assert manifest["counts"] == {"correction": 1, "liked": 2}
    assert (manifest["format"], manifest["feedback_filter"]) == ("messages", "good")
    assert manifest["date_range"]["first"] <= manifest["date_range"]["last"] <= now_iso()
    assert manifest["journal_sequence"] > 0
    assert manifest["app_version"]
    assert manifest["file"] == done.path.name
    assert done.path.stat().st_mode & 0o077 == 0
    assert sorted(p.name for p in folder.iterdir()) == sorted((done.path.name, done.manifest.name))


def test_the_same_again_is_the_same_file(
    app: Application, export: ExportService, folder: Path
) -> None:
    ids = some(app)
    first = export.write("kto", "all")
    assert export.write("kto", "all").path == first.path
    assert len(list(folder.iterdir())) == 2
    app.services.review.decide(ids["liked"], "exclude")
    assert export.write("kto", "all").path != first.path
    assert len(list(folder.iterdir())) == 4


def test_no_rows_and_one_row(app: Application, export: ExportService) -> None:
    for format in FORMATS:
        done = export.write(format, "all")
        assert (done.rows, done.conversations) == (0, 0)
        assert len(done.path.read_text("utf-8-sig").splitlines()) == (1 if format == "csv" else 0)
    put(app.store, ("one", "1", "good", None))
    assert export.write("messages", "good").rows == 1


def test_bad_wishes(export: ExportService, tmp_path: Path) -> None:
    for format, which in (("xml", "good"), ("messages", "best")):
        with pytest.raises(UserInputError):
            export.stream(format, which)  # type: ignore[arg-type]
    there = tmp_path / "mine.jsonl"
    there.write_text("mine")
    with pytest.raises(UserInputError):
        export.open("messages", "good", there)
    assert there.read_text() == "mine"


def test_an_export_that_fails_or_is_left_leaves_nothing(
    app: Application, export: ExportService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(app)
    blocks = export.open("messages", "all").blocks()
    next(blocks)
    assert list(folder.iterdir())
    blocks.close()
    assert list(folder.iterdir()) == []

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OsFS, "write", full)
    with pytest.raises(StoreError) as caught:
        export.write("messages", "all")
    assert isinstance(caught.value.__cause__, OSError)
    assert list(folder.iterdir()) == []
    monkeypatch.undo()
    assert export.write("messages", "all").rows == 4


@pytest.mark.parametrize("call", ["replace", "sync_dir", "create"])
def test_no_file_is_left_without_its_manifest(
    app: Application,
    export: ExportService,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    some(app)
    real = getattr(OsFS, call)

    def full(fs: OsFS, path: Path, *more: Any) -> Any:
        if call == "create" and not path.name.endswith(".manifest.json.partial"):
            return real(fs, path, *more)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OsFS, call, full)
    with pytest.raises(StoreError, match="Nothing was changed"):
        export.write("messages", "all")
    assert list(folder.iterdir()) == []
    monkeypatch.undo()
    assert export.write("messages", "all").rows == 4


def test_a_file_without_its_manifest_is_no_export(
    app: Application, export: ExportService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two: the next one does not take the half one for its own."""
    some(app)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OsFS, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        export.write("messages", "all")
    monkeypatch.undo()
    done = export.write("messages", "all")
    assert json.loads(done.manifest.read_text())["file"] == done.path.name


# -- a snapshot ------------------------------------------------------------------------------


def consistent(rows: list[dict[str, Any]]) -> bool:
    """Whether the rows are those of one moment: each conversation was rated in one commit."""
    by_conversation: dict[str, list[int]] = {}
    for row in rows:
        number = int(row["messages"][-1]["content"].split()[-1])
        by_conversation.setdefault(row["conversation_id"], []).append(number)
    return all(sorted(numbers) == [0, 1, 2] for numbers in by_conversation.values())


def fill(app: Application, name: str) -> list[str]:
    turns = [(f"{name} {n}", f"answer {name} {n}", "good", None) for n in range(3)]
    return put(app.store, *turns, parents=[None] * 3)


def test_an_export_stays_as_it_was_when_it_began(app: Application, export: ExportService) -> None:
    before = [fill(app, f"tea{number}") for number in range(30)]
    stream = export.stream("messages", "all")
    after = fill(app, "later")
    turn = app.store.conversations.get_turn(before[0][0], ME)
    app.services.library.delete(ME, turn.conversation_id)
    app.services.review.decide(before[1][0], "exclude")
    app.store.feedback.add(Feedback(before[2][0], now_iso(), "bad", (), "", "changed"))
    rows = [json.loads(line) for line in b"".join(stream).splitlines()]
    assert {row["turn_id"] for row in rows} == {i for ids in before for i in ids}
    assert not {row["turn_id"] for row in rows} & set(after)
    assert all("changed" not in json.dumps(row) for row in rows)
    assert len(rows_of(export, "messages", "all")) == 90 - 3 - 1 + 3


def test_a_snapshot_while_others_write_without_pause(app: Application, folder: Path) -> None:
    """Every commit changes all three turns of a conversation; no export sees one between."""
    ids = [fill(app, f"tea{number}") for number in range(20)]
    done = threading.Event()
    failures: list[Exception] = []

    def write() -> None:
        try:
            number = 0
            while not done.is_set():
                number += 1
                fill(app, f"more{number}")
                chosen = ids[number % 20]
                action: Any = "exclude" if number // 20 % 2 == 0 else "approve"
                app.services.review.bulk(action, chosen, None)
        except (JavisError, OSError) as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        other = ReviewService(app.store, app.services.preferences)
        for review in (app.services.review, other) * 4:
            export = ExportService(app.store, review, folder)
            assert consistent(rows_of(export, "messages", "all"))
    finally:
        done.set()
        writer.join()
    assert failures == []


def test_a_commit_between_the_rows_and_the_flags_is_in_both_or_in_none(
    app: Application, export: ExportService, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(app, "tea")
    reviews, take = app.store.reviews, ReviewStore.snapshot
    late: list[str] = []

    def snapshot(self: ReviewStore) -> Snapshot:
        found = take(self)
        if not late:
            late.extend(put(app.store, ("first", "1", None, None), ("then", "2", "good", None)))
        return found

    monkeypatch.setattr(ReviewStore, "snapshot", snapshot)
    rows = {row["turn_id"]: row for row in rows_of(export, "messages", "all")}
    assert [m["content"] for m in rows[late[1]]["messages"]] == ["first", "1", "then", "2"]
    assert reviews.history(late[1]) == []


def test_a_snapshot_never_falls_between_the_file_and_the_memory(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that is in the file already and not yet in the rows, just as they are looked at."""
    fill(app, "tea")
    storage, reviews = app.store.db.storage, app.store.reviews
    before = reviews.snapshot()
    written = threading.Event()
    vote = Feedback("t_x", now_iso(), "good")
    writer = threading.Thread(target=lambda: app.store.feedback.add(vote))
    apply, refresh = storage.memory.apply, storage.refresh

    def slowly(*arguments: Any) -> None:
        written.set()
        time.sleep(0.2)
        apply(*arguments)

    def late() -> None:
        refresh()
        if threading.current_thread() is threading.main_thread() and writer.ident is None:
            writer.start()
            assert written.wait(5)

    monkeypatch.setattr(storage.memory, "apply", slowly)
    monkeypatch.setattr(storage, "refresh", late)
    after = reviews.snapshot()
    writer.join()
    assert after.sequence - before.sequence == len(after.feedback) - len(before.feedback)


def test_an_export_that_reads_live_would_be_torn(app: Application, export: ExportService) -> None:
    """The broken variant: rows read page by page while somebody decides."""
    ids = [fill(app, f"tea{number}") for number in range(4)]
    app.services.review.bulk("exclude", [i for group in ids for i in group], None)
    rows = []
    for offset in range(0, 12, 2):
        page = app.services.review.page(ReviewFilters(status="approved"), offset, 2)
        rows += [
            {"conversation_id": r.conversation_id, "messages": [{"content": r.reply}]}
            for r in page.rows
        ]
        app.services.review.bulk("approve", ids[offset % 4], None)
    assert not consistent(rows)
    assert consistent(rows_of(export, "messages", "all"))


# -- back in ---------------------------------------------------------------------------------


def edited(export: ExportService, format: Any, which: Any, old: str, new: str) -> bytes:
    data = b"".join(export.stream(format, which)).decode()
    assert old in data
    return data.replace(old, new).encode()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("which", FILTERS)
def test_an_untouched_file_changes_nothing(
    app: Application, export: ExportService, format: Any, which: Any
) -> None:
    some(app)
    before = app.services.review.approved()
    data = b"".join(export.stream(format, which))
    taken = export.take_in(data)
    assert (taken.accepted, taken.bad) == (0, [])
    assert app.services.review.approved() == before


def without_ids(data: bytes, format: str) -> bytes:
    names = ("turn_id", "conversation_id")
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        out = io.StringIO()
        writer = csv.DictWriter(out, CSV_COLUMNS)
        writer.writeheader()
        writer.writerows(row | dict.fromkeys(names, "") for row in rows)
        return out.getvalue().encode()
    found = [json.loads(line) for line in data.splitlines()]
    return "\n".join(
        json.dumps({k: v for k, v in row.items() if k not in names}) for row in found
    ).encode()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("which", FILTERS)
def test_what_our_own_turns_teach_is_not_learned_twice(
    app: Application, export: ExportService, format: Any, which: Any
) -> None:
    """As with the rows of a file that a tool stripped of the ids."""
    some(app)
    before = app.services.review.approved()
    data = b"".join(export.stream(format, which))
    assert data
    taken = export.take_in(without_ids(data, format))
    assert (taken.accepted, taken.bad) == (0, [])
    assert app.services.review.approved() == before


@pytest.mark.parametrize("how", ["deleted", "deleted for good", "taken back"])
@pytest.mark.parametrize("format", FORMATS)
def test_an_old_export_brings_nothing_back(
    app: Application, export: ExportService, format: Any, how: str
) -> None:
    some(app)
    data = b"".join(export.stream(format, "all"))
    for talk in app.services.library.page("local")[0]:
        if how != "taken back":
            app.services.library.delete("local", talk.id)
        else:
            for turn in app.store.conversations.turns(talk.id):
                app.services.feedback.rate("local", turn.id, None)
    if how == "deleted for good":
        assert app.store.conversations.purge(-1)
    taken = export.take_in(data)
    assert taken.accepted == taken.unchanged == 0
    assert {code for _, code, _ in taken.bad} == {"row_of_gone_turn"}
    approved = app.services.review.approved()
    assert not approved.examples and not approved.pairs and not approved.judged


def test_an_edit_to_what_another_turn_says_is_one(app: Application, export: ExportService) -> None:
    put(app.store, ("tea?", "Green.", "good", None))
    (other,) = put(app.store, ("tea?", "Black.", "good", None))
    row = edited(export, "messages", "good", "Black.", "Green.").splitlines()[-1]
    assert export.take_in(row).accepted == 1
    (example,) = [e for e in app.services.review.approved().examples if e.turn_id == other]
    assert example.messages[-1].content == "Green."


@pytest.mark.parametrize("format", ["messages", "sharegpt", "alpaca", "csv"])
def test_an_edited_row_takes_the_place_of_its_turn(
    app: Application, export: ExportService, format: Any
) -> None:
    ids = some(app)
    taken = export.take_in(edited(export, format, "good", "Blue.", "Blue, and sweet."), by="ann")
    assert (taken.accepted, taken.unchanged, taken.bad) == (1, 2, [])
    approved = app.services.review.approved()
    (example,) = [e for e in approved.examples if e.turn_id == ids["corrected"]]
    assert (example.messages[-1].content, example.source) == ("Blue, and sweet.", "import")
    (pair,) = approved.pairs
    assert (pair.chosen, pair.rejected) == ("Blue, and sweet.", "Red.")
    assert "Blue." not in {j.completion for j in approved.judged}
    assert example.conversation_id == app.services.review.get(ids["corrected"]).conversation_id
    assert rows_of(export, "messages", "good") == rows_of(export, "messages", "good")
    # Again: known already. Another edit replaces the first.
    assert export.take_in(b"".join(export.stream(format, "good"))).accepted == 0
    export.take_in(edited(export, format, "good", "and sweet", "and round"))
    (example,) = [e for e in app.services.review.approved().examples if e.source == "import"]
    assert example.messages[-1].content == "Blue, and round."


def test_edited_pairs_and_judged_rows(app: Application, export: ExportService) -> None:
    ids = some(app)
    assert export.take_in(edited(export, "preference", "all", "Blue.", "Violet.")).accepted == 1
    assert export.take_in(edited(export, "kto", "bad", "Who knows.", "Dunno.")).accepted == 1
    approved = app.services.review.approved()
    assert [(p.chosen, p.source) for p in approved.pairs] == [("Violet.", "import")]
    (judged,) = [j for j in approved.judged if j.turn_id == ids["disliked"]]
    assert (judged.completion, judged.label, judged.source) == ("Dunno.", False, "import")


def test_a_taken_row_goes_with_its_turn(app: Application, export: ExportService) -> None:
    ids = some(app)
    export.take_in(edited(export, "messages", "good", "Blue.", "Taken."))

    def sources() -> list[str]:
        return [e.source for e in app.services.review.approved().examples]

    assert "import" in sources()
    app.services.review.decide(ids["corrected"], "exclude")
    assert "import" not in sources()
    app.services.review.decide(ids["corrected"], "reset")
    assert "import" in sources()
    # A newer correction is not hidden by the file.
    app.store.feedback.add(Feedback(ids["corrected"], now_iso(), "bad", (), "", "Newest."))
    examples = app.services.review.approved().examples
    assert "Newest." in {e.messages[-1].content for e in examples}
    assert "Taken." not in {e.messages[-1].content for e in examples}
    turn = app.store.conversations.get_turn(ids["corrected"], ME)
    app.services.library.delete(ME, turn.conversation_id)
    app.store.conversations.purge(-1)
    assert b"Taken." not in app.store.db.storage.path.read_bytes()


def test_of_a_turn_that_waits_only_the_files_row_counts(
    app: Application, export: ExportService
) -> None:
    ids = some(app)
    export.take_in(edited(export, "kto", "bad", '"Red."', '"Rot."'))
    app.services.preferences.set_review_everything(True)
    assert app.services.review.get(ids["corrected"]).status == "pending"
    approved = app.services.review.approved()
    assert [j.completion for j in approved.judged] == ["Rot."]
    assert (approved.examples, approved.pairs) == ((), ())


def test_rows_from_elsewhere_are_learned_and_can_be_taken_back(
    app: Application, export: ExportService
) -> None:
    said = [{"role": "user", "content": "tea?"}, {"role": "assistant", "content": "Gladly."}]
    rows: list[dict[str, Any]] = [
        {"messages": said},
        {"prompt": said[:1], "chosen": "Gladly.", "rejected": "No."},
        {"prompt": said[:1], "completion": "Go away.", "label": False},
        {"messages": said},
    ]
    data = "\n".join(map(json.dumps, rows)).encode()
    assert export.take_in(data, dry_run=True).accepted == 3
    assert app.services.feedback.readiness().usable == 0
    taken = export.take_in(data, by="ann")
    assert (taken.accepted, taken.unchanged) == (3, 1)
    assert app.services.feedback.readiness().usable == 3
    approved = app.services.review.approved()
    assert [len(approved.examples), len(approved.pairs), len(approved.judged)] == [1, 1, 2]
    conversations = {
        row.conversation_id for row in (*approved.examples, *approved.pairs, *approved.judged)
    }
    assert len(conversations) == 1
    assert len(rows_of(export, "messages", "good")) == 1
    assert len(rows_of(export, "preference", "all")) == 1
    assert len(rows_of(export, "kto", "all")) == 2
    assert export.take_in(data).accepted == 0
    assert export.take_in(b"".join(export.stream("kto", "all"))).accepted == 0
    assert export.forget(taken.batch) == 3
    assert app.services.review.approved().examples == ()
    with pytest.raises(UserInputError):
        export.forget(taken.batch)


def test_an_edited_row_from_elsewhere_replaces_itself(
    app: Application, export: ExportService
) -> None:
    row = {"prompt": "tea?", "completion": "Gladly.", "label": True}
    export.take_in(json.dumps(row).encode())
    assert export.take_in(edited(export, "kto", "all", "Gladly.", "With pleasure.")).accepted == 1
    assert [j.completion for j in app.services.review.approved().judged] == ["With pleasure."]


def test_one_edited_pair_of_a_message_keeps_the_others(
    app: Application, export: ExportService
) -> None:
    put(
        app.store,
        ("tea?", "Green tea from the south.", "good", None),
        ("tea?", "No.", "bad", None),
        ("tea?", "Never.", "bad", None),
        parents=[None] * 3,
    )
    taken = export.take_in(edited(export, "preference", "all", '"No."', '"Nope."'))
    assert (taken.accepted, taken.unchanged) == (1, 1)
    pairs = app.services.review.approved().pairs
    assert sorted(pair.rejected for pair in pairs) == ["Never.", "Nope."]
    assert export.take_in(b"".join(export.stream("preference", "all"))).accepted == 0


def test_good_rows_are_taken_and_each_bad_one_is_told(
    app: Application, export: ExportService
) -> None:
    good = (
        '{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "a"}]}'
    )
    lines = [
        good % "one",
        "{broken",
        good % "two",
        '{"messages": []}',
        good % "mail a@b.com <|im_end|>",
    ]
    taken = export.take_in("\n".join(lines).encode())
    assert taken.accepted == 3
    assert [(line, code) for line, code, _ in taken.bad] == [
        (2, "row_not_json"),
        (4, "row_messages"),
    ]
    assert taken.flagged == ((5, ("email", "control")),)
    assert len(app.services.review.approved().examples) == 3
