"""Which place a request is given, and that no version goes on from what another one read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from javis.bench.adapter import write_random_version
from javis.core.errors import EngineError
from javis.core.types import BASE, Message, SamplingParams, Version
from javis.engine.catalog import EMBEDDED
from javis.engine.llamacpp import LlamaCppEngine
from javis.engine.llamacpp_slots import Places
from javis.eval.asker import EngineAsker
from javis.versions.gguf import convert

NO_ADAPTER = (0.0,)
WITH_ADAPTER = (1.0,)
SYSTEM = list(range(20))


def never() -> bool:
    return False


def placed(places: Places, ids: list[int], adapters: tuple[float, ...] = NO_ADAPTER) -> int | None:
    with places.take(ids, adapters, never) as place:
        return place


def test_a_conversation_goes_on_where_it_was_read() -> None:
    places = Places(3)
    first = placed(places, [*SYSTEM, 100, 101])
    other = placed(places, [*range(500, 560)])
    assert first != other
    assert placed(places, [*SYSTEM, 100, 101, 102, 103]) == first
    assert placed(places, [*range(500, 570)]) == other


def test_a_new_conversation_does_not_throw_a_long_one_away() -> None:
    """llama.cpp's own choice takes any place that begins alike, here by the system prompt."""
    places = Places(2)
    long_ = placed(places, [*SYSTEM, *range(1000, 4000)])
    new = placed(places, [*SYSTEM, 7, 8, 9])
    assert new != long_
    # The next new one shares the system prompt with both: the short one is the cheaper loss.
    assert placed(places, [*SYSTEM, 4, 5, 6]) == new


def test_of_long_conversations_the_oldest_goes() -> None:
    places = Places(2)
    oldest = placed(places, [*range(1000, 4000)])
    newer = placed(places, [*range(5000, 7000)])
    assert placed(places, [*range(8000, 8100)]) == oldest
    assert placed(places, [*range(5000, 7010)]) == newer


def test_what_another_version_read_is_of_no_use() -> None:
    places = Places(2)
    base = placed(places, [*range(100)], NO_ADAPTER)
    assert placed(places, [*range(101)], WITH_ADAPTER) != base
    assert placed(places, [*range(102)], NO_ADAPTER) == base


def test_who_finds_no_place_waits_for_one() -> None:
    places = Places(1)
    got: list[int | None] = []
    waiting = threading.Thread(target=lambda: got.append(placed(places, [1, 2])))
    with places.take([1], NO_ADAPTER, never) as held:
        waiting.start()
        waiting.join(0.3)
        assert got == []
        assert not places.rest(0)
    waiting.join(5)
    assert got == [held]
    assert places.rest(0)


def test_waiting_ends_when_it_is_stopped() -> None:
    places = Places(1)
    with (
        places.take([1], NO_ADAPTER, never),
        places.take([1], NO_ADAPTER, lambda: True) as place,
    ):
        assert place is None
    assert placed(places, [1]) == 0


def test_other_adapters_wait_for_those_that_run_and_nobody_passes_them() -> None:
    places = Places(3)
    began: list[str] = []
    go = {name: threading.Event() for name in ("other", "late")}

    def ask(name: str, adapters: tuple[float, ...]) -> None:
        with places.take([1], adapters, never):
            began.append(name)
            go[name].wait(10)

    threads = []
    with places.take([1], NO_ADAPTER, never), places.take([2], NO_ADAPTER, never):
        assert not places.others_wait(NO_ADAPTER)
        for name, adapters in (("other", WITH_ADAPTER), ("late", NO_ADAPTER)):
            threads.append(threading.Thread(target=ask, args=(name, adapters)))
            threads[-1].start()
            threads[-1].join(0.3)
        assert began == [] and places.others_wait(NO_ADAPTER) and places.others_wait(WITH_ADAPTER)
    threads[0].join(0.3)
    assert began == ["other"]
    go["other"].set()
    threads[1].join(0.3)
    assert began == ["other", "late"]
    go["late"].set()
    for thread in threads:
        thread.join(5)
    assert places.rest(0) and not places.others_wait(NO_ADAPTER)


@pytest.fixture
def engine(embedded_gguf: Path, tmp_path: Path) -> Iterator[LlamaCppEngine]:
    folder = write_random_version(tmp_path, "v1.0", EMBEDDED)
    adapter = tmp_path / "v1.0.gguf"
    convert(folder / "adapter", embedded_gguf, adapter)
    made = LlamaCppEngine(
        embedded_gguf,
        model=EMBEDDED,
        title="SmolLM2",
        adapter_file=lambda version: adapter,
        context=1024,
        parallel=2,
    )
    assert made.use_versions([Version("v1.0", str(folder), EMBEDDED, None)]) == {}
    yield made
    made.close()


def test_no_version_answers_from_what_another_one_read(engine: LlamaCppEngine) -> None:
    """With llama.cpp's own store of prompts the last answer began with 340 tokens of the base's."""

    def ask(name: str, version: str) -> int:
        question = " ".join(f"{number} {name}" for number in range(40))
        messages = [Message("system", f"{name} " * 20), Message("user", f"{question} What is it?")]
        chunks = list(engine.stream(messages, SamplingParams(temperature=0, max_tokens=8), version))
        assert chunks[-1].timings is not None
        return chunks[-1].timings.cached_tokens

    # Each place has held another version's conversation, and each conversation another place.
    for name, version in (
        ("yellow", "v1.0"), ("xray", BASE), ("zulu", BASE), ("yellow", "v1.0"), ("zulu", BASE),
    ):  # fmt: skip
        ask(name, version)
    assert ask("xray", "v1.0") < 10  # what every prompt begins with
    assert ask("xray", "v1.0") > 100


def test_a_chat_with_another_version_need_not_wait_for_an_evaluation(
    engine: LlamaCppEngine,
) -> None:
    """llama.cpp goes on with the adapter it works for as long as any request has it."""
    question = [Message("user", "Write a long story about a dog.")]
    stop = threading.Event()
    replies: list[str] = []
    written: list[int] = []

    def evaluate() -> None:
        while not stop.is_set():
            asker = EngineAsker(engine, "v1.0")
            replies.append(asker.reply(question, max_tokens=60))
            written.append(asker.tokens)

    working = [threading.Thread(target=evaluate) for _ in range(2)]
    for thread in working:
        thread.start()
    while not replies:
        time.sleep(0.05)
    sampling = SamplingParams(temperature=0, max_tokens=4)
    started = len(replies)
    for _ in range(3):
        list(engine.stream(question, sampling, BASE))
    assert len(replies) <= started + 2, "they gave way"
    while len(replies) <= started + 2:
        time.sleep(0.05)
    stop.set()
    for thread in working:
        thread.join(60)
    # An answer that gave way is written again from its beginning, and counted once.
    assert set(written) == {60} and min(map(len, replies)) > 100


def test_closing_ends_an_answer_of_a_replaced_server_too(engine: LlamaCppEngine) -> None:
    long = [Message("user", "Write a long story about a dog.")]
    chunks = engine.stream(long, SamplingParams(temperature=0, max_tokens=500), "v1.0")
    while not next(chunks).text:
        pass
    engine.use_versions([])
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        for _ in chunks:
            pass


def test_versions_that_are_there_at_the_start_need_no_second_server(
    embedded_gguf: Path, tmp_path: Path
) -> None:
    folder = write_random_version(tmp_path, "v1.0", EMBEDDED)
    good, torn = tmp_path / "v1.0.gguf", tmp_path / "v1.1.gguf"
    convert(folder / "adapter", embedded_gguf, good)
    torn.write_bytes(good.read_bytes()[:2000])
    files = {"v1.0": good, "v1.1": torn}
    versions = [Version(name, str(folder), EMBEDDED, None) for name in files]

    def begin(served: list[Version]) -> LlamaCppEngine:
        return LlamaCppEngine(
            embedded_gguf,
            model=EMBEDDED,
            title="SmolLM2",
            adapter_file=lambda version: files[version.name],
            context=1024,
            parallel=1,
            versions=served,
        )

    made = begin(versions[:1])
    first = made._server
    assert made.versions() == (BASE, "v1.0")
    assert made.use_versions(versions[:1]) == {} and made._server is first
    made.close()
    # A file that only llama.cpp finds fault with does not keep the base from answering.
    made = begin(versions)
    assert made.versions() == (BASE,)
    with pytest.raises(EngineError, match="could not be loaded"):
        made.use_versions(versions)
    assert made.use_versions(versions[:1]) == {} and made.versions() == (BASE, "v1.0")
    made.close()
