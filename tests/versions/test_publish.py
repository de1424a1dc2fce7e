"""A version is there whole or not at all, wherever publishing is killed or the disk is full."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from javis.core.errors import Busy, VersionError
from javis.versions.disk import Disk, locked, remove_tree
from javis.versions.publish import clean_up, next_version, publish, staging
from javis.versions.registry import Registry
from tests.versions.making import METADATA, add_version, make_adapter

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are tried with fork"),
    # From Python 3.12 on it warns; the children touch nothing that a thread of ours could hold.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

WRITES = ("copy", "write", "append")
CALLS = ("make_dir", "copy", "write", "append", "sync", "sync_dir", "seal", "rename", "replace")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return make_adapter(tmp_path / "trained")


class Counting(Disk):
    """Calls `at` before the call number `step` of those that change the disk; None: never."""

    def __init__(self, step: int | None = None) -> None:
        self.step, self.calls, self.log = step, 0, []  # type: ignore[var-annotated]

    def __getattribute__(self, name: str) -> Any:
        if name not in CALLS:
            return super().__getattribute__(name)
        real = super().__getattribute__(name)

        def call(*args: Any) -> Any:
            self.calls += 1
            self.log.append((name, *args))
            if self.calls == self.step:
                return self.strike(name, real, *args)
            return real(*args)

        return call

    def strike(self, name: str, real: Callable[..., Any], *args: Any) -> Any:
        return real(*args)


class Killing(Counting):
    """Kills its process at a step: before it, in the middle of it, or right after."""

    def __init__(self, step: int, when: str) -> None:
        super().__init__(step)
        self.when = when

    def strike(self, name: str, real: Callable[..., Any], *args: Any) -> Any:
        if self.when == "after":
            real(*args)
        if self.when == "midway" and name in WRITES:
            path, data = (args[1], args[0].read_bytes()) if name == "copy" else args
            with path.open("ab") as handle:
                handle.write(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)


class Full(Counting):
    """The disk is full, or has a fault, from a step on."""

    def __init__(self, step: int, error: int) -> None:
        super().__init__(step)
        self.error = error

    def strike(self, name: str, real: Callable[..., Any], *args: Any) -> Any:
        raise OSError(self.error, os.strerror(self.error))


def in_child(work: Callable[[], None]) -> bool:
    """Run in a forked process; False when it was killed."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return not os.WIFSIGNALED(status)


def sweep(work: Callable[[Disk], None], when: str) -> Iterator[int]:
    """Kill `work` at its first step, its second, …; yields after each until it lives."""
    step = 1
    while not in_child(partial(work, Killing(step, when))):
        yield step
        step += 1
    assert step > 5, "nothing was killed"


def check_readers(models: Path) -> int:
    """What a reader finds is whole; returns how many versions there are."""
    found = Registry(models).versions()
    assert [v.damaged for v in found if v.damaged] == []
    return len(found)


@pytest.mark.parametrize("when", ["before", "midway", "after"])
def test_killed_at_any_step_readers_see_whole_versions(
    models: Path, adapter: Path, when: str
) -> None:
    add_version(models)
    there = 1
    for _ in sweep(
        lambda disk: publish(models, adapter, METADATA, {"curve": []}, job="j", disk=disk) and None,
        when,
    ):
        now = check_readers(models)
        assert there <= now <= there + 1
        there = now
        assert Registry(models).current() == "base"
        clean_up(models)
        assert not list(models.glob(".staging*"))
    assert check_readers(models) == there + 1


def test_publishing_in_place_is_seen_by_that_test(models: Path, adapter: Path) -> None:
    """The broken variant: files written where readers look."""

    def in_place(disk: Disk) -> None:
        folder = models / "v9.0"
        remove_tree(folder)
        disk.make_dir(folder)
        disk.make_dir(folder / "adapter")
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            disk.copy(adapter / name, folder / "adapter" / name)
        text = json.dumps(METADATA | {"version": "v9.0", "created_at": "now"})
        disk.write(folder / "metadata.json", text.encode())

    with pytest.raises(AssertionError):
        for _ in sweep(in_place, "midway"):
            check_readers(models)


def unsynced(log: list[tuple[Any, ...]]) -> set[str]:
    """What a power cut after the rename could take away, by the calls that were made."""
    lost: set[str] = set()
    for name, *args in log:
        if name in ("write", "copy"):
            lost.add(str(args[-1] if name == "copy" else args[0]))
            lost.add(str((args[-1] if name == "copy" else args[0]).parent) + "/")
        elif name == "make_dir":
            lost.add(f"{args[0].parent}/")
        elif name == "sync":
            lost.discard(str(args[0]))
        elif name == "sync_dir":
            lost.discard(f"{args[0]}/")
        elif name == "rename":
            # The parent's own names may wait: without them the staging folder is just not there.
            return lost - {f"{args[0].parent}/"}
    raise AssertionError("nothing was renamed")


def test_everything_is_on_the_disk_before_the_rename(models: Path, adapter: Path) -> None:
    disk = Counting()
    publish(models, adapter, METADATA, {}, job="j", disk=disk)
    assert unsynced(disk.log) == set()
    after = [entry[0] for entry in disk.log[[e[0] for e in disk.log].index("rename") :]]
    assert after[:2] == ["rename", "sync_dir"]
    for left_out in ("sync", "sync_dir"):
        assert unsynced([entry for entry in disk.log if entry[0] != left_out])


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_at_any_step_changes_nothing(models: Path, adapter: Path, error: int) -> None:
    add_version(models)
    whole = Counting()
    publish(models, adapter, METADATA, {}, job="whole", disk=whole)
    renamed = 1 + [entry[0] for entry in whole.log].index("rename")
    before = sorted(str(p) for p in models.rglob("*"))
    for step in range(1, renamed + 1):
        with pytest.raises(VersionError, match="Nothing was changed") as caught:
            publish(models, adapter, METADATA, {}, job="j", disk=Full(step, error))
        assert caught.value.code == "publish_failed"
        assert os.strerror(error) in str(caught.value)
        assert sorted(str(p) for p in models.rglob("*")) == before, step
    for step in range(renamed + 1, whole.calls + 1):
        # The version is there and whole; only its line in the history may be missing.
        assert (
            publish(models, adapter, METADATA, {}, job="j", disk=Full(step, error)).damaged is None
        )


def test_a_real_limit_on_the_size_of_files(models: Path, adapter: Path) -> None:
    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        with pytest.raises(VersionError, match="File too large"):
            publish(models, adapter, METADATA, {}, job="j")

    assert in_child(work)
    assert [p.name for p in models.iterdir()] == [".lock"] or not list(models.iterdir())


def test_what_is_published(models: Path, tmp_path: Path) -> None:
    source = make_adapter(tmp_path / "a", base_model_name_or_path="/home/somebody/secret/model")
    (source / "README.md").write_text("not taken")
    more = {"parent": "v0.9", "manifest_sha256": "ab" * 32}
    report = {"verdict": {"passed": True}, "curve": [{"step": 1, "loss": 2.0}]}
    version = publish(models, source, METADATA | more, report, job="run-7", by="admin")
    folder = models / "v1.0"
    assert version.name == "v1.0"
    assert version.damaged is None
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert files == [
        "MANIFEST.json",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "metadata.json",
        "report.json",
    ]
    metadata = json.loads((folder / "metadata.json").read_text())
    assert list(metadata)[:6] == [
        *("version", "base_model", "created_at", "training_data", "training_config", "notes")
    ]
    assert metadata["version"] == "v1.0"
    assert metadata["parent"] == "v0.9"
    assert json.loads((folder / "report.json").read_text()) == report
    assert "secret" not in (folder / "adapter/adapter_config.json").read_text()
    assert not any(p.stat().st_mode & 0o222 for p in folder.rglob("*")), "read-only"
    event = Registry(models).history()[0]
    assert (event.by, event.before, event.after, event.reason) == (
        *("admin", None, "v1.0"), "published",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("taken", "line", "name"),
    [
        ([], None, "v1.0"),
        ([], 4, "v1.0"),
        (["v1.0"], 1, "v1.1"),
        (["v1.0", "v1.9", "v1.10"], 1, "v1.11"),
        (["v1.0", "v2.3"], 1, "v1.1"),
        (["v1.0", "v2.3"], None, "v3.0"),
        (["current", "base", ".lock", "v1.2"], 1, "v1.3"),
    ],
)
def test_the_next_number(taken: list[str], line: int | None, name: str) -> None:
    assert next_version(taken, line) == name


def test_more_data_is_a_minor_version_and_another_method_a_major_one(models: Path) -> None:
    other = METADATA["training_config"] | {"method": "dpo"}
    assert add_version(models).name == "v1.0"
    assert add_version(models).name == "v1.1"
    assert add_version(models, training_config=other).name == "v2.0"
    assert add_version(models, training_config=other).name == "v2.1"
    assert add_version(models).name == "v1.2"
    assert add_version(models, base_model="Qwen2.5-7B-Instruct").name == "v3.0"


def test_the_number_of_a_deleted_version_is_not_used_again(models: Path) -> None:
    for _ in range(2):
        add_version(models)
    Registry(models).delete("v1.1")
    assert add_version(models).name == "v1.2"


def test_what_fails_its_trial_is_not_published(models: Path, adapter: Path) -> None:
    def no_good(folder: Path) -> dict[str, Any]:
        assert (folder / "adapter" / "adapter_model.safetensors").is_file()
        raise VersionError("version_not_for_engine", "It changes nothing.")

    with pytest.raises(VersionError, match="changes nothing"):
        publish(models, adapter, METADATA, {}, job="j", prove=no_good)
    assert list(models.iterdir()) == []
    version = publish(models, adapter, METADATA, {}, job="j", prove=lambda folder: {"ok": 1})
    assert Registry(models).report(version.name) == {"proof": {"ok": 1}}


BAD_METADATA: list[dict[str, Any]] = [
    {"base_model": ""},
    {"base_model": None},
    {"training_data": None},
    {"training_data": {"total_conversations": -1, "total_turns": 1, "date_range": []}},
    {"training_data": {"total_conversations": 1, "total_turns": 1, "date_range": ["x"]}},
    {"training_config": {"method": ""}},
    {"training_config": {"method": "sft", "learning_rate": float("nan")}},
    {"notes": ["x"]},
    {"parent": 1},
    {"loss": float("inf")},
]


@pytest.mark.parametrize("change", BAD_METADATA, ids=str)
def test_metadata_that_is_not_whole_is_refused(
    models: Path, adapter: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(VersionError):
        publish(models, adapter, METADATA | change, {}, job="j")
    assert Registry(models).versions() == []


def test_a_broken_adapter_is_not_published(models: Path, tmp_path: Path) -> None:
    source = make_adapter(tmp_path / "bad")
    weights = source / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\xc0\x7f")  # NaN
    with pytest.raises(VersionError, match="no number"):
        publish(models, source, METADATA, {}, job="j")
    shutil.rmtree(source)
    make_adapter(source, r=5)
    with pytest.raises(VersionError, match="rank"):
        publish(models, source, METADATA, {}, job="j")
    assert not [p for p in models.iterdir() if p.name != ".lock"]


def test_two_programs_and_four_threads_publish_at_once(models: Path, adapter: Path) -> None:
    def one(number: int) -> None:
        publish(models, adapter, METADATA, {}, job=f"j{os.getpid()}-{number}")

    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            threads = [threading.Thread(target=one, args=(n,)) for n in range(2)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
        check_readers(models)
    names = [v.name for v in Registry(models).versions()]
    assert names == ["v1.0", "v1.1", "v1.2", "v1.3"]


def test_a_lock_left_behind_locks_nobody_out_and_a_held_one_does(
    models: Path, adapter: Path
) -> None:
    (models / ".lock").write_text("12345")  # The pid of somebody long gone.
    publish(models, adapter, METADATA, {}, job="j")
    with locked(models), pytest.raises(Busy) as caught, locked(models, wait_s=0.05):
        pass
    assert caught.value.code == "versions_busy"


def test_clean_up_leaves_what_is_being_worked_on(models: Path) -> None:
    (models / ".staging-dead").mkdir()
    (models / ".deleted-v1.0-ab").mkdir()
    with staging(models, "alive", Disk()) as folder:
        assert clean_up(models) == [".deleted-v1.0-ab", ".staging-dead"]
        assert folder.is_dir()
        with pytest.raises(Busy), staging(models, "alive", Disk()):
            pass
    assert not folder.exists()
    assert clean_up(models / "nothing") == []


def test_a_run_that_was_killed_can_be_published_again(models: Path, adapter: Path) -> None:
    (models / ".staging-run-1" / "adapter").mkdir(parents=True)
    (models / ".staging-run-1" / "adapter").chmod(0o555)
    assert publish(models, adapter, METADATA, {}, job="run-1").name == "v1.0"
