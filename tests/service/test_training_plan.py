"""What a run is said to take, against what one took: in the tokens of the embedded model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from javis.commands.model import token_counter
from javis.core.errors import EngineError, TrainError
from javis.core.learning import Method, TrainJob
from javis.core.types import Message, Version
from javis.engine.convert import dense_copy, dense_path
from javis.engine.hardware import Hardware
from javis.engine.llamacpp import LlamaCppEngine
from javis.engine.template import ChatTemplate
from javis.service.preferences import Preferences
from javis.service.run_counts import CountTokens, tokens_of
from javis.service.run_files import Row, RunData
from javis.service.training_plan import Planner, TrainBase
from javis.store import Store, open_store
from javis.train.config import Hyperparameters, TrainConfig
from javis.train.data import encode_examples, encode_judged, encode_pairs, read_rows
from javis.train.estimate import memory_bytes
from javis.train.material import Held, Material
from tests.service.learning import BIG, Source
from tests.train.jobs import said, write_rows

PARAMETERS = 134_515_008
TOOK_S = 300.0
ASKED = {
    "ko": "아침에 마시기 좋은 차를 {} 가지 추천해 줘.",
    "en": "Please recommend {} teas that are good in the morning.",
}
GOOD = {
    "ko": "녹차를 추천합니다. 카페인이 커피보다 적고 향이 은은해서 아침에 마시기 좋습니다. "
    "물은 80도 정도로 식혀서 2분쯤 우려내세요.",
    "en": "I recommend green tea. It has less caffeine than coffee and a gentle taste. Let the "
    "water cool to 80 degrees and let it steep for about two minutes.",
}
BAD = {
    "ko": "차는 종류가 아주 많아서 무엇이 좋은지 말하기 어렵습니다. 가게에 가서 물어보세요.",
    "en": "There are so many kinds of tea that it is hard to say which one is good. Ask a shop.",
}


def row(method: Method, language: str, number: int) -> Row:
    prompt = [{"role": "user", "content": ASKED[language].format(number)}]
    good, bad = said(GOOD[language] * (1 + number % 3)), said(BAD[language] * (1 + number % 2))
    if method == "dpo":
        return {"prompt": prompt, "chosen": good, "rejected": bad}
    if method == "kto":
        return {"prompt": prompt, "completion": good, "label": number % 2 == 0}
    return {"messages": [*prompt, *good]}


def rows(method: Method, language: str, count: int = 16) -> list[Row]:
    if language == "both":
        # Another language in every second row, as a step over the rows would miss.
        return [row(method, "ko" if n % 2 else "en", n) for n in range(count)]
    return [row(method, language, n) for n in range(count)]


def no_adapter(version: Version) -> Path:
    raise AssertionError(version)


@pytest.fixture(scope="module")
def engine(embedded_gguf: Path) -> Iterator[LlamaCppEngine]:
    engine = LlamaCppEngine(
        embedded_gguf,
        model="SmolLM2-135M-Instruct",
        title="SmolLM2",
        adapter_file=no_adapter,
        context=256,
        parallel=1,
        threads=1,
    )
    yield engine
    engine.close()


Real = Callable[..., int]


@pytest.fixture
def real(engine: LlamaCppEngine, tmp_path: Path) -> Real:
    """Tokens of rows as the trainer counts them."""
    template: ChatTemplate = engine._template

    def count(method: Method, train: Sequence[Row], longest: int = 1024) -> int:
        write_rows(tmp_path / "rows.jsonl", list(train))
        read = read_rows(tmp_path / "rows.jsonl", method)
        if method == "dpo":
            return Material(Held(), pairs=encode_pairs(template, read, longest)[0]).tokens
        if method == "kto":
            return Material(Held(), judged=encode_judged(template, read, longest)[0]).tokens
        return Material(Held(), examples=encode_examples(template, read, longest)[0]).tokens

    return count


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "journal")
    yield store
    store.close()


def planner(
    store: Store, folder: Path, count_tokens: CountTokens | None, found: Hardware = BIG
) -> Planner:
    base = TrainBase("scripted", folder / "base", None, "4bit", "cpu", PARAMETERS)
    return Planner(
        store,
        Source(),
        Preferences(store),
        cast("Any", None),
        base,
        folder,
        lambda: found,
        count_tokens=count_tokens,
    )


def given(method: Method) -> dict[str, Any]:
    return {"epochs": 2, "max_length": 1024} | ({"keep": 0} if method == "sft-lora" else {})


def seconds(plan: Planner, method: Method, train: Sequence[Row]) -> float:
    return plan.estimate(method, given(method), RunData(train), train).seconds


def has_run(store: Store, method: Method, tokens: int) -> None:
    """A run of two epochs over so many tokens has ended."""
    took = {"seconds": TOOK_S, "tokens": 2 * tokens}
    job = TrainJob("r", "2026-01-01", "local", method, "scripted", {}, state="succeeded", took=took)
    store.jobs.add(job)


CASES: list[tuple[Method, str]] = [
    ("sft-lora", "ko"),
    ("sft-lora", "en"),
    ("dpo", "en"),
    ("dpo", "ko"),
    ("kto", "ko"),
]


@pytest.mark.parametrize(("method", "language"), CASES)
def test_after_a_run_the_same_rows_are_said_to_take_as_long(
    method: Method,
    language: str,
    store: Store,
    engine: LlamaCppEngine,
    real: Real,
    tmp_path: Path,
) -> None:
    train = rows(method, language)
    has_run(store, method, real(method, train))
    took = seconds(planner(store, tmp_path, engine.count_tokens), method, train)
    assert took == pytest.approx(TOOK_S, rel=0.3)


@pytest.mark.parametrize("method", ["sft-lora", "dpo"])
def test_a_run_on_english_rows_foretells_one_on_korean_ones(
    method: Method, store: Store, engine: LlamaCppEngine, real: Real, tmp_path: Path
) -> None:
    has_run(store, method, real(method, rows(method, "en")))
    longer = real(method, rows(method, "ko")) / real(method, rows(method, "en"))
    plan = planner(store, tmp_path, engine.count_tokens)
    assert seconds(plan, method, rows(method, "ko")) == pytest.approx(TOOK_S * longer, rel=0.3)


@pytest.mark.parametrize(("method", "language"), CASES)
def test_the_tokens_are_those_that_the_trainer_counts(
    method: Method, language: str, engine: LlamaCppEngine, real: Real
) -> None:
    few, many = rows(method, language), rows(method, language, 300)
    assert tokens_of(few, 1024, engine.count_tokens) == pytest.approx(real(method, few), rel=0.01)
    assert tokens_of(many, 1024, engine.count_tokens) == pytest.approx(real(method, many), rel=0.05)
    # Longer ones lose their end.
    cut = tokens_of(few, 160, engine.count_tokens)
    assert cut == pytest.approx(real(method, few, 160), rel=0.05)


def test_rows_of_two_languages(engine: LlamaCppEngine, real: Real) -> None:
    train = rows("dpo", "both", 300)
    assert tokens_of(train, 1024, engine.count_tokens) == pytest.approx(real("dpo", train), rel=0.1)


def test_only_so_much_is_counted() -> None:
    asked: list[int] = []

    def count_tokens(messages: Sequence[Message]) -> int:
        asked.append(sum(len(m.content) for m in messages))
        return 10

    train = [{"messages": [*said("a" * 100_000), *said("b" * 100_000)]} for _ in range(5000)]
    tokens_of(train, 1024, count_tokens)
    assert len(asked) <= 100 and max(asked) <= 2000


def test_before_any_run_a_pair_takes_as_much_more_than_an_answer_as_it_did(
    store: Store, tmp_path: Path, engine: LlamaCppEngine
) -> None:
    """2.6 times: both answers with their prompt, and the base's opinion of them."""
    pairs = [r | {"rejected": r["chosen"]} for r in rows("dpo", "en")]
    plan = planner(store, tmp_path, engine.count_tokens)
    nothing = seconds(plan, "sft-lora", [])
    once = seconds(plan, "sft-lora", rows("sft-lora", "en")) - nothing
    assert seconds(plan, "dpo", pairs) - nothing == pytest.approx(2.6 * once, rel=0.05)


@pytest.mark.parametrize(("method", "language"), CASES)
def test_the_memory_asked_for_is_what_the_real_tokens_ask(
    method: Method,
    language: str,
    store: Store,
    engine: LlamaCppEngine,
    real: Real,
    tmp_path: Path,
) -> None:
    train = rows(method, language)
    hyper = Hyperparameters(**given(method))
    sides = len(train) * (2 if method == "dpo" else 1)
    length = math.floor(real(method, train) / sides)
    needed = memory_bytes(method, hyper, PARAMETERS, "cpu", length, 32)
    config = TrainConfig("r", method, "scripted", "base", hyperparameters=hyper)
    found = Hardware(cores=2, ram_total=1 << 40, ram_available=needed - 1)
    with pytest.raises(TrainError, match="GB of memory"):
        planner(store, tmp_path, engine.count_tokens, found).check(config, train)
    enough = Hardware(cores=2, ram_total=1 << 40, ram_available=int(1.02 * needed))
    planner(store, tmp_path, engine.count_tokens, enough).check(config, train)


def test_the_command_line_counts_as_the_server_does(
    engine: LlamaCppEngine, embedded_gguf: Path, tmp_path: Path
) -> None:
    count_tokens = token_counter(dense_copy(embedded_gguf, dense_path(embedded_gguf)))
    for language in ("ko", "en"):
        messages = [Message("user", ASKED[language]), Message("assistant", GOOD[language])]
        assert count_tokens(messages) == engine.count_tokens(messages)
    train = rows("sft-lora", "ko")
    with_no_copy_yet = token_counter(tmp_path / "none")
    assert tokens_of(train, 1024, with_no_copy_yet) == tokens_of(train, 1024)


def test_without_the_model_tokens_are_counted_roughly(real: Real) -> None:
    def away(messages: Sequence[Message]) -> int:
        raise EngineError("chat_paused", "It makes room.")

    for language in ("ko", "en"):
        train = rows("dpo", language)
        rough = tokens_of(train, 1024)
        assert tokens_of(train, 1024, away) == rough
        # Between this model, which knows no Korean, and those that do.
        assert 0.5 < rough / real("dpo", train) < 1.5
    assert tokens_of([], 1024, away) == 0
