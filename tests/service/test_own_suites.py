"""The user's own data as suites: which rows are in them, and that only what is new is asked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from javis.core.evaluation import Item
from javis.core.settings import Settings
from javis.core.types import Message, SamplingParams
from javis.eval.judge import PairJudge
from javis.service.own_results import forget_gone
from javis.service.own_suites import SEEN, UNSEEN, HeldOut, judge_of, own_suites
from javis.service.run_files import divide, from_approved
from tests.service.conftest import Application, Make

OWN = ("held-out", "golden", "thumbs-down")


class Counting:
    """Answers, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, messages: Sequence[Message], sampling: SamplingParams, name: str) -> str:
        with self._lock:
            self.asked.append(messages[-1].content)
        return f"{name} says Green tea."


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def app(make: Make, counting: Counting) -> Application:
    return make(answer=counting)


def talk(app: Application, count: int, rating: str = "good", **more: str) -> list[str]:
    """So many rated conversations of one turn; returns the turns."""
    start = app.store.conversations.count_turns()
    talks = [
        {
            "title": f"talk {n}",
            "turns": [{"user": f"Tea {n}?", "assistant": f"Tea {n}.", "rating": rating, **more}],
        }
        for n in range(start, start + count)
    ]
    app.services.library.bring_in("local", {"conversations": talks})
    turns = app.store.conversations.iter_turns("local")
    return [turn.id for turn in turns][-count:]


def items(app: Application, suite: str) -> Sequence[Item]:
    return own_suites(app.services.review, app.services.golden)[suite].items()  # type: ignore[index]


def test_held_out_is_what_training_keeps_apart(app: Application) -> None:
    assert [len(items(app, name)) for name in OWN] == [0, 0, 0]
    talk(app, 60)
    approved = app.services.review.approved()
    parts = divide(from_approved("sft-lora", approved))
    apart = {row["turn_id"] for row in (*parts.valid, *parts.test)}
    found = {item.id.rpartition("-")[0] for item in items(app, "held-out")}
    assert found == apart
    assert 5 < len(apart) < 30
    held_out = HeldOut(approved)
    groups = {e.turn_id: held_out.group(e.conversation_id) for e in approved.examples}
    assert {turn for turn, group in groups.items() if group == UNSEEN} == apart
    assert {turn for turn, group in groups.items() if group == SEEN} == groups.keys() - apart


def test_disliked_prompts_but_those_put_aside(app: Application) -> None:
    liked = talk(app, 1)
    plain = talk(app, 1, "bad")
    corrected = talk(app, 1, "bad", correction="Green.")
    excluded = talk(app, 1, "bad")
    revoked = talk(app, 1, "bad")
    app.services.review.decide(excluded[0], "exclude")
    app.services.feedback.rate("local", revoked[0], None)
    found = {item.id.rpartition("-")[0]: item for item in items(app, "thumbs-down")}
    assert found.keys() == {*plain, *corrected}
    assert liked[0] not in found
    assert found[plain[0]].data["wanted"] is None
    assert found[corrected[0]].data["wanted"] == "Green."
    assert found[corrected[0]].data["reply"].startswith("Tea ")


def test_a_set_that_grows_is_asked_only_what_is_new(app: Application, counting: Counting) -> None:
    evaluation, golden = app.services.evaluation, app.services.golden
    turns = talk(app, 3)
    golden.mark(turns[0])
    golden.mark(turns[1])

    def evaluate() -> tuple[int, int, float]:
        run = evaluation.start(["base"], ["golden"], None, "local")
        assert evaluation.wait(run.id, 10).state == "succeeded"
        (report,) = [r for r in evaluation.reports() if r.suite == "golden"]
        assert report.score is not None
        return report.items, report.done, report.score.value

    items, done, score = evaluate()
    assert (items, done, len(counting.asked)) == (2, 2, 2)
    assert 0 < score < 1
    golden.mark(turns[2])
    stale = next(r for r in evaluation.reports() if r.suite == "golden")
    assert (stale.items, stale.done) == (3, 2), "the new question is not answered yet"
    assert evaluate()[:2] == (3, 3)
    assert len(counting.asked) == 3
    golden.unmark(turns[0])
    assert evaluate()[:2] == (2, 2)
    app.services.feedback.rate("local", turns[1], "bad", correction="Black.")
    assert evaluate()[:2] == (2, 2)
    assert len(counting.asked) == 4, "compared with another answer it is another question"


def test_results_go_with_the_conversation(app: Application) -> None:
    evaluation, store = app.services.evaluation, app.store.conversations
    kept, deleted = talk(app, 2)
    for turn in (kept, deleted):
        app.services.golden.mark(turn)
    run = evaluation.start(["base"], ["golden"], None, "local")
    evaluation.wait(run.id, 10)
    folder = app.services.settings.data_dir / "eval"
    (path,) = folder.glob("*/golden-*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"item": "torn')
    conversation = store.turns_by_id([deleted])[deleted].conversation_id
    store.delete(conversation, "local")
    assert forget_gone(folder, app.store) == 0, "it may be restored"
    store.purge(0)
    assert forget_gone(folder, app.store) == 1
    assert kept in path.read_text()
    assert deleted not in path.read_text()
    assert forget_gone(folder, app.store) == 0
    assert forget_gone(folder / "nowhere", app.store) == 0


def test_held_out_rows_are_weighed_by_the_engine(app: Application, counting: Counting) -> None:
    talk(app, 60)
    evaluation = app.services.evaluation
    run = evaluation.start(["base"], ["held-out"], None, "local")
    assert evaluation.wait(run.id, 10).state == "succeeded"
    (report,) = [r for r in evaluation.reports() if r.suite == "held-out"]
    assert report.score is None
    assert report.figures["perplexity"] > 1
    assert report.done == report.items == len(items(app, "held-out"))


def test_the_judge_of_the_settings(tmp_path: Path) -> None:
    def settings(**more: str) -> Settings:
        return Settings(_env_file=None, data_dir=tmp_path, **more)

    assert judge_of(settings()) is None
    assert judge_of(settings(judge_url="http://127.0.0.1:1/v1")) is None
    judge = judge_of(
        settings(judge_url="http://127.0.0.1:1/v1", judge_model="big", judge_key="sk-secret")
    )
    assert isinstance(judge, PairJudge)
    assert "sk-secret" not in repr(judge)
    assert judge.mask("Mail kim@example.com") == "Mail [email]"


def test_a_judge_that_fails_ends_the_evaluation_in_plain_words(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("JUDGE_MODEL", "big")
    monkeypatch.setattr("javis.eval.judge.sleep", lambda seconds: None)
    app = make()
    app.services.golden.mark(talk(app, 1)[0])
    run = app.services.evaluation.start(["base"], ["golden"], None, "local")
    ended = app.services.evaluation.wait(run.id, 15)
    assert (ended.state, ended.error) == ("failed", "judge_unreachable")
    assert "127.0.0.1" in ended.message
