"""Switching, watching and describing versions; a stream ends on the version it began with."""

from __future__ import annotations

import io
import json
import logging
import os
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from javis.bench.adapter import write_random_version
from javis.commands import versions as commands
from javis.core.errors import EngineError, JavisError, NotFound, UserInputError, VersionError
from javis.core.settings import Settings
from javis.core.types import Feedback, Message, SamplingParams, Turn, Version
from javis.engine.llamacpp import LlamaCppEngine
from javis.engine.scripted import ScriptedEngine
from javis.service.thumbs import ThumbCounter, Thumbs, find_drop
from javis.service.versions import VersionService, VersionWatcher
from javis.store import Store, new_turn_id, now_iso, open_store
from javis.versions.gguf import ensure_gguf
from javis.versions.publish import Publisher
from javis.versions.registry import Registry
from tests.service.test_dashboard import ELSEWHERE
from tests.versions.making import METADATA, add_version, make_adapter

BASE = {"base_model": "scripted"}
ASK = [Message("user", "one two three four five six")]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for seed in range(2):
        add_version(folder, seed, **BASE)
    return folder


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "javis.jnl") as store:
        yield store


@pytest.fixture
def service(engine: ScriptedEngine, models: Path, store: Store) -> VersionService:
    return VersionService(engine, Registry(models), store=store)


def test_promote_and_roll_back(service: VersionService) -> None:
    assert service.current() == "base"
    assert service.before() is None
    assert service.promote("v1.0", "ann", "looks good").name == "v1.0"
    assert service.promote("v1.1", "ann").sha256
    assert (service.current(), service.before()) == ("v1.1", "v1.0")
    assert service.rollback("bob").name == "v1.0"
    assert service.rollback("bob").name == "base"
    with pytest.raises(UserInputError) as caught:
        service.rollback("bob")
    assert caught.value.code == "nothing_before"
    switched = [e for e in service.history() if e.reason != "published"]
    assert [(e.by, e.after, e.note) for e in switched] == [
        ("ann", "v1.0", "looks good"),
        ("ann", "v1.1", ""),
        ("bob", "v1.0", ""),
        ("bob", "base", ""),
    ]


def test_what_is_not_there_or_does_not_fit_is_not_promoted(
    service: VersionService, models: Path
) -> None:
    other = add_version(models, 5, base_model="Qwen2.5-7B-Instruct").name
    for name, kind in (("v9.9", NotFound), ("../v1.0", NotFound), (other, UserInputError)):
        with pytest.raises(kind):
            service.promote(name, "ann")
    assert service.current() == "base"
    details = {d.version.name: d for d in service.details()}
    assert "made for Qwen2.5-7B-Instruct" in str(details[other].refused)
    assert not details[other].usable


def test_one_published_a_moment_ago_can_be_promoted(service: VersionService, models: Path) -> None:
    name = add_version(models, 7, **BASE).name
    assert service.promote(name, "ann").name == name
    assert service.current() == name


def test_adapter_path_wins(engine: ScriptedEngine, models: Path, tmp_path: Path) -> None:
    registry = Registry(models)
    pinned = registry.from_path(make_adapter(tmp_path / "mine"))
    service = VersionService(engine, registry, pinned)
    assert service.current() == "mine"
    assert service.pinned
    assert service.before() is None
    for action in (lambda: service.promote("v1.0", "ann"), lambda: service.rollback("ann")):
        with pytest.raises(UserInputError) as caught:
            action()
        assert caught.value.code == "adapter_path_wins"
    assert not (models / "current").exists()


@pytest.mark.parametrize("inside", ["", "adapter"])
def test_the_version_of_adapter_path_stays(
    engine: ScriptedEngine, models: Path, inside: str
) -> None:
    registry = Registry(models)
    path = models / "v1.0" / inside
    pinned = replace(registry.from_path(path), base_model="scripted")
    service = VersionService(engine, registry, pinned)
    with pytest.raises(UserInputError) as caught:
        service.delete("v1.0", "ann")
    assert caught.value.code == "keep_pinned"
    found = {d.version.name: d for d in service.details()}
    assert (found["v1.0"].can_delete, found["v1.0"].kept_because) == (False, "keep_pinned")
    settings = Settings(_env_file=None, models_dir=models, adapter_path=path)
    with pytest.raises(UserInputError):
        commands.delete(settings, "v1.0")
    assert commands.delete(settings, "v1.1") == "v1.1 is deleted."
    assert (models / "v1.0").is_dir()


def test_a_lost_version_is_replaced_and_that_is_said(service: VersionService, models: Path) -> None:
    service.promote("v1.0", "ann")
    service.promote("v1.1", "ann")
    assert service.notice() is None
    (models / "v1.1" / "metadata.json").unlink()
    service.refresh()
    assert service.current() == "v1.0"
    assert "v1.1 is damaged" in str(service.notice())
    for name in ("v1.0", "v1.1"):
        (models / name).rename(models / f"gone-{name}")
    service.refresh()
    assert service.current() == "base"
    assert "which is not there" in str(service.notice())


def test_what_the_engine_refuses_leaves_the_base_and_says_why(models: Path, store: Store) -> None:
    class Picky(ScriptedEngine):
        def use_versions(self, versions: Sequence[Version]) -> dict[str, str]:
            super().use_versions([v for v in versions if v.name != "v1.1"])
            return {"v1.1": "It was trained with IA3."}

    Registry(models).activate("v1.1")
    service = VersionService(Picky(), Registry(models), store=store)
    assert service.current() == "base"
    assert "v1.1 cannot answer: It was trained with IA3." in str(service.notice())
    with pytest.raises(UserInputError, match="IA3"):
        service.promote("v1.1", "ann")


def test_a_file_that_breaks_the_engine_takes_no_other_along(models: Path) -> None:
    class Fragile(ScriptedEngine):
        def use_versions(self, versions: Sequence[Version]) -> dict[str, str]:
            if any(v.name == "v1.2" for v in versions):
                raise EngineError("load_failed", "The adapter could not be loaded.")
            return super().use_versions(versions)

    service = VersionService(Fragile(), Registry(models))
    add_version(models, 9, **BASE)
    service.refresh()
    assert [v.name for v in service.usable()] == ["base", "v1.0", "v1.1"]
    assert service.refused == {"v1.2": "The adapter could not be loaded."}


def test_delete(service: VersionService, models: Path) -> None:
    service.promote("v1.1", "ann")
    with pytest.raises(UserInputError):
        service.delete("v1.1", "ann")
    with pytest.raises(NotFound):
        service.delete("v7.7", "ann")
    service.delete("v1.0", "ann")
    assert [v.name for v in service.all()] == ["base", "v1.1"]
    assert service.history()[-1].by == "ann"
    with pytest.raises(UserInputError):
        service.serving("v1.0")


def test_bring_in(service: VersionService, models: Path, tmp_path: Path) -> None:
    source = make_adapter(tmp_path / "theirs", base_model_name_or_path="scripted")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in source.iterdir():
            archive.write(path, path.name)
    assert service.bring_in(out.getvalue(), "ann").name == "v2.0"
    assert service.bring_in(source, "ann", "from Bob.").notes == "from Bob."
    assert service.current() == "base"
    assert service.promote("v2.0", "ann").name == "v2.0"
    with pytest.raises(VersionError):
        service.bring_in(b"no zip", "ann")


# -- thumbs ------------------------------------------------------------------------------------


def rate(store: Store, version: Version, good: int, bad: int, **changed: object) -> None:
    """Answers of this version with thumbs, given now."""
    conversation = store.conversations.create("ann").id
    for number in range(good + bad):
        turn = Turn(
            id=new_turn_id(),
            conversation_id=conversation,
            parent_id=None,
            created_at=now_iso(),
            user="hi",
            reply="hello",
            finish="stop",
            version=version.name,
            version_sha256=version.sha256,
            model="scripted",
        )
        turn = replace(turn, **changed)  # type: ignore[arg-type]
        store.conversations.add_turn(turn)
        rating = "good" if number < good else "bad"
        store.feedback.add(Feedback(turn.id, now_iso(), rating))  # type: ignore[arg-type]


def test_thumbs_are_counted_since_the_promotion_for_this_very_adapter(
    service: VersionService, store: Store
) -> None:
    first = service.serving("v1.0")
    rate(store, first, 1, 1)  # Tried out by name before it went live.
    time.sleep(0.002)
    service.promote("v1.0", "ann")
    rate(store, first, 3, 1)
    rate(store, replace(first, sha256="ff" * 32), 5, 5)  # An adapter that had this name once.
    details = {d.version.name: d for d in service.details()}
    thumbs = details["v1.0"].thumbs
    assert (thumbs.good, thumbs.bad) == (3, 1)
    assert thumbs.rate.low < 0.75 < thumbs.rate.high
    assert details["v1.1"].thumbs == Thumbs()
    assert details["v1.0"].promoted_by == "ann"


def test_a_vote_taken_back_does_not_count(store: Store) -> None:
    rate(store, Version("base", None, "scripted", None), 1, 0)
    counter = ThumbCounter(store)
    assert counter.of("base", None).good == 1
    (turn,) = store.feedback.all_current()
    store.feedback.add(Feedback(turn, now_iso(), None))
    assert counter.of("base", None).total == 0


def test_only_what_the_version_wrote_here_counts(service: VersionService, store: Store) -> None:
    base, first = service.serving("base"), service.serving("v1.0")
    rate(store, base, 2, 0)
    rate(store, base, 0, 3, model="another")
    for changed in ELSEWHERE:
        rate(store, base, 0, 1, **changed)
        rate(store, first, 0, 1, **changed)
    details = {d.version.name: d for d in service.details()}
    assert details["base"].thumbs == Thumbs(2, 0)
    assert details["v1.0"].thumbs == Thumbs()


def test_a_clear_drop_suggests_a_rollback(service: VersionService, store: Store) -> None:
    service.promote("v1.0", "ann")
    rate(store, service.serving("v1.0"), 18, 2)
    time.sleep(0.002)
    service.promote("v1.1", "ann")
    assert service.watch() is None
    rate(store, service.serving("v1.1"), 5, 5)
    drop = service.watch()
    assert drop is not None
    assert (drop.version, drop.before) == ("v1.1", "v1.0")
    assert drop.difference.high < 0
    service.rollback("ann")
    assert service.watch() is None


@pytest.mark.parametrize(
    ("now", "then", "dropped"),
    [
        ((9, 0), (0, 30), False),
        ((0, 9), (30, 0), False),  # Too few to say anything.
        ((0, 10), (9, 1), True),
        ((7, 3), (8, 2), False),
        ((50, 50), (70, 30), True),
        ((70, 30), (50, 50), False),
        ((0, 30), (9, 0), False),
    ],
)
def test_what_a_clear_drop_is(now: tuple[int, int], then: tuple[int, int], dropped: bool) -> None:
    assert bool(find_drop("v1.1", Thumbs(*now), "v1.0", Thumbs(*then))) == dropped


# -- details -----------------------------------------------------------------------------------


def test_details_show_where_a_version_came_from(
    engine: ScriptedEngine, models: Path, tmp_path: Path
) -> None:
    report = {
        "verdict": {"passed": False, "checks": []},
        "curve": [{"step": 1, "loss": 2.5}, "nonsense"],
        "samples": [{"prompt": "p", "before": "b", "after": "a"}],
        "overridden_by": "ann",
    }
    wanted = METADATA | BASE | {"parent": "v1.0"}
    publisher = Publisher(models, prove=lambda folder: {"largest_change": 1.0})
    publisher.publish(make_adapter(tmp_path / "a"), wanted, report, job="run-1")
    service = VersionService(engine, Registry(models))
    service.promote("v1.2", "ann")
    found = {d.version.name: d for d in service.details()}
    assert list(found) == ["base", "v1.0", "v1.1", "v1.2"]
    newest = found["v1.2"]
    assert (newest.parent, newest.current, newest.overridden_by) == ("v1.0", True, "ann")
    assert newest.curve == ({"step": 1, "loss": 2.5},)
    assert newest.verdict == {"passed": False, "checks": []}
    assert newest.proof == {"largest_change": 1.0}
    assert newest.training_config["learning_rate"] == 2e-4
    assert {n: d.kept_because for n, d in found.items()} == {
        "base": "keep_base",
        "v1.0": "keep_parent",
        "v1.1": "",
        "v1.2": "keep_current",
    }


@pytest.mark.parametrize("text", ["[]", '{"curve": 3, "verdict": [], "samples": {}}', "{", ""])
def test_a_strange_report_breaks_nothing(service: VersionService, models: Path, text: str) -> None:
    path = models / "v1.0" / "report.json"
    path.chmod(0o644)
    path.write_text(text)
    service.refresh()
    found = {d.version.name: d for d in service.details()}
    assert found["v1.0"].refused
    assert found["v1.0"].verdict is None


# -- a running server --------------------------------------------------------------------------


def eventually(holds: Callable[[], bool], within_s: float = 5.0) -> float:
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < within_s, "it never came true"
        time.sleep(0.005)
    return time.monotonic() - start


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_watcher_sees_what_another_process_does(
    service: VersionService, engine: ScriptedEngine, models: Path
) -> None:
    watcher = VersionWatcher(service, every_s=0.02)
    watcher.start()
    try:
        pid = os.fork()
        if pid == 0:
            add_version(models, 3, **BASE)
            Registry(models).activate("v1.2", by="cli")
            os._exit(0)
        os.waitpid(pid, 0)
        eventually(lambda: service.current() == "v1.2")
        assert "v1.2" in engine.versions()
    finally:
        watcher.stop()


@pytest.mark.parametrize(
    "trouble", [VersionError("x", "for once"), KeyError("for once"), RecursionError("for once")]
)
def test_the_watcher_outlives_trouble(
    service: VersionService, models: Path, caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    watcher = VersionWatcher(service, every_s=0.02)
    real, calls = service.refresh, []

    def failing() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise trouble
        real()

    service.refresh = failing  # type: ignore[method-assign]
    watcher.start()
    with caplog.at_level(logging.WARNING, "javis.versions"):
        add_version(models, 3, **BASE)
        eventually(lambda: "v1.2" in [v.name for v in service.usable()])
    watcher.stop()
    assert "for once" in caplog.text


def test_a_stream_ends_on_the_version_it_began_with(
    engine: ScriptedEngine, service: VersionService, models: Path
) -> None:
    service.promote("v1.0", "ann")
    control = [c.text for c in engine.stream(ASK, SamplingParams(), service.current())]
    stream = engine.stream(ASK, SamplingParams(), service.current())
    got = [next(stream).text, next(stream).text]
    add_version(models, 3, **BASE)
    service.promote("v1.2", "ann")
    service.delete("v1.1", "ann")
    got += [c.text for c in stream]
    assert got == control
    assert "".join(c.text for c in engine.stream(ASK, SamplingParams(), service.current())) == (
        f"[v1.2] {ASK[0].content}"
    )


SAID = SamplingParams(temperature=0.8, seed=5, max_tokens=24)
STORY = [Message("user", "Tell me a story about a dog and a bird.")]


@pytest.fixture
def llama(embedded_gguf: Path, tmp_path: Path) -> Iterator[LlamaCppEngine]:
    cache = tmp_path / "cache"
    engine = LlamaCppEngine(
        embedded_gguf,
        model="SmolLM2-135M-Instruct",
        title="SmolLM2",
        adapter_file=lambda version: ensure_gguf(version, embedded_gguf, cache),
        context=1024,
        parallel=2,
        # Two threads that wait for each other crawl when other tests run beside this one.
        threads=1,
    )
    yield engine
    engine.close()


def told(engine: LlamaCppEngine, version: str) -> str:
    return "".join(c.text for c in engine.stream(STORY, SAID, version))


def random_adapter(folder: Path) -> Path:
    return write_random_version(folder, "v1.0", "SmolLM2-135M-Instruct") / "adapter"


def test_llama_cpp_switches_under_a_stream_and_serves_within_3_s(
    llama: LlamaCppEngine, embedded_gguf: Path, tmp_path: Path
) -> None:
    """Publish to serving, with the embedded model and all that is checked; measured 0.7 s."""
    models = tmp_path / "models"
    wanted = METADATA | {"base_model": "SmolLM2-135M-Instruct"}
    publisher = Publisher(models, embedded_gguf)
    source = random_adapter(tmp_path / "made")
    first = publisher.publish(source, wanted, {}, job="first").name
    service = VersionService(llama, Registry(models))
    service.promote(first, "ann")
    # What a new server says is held against what the first one said before its cache held the
    # question; the stream, which finds it there, against a control that finds it, too.
    cold = told(llama, first)
    base = told(llama, "base")
    control = told(llama, first)
    assert told(llama, "base") == base
    stream = llama.stream(STORY, SAID, service.current())
    got = ""
    while not got:
        got += next(stream).text

    start = time.monotonic()
    second = publisher.publish(source, wanted, {}, job="second").name
    service.refresh()
    service.promote(second, "ann")
    assert service.serving(None).name == second
    took = time.monotonic() - start

    got += "".join(c.text for c in stream)
    assert got == control
    assert told(llama, second) == cold, "the same weights"
    assert base not in (cold, control)
    assert told(llama, "base") == base
    assert took < 3
    service.rollback("ann")
    service.rollback("ann")
    assert service.current() == "base"


def test_the_same_stream_on_the_new_version_would_differ(
    llama: LlamaCppEngine, embedded_gguf: Path, tmp_path: Path
) -> None:
    """The broken variant: an answer that changes its version halfway is not the control's."""
    models = tmp_path / "models"
    service = VersionService(llama, Registry(models))
    write_random_version(models, "v1.0", "SmolLM2-135M-Instruct")
    service.refresh()
    assert told(llama, "v1.0") != told(llama, "base")


def test_ia3_is_refused_by_llama_cpp_with_a_way_out(llama: LlamaCppEngine, tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    folder = tmp_path / "ia3"
    folder.mkdir()
    key = "base_model.model.model.layers.0.self_attn.k_proj.ia3_l"
    save_file({key: np.ones((192, 1), np.float32)}, folder / "adapter_model.safetensors")
    config = {"peft_type": "IA3", "task_type": "CAUSAL_LM", "target_modules": ["k_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    wanted = METADATA | {"base_model": "SmolLM2-135M-Instruct"}
    Publisher(tmp_path / "models").publish(folder, wanted, {}, job="j")
    service = VersionService(llama, Registry(tmp_path / "models"))
    assert "the transformers engine can" in service.refused["v1.0"]
    with pytest.raises(JavisError, match="JAVIS_ENGINE=transformers"):
        service.promote("v1.0", "ann")
