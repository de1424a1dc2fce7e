"""Comparison over versions on the disk, and the report that is kept of it."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from javis.core.errors import EngineError, NotFound, StoreError, UserInputError
from javis.core.evaluation import Item, ItemResult, Subject, SuiteName
from javis.core.learning import TrainJob
from javis.core.settings import Settings
from javis.core.types import Feedback, Message, SamplingParams, Turn
from javis.engine.files import sha256_file
from javis.engine.scripted import ScriptedEngine
from javis.eval.cache import ResultCache
from javis.eval.suites import suites
from javis.service.compare import MAX_PROMPTS, CompareService
from javis.service.compare_answers import prompt_of
from javis.service.compare_scores import Scores
from javis.service.services import Services, join
from javis.store import Store, new_turn_id, now_iso, open_store
from javis.train.supervisor import Supervisor
from javis.versions.publish import publish
from javis.versions.registry import Registry
from tests.eval.comparing import report
from tests.eval.small_suite import SumSuite
from tests.versions.making import METADATA, make_adapter

MODEL = {"base_model": "scripted"}
NOTE = '=cmd|"/C calc"!A0</script><script>alert(1)</script>'
JOB = "j_" + "0" * 32


def answer(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    """All versions agree about cats."""
    question = messages[-1].content
    return "meow" if "cat" in question else f"{version} says {question}"


class Site:
    """Two versions, one of them in use, over the scripted engine."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(
            _env_file=None,
            data_dir=folder / "data",
            models_dir=folder / "models",
            exports_dir=folder / "exports",
        )
        self.settings.data_dir.mkdir()
        models = self.settings.models_dir
        for seed, loss in enumerate((2.0, 1.5)):
            config = METADATA["training_config"] | {"method": "sft-lora"}
            metadata = METADATA | MODEL | {"training_config": config, "notes": NOTE}
            source = make_adapter(folder / f"made-{seed}", seed)
            publish(models, source, metadata, report(loss, seconds=60.0), job=f"job-{seed}")
        self.store: Store = open_store(self.settings.journal)
        self.engine = ScriptedEngine(answer)
        registry = Registry(models)
        registry.activate("v1.0")
        self.services: Services = join(self.settings, self.store, self.engine, registry)

    @property
    def compare(self) -> CompareService:
        return self.services.compare

    def evaluated(
        self, version: str, right: int, count: int = 12, suite: SuiteName = "knowledge"
    ) -> None:
        """Results of the suite of sums on the disk, so many of them right."""
        known = {v.name: v for v in self.services.versions.all()}
        sha256 = known[version].sha256 or ""
        subject = Subject(version, sha256, "scripted", "scripted", "none")
        self.results(subject, right, count, suite)

    def results(
        self, subject: Subject, right: int, count: int = 12, suite: SuiteName = "knowledge"
    ) -> None:
        cache = ResultCache(self.settings.data_dir / "eval")
        for n, item in enumerate(SumSuite(count).items()):
            said = f"{2 * n}" if n < right else f"{subject.version}?"
            result = ItemResult(item.id, item.language, item.group, float(n < right), (said,))
            cache.append(subject, suite, "1", result)

    def scored(self, suite: SuiteName = "knowledge") -> CompareService:
        """The service with the suite of sums instead of the real ones."""
        service = self.compare
        service._scores = Scores(
            self.settings.data_dir / "eval", lambda: {suite: SumSuite(12, suite)}
        )
        return service


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pictures, which take a second or two: where they do not matter."""
    monkeypatch.setattr("javis.service.compare_files.draw", lambda *_: b"no picture")


# -- the table ---------------------------------------------------------------------------------


def test_without_names_it_is_the_base_and_all_versions(site: Site) -> None:
    table = site.compare.table().table
    assert [row.version for row in table.rows] == ["base", "v1.0", "v1.1"]
    assert [row.current for row in table.rows] == [False, True, False]
    assert [row.eval_loss for row in table.rows] == [4.0, 2.0, 1.5]


def test_the_size_is_that_of_the_folder(site: Site) -> None:
    folder = site.settings.models_dir / "v1.0"
    size = sum(len(p.read_bytes()) for p in folder.rglob("*") if p.is_file())
    (row,) = site.compare.table(["v1.0"]).table.rows
    assert row.size_bytes == size > 300


def test_names_are_checked(site: Site) -> None:
    assert [r.version for r in site.compare.table(["v1.1", "v1.1"]).table.rows] == ["v1.1"]
    for name in ("v9.9", "../v1.0", "", JOB, "j_"):
        with pytest.raises(NotFound):
            site.compare.table([name])
    with pytest.raises(UserInputError, match="12"):
        site.compare.table([f"v1.{n}" for n in range(13)])


def test_scores_are_found_by_the_adapter_whatever_engine_was_asked(site: Site) -> None:
    site.evaluated("base", 3)
    site.evaluated("v1.0", 9)
    table = site.scored().table().table
    values = {r.version: s.estimate for r in table.rows if (s := r.scores.get("knowledge"))}
    assert {n: e.value for n, e in values.items() if e} == {"base": 0.25, "v1.0": 0.75}
    difference = table.rows[1].scores["knowledge"].difference
    assert difference is not None and difference.low > 0
    assert [n.code for n in table.notes] == ["not_evaluated"]


def test_the_filters_are_those_of_the_review(site: Site) -> None:
    conversation = site.store.conversations.create("local").id
    replies = ("Green tea.", "Call me at 010-1234-5678.", "A walk by the river.", "Seven.")
    for n, reply in enumerate(replies):
        said = Turn(
            id=new_turn_id(),
            conversation_id=conversation,
            parent_id=None,
            created_at=now_iso(),
            user=f"question {'abcd'[n] * 20}",
            reply=reply,
            finish="stop",
        )
        site.store.conversations.add_turn(said)
        site.store.feedback.add(Feedback(said.id, now_iso(), "good"))
    chart = site.compare.table(["base"]).charts[0]
    status, flags = chart.panels
    counts = dict(zip(status.categories, status.series[0].values, strict=True))
    # The one with the number waits for a look; nobody excluded any.
    assert counts == {"rated": 4, "approved": 3, "pending": 1, "excluded": 0}
    flagged = dict(zip(flags.categories, flags.series[0].values, strict=True))
    assert {name for name, count in flagged.items() if count} == {"personal"}


def test_prices_are_the_users(site: Site) -> None:
    site.services.preferences.set_prices({"rented_hour": 6.0})
    cost = site.compare.table(["v1.0"]).table.rows[0].cost
    assert cost is not None and cost.rented == pytest.approx(0.1)


def test_a_run_that_the_gate_refused_has_a_row(site: Site) -> None:
    runs = Supervisor(site.settings.data_dir / "runs")
    folder = runs.folder(JOB)
    folder.mkdir(parents=True)
    adapter = make_adapter(folder / "adapter", 7)
    found = report(5.0)
    train = found["train"] | {"curve": found["curve"]}
    (folder / "result.json").write_text(json.dumps({"state": "trained", "train": train}))
    job = TrainJob(JOB, "2026-11-01", "ann", "dpo", "scripted", {"epochs": 1.0})
    job_fields = {"state": "rejected", "verdict": found["verdict"] | {"passed": False}}
    site.store.jobs.add(job)
    site.store.jobs.update(JOB, **job_fields)
    row = site.compare.table(["base", JOB]).table.rows[1]
    assert (row.version, row.run, row.state, row.method) == (JOB, JOB, "rejected", "dpo")
    assert (row.eval_loss, row.passed, row.seconds, row.epochs) == (5.0, False, 120.0, 1.0)
    assert row.size_bytes == sum(p.stat().st_size for p in adapter.iterdir())
    # Its answers are found by the hash of its weights.
    weights = sha256_file(adapter / "adapter_model.safetensors")
    site.results(Subject("candidate", weights, "scripted", "scripted", "none"), 6)
    score = site.scored().table([JOB]).table.rows[0].scores["knowledge"].estimate
    assert score is not None and score.value == 0.5
    site.store.jobs.update(JOB, version="v1.1")
    assert [r.version for r in site.compare.table([JOB, "v1.1"]).table.rows] == ["v1.1"]


# -- answers -----------------------------------------------------------------------------------


def test_answers_to_a_suite_lie_side_by_side(site: Site) -> None:
    site.evaluated("base", 3)
    site.evaluated("v1.0", 9, count=10)
    page = site.scored().answers(["base", "v1.0", "v1.1"], suite="knowledge")
    assert page.total == 12
    first, last = page.rows[0], page.rows[-1]
    assert first.same and {a.text for a in first.answers.values()} == {"0"}
    assert set(last.answers) == {"base"}
    assert last.item == "sum-011"
    different = site.scored().answers(["base", "v1.0"], suite="knowledge", only_different=True)
    assert [r.item for r in different.rows] == [f"sum-{n:03}" for n in range(3, 10)]
    assert different.rows[0].answers["v1.0"].score == 1.0
    part = site.scored().answers(["base"], suite="knowledge", offset=10, limit=5)
    assert ([r.item for r in part.rows], part.total) == (["sum-010", "sum-011"], 12)


def test_a_prompt_of_ones_own_is_asked_of_all(site: Site) -> None:
    page = site.compare.answers(["v1.0", "base"], prompts=["hi you", "a cat"])
    assert [row.same for row in page.rows] == [False, True]
    assert {n: a.text for n, a in page.rows[0].answers.items()} == {
        "v1.0": "v1.0 says hi you",
        "base": "base says hi you",
    }
    assert page.rows[0].answers["base"].tokens == 4


def test_answers_come_mixed_and_can_be_left(site: Site) -> None:
    site.engine._delay_s = 0.005
    pieces = site.compare.ask(["base", "v1.0"], "tell me a long story")
    first = [next(pieces).version for _ in range(4)]
    assert first == ["base", "v1.0", "base", "v1.0"]
    assert site.engine.running == 2
    pieces.close()
    assert site.engine.running == 0


def test_an_engine_that_fails_is_told(site: Site) -> None:
    site.engine.fail_after = 1
    with pytest.raises(EngineError):
        list(site.compare.ask(["base", "v1.0"], "hello there you"))
    assert site.engine.running == 0


def test_what_cannot_be_asked_is_refused(site: Site) -> None:
    service = site.compare
    with pytest.raises(UserInputError, match="not both"):
        service.answers(["base"])
    with pytest.raises(UserInputError, match="not both"):
        service.answers(["base"], suite="health", prompts=["x"])
    with pytest.raises(UserInputError, match="20"):
        service.answers(["base"], prompts=["x"] * (MAX_PROMPTS + 1))
    with pytest.raises(UserInputError, match="empty"):
        service.answers(["base"], prompts=[" "])
    with pytest.raises(NotFound):
        service.answers(["v9.9"], prompts=["x"])


def test_the_question_of_an_item_can_be_read() -> None:
    def of(**data: Any) -> str:
        return prompt_of(Item("the-id", "en", "", data))

    assert of(prompt="Say hi") == "Say hi"
    assert of(question="Who?") == "Who?"
    assert of(messages=[{"role": "user", "content": "a"}, {"content": "b"}]) == "a\n\nb"
    assert of(messages=[{"role": "assistant", "content": "b"}]) == "→ b"
    assert of(turns=["one", {"user": "two"}, 3]) == "one\n\ntwo"
    assert of(user="Use a tool.", tools=["look_up"]) == "Use a tool."
    assert of(turns=[{"user": "a", "given": "b"}, {"user": "c"}]) == "a\n\n→ b\n\nc"
    assert of(question="Who?", options=["he", "she"]) == "Who?\nA. he\nB. she"
    assert of(other=1) == "the-id"


def test_all_that_an_item_of_a_suite_says_is_shown() -> None:
    for item in (item for suite in suites().values() for item in suite.items()):
        shown = prompt_of(item)
        said = [item.data.get(key, "") for key in ("prompt", "question", "user")]
        for turn in item.data.get("turns", ()):
            said += [turn["user"], turn.get("given", "")]
        assert any(said), item.id
        for text in [*said, *item.data.get("options", ())]:
            assert text in shown, item.id


# -- the report --------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would load, and the text of the cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.scripts = 0
        self.languages: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.scripts += tag == "script"
        if tag == "main":
            self.languages.add(found["lang"] or "")
        self.sources += [found[key] or "" for key in ("src", "href") if key in found]


def test_the_report_is_whole(site: Site) -> None:
    site.evaluated("base", 3)
    site.evaluated("v1.0", 9)
    folder = site.scored().report(["base", "v1.0"])
    assert folder.parent == site.settings.exports_dir / "reports"
    names = {path.name for path in folder.iterdir()}
    figures = ("filter_statistics", "training_curves", "model_comparison")
    figures += ("efficiency", "benchmark", "trade_off")
    assert {"comparison_summary.csv", "report.json", "report.html"} <= names
    assert {f"{name}.png" for name in figures} <= names
    found = json.loads((folder / "report.json").read_text("utf-8"))
    assert [row["version"] for row in found["rows"]] == ["base", "v1.0"]
    assert set(found["figures"]) == set(figures)
    (saved,) = site.compare.saved.all()
    assert (saved.id, saved.versions) == (folder.name, ("base", "v1.0"))
    assert set(saved.files) == names


@pytest.mark.usefixtures("undrawn")
def test_the_report_shows_where_the_versions_differ(site: Site) -> None:
    site.evaluated("base", 3)
    site.evaluated("v1.0", 9)
    folder = site.scored().report(["base", "v1.0"])
    found = json.loads((folder / "report.json").read_text("utf-8"))["examples"]
    # Items 3 to 8 are right in v1.0 alone; the first three of them are shown.
    assert [e["asked"]["item"] for e in found] == ["sum-003", "sum-004", "sum-005"]
    assert found[0]["asked"]["answers"]["base"] | {"details": {}} == {
        "text": "base?",
        "score": 0.0,
        "details": {},
        "seconds": 0.0,
        "tokens": 0,
    }
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("base?") == 6, "three, in two languages"


@pytest.mark.usefixtures("undrawn")
def test_what_users_asked_stays_out_of_reports(site: Site) -> None:
    for version, right in (("base", 3), ("v1.0", 9)):
        site.evaluated(version, right, suite="golden")
    service = site.scored("golden")
    assert service.answers(["base", "v1.0"], suite="golden").total == 12
    folder = service.report(["base", "v1.0"])
    assert json.loads((folder / "report.json").read_text("utf-8"))["examples"] == []


@pytest.mark.usefixtures("undrawn")
def test_what_a_crash_left_half_written_goes(site: Site) -> None:
    folder = site.settings.exports_dir / "reports"
    old, new = folder / ".compare-old.partial", folder / ".compare-new.partial"
    for path in (old, new):
        path.mkdir(parents=True)
    os.utime(old, (0, 0))
    site.compare.report(["base"])
    assert not old.exists() and new.exists()


def test_the_page_loads_nothing_and_speaks_both_languages(site: Site) -> None:
    folder = site.compare.report()
    text = (folder / "report.html").read_text("utf-8")
    page = Page(text)
    assert page.languages == {"en", "ko"}
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"""url\(|@import|https?://""", text)
    picture = base64.b64decode(page.sources[0].partition(",")[2])
    assert picture == (folder / "filter_statistics.png").read_bytes()
    assert "학습 시간" in text and "Training time" in text


@pytest.mark.usefixtures("undrawn")
def test_what_others_wrote_is_only_text_in_the_page_and_the_table(site: Site) -> None:
    evil = '=1+1"><script>alert(1)</script>'
    path = site.settings.models_dir / "v1.1" / "metadata.json"
    path.chmod(0o644)
    found = json.loads(path.read_text("utf-8"))
    found["training_config"]["method"] = evil
    path.write_text(json.dumps(found))
    folder = site.compare.report(["base", "v1.1"])
    assert Page((folder / "report.html").read_text("utf-8")).scripts == 1
    with (folder / "comparison_summary.csv").open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert rows[1]["method"] == f"'{evil}"


@pytest.mark.usefixtures("undrawn")
def test_the_page_says_where_common_questions_are_too_few(site: Site) -> None:
    site.evaluated("base", 0, 5)
    site.evaluated("v1.0", 5, 5)
    text = (site.scored().report(["base", "v1.0"]) / "report.html").read_text("utf-8")
    assert text.count("too few to compare") == 1 and "▲ +" not in text


@pytest.mark.usefixtures("undrawn")
def test_the_summary_reads_back_as_numbers(site: Site) -> None:
    site.evaluated("base", 3)
    site.evaluated("v1.0", 9)
    folder = site.scored().report(["base", "v1.0"])
    with (folder / "comparison_summary.csv").open(encoding="utf-8-sig", newline="") as lines:
        base, ours = csv.DictReader(lines)
    assert (base["version"], ours["version"]) == ("base", "v1.0")
    assert float(ours["eval_loss"]) == 2.0
    assert float(ours["loss_change"]) == -0.5
    assert int(ours["trainable_parameters"]) == 4_884_480
    assert float(ours["knowledge"]) == 0.75
    assert float(ours["knowledge_low"]) < 0.75 < float(ours["knowledge_high"])
    assert int(ours["knowledge_items"]) == 12
    effort = ("trainable_parameters", "seconds", "size_bytes", "cost_local", "cost_serverless")
    assert {base[name] for name in ("loss_change", *effort)} == {""}


@pytest.mark.usefixtures("undrawn")
def test_reports_are_listed_read_packed_and_deleted(site: Site) -> None:
    first, second = site.compare.report(["base"]), site.compare.report(["v1.0"])
    saved = site.compare.saved
    assert {report.id for report in saved.all()} == {first.name, second.name}
    with zipfile.ZipFile(io.BytesIO(saved.archive(first.name))) as archive:
        assert archive.testzip() is None
        assert f"{first.name}/report.html" in archive.namelist()
    saved.delete(first.name)
    assert [report.id for report in saved.all()] == [second.name]
    assert not first.exists()
    with pytest.raises(NotFound):
        saved.delete(first.name)


@pytest.mark.parametrize(
    ("report_id", "name"),
    [
        ("..", "report.html"),
        ("../../data", "javis.jnl"),
        ("compare-20260101T000000-abcdef", "report.html"),
        ("{id}", "../../../data/javis.jnl"),
        ("{id}", "nothing.png"),
        ("{id}", ""),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_only_files_of_reports_can_be_read(site: Site, report_id: str, name: str) -> None:
    folder = site.compare.report(["base"])
    with pytest.raises(NotFound):
        site.compare.saved.file(report_id.format(id=folder.name), name)


@pytest.mark.usefixtures("undrawn")
def test_a_report_that_cannot_be_written_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "report.html":
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left"):
        site.compare.report(["base"])
    assert list((site.settings.exports_dir / "reports").iterdir()) == []
