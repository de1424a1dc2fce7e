"""Promoting, rolling back and deleting; and what a crash in the middle of it leaves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from javis.core.errors import JavisError, UserInputError, VersionError
from javis.versions import history
from javis.versions.disk import Disk
from javis.versions.history import Event, served
from javis.versions.registry import Registry
from tests.versions.making import add_version
from tests.versions.test_publish import in_child

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
REAL = {"fsync": os.fsync, "replace": Path.replace, "open": Path.open}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for seed in range(3):
        add_version(folder, seed)
    return folder


@pytest.fixture
def registry(models: Path) -> Registry:
    return Registry(models)


def test_rollback_steps_back_one_by_one_to_the_base(registry: Registry) -> None:
    for name in ("v1.0", "v1.1", "v1.2"):
        registry.activate(name, by="ann")
    assert registry.before() == "v1.1"
    assert [registry.roll_back(by="bob") for _ in range(3)] == ["v1.1", "v1.0", "base"]
    assert registry.before() is None
    with pytest.raises(UserInputError) as caught:
        registry.roll_back(by="bob")
    assert caught.value.code == "nothing_before"
    switches = [e for e in registry.history() if e.reason != "published"]
    assert [(e.by, e.before, e.after) for e in switches] == [
        ("ann", "base", "v1.0"),
        ("ann", "v1.0", "v1.1"),
        ("ann", "v1.1", "v1.2"),
        ("bob", "v1.2", "v1.1"),
        ("bob", "v1.1", "v1.0"),
        ("bob", "v1.0", "base"),
    ]
    assert all(e.at.endswith("Z") for e in switches)


def test_rollback_goes_where_one_came_from_not_to_the_number_below(registry: Registry) -> None:
    for name in ("v1.2", "v1.0"):
        registry.activate(name)
    assert registry.roll_back() == "v1.2"
    registry.activate("base")
    assert registry.roll_back() == "v1.2"


def test_rollback_steps_over_what_is_damaged_or_gone(models: Path, registry: Registry) -> None:
    for name in ("v1.0", "v1.1", "v1.2"):
        registry.activate(name)
    (models / "v1.1" / "metadata.json").unlink()
    assert registry.before() == "v1.0"
    assert registry.roll_back() == "v1.0"


def test_a_pointer_written_by_hand_is_believed(models: Path, registry: Registry) -> None:
    registry.activate("v1.0")
    (models / "current").write_text("v1.2")
    assert registry.before() == "v1.0"
    registry.activate("v1.1")
    assert registry.history()[-1].before == "v1.2"


def writes(call: Callable[..., Any], options: dict[str, Any], *args: Any) -> bool:
    """Whether a call changes the disk; most of a switch's calls only read."""
    mode = str(options.get("mode", args[1] if len(args) > 1 else "r"))
    return call is not REAL["open"] or not {"w", "a", "+"}.isdisjoint(mode)


@pytest.mark.parametrize("step", range(1, 8))
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("switch", ["promote", "roll back"])
def test_killed_while_switching_the_old_or_the_new_one_answers(
    models: Path, registry: Registry, step: int, when: str, switch: str
) -> None:
    registry.activate("v1.0")
    if switch == "roll back":
        registry.activate("v1.1")
    calls = 0

    def struck(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal calls
            if not writes(real, options, *args):
                return real(*args, **options)
            calls += 1
            if calls == step and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **options)
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    def work() -> None:
        os.fsync = struck(REAL["fsync"])  # type: ignore[assignment]
        Path.replace = struck(REAL["replace"])  # type: ignore[method-assign]
        Path.open = struck(REAL["open"])  # type: ignore[method-assign]
        if switch == "promote":
            Registry(models).activate("v1.1")
        else:
            Registry(models).roll_back()

    assert not in_child(work), "the step is one of the switch"
    again = Registry(models)
    assert again.resolve_current() in (("v1.0", None), ("v1.1", None))
    # Whether the history was written or not, the way back is the right one.
    before = {"v1.0": "base", "v1.1": "v1.0"}[again.current()]
    assert again.before() == before
    answered = again.current()
    again.activate("v1.2")
    assert again.current() == "v1.2"
    assert again.before() == answered
    assert (again.roll_back(), again.before()) == (answered, before)


def test_the_history_survives_a_torn_line_and_strangers(models: Path, registry: Registry) -> None:
    registry.activate("v1.0", by="ann", note="because\nof {this}")
    path = models / "history.jsonl"
    whole = path.read_text()
    path.write_text(whole + "no json\n[]\n{}\n" + json.dumps({"at": 1}) + '\n{"at": "2026-')
    assert registry.history()[-1].note == "because\nof {this}"
    registry.activate("v1.1")
    assert [e.after for e in registry.history()][-2:] == ["v1.0", "v1.1"]
    path.unlink()
    assert registry.history() == []
    assert registry.before() == "base"


def test_a_history_that_cannot_be_written_does_not_undo_a_switch(models: Path) -> None:
    class Full(Disk):
        def append(self, path: Path, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    registry = Registry(models, Full())
    registry.activate("v1.0")
    assert registry.current() == "v1.0"
    assert registry.before() == "base"


def test_going_back_never_leads_forward_whatever_the_history_missed(models: Path) -> None:
    class Filling(Disk):
        full = False

        def append(self, path: Path, data: bytes) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            super().append(path, data)

    disk = Filling()
    registry = Registry(models, disk)
    for name in ("v1.0", "v1.1"):
        registry.activate(name)
    disk.full = True
    assert registry.roll_back() == "v1.0"
    assert registry.before() == "base"
    disk.full = False
    registry.activate("v1.2")
    assert [registry.roll_back(), registry.roll_back()] == ["v1.0", "base"]
    assert registry.before() is None


def event(reason: Any, after: str | None, before: str | None = None) -> Event:
    return Event("2026-11-21T00:00:00.000Z", "ann", before, after, reason)


def test_what_was_served() -> None:
    up, down = "promoted", "rolled_back"
    assert served([], "base") == ["base"]
    assert served([event(up, "v1.0"), event(up, "v1.0")], "v1.0") == ["base", "v1.0"]
    events = [event(up, "v1.0"), event("published", "v1.1"), event(up, "v1.1"), event(down, "v1.0")]
    assert served(events, "v1.0") == ["base", "v1.0"]
    assert served([event(down, "v5.0")], "v5.0") == ["base", "v5.0"]
    assert history.promoted_at(events, "v1.0") == "2026-11-21T00:00:00.000Z"
    assert history.promoted_at(events, "v9.0") == ""


def test_delete_keeps_what_is_needed(models: Path, registry: Registry) -> None:
    child = add_version(models, 3, parent="v1.2").name
    assert child == "v1.3"
    for name in ("v1.1", child):
        registry.activate(name)
    for name, code in (
        ("base", "keep_base"),
        (child, "keep_current"),
        ("v1.2", "keep_parent"),
        ("v1.1", "keep_previous"),
    ):
        with pytest.raises(UserInputError) as caught:
            registry.delete(name)
        assert caught.value.code == code
        assert name == "base" or (models / name).is_dir()
    registry.delete("v1.0", by="ann")
    assert [v.name for v in registry.versions()] == ["v1.1", "v1.2", "v1.3"]
    assert not list(models.glob(".deleted*"))
    assert registry.history()[-1].reason == "deleted"


@pytest.mark.parametrize(
    "name", ["v9.9", "../v1.0", "", "v1.0/", "current", ".lock", "base/../v1.0"]
)
def test_delete_and_activate_touch_nothing_else(
    models: Path, registry: Registry, name: str
) -> None:
    before = sorted(models.rglob("*"))
    for action in (registry.delete, registry.activate):
        with pytest.raises(VersionError):
            action(name)
    assert sorted(set(models.rglob("*")) - {models / ".lock"}) == [
        p for p in before if p.name != ".lock"
    ]


def test_a_deletion_that_fails_says_so_and_keeps_it(models: Path) -> None:
    class Stuck(Disk):
        def rename(self, source: Path, target: Path) -> None:
            raise OSError(13, "Permission denied")

    registry = Registry(models, Stuck())
    with pytest.raises(VersionError, match="Permission denied"):
        registry.delete("v1.0")
    assert registry.get("v1.0").damaged is None


def test_what_cannot_be_read_is_empty(models: Path, registry: Registry) -> None:
    assert registry.metadata("v1.0")["notes"] == "first"
    assert registry.report("v1.0") == {}
    (models / "v1.0" / "report.json").unlink()
    for name in ("v1.0", "v7.0", "base", "../v1.0"):
        assert registry.report(name) == {}


def test_the_fingerprint_changes_with_every_change(models: Path, registry: Registry) -> None:
    seen = {registry.fingerprint()}
    actions: list[Callable[[], object]] = [
        lambda: registry.activate("v1.0"),
        lambda: add_version(models, 7),
        lambda: registry.delete("v1.2"),
        lambda: registry.roll_back(),
    ]
    for number, action in enumerate(actions, 2):
        try:
            action()
        except JavisError as error:
            raise AssertionError(error) from error
        assert registry.fingerprint() == registry.fingerprint()
        seen.add(registry.fingerprint())
        assert len(seen) == number
