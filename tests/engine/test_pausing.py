"""The chat's model leaves a small graphics card for a training run, and comes back."""

from __future__ import annotations

import threading
import time

import pytest

from javis.core.errors import EngineError
from javis.core.types import Message, SamplingParams, Version
from javis.engine.pausing import PausingEngine
from javis.engine.scripted import ScriptedEngine

ASK = [Message("user", "안녕하세요, 오늘은 어때요?")]


class Garage:
    """Makes engines, and remembers them."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.made: list[ScriptedEngine] = []
        self.delay_s = delay_s
        self.broken = False

    def __call__(self) -> ScriptedEngine:
        if self.broken:
            raise EngineError("load_failed", "no room")
        self.made.append(ScriptedEngine(delay_s=self.delay_s))
        return self.made[-1]


def say(engine: PausingEngine, version: str = "base") -> str:
    return "".join(c.text for c in engine.stream(ASK, SamplingParams(), version))


def test_nobody_is_answered_while_it_is_paused_and_everybody_after() -> None:
    garage = Garage()
    engine = PausingEngine(garage)
    engine.use_versions([Version("v1.0", "/nowhere", "scripted", "0")])
    assert "안녕하세요" in say(engine, "v1.0")
    engine.pause()
    assert engine.paused
    with pytest.raises(EngineError, match="pauses"):
        engine.stream(ASK, SamplingParams())
    assert engine.versions() == ("base", "v1.0")
    engine.resume()
    assert not engine.paused
    assert len(garage.made) == 2
    assert "안녕하세요" in say(engine, "v1.0")
    engine.resume()
    assert len(garage.made) == 2


def test_versions_that_come_during_the_pause_are_served_after_it() -> None:
    engine = PausingEngine(Garage())
    engine.pause()
    engine.use_versions([Version("v1.1", "/nowhere", "scripted", "0")])
    engine.resume()
    assert "안녕하세요" in say(engine, "v1.1")


def test_a_running_answer_may_end_before_the_pause() -> None:
    engine = PausingEngine(Garage(delay_s=0.05))
    stream = engine.stream(ASK, SamplingParams())
    text = next(stream).text
    paused = threading.Thread(target=engine.pause)
    paused.start()
    while not engine.paused:
        time.sleep(0.01)
    text += "".join(c.text for c in stream)
    paused.join(5)
    assert not paused.is_alive()
    assert text.endswith("어때요?")


def test_an_answer_without_end_is_broken_off() -> None:
    engine = PausingEngine(Garage(), end_within_s=0.05)
    stream = engine.stream(ASK, SamplingParams())
    next(stream)
    start = time.monotonic()
    engine.pause()
    assert time.monotonic() - start < 5
    stream.close()


def test_a_failed_return_leaves_it_paused_and_can_be_tried_again() -> None:
    garage = Garage()
    engine = PausingEngine(garage)
    engine.pause()
    garage.broken = True
    with pytest.raises(EngineError):
        engine.resume()
    assert engine.paused
    garage.broken = False
    engine.resume()
    assert "안녕하세요" in say(engine)
