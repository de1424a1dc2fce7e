"""What ended runs keep goes with a conversation that is deleted for good."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from javis.app import open_data
from javis.core.errors import TrainError, UserInputError
from javis.core.learning import Approved
from javis.service.run_files import example_row
from javis.service.run_purge import forget_purged
from tests.service.learning import Make, Site, Source, approved
from tests.service.test_review import put


def talks(site: Site, count: int) -> Approved:
    """So many examples of turns that are in the store."""
    rows = []
    for example in approved(count).examples:
        question, answer = (message.content for message in example.messages)
        (turn,) = put(site.store, (question, answer, "good", None))
        conversation = site.store.conversations.get_turn(turn, "local").conversation_id
        rows.append(replace(example, turn_id=turn, conversation_id=conversation))
    return Approved(tuple(rows))


def test_the_rows_of_a_purged_conversation_go_and_the_run_is_not_taken_up(
    make_training: Make,
) -> None:
    site = make_training("slow", source=Source(Approved()))
    site.source.rows = talks(site, 12)
    job = site.start()
    folder, runs = site.supervisor.folder(job.id), site.settings.data_dir / "runs"
    row = (folder / "data" / "train.jsonl").read_text("utf-8").splitlines()[0]
    example = next(e for e in site.source.rows.examples if e.turn_id in row)
    (folder / "checkpoint-2").mkdir()
    site.store.conversations.delete(example.conversation_id, "local")
    site.store.conversations.purge(-1)
    assert forget_purged(runs, site.store) == 0, "it is being trained on"
    site.training.cancel(job.id)
    open_data(site.settings, print).close()
    kept = "".join(path.read_text("utf-8") for path in (folder / "data").glob("*.jsonl"))
    assert kept.count("turn_id") == 11 and example.turn_id not in kept
    assert not (folder / "checkpoint-2").exists()
    assert forget_purged(runs, site.store) == 0
    rest = [e for e in site.source.rows.examples if e is not example]
    site.source.rows = Approved(tuple(rest))
    with pytest.raises(TrainError) as caught:
        site.training.resume(job.id)
    assert (caught.value.code, caught.value.values) == ("turns_gone", {"count": 1})


def test_of_a_run_on_a_file_go_the_rows_of_what_was_purged_here(make_training: Make) -> None:
    site = make_training("worse", source=Source(Approved()))
    examples = talks(site, 12).examples
    foreign = replace(examples[0], turn_id="t_" + "0" * 32, conversation_id="c_" + "0" * 32)
    site.settings.exports_dir.mkdir(exist_ok=True)
    file = site.settings.exports_dir / "mine.jsonl"
    rows = [json.dumps(example_row(example)) for example in (*examples, foreign)]
    file.write_text("\n".join(rows), "utf-8")
    job = site.finished(site.start(dataset=file.name))
    folder = site.supervisor.folder(job.id)
    train = folder / "data" / "train.jsonl"
    example = next(e for e in examples if e.turn_id in train.read_text("utf-8"))
    site.store.conversations.delete(example.conversation_id, "local")
    site.store.conversations.purge(-1)
    open_data(site.settings, print).close()
    kept = "".join(path.read_text("utf-8") for path in (folder / "data").glob("*.jsonl"))
    assert kept.count('"turn_id"') == 12 and example.turn_id not in kept
    assert foreign.turn_id in kept
    with pytest.raises(TrainError, match="1 of the answers"):
        site.training.override(job.id, "ann")
    with pytest.raises(UserInputError, match="1 answers of conv") as caught:
        site.start(dataset=file.name)
    assert caught.value.code == "dataset_of_purged"


@pytest.mark.parametrize("manifest", [None, "", "[]", "{}", '{"turn_ids": 3}'])
def test_damaged_files_of_a_run_stop_no_start(make_training: Make, manifest: str | None) -> None:
    site = make_training("worse", source=Source(Approved()))
    site.source.rows = talks(site, 12)
    job = site.finished(site.start())
    data = site.supervisor.folder(job.id) / "data"
    if manifest is not None:
        (data / "manifest.json").write_text(manifest)
    train = data / "train.jsonl"
    first, *rest = train.read_text("utf-8").splitlines(keepends=True)
    example = next(e for e in site.source.rows.examples if e.turn_id in first)
    train.write_text("".join([first, "{torn\n", "[]\n", *rest]), "utf-8")
    site.store.conversations.delete(example.conversation_id, "local")
    site.store.conversations.purge(-1)
    open_data(site.settings, print).close()
    assert train.read_text("utf-8") == "".join(rest)


def test_a_run_is_not_published_with_what_was_excluded_since(make_training: Make) -> None:
    site = make_training("worse")
    job = site.finished(site.start())
    kept = site.source.rows
    site.source.rows = Approved(kept.examples[:-20])
    site.store.conversations.create("local")
    with pytest.raises(TrainError, match="not approved any more"):
        site.training.override(job.id, "ann")
    assert site.registry.versions() == [] and not site.get(job).overridden_by
    site.source.rows = kept
    site.store.conversations.create("local")
    assert site.training.override(job.id, "ann").version == "v1.0"
