"""Votes as pairs to learn from: what becomes one, and what keeps one out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from javis.core.learning import Pair
from javis.core.types import Message, SamplingParams
from javis.service.answerer import Options
from javis.service.arena import DuelFrame
from tests.service.test_arena import ME, Make, Site, growing, last_frame, long, make

__all__ = ["make"]

TEXTS = {
    "base": "The tea is in the second drawer on the left, behind the sugar.",
    "v1.0": "Ask the gardener: nobody else knows where such things are kept.",
    "v1.1": "It rained all day yesterday and the shops were closed.",
}


def speak(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    return TEXTS[version]


def judged(site: Site, vote: str = "left", text: str = "Where is the tea?") -> DuelFrame:
    options = Options(system_prompt="Be short.")
    frame = last_frame(site.arena.reply(ME, text, options=options))
    site.arena.vote(ME, frame.duel, vote)
    return frame


def pairs(site: Site) -> tuple[Pair, ...]:
    return site.services.review.approved().pairs


@pytest.fixture
def site(make: Make) -> Site:
    return make(answer=speak)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_chosen_answer_stands_against_the_other_one(site: Site, side: str) -> None:
    frame = judged(site, side)
    chosen, rejected = (frame.left, frame.right) if side == "left" else (frame.right, frame.left)
    prompt = (Message("system", "Be short."), Message("user", "Where is the tea?"))
    expected = Pair(prompt, chosen.reply, rejected.reply, chosen.id, frame.conversation_id, "vote")
    approved = site.services.review.approved()
    assert approved.pairs == (expected,)
    # A better one is not yet a good one.
    assert approved.examples == () and approved.judged == ()


@pytest.mark.parametrize("vote", ["tie", "both_bad", "skipped"])
def test_no_preference_no_pair(site: Site, vote: str) -> None:
    judged(site, vote)
    assert pairs(site) == ()


def test_a_vote_that_is_taken_back_teaches_nothing(site: Site) -> None:
    frame = judged(site)
    planner = site.services.training._planner
    assert len(planner.approved().pairs) == 1
    site.arena.vote(ME, frame.duel, "skipped")
    assert planner.approved().pairs == ()


def exclude(site: Site, frame: DuelFrame) -> None:
    site.services.feedback.rate(ME, frame.left.id, "good")
    site.services.review.decide(frame.left.id, "exclude")


def delete(site: Site, frame: DuelFrame) -> None:
    site.services.library.delete(ME, frame.conversation_id)


def correct(site: Site, frame: DuelFrame) -> None:
    site.services.feedback.rate(ME, frame.left.id, "bad", correction="In the kitchen.")


def look_at_all(site: Site, frame: DuelFrame) -> None:
    site.services.preferences.set_review_everything(True)


def contradict(site: Site, frame: DuelFrame) -> None:
    site.services.feedback.rate(ME, frame.left.id, "bad")
    site.services.feedback.rate(ME, frame.right.id, "good")


@pytest.mark.parametrize("change", [exclude, delete, correct, look_at_all, contradict])
def test_what_was_said_later_comes_first(
    site: Site, change: Callable[[Site, DuelFrame], None]
) -> None:
    frame = judged(site)
    assert [pair.source for pair in pairs(site)] == ["vote"]
    change(site, frame)
    assert "vote" not in [pair.source for pair in pairs(site)]


def test_thumbs_that_agree_make_no_second_pair(site: Site) -> None:
    frame = judged(site)
    site.services.feedback.rate(ME, frame.left.id, "good")
    assert [pair.source for pair in pairs(site)] == ["vote"]
    site.services.feedback.rate(ME, frame.right.id, "bad")
    assert [pair.source for pair in pairs(site)] == ["answers"]


def test_with_review_of_everything_both_answers_need_an_approval(site: Site) -> None:
    frame = judged(site)
    site.services.preferences.set_review_everything(True)
    for turn in (frame.left, frame.right):
        site.services.feedback.rate(ME, turn.id, "good")
        assert pairs(site) == ()
        site.services.review.decide(turn.id, "approve")
    assert [pair.source for pair in pairs(site)] == ["vote"]


def test_personal_data_and_a_cut_winner_are_kept_out(make: Make) -> None:
    site = make(answer=speak)
    judged(site, text="Call me at 010-1234-5678, please. Where is the tea?")
    assert pairs(site) == ()
    site.store.close()
    site = make(answer=long, delay_s=0.01)
    states, frame = growing(site)
    site.services.chat.stop(ME, frame.conversation_id)
    list(states)
    site.arena.vote(ME, frame.duel, "left")
    assert pairs(site) == ()


def test_a_loser_that_was_stopped_by_the_vote_is_a_loser(make: Make) -> None:
    def slow(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
        return f"{TEXTS[version]} {' '.join(str(n) for n in range(60))}"

    site = make(answer=slow, delay_s=0.01)
    states, frame = growing(site)
    site.arena.vote(ME, frame.duel, "right")
    list(states)
    (pair,) = pairs(site)
    assert pair.turn_id == frame.right.id and pair.chosen.endswith("59")
    assert not pair.rejected.endswith("59")


def test_many_votes_of_somebody_unknown_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("javis.service.voted.AUTO_APPROVED_PER_USER", 2)
    for owner in ("ann", ME):
        for n in range(3):
            frame = last_frame(site.arena.reply(owner, f"Where is tea number {n}?"))
            site.arena.vote(owner, frame.duel, "left")
    assert len(pairs(site)) == 2 + 3


def test_they_are_exported_with_the_pairs_and_known_when_they_come_back(site: Site) -> None:
    judged(site)
    export = site.services.export
    (line,) = b"".join(export.stream("preference", "all")).decode().splitlines()
    row = json.loads(line)
    assert row["source"] == "vote" and row["chosen"] != row["rejected"]
    assert b"".join(export.stream("messages", "all")) == b""
    again = export.take_in(line.encode())
    assert (again.accepted, again.unchanged, again.bad) == (0, 1, [])
