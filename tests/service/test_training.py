"""Runs from the first row to the version that answers, with real processes and a small trainer."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psutil import pid_exists

from javis.core.errors import (
    AlreadyTraining,
    NotEnoughData,
    NotFound,
    TrainError,
    UserInputError,
    VersionError,
)
from javis.core.learning import TERMINAL, Approved, TrainJob
from javis.core.types import Message, Version
from javis.engine.hardware import Hardware
from javis.service.run_files import divide, from_approved
from javis.train.data import read_rows
from javis.train.process import Worker, is_alive
from javis.versions.disk import Disk
from tests.service.learning import FAKE, Make, Site, Source, approved


@pytest.fixture
def make(make_training: Make) -> Make:
    return make_training


# -- the whole way -----------------------------------------------------------------------------


def test_from_rows_to_the_version_that_answers(make: Make) -> None:
    site = make()
    job = site.start(hyperparameters={"rank": 4})
    assert job.state == "running"
    job = site.finished(job)
    assert (job.state, job.version, job.reason) == ("succeeded", "v1.0", "")
    assert site.versions.current() == "v1.0"
    assert job.verdict and job.verdict["passed"]
    assert job.took["steps"] == 4 and job.took["cost"] == 0
    metadata = site.registry.metadata("v1.0")
    assert metadata["training_data"] == {
        "total_conversations": 40,
        "total_turns": 40,
        "date_range": ["2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"],
    }
    assert metadata["training_config"]["method"] == "sft-lora"
    assert metadata["training_config"]["lora_r"] == 4
    assert metadata["run"] == job.id
    assert metadata["manifest_sha256"] == job.data["manifest_sha256"]
    assert site.registry.report("v1.0")["verdict"]["passed"] is True
    again = site.finished(site.start())
    assert (again.version, site.registry.metadata("v1.1")["parent"]) == ("v1.1", "v1.0")


def test_a_version_names_only_the_values_that_its_method_uses(make: Make) -> None:
    site = make()
    job = site.finished(site.start("ia3"))
    config = site.registry.metadata(job.version or "")["training_config"]
    assert (config["lora_r"], config["lora_alpha"]) == (None, None)
    assert {"rank", "alpha", "beta", "replay"}.isdisjoint(config["hyperparameters"])
    assert config["hyperparameters"]["batch_size"] == job.hyperparameters["batch_size"]


def test_held_out_conversations_are_never_learned_from(make: Make) -> None:
    site = make("slow")
    job = site.start("dpo")
    data = site.supervisor.folder(job.id) / "data"
    rows = {
        name: list(map(json.loads, (data / f"{name}.jsonl").read_text("utf-8").splitlines()))
        for name in ("train", "valid", "test", "replay")
    }
    seen = {name: {row["conversation_id"] for row in part} for name, part in rows.items()}
    assert seen["valid"] and seen["train"]
    assert not seen["train"] & (seen["valid"] | seen["test"])
    assert not seen["replay"] & (seen["valid"] | seen["test"])
    assert set(rows["train"][0]) == {
        *("prompt", "chosen", "rejected", "turn_id", "conversation_id", "source")
    }
    manifest = json.loads((data / "manifest.json").read_text("utf-8"))
    assert sum(manifest["rows"][name] for name in ("train", "valid", "test")) == 40
    assert set(manifest["sha256"]) == {"train", "valid", "test", "replay"}
    assert manifest["turn_ids"]["valid"] == [row["turn_id"] for row in rows["valid"]]


def test_few_conversations_leave_enough_for_the_gate() -> None:
    for count in (2, 8, 24, 40, 80, 400):
        data = from_approved("sft-lora", approved(count))
        parts = divide(data)
        assert divide(data) == parts
        assert parts.replay == []
        sides = (parts.train, parts.valid, parts.test)
        names = [{row["conversation_id"] for row in part} for part in sides]
        assert sum(map(len, names)) == len(set.union(*names)) == count
        assert len(names[1]) >= min(8, max(1, count // 4))
        assert len(names[0]) >= count * 0.6 or count == 2
    _, valid, test = names
    assert abs(len(valid) / 400 - 0.1) < 0.05 and abs(len(test) / 400 - 0.1) < 0.05


def repeated(count: int, times: int) -> Approved:
    """So many answers, each in so many conversations; half of the examples have a pair too."""
    rows = approved(count * times)

    def answer(n: int, noise: str = "") -> str:
        return f"녹차 {n // times}{noise}"

    examples = [
        replace(e, messages=(e.messages[0], Message("assistant", answer(n, "." * (n % 2)))))
        for n, e in enumerate(rows.examples)
    ]
    pairs = [replace(pair, chosen=answer(n)) for n, pair in enumerate(rows.pairs)]
    judged = [replace(one, completion=answer(n)) for n, one in enumerate(rows.judged)]
    return replace(rows, examples=tuple(examples), pairs=tuple(pairs[::2]), judged=tuple(judged))


def answers(rows: Iterable[dict[str, Any]]) -> set[str]:
    found = (row.get("messages") or row.get("chosen") or row["completion"] for row in rows)
    return {messages[-1]["content"].rstrip(".") for messages in found}


@pytest.mark.parametrize("method", ["sft-lora", "dpo", "kto"])
def test_what_several_conversations_say_is_on_one_side(make: Make, method: Any) -> None:
    """As after a fix that was applied to similar turns, or with duplicates that were approved."""
    site = make("slow", source=Source(repeated(20, 5)))
    job = site.start(method)
    data = site.supervisor.folder(job.id) / "data"
    parts = {
        path.stem: list(map(json.loads, path.read_text("utf-8").splitlines()))
        for path in data.glob("*.jsonl")
    }
    learned = answers([*parts["train"], *parts.get("replay", [])])
    held_out = answers([*parts["valid"], *parts["test"]])
    assert len(answers(parts["valid"])) >= 5
    assert not learned & held_out
    # The gate counts them once.
    read = read_rows(data / "valid.jsonl", method)
    assert len({row.conversation_id for row in read}) == len(answers(parts["valid"]))


def talks(count: int, own: int, courtesy: bool) -> Approved:
    """So many conversations of so many answers of their own, and thanks at the end of each."""
    rows = approved(count * (own + courtesy))
    examples = []
    for n, example in enumerate(rows.examples):
        talk, place = divmod(n, own + courtesy)
        said = [Message("user", f"질문 {n}"), Message("assistant", f"답 {n}")]
        if courtesy and place == own:
            said = [Message("user", "고마워!"), Message("assistant", "천만에요!")]
        examples.append(replace(example, conversation_id=f"t_{talk}", messages=tuple(said)))
    return replace(rows, examples=tuple(examples), pairs=(), judged=())


def test_one_long_conversation_is_learned_from() -> None:
    for n in range(50):
        rows = talks(1, 20, False)
        named = [replace(e, conversation_id=f"only_{n}") for e in rows.examples]
        parts = divide(from_approved("sft-lora", replace(rows, examples=tuple(named))))
        assert (len(parts.train), len(parts.valid), len(parts.test)) == (20, 0, 0)


def test_a_courtesy_does_not_tie_everything_together() -> None:
    parts = divide(from_approved("sft-lora", talks(40, 3, True)))
    names = [{row["conversation_id"] for row in part} for part in (parts.train, parts.valid)]
    assert len(names[0]) >= 24 and len(names[1]) == 8
    assert not answers(parts.train) & answers([*parts.valid, *parts.test])
    assert len(parts.valid) == 24


def test_what_is_held_out_of_the_examples_is_not_mixed_into_dpo() -> None:
    """Most conversations have no pair, so that DPO alone would not know their side."""
    rows = approved(60)
    rows = replace(rows, pairs=rows.pairs[:15])
    parts = divide(from_approved("sft-lora", rows))
    apart = {row["turn_id"] for row in (*parts.valid, *parts.test)}
    replay = {row["turn_id"] for row in divide(from_approved("dpo", rows)).replay}
    assert len(replay) > 30 and not replay & apart


def test_kto_holds_out_enough_of_both_thumbs() -> None:
    rows = approved(60)
    judged = [replace(one, label=k % 3 > 0) for k, one in enumerate(rows.judged)]
    parts = divide(from_approved("kto", replace(rows, judged=tuple(judged))))
    for label, wanted in ((True, 8), (False, 4)):
        held_out = {r["conversation_id"] for r in parts.valid if r["label"] is label}
        assert len(held_out) >= wanted


def test_kto_learns_from_both_thumbs() -> None:
    """Also when all dislikes stand in one conversation, which might be held out."""
    rows = approved(40)
    for n in range(30):
        judged = [
            replace(one, label=k >= 4, conversation_id=f"bad_{n}" if k < 4 else f"good_{n}_{k}")
            for k, one in enumerate(rows.judged)
        ]
        parts = divide(from_approved("kto", replace(rows, judged=tuple(judged))))
        assert {row["label"] for row in parts.train} == {True, False}


def test_kto_rows(make: Make) -> None:
    site = make("slow")
    folder = site.supervisor.folder(site.start("kto").id)
    row = json.loads((folder / "data" / "train.jsonl").read_text("utf-8").splitlines()[0])
    assert row["prompt"] == [{"role": "user", "content": "차를 추천해 줘"}]
    assert row["completion"][0]["role"] == "assistant"
    assert isinstance(row["label"], bool)


def test_a_candidate_that_is_worse_is_refused_and_kept(make: Make) -> None:
    site = make("worse")
    job = site.finished(site.start())
    assert (job.state, job.version) == ("rejected", None)
    assert job.reason.startswith("gate.")
    assert job.verdict and not job.verdict["passed"]
    assert site.versions.current() == "base" and site.registry.versions() == []
    assert site.training.job(job.id).can_override
    done = site.training.override(job.id, "ann")
    assert (done.state, done.version, done.overridden_by) == ("rejected", "v1.0", "ann")
    assert site.versions.current() == "v1.0"
    assert "against the gate" in site.registry.metadata("v1.0")["notes"]
    assert site.registry.report("v1.0")["overridden_by"] == "ann"
    with pytest.raises(TrainError):
        site.training.override(job.id, "bob")


def test_who_lets_a_candidate_by_learns_that_it_could_not_be_put_to_use(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make("worse")
    job = site.finished(site.start())

    def pinned(*_: object) -> None:
        raise VersionError("pinned", "ADAPTER_PATH decides which version answers.")

    monkeypatch.setattr(site.versions, "promote", pinned)
    with pytest.raises(VersionError, match="ADAPTER_PATH"):
        site.training.override(job.id, "ann")
    # The version is there, published against the gate, and can be promoted later.
    done = site.training.get(job.id)
    assert (done.version, done.overridden_by) == ("v1.0", "ann")
    assert site.versions.current() == "base"


def test_not_put_to_use_over_a_version_it_was_not_held_against(make: Make) -> None:
    site = make()
    for _ in range(2):
        site.finished(site.start())
    job = site.start()
    site.versions.rollback("ann")
    job = site.finished(job)
    assert (job.state, job.reason) == ("rejected", "gate.current_changed")
    assert job.reason_values == {"was": "v1.1", "now": "v1.0"}
    assert site.versions.current() == "v1.0"
    # It was looked at.
    assert site.training.override(job.id, "ann").version == "v1.2"
    assert site.versions.current() == "v1.2"


def test_the_version_in_use_changes_while_it_is_published(make: Make) -> None:
    site = make()
    site.finished(site.start())
    job = site.start()
    site = make(prove=lambda folder: site.versions.promote("base", "ann") and {})
    job = site.finished(job)
    assert (job.state, job.version, job.reason) == ("succeeded", "v1.1", "current_changed")
    assert site.versions.current() == "base"


def test_a_run_taken_up_again_is_held_against_what_is_in_use_then(make: Make) -> None:
    site = make()
    for _ in range(2):
        site.finished(site.start())
    slow = make("slow")
    job = slow.start()
    slow.until(lambda: slow.steps(job) >= 1)
    slow.training.cancel(job.id)
    site.versions.rollback("ann")
    site.versions.delete("v1.1", "ann")
    site.training.resume(job.id)
    job = site.finished(job)
    assert (job.state, job.data["parent"], job.version) == ("succeeded", "v1.0", "v1.2")


def test_a_version_in_use_that_cannot_be_scored(make: Make) -> None:
    site = make()
    site.finished(site.start())
    site.supervisor._command = lambda folder: [sys.executable, str(FAKE), str(folder), "unscored"]
    job = site.finished(site.start())
    assert (job.state, job.reason) == ("rejected", "gate.current_scored")


def test_a_bare_adapter_in_use_is_told_to_the_trainer(make: Make, tmp_path: Path) -> None:
    site = make("slow")
    bare = Version("mine", str(tmp_path / "mine"), "", None)
    shelf = site.learning.training._planner._versions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "all", lambda: [bare])
        patch.setattr(shelf, "current", lambda: "mine")
        job = site.start()
    config = json.loads((site.supervisor.folder(job.id) / "job.json").read_text())
    assert config["current_adapter"] == bare.path


def test_what_the_version_in_use_was_trained_on_is_not_held_against_a_candidate(
    make: Make,
) -> None:
    """Of 24 conversations 6 are held out, of 32 there are 8: some were trained on before."""
    site = make(source=Source(approved(24)))
    first = site.finished(site.start())
    before = json.loads(
        (site.supervisor.folder(first.id) / "data" / "manifest.json").read_text("utf-8")
    )
    learned = before["turn_ids"]["train"]
    names = [*learned[:2], "t_x", "t_y", "t_z", "t_u", "t_v", "t_w"]

    def scores(nll: Callable[[str], float]) -> list[dict[str, Any]]:
        return [
            {"turn_id": n, "conversation_id": f"of {n}", "nll": nll(n), "tokens": 10} for n in names
        ]

    result = {
        "state": "trained",
        "scores": {
            "base": scores(lambda n: 40.0),
            "candidate": scores(lambda n: 30.0),
            "current": scores(lambda n: 1.0 if n in learned else 30.0),
        },
    }
    outcome = site.training._outcome
    job = site.start()
    verdict, _ = outcome._verdict(site.get(job), result)
    (check,) = [c for c in verdict.checks if c.name == "gate.not_worse_than_current"]
    assert check.passed and check.values["difference"] == 0
    site.training.discard(first.id)
    again, _ = outcome._verdict(site.get(job), result)
    assert again == verdict, "a run that is forgotten makes no difference"
    site.supervisor.delete(first.id)
    verdict, _ = outcome._verdict(site.get(job), result)
    assert not verdict.passed, "what it was trained on is not known any more"


def test_made_but_not_used(make: Make) -> None:
    site = make()
    job = site.finished(site.start(promote="never"))
    assert (job.state, job.version) == ("succeeded", "v1.0")
    assert site.versions.current() == "base"


def test_a_dry_run_makes_no_version(make: Make) -> None:
    site = make()
    job = site.finished(site.start(dry_run=True))
    assert (job.state, job.version, job.dry_run) == ("succeeded", None, True)
    assert json.loads((site.supervisor.folder(job.id) / "job.json").read_text())["dry_run"] is True


def test_what_stays_when_publishing_fails(make: Make) -> None:
    class FullDisk(Disk):
        def copy(self, source: Path, target: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    first = make()
    before = first.finished(first.start())
    site = make(disk=FullDisk())
    job = site.finished(site.start())
    assert (job.state, job.reason, job.version) == ("failed", "publish_failed", None)
    assert site.versions.current() == before.version
    assert (site.supervisor.folder(job.id) / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.slow
def test_the_real_trainer_on_a_tiny_model(make: Make, tmp_path: Path) -> None:
    from tests.engine.transformers_tiny import save_qwen2

    site = make(real=save_qwen2(tmp_path / "tiny"))
    # As in a server with many connections: the lock gets a high number.
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]
    quick = {"learning_rate": 5e-3, "epochs": 2, "rank": 4, "max_length": 256}
    job = site.start(hyperparameters=quick)
    site.until(lambda: site.get(job).state in TERMINAL, within_s=200)
    ended = site.get(job)
    assert ended.state == "succeeded", (ended, site.training.job(job.id).log_tail)
    assert site.versions.current() == ended.version == "v1.0"
    losses = (ended.verdict or {})["losses"]
    assert losses["candidate"] < losses["base"]
    assert ended.took["steps"] == site.steps(job) > 0
    for handle in held:
        os.close(handle)


# -- refusals ----------------------------------------------------------------------------------


def test_too_little_data_says_how_much_is_missing(make: Make) -> None:
    site = make(source=Source(approved(3)))
    with pytest.raises(NotEnoughData) as caught:
        site.start()
    assert caught.value.missing == 5
    assert site.training.jobs() == []
    assert site.training.propose().missing["sft-lora"] == 5


@pytest.mark.parametrize(
    "options",
    [
        {"method": "magic"},
        {"promote": "always"},
        {"hyperparameters": {"rank": 0}},
        {"hyperparameters": {"nonsense": 1}},
        {"base_model": "Qwen3-8B"},
        {"dataset": "../data/javis.jnl"},
        {"dataset": "/etc/passwd"},
        {"dataset": "none.jsonl"},
        {"dataset": "x\0.jsonl"},
    ],
)
def test_what_cannot_be_started(make: Make, options: dict[str, Any]) -> None:
    site = make()
    with pytest.raises(UserInputError):
        site.start(**options)
    assert site.training.jobs() == []


def test_too_little_memory_or_disk(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make()
    small = Hardware(cores=2, ram_total=1 << 30, ram_available=100 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(site.training._planner, "_look", lambda: small)
        with pytest.raises(TrainError, match="GB of memory"):
            site.start()
    usage = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr("javis.service.training_plan.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(TrainError, match="on the disk"):
        site.start()
    assert site.training.jobs() == []


def test_ten_starts_at_once_make_one_run(make: Make) -> None:
    site = make("slow")
    refused, started = [], []
    gate = threading.Barrier(10)

    def start() -> None:
        gate.wait()
        try:
            started.append(site.start())
        except AlreadyTraining as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(started), len(refused), len(site.training.jobs())) == (1, 9, 1)


def test_nothing_is_left_of_a_run_that_could_not_start(make: Make) -> None:
    site = make()
    site.supervisor._command = lambda folder: ["/no/such/program"]
    with pytest.raises(TrainError):
        site.start()
    [job] = site.training.jobs()
    assert (job.state, job.reason) == ("failed", "no_trainer")


# -- a file of one's own -----------------------------------------------------------------------


def lay(site: Site, *rows: object) -> str:
    site.settings.exports_dir.mkdir(exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (site.settings.exports_dir / "mine.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return "mine.jsonl"


def chat(answer: object = "Green.") -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": answer}]
    }


def test_a_data_set_of_the_exports_folder(make: Make) -> None:
    site = make()
    job = site.finished(site.start(dataset=lay(site, *[chat(f"Tea {i}") for i in range(20)])))
    assert (job.state, job.dataset) == ("succeeded", "mine.jsonl")
    assert job.data["conversations"] == 20


@pytest.mark.parametrize(
    "row",
    [
        "{",
        "[]",
        "5",
        {},
        {"messages": []},
        {"messages": [{"role": "user", "content": "x"}]},
        chat(5),
        chat(""),
        chat("\ud800"),
        {"messages": [{"role": "tool", "content": "x"}]},
        {**chat(), "conversation_id": 5},
        {"prompt": [], "completion": []},
    ],
    ids=range(12),
)
def test_a_data_set_with_a_bad_row(make: Make, row: object) -> None:
    site = make()
    with pytest.raises(UserInputError, match="10 "):
        site.start(dataset=lay(site, *[chat()] * 9, row))


def test_other_columns_of_a_data_set_are_left_out(make: Make) -> None:
    site = make()
    rows = [{**chat(f"Tea {i}"), "prompt": "Tea?", "group": "all"} for i in range(20)]
    job = site.finished(site.start(dataset=lay(site, *rows)))
    assert job.state == "succeeded"
    folder = site.supervisor.folder(job.id) / "data"
    row = json.loads((folder / "train.jsonl").read_text().splitlines()[0])
    assert set(row) == {"messages", "turn_id", "conversation_id", "source"}


def test_a_link_out_of_the_exports_folder(make: Make, tmp_path: Path) -> None:
    site = make()
    (tmp_path / "secret.jsonl").write_text(json.dumps(chat()))
    site.settings.exports_dir.mkdir()
    (site.settings.exports_dir / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    with pytest.raises(UserInputError, match="no JSONL file"):
        site.start(dataset="link.jsonl")


# -- ends that nobody planned ------------------------------------------------------------------


def test_cancel_while_it_trains_and_go_on(make: Make) -> None:
    site = make("slow")
    job = site.start()
    site.until(lambda: site.steps(job) >= 2)
    begun = time.monotonic()
    ended = site.training.cancel(job.id)
    assert time.monotonic() - begun < 5
    assert ended.state == "cancelled" and ended.ended_at
    assert site.training.cancel(job.id).state == "cancelled"
    assert site.training.job(job.id).resumable
    site.supervisor._command = lambda folder: [sys.executable, str(FAKE), str(folder)]
    again = site.training.resume(job.id)
    assert (again.id, again.state) == (job.id, "running")
    assert json.loads((site.supervisor.folder(job.id) / "job.json").read_text())["resume"] is True
    assert site.finished(job).version == "v1.0"


def test_cancel_one_that_does_not_listen(make: Make) -> None:
    site = make("slow", "deaf", grace_s=0.5)
    job = site.start()
    site.until(lambda: site.steps(job) >= 1)
    begun = time.monotonic()
    assert site.training.cancel(job.id).state == "cancelled"
    assert time.monotonic() - begun < 5
    assert not is_alive(Worker(job.pid or 0, job.pid_started or 0))


def test_cancel_before_the_trainer_is_there(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody cancels while the rows are being written."""
    site = make("slow")
    launch = site.supervisor.start

    def late(job_id: str, lock: Any) -> Worker:
        assert site.training.cancel(job_id).state == "cancelled"
        return launch(job_id, lock)

    monkeypatch.setattr(site.supervisor, "start", late)
    job = site.start()
    assert job.state == "cancelled"
    with site.supervisor.reserved():
        pass


def test_cancel_while_it_is_published(make: Make) -> None:
    site = make(prove=lambda folder: site.training.cancel(site.training.jobs()[0].id) and {})
    job = site.finished(site.start())
    assert (job.state, job.reason) == ("cancelled", "")
    assert site.registry.versions() == [] and site.versions.current() == "base"
    assert site.training.job(job.id).resumable


@pytest.mark.parametrize("when", ["before", "while"])
def test_cancelled_never_goes_live(make: Make, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Just before it is put to use there is time to cancel; while that happens there is not."""
    site = make()
    outcome = site.training._outcome
    name = "refresh" if when == "before" else "promote"
    go_on = getattr(outcome.versions, name)

    def meanwhile(*what: Any, **more: Any) -> Any:
        for job in site.training.jobs():
            site.training.cancel(job.id)
        return go_on(*what, **more)

    monkeypatch.setattr(outcome.versions, name, meanwhile)
    job = site.finished(site.start())
    live = site.versions.current()
    assert (job.state, live) == (
        ("cancelled", "base") if when == "before" else ("succeeded", "v1.0")
    )


def test_a_killed_trainer(make: Make) -> None:
    site = make("slow")
    job = site.start()
    site.until(lambda: site.steps(job) >= 1)
    os.killpg(job.pid or 0, signal.SIGKILL)
    job = site.finished(job)
    assert (job.state, job.reason) == ("failed", "killed")
    assert site.training.job(job.id).resumable
    assert site.versions.current() == "base"


def test_a_trainer_that_crashes(make: Make) -> None:
    site = make("crash")
    job = site.finished(site.start())
    assert (job.state, job.reason) == ("failed", "crashed")
    assert "out of luck" in site.training.job(job.id).log_tail


def test_a_trainer_that_hangs(make: Make) -> None:
    site = make("stuck", stall_s=1.0)
    job = site.finished(site.start())
    assert (job.state, job.reason) == ("failed", "stalled")
    assert not is_alive(Worker(job.pid or 0, job.pid_started or 0))


def restart(site: Site, make: Make, *words: str) -> Site:
    """Another start of the program, while the old one's handles are simply left behind."""
    return make(*words)


def test_started_again_with_another_model(make: Make) -> None:
    """What was trained waits for its own model: another one can neither judge nor serve it."""
    first = make()
    job = first.start()
    first.until(lambda: first.supervisor.result(job.id) is not None)
    other = make(model="another")
    job = other.finished(job)
    assert (job.state, job.reason, job.version) == ("failed", "run_of_other_base", None)
    assert other.registry.versions() == []
    with pytest.raises(TrainError, match="scripted"):
        other.training.resume(job.id)
    again = make()
    again.training.resume(job.id)
    assert again.finished(job).version == "v1.0"


def test_the_server_is_started_again_while_it_trains(make: Make) -> None:
    first = make("slow")
    job = first.start()
    second = restart(first, make)
    second.learning.keeper.tick()
    assert second.get(job).state == "running"
    second.until(lambda: second.steps(job) >= 2)
    assert second.training.cancel(job.id).state == "cancelled"
    assert not is_alive(Worker(job.pid or 0, job.pid_started or 0))


def test_without_the_stored_process_a_restart_leaves_an_orphan(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant: the next server knows the run, and not who trains it."""
    first = make("slow")
    job = first.start()
    second = restart(first, make)
    with monkeypatch.context() as patch:
        patch.setattr("javis.service.training.worker_of", lambda job: None)
        patch.setattr("javis.service.run_keeper.worker_of", lambda job: None)
        assert second.training.cancel(job.id).state == "cancelled"
        second.learning.keeper.tick()
    worker = Worker(job.pid or 0, job.pid_started or 0)
    assert is_alive(worker), "it says cancelled and trains on"
    with pytest.raises(AlreadyTraining):
        second.start()
    second.supervisor.stop(worker)


def test_the_run_ended_while_no_server_ran(make: Make) -> None:
    first = make()
    job = first.start()
    deadline = time.monotonic() + 10
    while first.supervisor.result(job.id) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    while first.supervisor.is_alive(Worker(job.pid or 0, job.pid_started or 0)):
        time.sleep(0.02)
    second = restart(first, make)
    assert second.finished(job).version == "v1.0"


def test_both_were_killed(make: Make) -> None:
    first = make("slow")
    job = first.start()
    first.until(lambda: first.steps(job) >= 1)
    os.killpg(job.pid or 0, signal.SIGKILL)
    second = restart(first, make)
    job = second.finished(job)
    assert (job.state, job.reason) == ("failed", "interrupted")
    assert second.training.job(job.id).resumable
    # A new run can start at once.
    assert second.finished(second.start()).state == "succeeded"


def test_killed_before_the_trainer_was_there(make: Make) -> None:
    site = make()
    job = TrainJob("j_" + "1" * 32, "2026-01-01T00:00:00Z", "local", "sft-lora", "scripted", {})
    site.store.jobs.add(job)
    assert site.finished(job).reason == "interrupted"
    with pytest.raises(TrainError):
        site.training.resume(job.id)


def test_a_pid_that_is_somebody_elses_now(make: Make) -> None:
    site = make()
    assert site.finished(somebody_elses_pid(site)).reason == "interrupted"


def killed_trainer(site: Site) -> TrainJob:
    """A run whose trainer was killed, and is still in the system's list: nobody waited for it."""
    job = site.start()
    site.until(lambda: site.steps(job) >= 1)
    worker = Worker(job.pid or 0, job.pid_started or 0)
    os.killpg(worker.pid, signal.SIGKILL)
    site.until(lambda: not is_alive(worker))
    return job


def somebody_elses_pid(site: Site) -> TrainJob:
    """A run whose trainer is long gone, and its pid another process's."""
    job = TrainJob(
        *("j_" + "1" * 32, "2026-01-01T00:00:00Z", "local", "sft-lora", "scripted", {}),
        state="running",
        pid=os.getpid(),
        pid_started=1.0,
    )
    site.store.jobs.add(job)
    return job


@pytest.mark.parametrize("die", [killed_trainer, somebody_elses_pid])
def test_a_status_that_asks_for_the_pid_alone_lies(
    make: Make, die: Callable[[Site], TrainJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant of the tests above: a run is taken for alive as long as its pid is."""
    first = make("slow")
    # The run's own keeper must not see it end.
    monkeypatch.setattr(first.learning.keeper, "tick", lambda: None)
    job = die(first)
    second = restart(first, make)
    with monkeypatch.context() as patch:
        patch.setattr("javis.train.supervisor.is_alive", lambda worker: pid_exists(worker.pid))
        for _ in range(3):
            second.learning.keeper.tick()
        assert second.get(job).state == "running"
    assert second.finished(job).reason == "interrupted"


def test_killed_between_publishing_and_writing_it_down(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make()
    job = first.start()

    class Killed(BaseException):
        """As kill -9: nothing after it runs."""

    def killed(job_id: str, **changed: Any) -> TrainJob:
        if "version" in changed:
            raise Killed
        return update(job_id, **changed)

    update = first.store.jobs.update
    with monkeypatch.context() as patch:
        patch.setattr(first.store.jobs, "update", killed)
        with pytest.raises(Killed):
            first.finished(job)
    assert [v.name for v in first.registry.versions()] == ["v1.0"]
    assert first.versions.current() == "base"
    second = restart(first, make)
    job = second.finished(job)
    assert (job.state, job.version) == ("succeeded", "v1.0")
    assert [v.name for v in second.registry.versions()] == ["v1.0"]
    assert second.versions.current() == "v1.0"


def test_killed_while_it_is_published_against_the_gate(make: Make) -> None:
    class Killed(BaseException):
        """As kill -9: nothing after it runs."""

    def kill(folder: Path) -> dict[str, Any]:
        raise Killed

    first = make("worse", prove=kill)
    job = first.finished(first.start())
    with pytest.raises(Killed):
        first.training.override(job.id, "ann")
    second = restart(first, make)
    assert second.training.job(job.id).can_override
    done = second.training.override(job.id, "bob")
    assert (done.version, done.overridden_by) == ("v1.0", "bob")
    assert second.versions.current() == "v1.0"


def test_two_servers_bring_one_run_to_one_end(make: Make) -> None:
    proofs = []

    def prove(folder: Path) -> dict[str, Any]:
        proofs.append(folder)
        time.sleep(0.3)
        return {}

    sites = [make(prove=prove), make(prove=prove)]
    job = sites[0].start()
    end = time.monotonic() + 20
    while sites[0].get(job).state not in TERMINAL:
        assert time.monotonic() < end
        threads = [threading.Thread(target=s.learning.keeper.tick) for s in sites]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sites[1].get(job).state == "succeeded"
    assert len(proofs) == 1
    assert [v.name for v in sites[0].registry.versions()] == ["v1.0"]


def test_going_on_after_publishing_failed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained is not trained again."""
    site = make()
    site.lay_rule(nonsense=1)
    job = site.finished(site.start())
    assert (job.state, job.reason) == ("failed", "bad_gate")
    (site.settings.data_dir / "gate.json").unlink()
    site.training.resume(job.id)
    assert site.finished(job).version == "v1.0"
    starts = (site.supervisor.folder(job.id) / "starts").read_text().splitlines()
    assert len(starts) == 1


# -- after -------------------------------------------------------------------------------------


def test_looking_at_it_and_forgetting_it(make: Make) -> None:
    site = make()
    job = site.start()
    with pytest.raises(AlreadyTraining):
        site.training.discard(job.id)
    site.finished(job)
    view = site.training.job(job.id)
    assert (view.progress.step, view.progress.total_steps, view.progress.eta_s) == (4, 4, 0)
    assert [e.kind for e in site.training.events(job.id)] == ["phase", *["step"] * 4, "done"]
    assert not view.resumable and not view.can_override
    site.training.discard(job.id)
    left = [path for path in site.supervisor.folder(job.id).rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["manifest.json"], "which turns v1.0 learned from"
    assert "녹차" not in left[0].read_text("utf-8")
    assert site.training.jobs() == [] and site.versions.current() == "v1.0"
    for act in (site.training.job, site.training.events, site.training.cancel):
        with pytest.raises(NotFound):
            act(job.id)


def test_nothing_stays_of_a_run_that_made_no_version(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make("worse")
    job = site.finished(site.start())
    assert job.state == "rejected"

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(site.store.jobs, "discard", dies)
        with pytest.raises(KeyboardInterrupt):
            site.training.discard(job.id)
    # A listed run without files can be forgotten again; files of no run would stay for good.
    assert not site.supervisor.folder(job.id).exists()
    site.training.discard(job.id)
    assert site.training.jobs() == []


def test_estimate_and_form(make: Make) -> None:
    site = make()
    estimate = site.training.estimate("sft-lora")
    assert estimate.seconds > 0 and estimate.memory_bytes > 0
    assert set(estimate.cost) == {"local", "rented", "serverless"}
    assert estimate.cost["local"] == 0
    form = site.training.form("prompt-tuning")
    assert "virtual_tokens" in form.values and "rank" not in form.values
    assert form.ranges.keys() == form.values.keys()
    assert site.training.form("sft-lora", "deep").values["rank"] == 64
    with pytest.raises(UserInputError):
        site.training.form("sft-lora", "none")


def test_the_proposal(make: Make) -> None:
    site = make()
    proposal = site.training.propose()
    assert site.training.propose() == proposal and site.source.asked == 1
    site.store.conversations.create("local")
    assert site.training.propose() == proposal and site.source.asked == 2
    assert proposal.method == "sft-lora"
    assert proposal.counts["pairs"] == 40 and proposal.counts["conversations"] == 40
    assert proposal.languages == ("ko",)
    assert set(proposal.missing.values()) == {0}


@pytest.mark.parametrize(("words", "state"), [((), "succeeded"), (("worse",), "rejected")])
def test_checkpoints_of_a_run_that_came_to_its_end_are_deleted(
    make_training: Make, words: tuple[str, ...], state: str
) -> None:
    site = make_training(*words)
    job = site.start()
    checkpoint = site.supervisor.folder(job.id) / "checkpoint-2"
    checkpoint.mkdir()
    (checkpoint / "optimizer.pt").write_bytes(b"0" * 100)
    assert site.finished(job).state == state
    assert not checkpoint.exists()
    assert (site.supervisor.folder(job.id) / "adapter").is_dir()


def test_a_cancelled_run_keeps_its_checkpoints(make_training: Make) -> None:
    site = make_training("slow")
    job = site.start()
    site.until(lambda: site.steps(job))
    checkpoint = site.supervisor.folder(job.id) / "checkpoint-2"
    checkpoint.mkdir()
    site.training.cancel(job.id)
    site.learning.keeper.tick()
    assert checkpoint.exists()
