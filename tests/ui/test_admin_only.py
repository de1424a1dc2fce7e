"""Review, training and versions over the page: strangers learn nothing, junk gets a plain reply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from javis.core.learning import TrainEvent
from javis.core.settings import Settings
from javis.engine.scripted import ScriptedEngine
from javis.service.services import Services, join
from javis.store import open_store
from javis.ui.comparing import Comparing
from javis.ui.dashboard import DashboardPage
from javis.ui.edge import Edge, Handler, Json
from javis.ui.evaluating import Evaluating
from javis.ui.reviewing import Reviewing
from javis.ui.texts import Texts
from javis.ui.training import MAX_STEP_EVENTS, Training, thinned
from javis.ui.versioning import Versioning
from javis.versions.registry import Registry
from tests.ui.test_edge import JUNK

EVERYBODYS = {"pulse"}
FIELDS = (
    *("turn", "turns", "filters", "action", "user", "target", "on", "text", "batch", "offset"),
    *("method", "preset", "changed", "prices", "promote", "job", "after", "days", "version"),
    *("versions", "suites", "suite", "sample", "run", "report", "asking", "zone"),
)


@dataclass(frozen=True)
class Somebody:
    name: str = "eve"
    is_admin: bool = False


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    settings = Settings(
        data_dir=tmp_path / "data",
        models_dir=tmp_path / "models",
        exports_dir=tmp_path / "exports",
        _env_file=None,
    )
    settings.data_dir.mkdir()
    with open_store(settings.data_dir) as store:
        yield join(settings, store, ScriptedEngine(), Registry(settings.models_dir))


def table(services: Services) -> dict[str, Handler]:
    texts = Texts()
    parts = (
        Reviewing(services, texts),
        Training(services, texts),
        Versioning(services, texts),
        Evaluating(services, texts),
        Comparing(services),
        DashboardPage(services),
    )
    return {kind: handler for part in parts for kind, handler in part.table().items()}


def ask(services: Services, asker: Somebody, kind: str, /, **data: Any) -> Json:
    edge = Edge(lambda request: asker, Texts())
    event = SimpleNamespace(_data={"kind": kind, "call": "c1", **data})
    return edge.call(table(services))(event, SimpleNamespace())


def test_every_handler_asks_first_whether_it_is_the_admin(services: Services) -> None:
    kinds = table(services).keys() - EVERYBODYS
    assert len(kinds) >= 40
    for kind in kinds:
        for junk in (None, "x", {}, []):
            reply = ask(services, Somebody(), kind, **dict.fromkeys(FIELDS, junk))
            assert reply["error"]["code"] == "admin_only", kind


def test_a_stranger_learns_of_no_run(services: Services) -> None:
    reply = ask(services, Somebody(), "pulse")["ok"]
    nothing = {"live": None, "run": None, "paused": False}
    assert reply == {"current": "base", "versions": ["base"], **nothing}


def test_junk_gets_a_plain_reply(services: Services) -> None:
    admin = Somebody("ann", is_admin=True)
    for kind in table(services):
        for junk in (*JUNK, {"rating": 1}, {"since": "2026-99-99"}, ["x"] * 6000, "v1.0"):
            reply = ask(services, admin, kind, **dict.fromkeys(FIELDS, junk))
            code = reply.get("error", {}).get("code")
            assert code != "unforeseen", (kind, junk, reply)
    assert services.training.jobs() == []
    assert services.evaluation.runs() == []
    assert services.versions.current() == "base"


def test_an_empty_program_can_be_looked_at(services: Services) -> None:
    admin = Somebody("ann", is_admin=True)
    page = ask(services, admin, "review_page", filters={}, offset=0)["ok"]
    assert (page["rows"], page["total"], page["counts"]["rated"]) == ([], 0, 0)
    versions = ask(services, admin, "versions_state")["ok"]
    assert [v["name"] for v in versions["versions"]] == ["base"]
    state = ask(services, admin, "train_state")["ok"]
    assert state["proposal"]["missing"]["sft-lora"] == 8
    assert state["schedule"]["turns"] == 0
    kept = ask(services, admin, "train_schedule", turns=50, days=0)["ok"]
    assert kept["turns"] == services.preferences.schedule().turns == 50


def test_a_long_curve_is_thinned_but_keeps_its_end() -> None:
    events = [TrainEvent(n, "", "step", {"step": n}) for n in range(1, 5001)]
    events.insert(2500, TrainEvent(2500, "", "eval", {"step": 2500, "loss": 1.0}))
    kept = thinned(events)
    assert len(kept) <= MAX_STEP_EVENTS + 2
    assert kept[-1].values["step"] == 5000
    assert [e.kind for e in kept].count("eval") == 1
    assert thinned(events[:100]) == events[:100]
