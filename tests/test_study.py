"""`javis compare`: from trainings to a report, with a trainer and an engine made for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from javis.cli import app
from javis.commands import compare, evaluate, study
from javis.commands import train as training
from javis.core.errors import UserInputError
from javis.engine.scripted import ScriptedEngine
from javis.eval.comparison import Row
from javis.service.admission import Admission
from javis.service.evaluation import EvalService
from javis.service.versions import VersionService
from javis.versions.registry import Registry
from tests.eval.small_suite import SumSuite
from tests.service.learning import Site, Source, approved, make_training

__all__ = ["make_training"]
Make = Callable[..., Site]


def suites() -> dict[Any, Any]:
    return {"knowledge": SumSuite(4), "health": SumSuite(4, "health")}


class Bench:
    """A site whose commands use its trainer and a scripted engine, and what they said."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = site
        self.said: list[str] = []
        self.engine = engine = ScriptedEngine()
        info = engine.info

        @contextmanager
        def asking(settings: Any, known: Any, say: Any) -> Iterator[EvalService]:
            versions = VersionService(engine, Registry(settings.models_dir))
            line = Admission(engine.info.parallel, 8)
            yield EvalService(engine, versions, line, settings.data_dir / "eval", known)

        @contextmanager
        def known(settings: Any) -> Iterator[Any]:
            yield suites

        monkeypatch.setattr(training, "open_learning", lambda *_: site.learning)
        monkeypatch.setattr(evaluate, "opened", asking)
        monkeypatch.setattr(evaluate, "suites_of", known)
        monkeypatch.setattr(compare, "suites_of", known)
        monkeypatch.setattr(compare, "model_of", lambda settings: info.model)
        monkeypatch.setattr("javis.service.compare_files.draw", lambda *_: b"no picture")

    def study(self, methods: str, **options: Any) -> dict[str, Any]:
        """Run a study; report.json of it."""
        known = {"preset": "default", "max_steps": None, "suites": None, "sample": None}
        wanted = study.methods_of(methods)
        study.run(self.site.settings, self.site.store, self.said.append, wanted, **known | options)
        (folder,) = (self.site.settings.exports_dir / "reports").iterdir()
        found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
        return found


@pytest.fixture
def bench(make_training: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    def make(*words: str, pairs: int = 40) -> Bench:
        rows = approved()
        source = Source(replace(rows, pairs=rows.pairs[:pairs]))
        site = make_training(*words, source=source)
        site.lay_rule(suites=[])
        return Bench(site, monkeypatch)

    return make


def test_methods_are_trained_asked_and_put_side_by_side(bench: Callable[..., Bench]) -> None:
    at = bench()
    found = at.study("lora,prompt", sample=3)
    assert [(r["version"], r["method"]) for r in found["rows"]] == [
        ("base", ""),
        ("v1.0", "sft-lora"),
        ("v2.0", "prompt-tuning"),
    ]
    for row in found["rows"]:
        assert {s: score["done"] for s, score in row["scores"].items()} == {
            "knowledge": 3,
            "health": 3,
        }
    assert at.site.registry.current() == "base", "nothing was put to use"
    jobs = at.site.store.jobs.all()
    assert {(job.method, job.promote, job.state) for job in jobs} == {
        ("sft-lora", "never", "succeeded"),
        ("prompt-tuning", "never", "succeeded"),
    }


def test_what_cannot_be_trained_is_said_and_the_study_goes_on(bench: Callable[..., Bench]) -> None:
    at = bench(pairs=2)
    found = at.study("dpo,lora", suites=[])
    assert [r["version"] for r in found["rows"]] == ["base", "v1.0"]
    (note,) = [n for n in found["notes"] if n["code"] == "not_trained"]
    assert note["values"]["method"] == "dpo"
    assert "2" in note["values"]["why"]
    assert any("DPO was not trained here" in line for line in at.said)
    assert "no_suites" in {n["code"] for n in found["notes"]}


def test_a_trainer_that_breaks_off_is_said(bench: Callable[..., Bench]) -> None:
    found = bench("crash").study("kto")
    assert [r["version"] for r in found["rows"]] == ["base"]
    assert found["notes"][0]["values"] == {
        "method": "kto",
        "why": "The trainer broke off; its log says more.",
    }


def test_what_the_gate_refuses_stays_in_the_study(bench: Callable[..., Bench]) -> None:
    at = bench("worse")
    found = at.study("lora")
    base, ours = found["rows"]
    job = at.site.store.jobs.all()[0]
    assert (ours["version"], ours["state"], ours["passed"]) == (job.id, "rejected", False)
    assert ours["eval_loss"] > base["eval_loss"]
    assert ours["scores"]["knowledge"]["done"] == 4
    assert at.site.registry.versions() == []


def test_a_study_can_stand_beside_a_version(bench: Callable[..., Bench]) -> None:
    at = bench()
    job = at.site.finished(at.site.start(promote="never"))
    found = at.study("dpo", names=["v1.0", "base"])
    assert [r["version"] for r in found["rows"]] == ["base", job.version, "v2.0"]


def test_a_mistyped_name_is_told_before_anything_is_trained(bench: Callable[..., Bench]) -> None:
    at = bench()
    with pytest.raises(UserInputError):
        at.study("lora", names=["v7.7"])
    assert at.site.store.jobs.all() == []


def test_a_model_that_fails_is_said(bench: Callable[..., Bench]) -> None:
    at = bench()
    at.engine.fail_after = 0
    found = at.study("lora")
    said = [n["values"] for n in found["notes"] if n["code"] == "not_asked"]
    assert [v["versions"] for v in said] == [["base"], ["v1.0"]]
    assert all("scripted" in v["why"] for v in said)
    assert [r["version"] for r in found["rows"]] == ["base", "v1.0"]


def test_steps_can_be_limited(bench: Callable[..., Bench]) -> None:
    at = bench()
    at.study("lora", max_steps=2, suites=["health"])
    assert at.site.store.jobs.all()[0].hyperparameters["max_steps"] == 2


def test_names_of_methods_and_suites() -> None:
    assert study.methods_of("lora, dpo,lora,ia3") == ["sft-lora", "dpo", "ia3"]
    assert study.methods_of("qlora,prompt") == ["sft-qlora", "prompt-tuning"]
    for wrong in ("", " , ", "magic"):
        with pytest.raises(UserInputError):
            study.methods_of(wrong)
    assert study.suites_of(None) is None
    assert study.suites_of("none") == []
    assert study.suites_of("health, agent") == ["health", "agent"]
    with pytest.raises(UserInputError):
        study.suites_of("astrology")


def test_the_table_as_text(bench: Callable[..., Bench]) -> None:
    at = bench()
    at.study("lora")
    at.said.clear()
    compare.run(at.site.settings, at.site.store, at.said.append, ["v1.0", "base"], write=False)
    head, ours, base, *notes = at.said
    assert head.split()[:4] == ["version", "loss", "to", "base"]
    assert "knowledge" in head and "health" in head
    assert ours.startswith("v1.0 · LoRA") and base.startswith("Base model (in use)")
    assert all(line.startswith("* ") for line in notes)
    assert not any(" - " in line for line in at.said[:1])


def test_the_command(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, ["compare", "--data-dir", str(tmp_path)])
    assert done.exit_code != 0
    assert "no journal" in str(done.exception)


def test_a_row_has_all_that_a_comparison_must_show() -> None:
    must = ("version", "method", "eval_loss", "perplexity", "scores", "trainable_parameters")
    must += ("seconds", "size_bytes", "peak_memory_bytes", "cost")
    assert set(must) <= set(Row.__slots__)
