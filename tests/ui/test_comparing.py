"""The Compare tab's answers: whole frames, an end when told, and nothing for strangers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from javis.core.settings import Settings
from javis.engine.scripted import ScriptedEngine, echo
from javis.service.services import Services, join
from javis.store import open_store
from javis.ui.comparing import Comparing
from javis.ui.edge import Edge, Json, Payload
from javis.ui.texts import Texts
from tests.e2e.serving import TwoVersions, scripted
from tests.ui.test_edge import JUNK


@dataclass(frozen=True)
class Somebody:
    name: str = "ann"
    is_admin: bool = True


@pytest.fixture
def engine() -> ScriptedEngine:
    made = scripted(versions=("v1.0",), delay_s=0.0)
    made._answer = echo
    return made


@pytest.fixture
def services(tmp_path: Path, engine: ScriptedEngine) -> Iterator[Services]:
    settings = Settings(
        data_dir=tmp_path / "data",
        models_dir=tmp_path / "models",
        exports_dir=tmp_path / "exports",
        _env_file=None,
    )
    settings.data_dir.mkdir()
    with open_store(settings.data_dir) as store:
        yield join(settings, store, engine, TwoVersions(settings.models_dir))


def frames(comparing: Comparing, asker: Somebody | None = None, **data: object) -> Iterator[Json]:
    edge = Edge(lambda request: Somebody(), Texts())
    payload = Payload({"call": "a1", **data})
    return edge.stream(payload, lambda: comparing.frames(asker or Somebody(), payload))


def test_every_version_answers_the_same_prompt(services: Services) -> None:
    last = list(frames(Comparing(services), versions=["base", "v1.0"], text="hello"))[-1]
    assert last["done"] and last["call"] == "a1"
    assert last["texts"] == {"base": "[base] hello", "v1.0": "[v1.0] hello"}
    assert {e["finish"] for e in last["ended"].values()} == {"stop"}


def test_what_is_being_written_ends_when_told(services: Services, engine: ScriptedEngine) -> None:
    engine._answer = lambda messages, sampling, version: "word " * 5000
    engine._delay_s = 0.02
    comparing = Comparing(services)
    running = frames(comparing, versions=["base", "v1.0"], text="go on")
    next(running)
    stranger = Somebody("eve")
    comparing.stop(stranger, Payload({"asking": "a1"}))
    assert "done" not in next(running), "another admin's page has numbers of its own"
    comparing.stop(Somebody(), Payload({"asking": "a1"}))
    last = list(running)[-1]
    assert last["done"] and last["ended"] == {}
    assert engine.running == 0


def test_strangers_and_junk_are_refused(services: Services) -> None:
    comparing = Comparing(services)
    [said] = frames(comparing, Somebody("eve", is_admin=False), versions=["base"], text="hello")
    assert said["error"]["code"] == "admin_only"
    for junk in JUNK:
        [said] = frames(comparing, versions=junk, text="hello")
        assert said["error"]["code"] == "bad_request"
        if not isinstance(junk, str) or not junk.strip("\udc00"):
            [said] = frames(comparing, versions=["base"], text=junk)
            assert said["error"]["code"] not in ("", "unforeseen"), junk
    [said] = frames(comparing, versions=["v9.9"], text="hello")
    assert said["error"]["code"] not in ("", "unforeseen")
