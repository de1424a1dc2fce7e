"""Training by itself, with a clock that the test turns."""

from __future__ import annotations

import datetime
import errno
import json
from dataclasses import asdict, replace

import pytest

from javis.core.errors import UserInputError
from javis.core.learning import Approved
from javis.service.preferences import Preferences
from javis.service.schedule import OWNER, Schedule
from tests.service.learning import Make, Site, Source, approved

DAY = datetime.timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.datetime.now(datetime.UTC)

    def __call__(self) -> datetime.datetime:
        return self.now


def scheduled(site: Site, clock: Clock) -> Schedule:
    known = site.learning.schedule
    return Schedule(site.training, known._planner, site.store, Preferences(site.store), clock)


def fresh(count: int, clock: Clock) -> Approved:
    """So many turns, all rated just now."""
    at = clock.now.isoformat()
    return replace(approved(count), first_at=at, last_at=at)


def grow(site: Site, rows: Approved) -> None:
    site.source.rows = rows
    # Something changed in the store, as a rating does.
    site.store.conversations.create("local")


def test_off_until_the_user_turns_it_on(make_training: Make) -> None:
    site, clock = make_training(), Clock()
    schedule = scheduled(site, clock)
    clock.now += 1000 * DAY
    assert schedule.tick() is None
    assert site.training.jobs() == []


def test_after_so_many_new_turns(make_training: Make) -> None:
    clock = Clock()
    source = Source(fresh(20, clock))
    site = make_training(source=source)
    Preferences(site.store).set_schedule(turns=30)
    schedule = scheduled(site, clock)
    assert schedule.tick() is None and schedule.due().new_turns == 20
    grow(site, fresh(30, clock))
    clock.now += datetime.timedelta(hours=1)
    job = schedule.tick()
    assert job and job.owner == OWNER
    assert schedule.tick() is None
    assert site.finished(job).version == "v1.0"
    # Those were learned from: it takes 30 new ones again.
    grow(site, fresh(59, clock))
    clock.now += datetime.timedelta(hours=1)
    assert schedule.tick() is None
    grow(site, fresh(60, clock))
    clock.now += datetime.timedelta(hours=1)
    job = schedule.tick()
    assert job and site.finished(job).version == "v1.1"


def test_new_turns_are_counted_whatever_was_deleted_since(make_training: Make) -> None:
    clock = Clock()
    site = make_training(source=Source(fresh(20, clock)))
    Preferences(site.store).set_schedule(turns=12)
    schedule = scheduled(site, clock)
    first = schedule.tick()
    assert first and site.finished(first).version == "v1.0"

    def only(start: int, end: int) -> None:
        rows = fresh(end, clock)
        kinds = {k: getattr(rows, k)[start:] for k in ("examples", "pairs", "judged")}
        grow(site, replace(rows, **kinds))
        clock.now += datetime.timedelta(hours=1)

    only(15, 20)
    assert schedule.due().new_turns == 0
    only(15, 31)
    assert schedule.due().new_turns == 11 and schedule.tick() is None
    only(15, 32)
    assert schedule.due().new_turns == 12
    # A run of an earlier program kept no list: then only the number is known.
    manifest = site.supervisor.folder(first.id) / "data" / "manifest.json"
    about = json.loads(manifest.read_text("utf-8"))
    assert len(about.pop("approved")) == first.data["approved"] == 20
    manifest.write_text(json.dumps(about), "utf-8")
    assert schedule.due().new_turns == 0
    only(15, 36)
    assert schedule.due().new_turns == 1


def test_what_a_discarded_run_began_with_is_not_new_again(make_training: Make) -> None:
    clock = Clock()
    site = make_training(source=Source(fresh(20, clock)))
    schedule = scheduled(site, clock)
    first = site.finished(site.start("sft-lora"))
    grow(site, fresh(30, clock))
    second = site.finished(site.start("sft-lora"))
    grow(site, fresh(33, clock))
    assert schedule.due().new_turns == 3
    site.training.discard(second.id)
    assert schedule.due().new_turns == 3
    site.training.discard(first.id)
    assert schedule.due().new_turns == 3
    clock.now += DAY
    assert 0.9 < schedule.due().days < 1.1
    site.finished(site.start("sft-lora"))
    assert schedule.due().new_turns == 0


def test_disliked_turns_that_a_run_did_not_learn_from_are_not_new_again(
    make_training: Make,
) -> None:
    clock = Clock()
    rows = fresh(30, clock)
    site = make_training(source=Source(replace(rows, examples=rows.examples[:20], pairs=())))
    schedule = scheduled(site, clock)
    site.finished(site.start("sft-lora"))
    assert schedule.due().new_turns == 0


def test_after_so_many_days_if_there_is_anything_new(make_training: Make) -> None:
    clock = Clock()
    source = Source(fresh(20, clock))
    site = make_training(source=source)
    Preferences(site.store).set_schedule(days=7)
    schedule = scheduled(site, clock)
    clock.now += 6 * DAY
    assert schedule.tick() is None
    clock.now += 1.1 * DAY
    job = schedule.tick()
    assert job and site.finished(job).version == "v1.0"
    clock.now += 30 * DAY
    assert schedule.tick() is None
    grow(site, fresh(21, clock))
    clock.now += DAY
    assert schedule.tick()


def test_a_run_that_failed_is_not_tried_again_and_again(make_training: Make) -> None:
    clock = Clock()
    source = Source(fresh(20, clock))
    site = make_training("crash", source=source)
    Preferences(site.store).set_schedule(turns=10)
    schedule = scheduled(site, clock)
    job = schedule.tick()
    assert job and site.finished(job).state == "failed"
    for _ in range(5):
        clock.now += datetime.timedelta(hours=1)
        assert schedule.tick() is None


def test_a_run_that_could_not_start_is_not_tried_again_and_again(
    make_training: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    site = make_training(source=Source(fresh(20, clock)))
    Preferences(site.store).set_schedule(turns=10)
    schedule = scheduled(site, clock)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("javis.service.training.run_files.write", full)
    with pytest.raises(OSError):
        schedule.tick()
    for _ in range(3):
        clock.now += datetime.timedelta(hours=1)
        assert schedule.tick() is None
    assert [job.reason for job in site.training.jobs()] == ["run_not_written"]


def test_a_run_on_a_file_makes_no_turn_new(make_training: Make) -> None:
    clock = Clock()
    site = make_training(source=Source(fresh(20, clock)))
    Preferences(site.store).set_schedule(turns=10)
    schedule = scheduled(site, clock)
    rows = [{"messages": [asdict(m) for m in e.messages]} for e in approved(12).examples]
    site.settings.exports_dir.mkdir()
    path = site.settings.exports_dir / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    site.finished(site.start(dataset=path.name))
    assert schedule.due().new_turns == 0
    assert schedule.tick() is None


def test_too_little_for_any_method_waits(make_training: Make) -> None:
    clock = Clock()
    site = make_training(source=Source(fresh(3, clock)))
    Preferences(site.store).set_schedule(turns=2)
    assert scheduled(site, clock).tick() is None
    assert site.training.jobs() == []


@pytest.mark.parametrize("value", [-1, 1.5, True, "5", None, 10**9])
def test_bad_plans(make_training: Make, value: object) -> None:
    preferences = Preferences(make_training().store)
    for name in ("turns", "days"):
        with pytest.raises(UserInputError):
            preferences.set_schedule(**{name: value})
    assert not preferences.schedule().on


@pytest.mark.parametrize("price", [-1, float("nan"), "1", None, True, 10**400])
def test_bad_prices(make_training: Make, price: object) -> None:
    preferences = Preferences(make_training().store)
    with pytest.raises(UserInputError):
        preferences.set_prices({"rented_hour": price})
    with pytest.raises(UserInputError):
        preferences.set_prices({"nonsense": 1})
    assert preferences.set_prices({"rented_hour": 1.5}).rented_hour == 1.5
    assert preferences.prices().local_hour == 0
