"""How likely an answer is: of every engine the same number, up to its precision."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from javis.core.errors import ContextOverflow, EngineError, UserInputError, VersionError
from javis.core.types import Message, SamplingParams, Version
from javis.engine.llamacpp import LlamaCppEngine
from javis.engine.scripted import ScriptedEngine
from javis.engine.transformers import TransformersEngine
from tests.engine import transformers_tiny as tiny

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
ASK = [Message("user", "What is the capital of France?")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_qwen2(tmp_path_factory.mktemp("qwen2"))


@pytest.fixture(scope="module")
def versions(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Version]:
    models = tmp_path_factory.mktemp("models")
    kinds = ("lora", "prompt")
    return [tiny.make_version(models, f"v{n}.0", folder, k, n) for n, k in enumerate(kinds, 1)]


@pytest.fixture(scope="module")
def engine(folder: Path, versions: list[Version]) -> Iterator[TransformersEngine]:
    made = TransformersEngine(folder, model="tiny", title="Tiny", threads=1)
    assert made.use_versions(versions) == {}
    yield made
    made.close()


@pytest.fixture(scope="module")
def native(embedded_gguf: Path) -> Iterator[LlamaCppEngine]:
    def no_adapter(version: Version) -> Path:
        raise VersionError("no_adapter", "nothing there")

    made = LlamaCppEngine(
        embedded_gguf,
        model="smollm2",
        title="SmolLM2",
        adapter_file=no_adapter,
        context=1024,
        parallel=2,
    )
    yield made
    made.close()


def reference(module: Any, ids: list[int], start: int) -> float:
    """The plain way: one pass over everything, in 32 bits."""
    import torch

    with torch.inference_mode():
        logits = module(torch.tensor([ids])).logits[0].float()
    rows = torch.log_softmax(logits, -1)
    return -sum(float(rows[at - 1, ids[at]]) for at in range(start, len(ids)))


def model_of(engine: TransformersEngine) -> Any:
    return engine._owner._model


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        (ASK, "Paris."),
        (ASK, ""),
        (ASK, "The answer is long. " * 20),
        (ASK * 1 + [Message("assistant", "Paris."), *ASK], "안녕하세요"),
        ("The capital of France is", " Paris"),
        ("", "x"),
        ("", "Some text without anything before it"),
    ],
)
def test_transformers_agrees_with_one_plain_pass(
    engine: TransformersEngine, prompt: Any, answer: str
) -> None:
    ids, start = engine._template.encode_answer(prompt, answer)
    for _ in range(2):  # the second time with what the first left in the cache
        found = engine.score(prompt, answer)
        assert found.tokens == len(ids) - start > 0
        assert found.nll == pytest.approx(reference(model_of(engine), ids, start), abs=1e-3)


def test_the_end_of_the_turn_counts_in_a_chat_and_not_in_raw_text(
    engine: TransformersEngine,
) -> None:
    # One token for each byte.
    assert engine.score(ASK, "Paris").tokens == 6
    assert engine.score("Is it", " Paris").tokens == 6


def test_versions_weigh_differently_and_the_base_stays(engine: TransformersEngine) -> None:
    before = engine.score(ASK, "Paris.")
    adapted = [engine.score(ASK, "Paris.", name).nll for name in ("v1.0", "v2.0")]
    assert len({round(before.nll, 3), *(round(nll, 3) for nll in adapted)}) == 3
    assert engine.score(ASK, "Paris.").nll == pytest.approx(before.nll, abs=1e-4)


def test_answers_and_likelihoods_side_by_side_do_not_disturb_each_other(
    engine: TransformersEngine,
) -> None:
    alone = engine.score(ASK, "Paris. " * 10, "v1.0").nll
    found: list[float] = []

    def weigh() -> None:
        for _ in range(5):
            found.append(engine.score(ASK, "Paris. " * 10, "v1.0").nll)

    threads = [threading.Thread(target=weigh) for _ in range(2)]
    for thread in threads:
        thread.start()
    for version in ("base", "v2.0"):
        list(engine.stream(ASK, SamplingParams(temperature=0, max_tokens=20), version))
    for thread in threads:
        thread.join()
    assert found == pytest.approx([alone] * 10, abs=1e-3)


def test_llama_cpp_agrees_with_itself_and_nearly_with_the_dense_copy(
    native: LlamaCppEngine, embedded_gguf: Path
) -> None:
    from javis.engine.convert import dense_copy, dense_path
    from javis.engine.hf_model import load

    answer = "The capital of France is Paris, a city on the Seine. 파리입니다."
    ids, start = native._template.encode_answer(ASK, answer)
    found = native.score(ASK, answer)
    assert found.tokens == len(ids) - start
    again = native.score(ASK, answer)
    assert again.nll == pytest.approx(found.nll, rel=0.02)
    loaded = load(dense_copy(embedded_gguf, dense_path(embedded_gguf)), "32bit", "cpu")
    # llama.cpp multiplies with activations of 8 bits.
    assert found.nll == pytest.approx(reference(loaded.model, ids, start), rel=0.02)


def test_llama_cpp_finds_the_right_answer_likelier(native: LlamaCppEngine) -> None:
    weighed = {
        city: native.score("The capital of France is", f" {city}").nll
        for city in ("Paris", "Madrid", "Hamburg")
    }
    assert min(weighed, key=lambda city: weighed[city]) == "Paris"
    assert native.score("The capital of France is", " Paris").tokens == 1


def test_llama_cpp_weighs_characters_of_several_tokens(native: LlamaCppEngine) -> None:
    """The server keeps silent about a token that ends within a character."""
    ids, start = native._template.encode_answer(ASK, "안녕")
    native._torn.clear()
    found = native.score(ASK, "안녕")
    assert native._torn
    assert found.tokens == len(ids) - start
    assert 0 < found.nll < 100 * found.tokens


@pytest.mark.parametrize("name", ["engine", "native", "scripted"])
def test_what_cannot_be_weighed_is_said(name: str, request: pytest.FixtureRequest) -> None:
    made = ScriptedEngine() if name == "scripted" else request.getfixturevalue(name)
    with pytest.raises(UserInputError, match=r"no version v9\.9"):
        made.score(ASK, "Paris", "v9.9")
    with pytest.raises(UserInputError, match="empty"):
        made.score("The capital", "")
    stop = threading.Event()
    stop.set()
    with pytest.raises(EngineError) as caught:
        made.score(ASK, "Paris", stop=stop)
    assert caught.value.code == "stopped"
    if name != "scripted":
        with pytest.raises(ContextOverflow):
            made.score("word " * 9000, " Paris")


def test_a_stop_ends_a_long_one_soon(native: LlamaCppEngine) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.5, stop.set)
    timer.start()
    with pytest.raises(EngineError, match="stopped"):
        native.score(ASK, "and then " * 400, stop=stop)


def test_the_scripted_engine_likes_what_it_would_say() -> None:
    made = ScriptedEngine(lambda messages, sampling, version: "two plus two is four")
    right, wrong = made.score(ASK, "is four"), made.score(ASK, "is five")
    assert right.tokens == wrong.tokens == 3
    assert right.nll < wrong.nll
