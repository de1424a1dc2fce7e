"""A graphics card with room for the chat's model or for training, but not for both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from javis.core.errors import EngineError, TrainError
from javis.core.types import Message, SamplingParams
from javis.engine.pausing import PausingEngine
from javis.engine.scripted import ScriptedEngine
from javis.service.run_keeper import RunKeeper
from tests.service.learning import BIG, Make, Site, make_training

__all__ = ["make_training"]
GB = 10**9
Card = Callable[[float], None]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    """Say how much of the card is free."""

    def free(gigabytes: float) -> None:
        found = dataclasses.replace(BIG, gpu="A card", vram_free=int(gigabytes * GB))
        monkeypatch.setattr("javis.service.training_plan.detect", lambda: found)

    return free


def chat_holding(gigabytes: float) -> PausingEngine:
    return PausingEngine(ScriptedEngine, held=lambda: int(gigabytes * GB))


def test_the_chat_makes_room_and_comes_back(make_training: Make, card: Card) -> None:
    card(1)
    chat = chat_holding(6)
    site: Site = make_training(chat=chat, device="cuda")
    assert site.training.estimate("sft-lora").pauses_chat
    job = site.start()
    assert chat.paused
    assert site.training.pauses_chat
    assert site.finished(job).state == "succeeded"
    assert not chat.paused


def test_it_comes_back_after_a_run_that_was_cancelled(make_training: Make, card: Card) -> None:
    card(1)
    chat = chat_holding(6)
    site = make_training("slow", chat=chat, device="cuda")
    job = site.start()
    assert chat.paused
    site.training.cancel(job.id)
    site.until(lambda: not chat.paused)


def test_it_comes_back_when_the_run_cannot_begin(make_training: Make, card: Card) -> None:
    card(1)
    chat = chat_holding(6)
    site = make_training(chat=chat, device="cuda")
    (site.settings.data_dir / "runs").mkdir(exist_ok=True)
    site.supervisor._command = lambda folder: [str(folder / "no such program")]
    with pytest.raises((TrainError, OSError)):
        site.start()
    site.until(lambda: not chat.paused)


def test_it_comes_back_after_a_run_that_ran_out_of_memory(make_training: Make, card: Card) -> None:
    card(1)
    chat = chat_holding(6)
    site = make_training("hungry", chat=chat, device="cuda")
    job = site.finished(site.start())
    assert (job.state, job.reason) == ("failed", "train_memory")
    assert said(chat)


def test_a_chat_that_nobody_brings_back_stays_away(
    make_training: Make, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant of the test above."""
    monkeypatch.setattr(RunKeeper, "_bring_chat_back", lambda self: None)
    card(1)
    chat = chat_holding(6)
    site = make_training("hungry", chat=chat, device="cuda")
    assert site.finished(site.start()).state == "failed"
    site.learning.keeper.tick()
    with pytest.raises(EngineError, match="pauses"):
        said(chat)


def said(chat: PausingEngine) -> str:
    asked = [Message("user", "Hello?")]
    return "".join(chunk.text for chunk in chat.stream(asked, SamplingParams()))


def test_a_large_card_leaves_the_chat_alone(make_training: Make, card: Card) -> None:
    card(40)
    chat = chat_holding(6)
    site = make_training(chat=chat, device="cuda")
    assert not site.training.estimate("sft-lora").pauses_chat
    job = site.start()
    assert not chat.paused
    site.finished(job)


def test_a_card_too_small_for_training_alone_is_refused(make_training: Make, card: Card) -> None:
    card(0.1)
    chat = chat_holding(0.2)
    site = make_training(chat=chat, device="cuda")
    with pytest.raises(TrainError) as refused:
        site.start()
    assert refused.value.code == "train_card_low"
    assert not chat.paused
