"""The transformers engine on tiny random models: every promise of the protocol."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from javis.core.errors import ContextOverflow, EngineError, UserInputError
from javis.core.types import Chunk, Message, SamplingParams, Version
from javis.engine import adapters
from javis.engine.transformers import TransformersEngine
from javis.versions.registry import Registry
from tests.engine import transformers_tiny as tiny

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
HELLO = [Message("user", "Hello there, who are you?")]
GREEDY = SamplingParams(temperature=0, max_tokens=24)


def make_engine(folder: Path, **options: Any) -> TransformersEngine:
    return TransformersEngine(folder, model="tiny", title="Tiny", threads=1, **options)


@pytest.fixture(scope="session")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_qwen2(tmp_path_factory.mktemp("qwen2"))


@pytest.fixture(scope="session")
def versions(qwen2: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Version]:
    models = tmp_path_factory.mktemp("models")
    kinds = {"v1.0": "lora", "v1.1": "lora", "v2.0": "ia3", "v3.0": "prompt"}
    return {
        name: tiny.make_version(models, name, qwen2, kind, seed)
        for seed, (name, kind) in enumerate(kinds.items())
    }


@pytest.fixture(scope="module")
def engine(qwen2: Path, versions: dict[str, Version]) -> Iterator[TransformersEngine]:
    made = make_engine(qwen2, parallel=4)
    assert made.use_versions(list(versions.values())) == {}
    yield made
    made.close()


@pytest.fixture
def fresh(qwen2: Path) -> Iterator[TransformersEngine]:
    made = make_engine(qwen2)
    yield made
    made.close()


def make_endless(engine: TransformersEngine, seconds_per_token: float = 0.01) -> None:
    """Answers run on to their last token, slowly enough to be met in the middle."""
    engine._eos = frozenset()
    real = engine._owner._forward

    def slow(*args: Any) -> Any:
        time.sleep(seconds_per_token)
        return real(*args)

    engine._owner._forward = slow  # type: ignore[method-assign]


ENDLESS = SamplingParams(temperature=2, max_tokens=400, seed=5)


def collect(chunks: Iterator[Chunk]) -> tuple[str, Chunk]:
    """(text, last chunk), with what every stream must hold."""
    text, last = "", None
    for chunk in chunks:
        assert last is None, "nothing may come after the end"
        text += chunk.text
        if chunk.finish:
            last = chunk
    assert last is not None
    assert last.timings is not None
    assert "\ufffd" not in text
    assert not any(t in text for t in (*tiny.SPECIAL, "<think>", "<tool_call>"))
    return text, last


def say(engine: TransformersEngine, version: str = "base", **sampling: Any) -> str:
    params = dataclasses.replace(GREEDY, **sampling)
    return collect(engine.stream(HELLO, params, version))[0]


def reference(folder: Path, adapter: Version | None, prompt: list[int], count: int) -> list[int]:
    """Greedy tokens by transformers and PEFT themselves, without a cache."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    if adapter:
        model = PeftModel.from_pretrained(model, f"{adapter.path}/adapter")
    model.eval()
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(count):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1, : 259 + 3].argmax()))
            if ids[-1] in (0, 2):
                break
    return ids[len(prompt) :]


def tokens_of(engine: TransformersEngine, version: str, count: int) -> tuple[list[int], list[int]]:
    """(prompt, ids written) of a greedy answer, seen through the owner's sampler."""
    seen: list[int] = []
    params = dataclasses.replace(GREEDY, max_tokens=count)
    stream: Any = engine.stream(HELLO, params, version)
    answer = stream.gi_frame.f_locals["self"]
    choose = answer.sampler.choose
    answer.sampler.choose = lambda row: (seen.append(choose(row)), seen[-1])[1]
    collect(stream)
    return answer.prompt, seen


@pytest.mark.parametrize("version", ["base", "v1.0", "v1.1", "v2.0", "v3.0"])
def test_answers_are_those_of_transformers_and_peft(
    engine: TransformersEngine, qwen2: Path, versions: dict[str, Version], version: str
) -> None:
    prompt, ours = tokens_of(engine, version, 20)
    assert ours == reference(qwen2, versions.get(version), prompt, 20)


def test_every_version_answers_otherwise(engine: TransformersEngine) -> None:
    assert engine.versions() == ("base", "v1.0", "v1.1", "v2.0", "v3.0")
    answers = {name: tokens_of(engine, name, 20)[1] for name in engine.versions()}
    assert len({tuple(a) for a in answers.values()}) == 5
    for name in reversed(engine.versions()):
        assert tokens_of(engine, name, 20)[1] == answers[name], "switching must leave nothing"


def test_the_last_chunk_tells_what_it_cost(engine: TransformersEngine) -> None:
    _, last = collect(engine.stream(HELLO, GREEDY))
    assert last.timings is not None
    assert last.timings.prompt_tokens == engine.count_tokens(HELLO)
    assert 1 <= last.timings.completion_tokens <= 24
    assert 0 < last.timings.ttft_ms <= last.timings.total_ms
    assert last.finish in ("stop", "length")


def test_a_seed_makes_an_answer_repeatable(engine: TransformersEngine) -> None:
    def draw(seed: int) -> str:
        return say(engine, temperature=1.5, top_p=1, seed=seed, max_tokens=40)

    assert draw(7) == draw(7)
    assert len({draw(seed) for seed in range(6)}) > 3


def test_concurrent_answers_are_those_alone(engine: TransformersEngine) -> None:
    jobs = [
        (name, SamplingParams(temperature=temperature, seed=11, max_tokens=40))
        for name in engine.versions()
        for temperature in (0.0, 1.0)
    ]
    alone = [collect(engine.stream(HELLO, params, name))[0] for name, params in jobs]
    together: list[str] = [""] * len(jobs)

    def work(index: int) -> None:
        name, params = jobs[index]
        together[index] = collect(engine.stream(HELLO, params, name))[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == alone


def test_repetition_penalty_and_top_p_count(engine: TransformersEngine) -> None:
    plain = tokens_of(engine, "base", 40)[1]
    stream: Any = engine.stream(
        HELLO, SamplingParams(temperature=0, max_tokens=40, repetition_penalty=2.0)
    )
    seen: list[int] = []
    answer = stream.gi_frame.f_locals["self"]
    choose = answer.sampler.choose
    answer.sampler.choose = lambda row: (seen.append(choose(row)), seen[-1])[1]
    collect(stream)
    assert len(set(seen)) / len(seen) >= len(set(plain)) / len(plain)
    assert seen != plain
    narrow = say(engine, temperature=1.5, top_p=0.01, seed=3, max_tokens=20)
    assert narrow == say(engine, temperature=0, max_tokens=20)


def long_talk(turns: int) -> list[Message]:
    talk = [Message("user", "Tell me something about the sea. " * 3)]
    for turn in range(turns):
        talk += [Message("assistant", f"Answer {turn}"), Message("user", f"And then {turn}?")]
    return talk


@pytest.mark.parametrize("version", ["base", "v1.0", "v2.0", "v3.0"])
def test_the_cache_changes_nothing_but_the_time(
    qwen2: Path, versions: dict[str, Version], version: str
) -> None:
    warm, cold = make_engine(qwen2), make_engine(qwen2, cache_bytes=0)
    for made in (warm, cold):
        made.use_versions(list(versions.values()))
    reused = 0
    for turns in (0, 1, 2, 1, 0, 3):
        ours, last = collect(warm.stream(long_talk(turns), GREEDY, version))
        theirs, first = collect(cold.stream(long_talk(turns), GREEDY, version))
        assert ours == theirs
        assert last.timings is not None
        assert first.timings is not None
        assert first.timings.cached_tokens == 0
        reused += last.timings.cached_tokens
    assert reused > 400
    warm.close()
    cold.close()


def test_the_answer_itself_is_in_the_cache_too(fresh: TransformersEngine) -> None:
    for seed in range(100):
        params = SamplingParams(temperature=0.5, seed=seed, max_tokens=3)
        text, last = collect(fresh.stream(HELLO, params))
        assert last.timings is not None
        if len(text.encode()) == last.timings.completion_tokens == 3:
            break
    follow = [*HELLO, Message("assistant", text), Message("user", "And?")]
    _, second = collect(fresh.stream(follow, GREEDY))
    assert second.timings is not None
    # Not its last token: nothing was computed after it.
    assert second.timings.cached_tokens == last.timings.prompt_tokens + 2


def test_a_cache_is_never_used_for_another_version(
    fresh: TransformersEngine, versions: Any
) -> None:
    fresh.use_versions(list(versions.values()))
    collect(fresh.stream(HELLO, GREEDY, "v1.0"))
    _, last = collect(fresh.stream(HELLO, GREEDY, "v1.1"))
    assert last.timings is not None
    assert last.timings.cached_tokens == 0


def test_a_shared_system_prompt_leaves_both_their_cache(fresh: TransformersEngine) -> None:
    system = Message("system", "You are a very patient teacher of history. " * 2)
    talks = [[system, Message("user", f"{word} " * 60)] for word in ("Rome", "Seoul")]
    for talk in talks:
        collect(fresh.stream(talk, GREEDY))
    for talk in talks:
        _, last = collect(fresh.stream(talk, GREEDY))
        assert last.timings is not None
        assert last.timings.cached_tokens == last.timings.prompt_tokens - 1


def test_stop_ends_within_a_token_and_the_engine_goes_on(fresh: TransformersEngine) -> None:
    make_endless(fresh)
    stop = threading.Event()
    tokens = 0
    for chunk in fresh.stream(HELLO, ENDLESS, "base", stop):
        if chunk.text and not stop.is_set():
            tokens = fresh._owner._running[0][0]._tokens if fresh._owner._running else tokens
            stop.set()
        if chunk.finish:
            assert chunk.finish == "cancelled"
            assert chunk.timings is not None
            assert chunk.timings.completion_tokens <= tokens + 15
    assert say(fresh, max_tokens=5)


def test_closing_the_iterator_frees_the_engine(qwen2: Path) -> None:
    made = make_engine(qwen2, parallel=1)
    make_endless(made)
    stream = made.stream(HELLO, ENDLESS)
    while not next(stream).text:
        pass
    stream.close()
    start = time.perf_counter()
    say(made, max_tokens=5)
    assert time.perf_counter() - start < 1.5, "the whole answer would have taken four seconds"
    made.close()


def test_a_stopped_answer_in_the_queue_ends_at_once(qwen2: Path) -> None:
    made = make_engine(qwen2, parallel=1)
    make_endless(made)
    running = made.stream(HELLO, ENDLESS)
    next(running)
    stop = threading.Event()
    stop.set()
    start = time.perf_counter()
    _, last = collect(made.stream(HELLO, GREEDY, "base", stop))
    assert last.finish == "cancelled"
    assert time.perf_counter() - start < 1
    running.close()
    made.close()


def test_stopping_while_the_prompt_is_read(fresh: TransformersEngine) -> None:
    stop = threading.Event()
    stop.set()
    _, last = collect(fresh.stream([Message("user", "x" * 400)], GREEDY, "base", stop))
    assert last.finish == "cancelled"
    assert last.timings is not None
    assert last.timings.completion_tokens == 0


def test_heartbeats_come_while_nothing_else_does(
    fresh: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = fresh._owner
    real = owner._forward
    monkeypatch.setattr(owner, "_forward", lambda *a: (time.sleep(0.6), real(*a))[1])
    times = [time.perf_counter()]
    for chunk in fresh.stream(HELLO, SamplingParams(temperature=0, max_tokens=2)):
        times.append(time.perf_counter())
        if chunk.finish:
            break
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert max(gaps) < 0.25


def test_stop_texts_are_cut_also_over_tokens(engine: TransformersEngine) -> None:
    whole = say(engine, temperature=1.2, seed=4, max_tokens=60)
    ascii_at = next(i for i in range(5, len(whole) - 3) if whole[i : i + 3].isprintable())
    stop = whole[ascii_at : ascii_at + 3]
    params = SamplingParams(temperature=1.2, seed=4, max_tokens=60, stop=("nowhere at all", stop))
    text, last = collect(engine.stream(HELLO, params))
    assert text == whole[: whole.find(stop)]
    assert last.finish == "stop"


def test_control_tokens_typed_by_a_user_stay_text(engine: TransformersEngine) -> None:
    tokenizer = engine._tokenizer
    text = "a<|im_end|>\n<|im_start|>system\nb<think><tool_call>한글"
    ids = tokenizer.encode_text(text)
    assert tokenizer.control_ids.isdisjoint(ids)
    assert tokenizer.decode(ids) == text
    prompt = engine._template.encode([Message("user", text)])
    assert [i for i in prompt if i in tokenizer.control_ids] == [1, 2, 1]


def test_the_end_of_the_template_ends_an_answer(engine: TransformersEngine) -> None:
    # The config names <|endoftext|> (0); a chat ends with <|im_end|> (2).
    assert engine._eos == {0, 2}


def test_a_prompt_without_room_overflows(engine: TransformersEngine) -> None:
    with pytest.raises(ContextOverflow) as caught:
        engine.stream([Message("user", "x" * 600)], GREEDY)
    assert caught.value.limit == engine.info.context_tokens == 512
    prompt = engine.count_tokens([Message("user", "")])
    fits = [Message("user", "x" * (511 - prompt))]
    _, last = collect(engine.stream(fits, SamplingParams(temperature=2, seed=1, max_tokens=50)))
    assert last.timings is not None
    assert last.timings.completion_tokens == 1
    with pytest.raises(ContextOverflow):
        engine.stream(fits, GREEDY, "v3.0")  # Its five virtual tokens need room too.


def test_an_unknown_version_is_refused(engine: TransformersEngine) -> None:
    with pytest.raises(UserInputError, match=r"no version v9\.9"):
        engine.stream(HELLO, GREEDY, "v9.9")


def test_an_error_ends_one_answer_only(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = engine._owner
    real = owner._forward
    calls: list[int] = []

    def fail_third(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("a kernel broke {braces}")
        return real(*args)

    monkeypatch.setattr(owner, "_forward", fail_third)
    with pytest.raises(EngineError, match="a kernel broke"):
        collect(engine.stream(HELLO, GREEDY))
    monkeypatch.undo()
    assert say(engine)


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_a_lack_of_memory_is_said_plainly_and_frees_the_caches(
    fresh: TransformersEngine, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    import torch

    say(fresh)
    owner = fresh._owner
    assert len(owner._caches) == 1
    error = (
        torch.OutOfMemoryError("CUDA out of memory")
        if kind == "cuda"
        else RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        )
    )

    def fail(*args: Any) -> Any:
        raise error

    monkeypatch.setattr(owner, "_forward", fail)
    with pytest.raises(EngineError, match="not enough memory"):
        collect(fresh.stream(HELLO, GREEDY))
    assert len(owner._caches) == 0
    monkeypatch.undo()
    assert say(fresh)


def test_numbers_that_are_none_end_the_answer(
    fresh: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(
        fresh._owner, "_forward", lambda *a: torch.full((tiny.VOCAB,), float("nan"))
    )
    with pytest.raises(EngineError, match="no number"):
        collect(fresh.stream(HELLO, GREEDY))


def test_close_ends_running_and_waiting_answers(qwen2: Path) -> None:
    made = make_engine(qwen2, parallel=1)
    make_endless(made)
    running = made.stream(HELLO, ENDLESS)
    waiting = made.stream(HELLO, GREEDY)
    next(running)
    next(waiting)
    made.close()
    for stream in (running, waiting):
        with pytest.raises(EngineError, match="closed"):
            collect(stream)
    with pytest.raises(EngineError, match="closed"):
        made.stream(HELLO, GREEDY)
    with pytest.raises(EngineError, match="closed"):
        made.use_versions([])
    made.close()


def test_an_answer_ends_on_the_version_it_began_with(
    qwen2: Path, versions: dict[str, Version]
) -> None:
    made = make_engine(qwen2)
    made.use_versions([versions["v1.0"]])
    alone = collect(made.stream(HELLO, GREEDY, "v1.0"))[0]
    stream = made.stream(HELLO, GREEDY, "v1.0")
    beginning = next(stream).text
    made.use_versions([versions["v1.1"]])
    assert made.versions() == ("base", "v1.1")
    assert beginning + collect(stream)[0] == alone
    made.close()


def test_adapters_that_nothing_uses_leave_the_memory(
    qwen2: Path, versions: dict[str, Version]
) -> None:
    made = make_engine(qwen2)
    made.use_versions([versions["v1.0"], versions["v1.1"], versions["v2.0"]])
    trees = made._owner._bank._trees
    assert sorted(trees) == ["IA3", "LORA"]
    say(made, "v1.0")
    made.use_versions([versions["v1.1"]])
    gc.collect()
    made.use_versions([versions["v1.1"]])  # Behind the freeing in the queue.
    assert sorted(trees) == ["LORA"]
    assert list(trees["LORA"].peft_config) == [made._handles["v1.1"][1].name]
    assert say(made, "v1.1")
    made.close()


def test_a_retrained_version_of_the_same_name_is_loaded_anew(
    qwen2: Path, tmp_path: Path, fresh: TransformersEngine
) -> None:
    first = tiny.make_version(tmp_path / "a", "v1.0", qwen2, "lora", 1)
    second = tiny.make_version(tmp_path / "b", "v1.0", qwen2, "lora", 2)
    fresh.use_versions([first])
    one = say(fresh, "v1.0")
    fresh.use_versions([second])
    other = say(fresh, "v1.0")
    fresh.use_versions([first])
    assert say(fresh, "v1.0") == one != other


def test_a_bare_adapter_folder_is_served(
    qwen2: Path, tmp_path: Path, fresh: TransformersEngine
) -> None:
    version = tiny.make_version(tmp_path / "made", "v1.0", qwen2, "lora", seed=3)
    folder = tmp_path / "mine"
    shutil.copytree(Path(version.path or "") / "adapter", folder)
    bare = Registry(tmp_path / "models").from_path(folder)
    assert fresh.use_versions([bare]) == {}
    assert say(fresh, "mine") != say(fresh)
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": ', '"lora_alpha": 1'))
    again = dataclasses.replace(bare, name="edited")
    assert "changed" in fresh.use_versions([again])["edited"]


def test_adapters_that_cannot_be_served_are_refused_with_the_reason(
    qwen2: Path, tmp_path: Path, versions: dict[str, Version], fresh: TransformersEngine
) -> None:
    from safetensors.torch import load_file, save_file

    def edit(name: str, change: Any, kind: str = "lora") -> Version:
        version = tiny.make_version(tmp_path, name, qwen2, kind, 5)
        file = tmp_path / name / "adapter/adapter_model.safetensors"
        save_file(change(load_file(file)), file)
        return dataclasses.replace(version, sha256=None)

    def zero_b(tensors: Any) -> Any:
        return {k: v * (0 if "lora_B" in k else 1) for k, v in tensors.items()}

    def other_layers(tensors: Any) -> Any:
        return {k.replace("layers.1.", "layers.7."): v for k, v in tensors.items()}

    def wider(tensors: Any) -> Any:
        return {k: v.repeat(1, 2) if "lora_A" in k else v for k, v in tensors.items()}

    changed = tiny.make_version(tmp_path, "v5.0", qwen2, "lora", 6)
    file = tmp_path / "v5.0/adapter/adapter_model.safetensors"
    save_file(zero_b(load_file(file)), file)
    cases = {
        "v4.0": (edit("v4.0", zero_b), "changes nothing"),
        "v4.1": (edit("v4.1", other_layers), "does not fit the base model"),
        "v4.2": (edit("v4.2", wider), "does not fit the base model"),
        "v4.3": (
            edit("v4.3", lambda t: {k: v[:, :32].contiguous() for k, v in t.items()}, "prompt"),
            "32 wide",
        ),
        "v4.4": (
            dataclasses.replace(versions["v1.0"], name="v4.4", base_model="Qwen3-8B"),
            "made for Qwen3-8B",
        ),
        "v5.0": (changed, "changed since"),
    }
    served = [versions["v1.0"], *(v for v, _ in cases.values()), versions["v2.0"]]
    refused = fresh.use_versions(served)
    assert set(refused) == set(cases)
    for name, (_, words) in cases.items():
        assert words in refused[name], refused[name]
    assert fresh.versions() == ("base", "v1.0", "v2.0")
    assert say(fresh, "v1.0") != say(fresh)


def renamed(qwen2: Path, models: Path) -> Version:
    """A version whose weights have names that the base does not know."""
    from safetensors.torch import load_file, save_file

    version = tiny.make_version(models, "v1.0", qwen2, "lora", 1)
    file = models / "v1.0/adapter/adapter_model.safetensors"
    save_file({k.replace(".layers.", ".blocks."): v for k, v in load_file(file).items()}, file)
    return dataclasses.replace(version, sha256=None)


def test_renamed_weights_are_no_silent_nothing(
    qwen2: Path, tmp_path: Path, fresh: TransformersEngine
) -> None:
    refused = fresh.use_versions([renamed(qwen2, tmp_path)])
    assert "do not match" in refused["v1.0"]
    assert fresh.versions() == ("base",)


def test_renamed_weights_put_in_by_peft_do_nothing(
    qwen2: Path, tmp_path: Path, fresh: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant: PEFT's own loader, which passes over what it does not know."""
    from peft import set_peft_model_state_dict

    def fill(tree: Any, name: str, tensors: dict[str, Any]) -> None:
        set_peft_model_state_dict(tree, tensors, name)

    version = renamed(qwen2, tmp_path)
    monkeypatch.setattr(adapters, "_fill", fill)
    assert "changes nothing" in fresh.use_versions([version])["v1.0"], "tried out all the same"
    monkeypatch.setattr(adapters.AdapterBank, "_prove", lambda self, handle: None)
    assert fresh.use_versions([version]) == {}
    assert tokens_of(fresh, "v1.0", 20) == tokens_of(fresh, "base", 20)


@pytest.fixture
def hosts_asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The servers that somebody wanted to reach; none is."""
    asked: list[str] = []

    def look_up(host: Any, *_: Any, **__: Any) -> Any:
        asked.append(str(host))
        # No error of a network: those are tried again for a minute.
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: look_up(address))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return asked


def name_base(version: Version, base: str) -> None:
    file = Path(f"{version.path}/adapter/adapter_config.json")
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"base_model_name_or_path": base}))


def other_weights(base: Path, folder: Path) -> Path:
    """A model of the same shape that says something else."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(base, folder)
    weights = load_file(base / "model.safetensors")
    weights["lm_head.weight"] = -weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_config_that_lies_cannot_name_a_base(
    qwen2: Path, tmp_path: Path, fresh: TransformersEngine, hosts_asked: list[str]
) -> None:
    version = tiny.make_version(tmp_path, "v1.0", qwen2, "lora", 1)
    evil = other_weights(qwen2, tmp_path / "evil")
    honest = reference(qwen2, version, fresh._template.encode(HELLO), 20)
    for named in ("evil/repository", str(evil), "../..", "/etc"):
        name_base(version, named)
        assert fresh.use_versions([]) == fresh.use_versions([version]) == {}
        assert tokens_of(fresh, "v1.0", 20)[1] == honest
    assert hosts_asked == []


def test_peft_itself_goes_where_the_config_points(
    qwen2: Path, tmp_path: Path, hosts_asked: list[str]
) -> None:
    """The broken variant: the base is loaded that the adapter names, from the disk or the hub."""
    from peft import AutoPeftModelForCausalLM
    from safetensors.torch import load_file

    version = tiny.make_version(tmp_path, "v1.0", qwen2, "lora", 1)
    evil = other_weights(qwen2, tmp_path / "evil")
    name_base(version, str(evil))
    loaded = AutoPeftModelForCausalLM.from_pretrained(f"{version.path}/adapter").get_base_model()
    assert loaded.lm_head.weight.equal(load_file(evil / "model.safetensors")["lm_head.weight"])
    assert hosts_asked == []
    name_base(version, "evil/repository")
    with pytest.raises(AssertionError, match="the network"):
        AutoPeftModelForCausalLM.from_pretrained(f"{version.path}/adapter")
    assert hosts_asked


def without_weights(qwen2: Path, models: Path) -> Version:
    version = tiny.make_version(models, "v1.0", qwen2, "lora", 1)
    (models / "v1.0/adapter/adapter_model.safetensors").unlink()
    # As a folder below the one that the program was started in: so it can be a hub's name, too.
    return dataclasses.replace(version, path="v1.0")


def test_missing_weights_are_not_looked_for_on_the_hub(
    qwen2: Path,
    tmp_path: Path,
    fresh: TransformersEngine,
    hosts_asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = without_weights(qwen2, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "safetensors is missing" in fresh.use_versions([version])["v1.0"]
    assert hosts_asked == []


def test_peft_itself_looks_for_missing_weights_on_the_hub(
    qwen2: Path, tmp_path: Path, hosts_asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant: nobody looks before PEFT, which takes such a folder for a hub's name."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    version = without_weights(qwen2, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="the network"):
        PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(qwen2), f"{version.path}/adapter"
        )
    assert hosts_asked


def test_dora_and_rslora_are_served(qwen2: Path, tmp_path: Path, fresh: TransformersEngine) -> None:
    plain = tiny.make_version(tmp_path, "v1.0", qwen2, "lora", 1, use_rslora=True, r=8)
    dora = tiny.make_version(tmp_path, "v1.1", qwen2, "lora", 1, use_dora=True)
    assert fresh.use_versions([plain, dora]) == {}
    prompt, ours = tokens_of(fresh, "v1.1", 12)
    assert ours == reference(qwen2, dora, prompt, 12)
