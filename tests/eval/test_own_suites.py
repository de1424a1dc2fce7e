"""Suites of one's own data: what an answer is held against, and when an answer still counts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from javis.core.evaluation import ItemResult, Likelihood
from javis.core.types import Message
from javis.eval.judge import Judge, Judgement
from javis.eval.suites.own import AnswerSuite, HeldOutSuite, OwnRow, language_of
from javis.eval.text_match import chrf, similarity

ROW = OwnRow("t_1", (Message("user", "Which tea?"),), "Green tea.", "No.", "liked")


@dataclass
class Scripted:
    answer: str = "Green."
    heard: list[Sequence[Message] | str] = field(default_factory=list)

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int = 256, stop: Sequence[str] = ()
    ) -> str:
        self.heard.append(messages)
        return self.answer

    def likelihood(self, prompt: Sequence[Message] | str, answer: str) -> Likelihood:
        self.heard.append(prompt)
        return Likelihood(len(answer) / 4, len(answer.split()))


@dataclass
class FakeJudge:
    name: str = "fake"
    pairs: list[tuple[str, str, str | None]] = field(default_factory=list)

    def compare(
        self, prompt: Sequence[Message], answer: str, rival: str, *, wanted: str | None = None
    ) -> Judgement:
        self.pairs.append((answer, rival, wanted))
        return Judgement(0.5, False, ("better", "worse"))


def asked(suite: AnswerSuite | HeldOutSuite, answer: str = "Green.") -> list[ItemResult]:
    asker = Scripted(answer)
    return [suite.run(item, asker) for item in suite.items()]


def test_an_answer_is_held_against_the_wanted_one() -> None:
    suite = AnswerSuite("golden", [ROW])
    (result,) = asked(suite, " Green. ")
    assert result.score == chrf("Green.", "Green tea.") == result.details["chrf"]
    assert 0.2 < result.score < 0.9
    assert result.details["similarity"] == similarity("Green.", "Green tea.")
    assert (result.details["wanted"], result.details["before"]) == ("Green tea.", "No.")
    assert asked(suite, "Green tea.")[0].score == 1.0
    assert asked(suite, "")[0].score == 0.0
    figures = suite.figures([result, *asked(suite, "Green tea.")])
    assert figures["chrf"] == (result.score + 1) / 2
    assert "judge_agree_rate" not in figures


def test_without_a_wanted_answer_there_is_no_score() -> None:
    suite = AnswerSuite("thumbs-down", [replace(ROW, wanted=None)])
    (result,) = asked(suite)
    assert result.score is None
    assert result.answers == ("Green.",)
    assert suite.figures([result]) == {}


def test_whom_the_judge_sees() -> None:
    judge = FakeJudge()
    bare = replace(ROW, wanted=None)
    for name, row in (("golden", ROW), ("golden", bare), ("thumbs-down", ROW)):
        suite = AnswerSuite(name, [row], judge)
        (result,) = asked(suite)
        assert result.score == 0.5
        assert result.details["judge"]["agrees"] is False
        assert suite.figures([result])["judge_agree_rate"] == 0.0
    assert judge.pairs == [
        ("Green.", "Green tea.", None),
        ("Green.", "No.", None),
        ("Green.", "No.", "Green tea."),
    ]


def test_held_out_rows_are_weighed() -> None:
    talk = (Message("system", "Be short."), *ROW.prompt)
    suite = HeldOutSuite([replace(ROW, prompt=talk), replace(ROW, turn_id="t_2", wanted=None)])
    asker = Scripted()
    (item,) = suite.items()
    result = suite.run(item, asker)
    assert asker.heard == [list(talk)]
    assert (result.score, result.details) == (None, {"nll": 2.5, "tokens": 2})


def test_a_question_is_known_by_what_it_says() -> None:
    def ids(*rows: OwnRow, judge: Judge | None = None) -> set[str]:
        return {item.id for item in AnswerSuite("golden", rows, judge).items()}

    other = replace(ROW, turn_id="t_2", prompt=(Message("user", "Tea?"),))
    assert ids(ROW) < ids(ROW, other), "a question more leaves the others as they are"
    changes = (
        replace(ROW, wanted="Black tea."),
        replace(ROW, wanted=None),
        replace(ROW, prompt=(Message("system", "Hi"), *ROW.prompt)),
        replace(ROW, reply="Yes."),
        replace(ROW, group="corrected"),
        replace(ROW, turn_id="t_3"),
    )
    assert len(ids(ROW).union(*(ids(row) for row in changes))) == 1 + len(changes)


def test_the_marking_is_known_by_its_code_and_its_judge() -> None:
    versions = [
        AnswerSuite("golden", [ROW]).data_version,
        AnswerSuite("golden", [ROW], FakeJudge("one")).data_version,
        AnswerSuite("golden", [ROW], FakeJudge("two")).data_version,
    ]
    assert len(set(versions)) == 3
    assert versions[0] == AnswerSuite("golden", []).data_version


def test_the_language_is_that_of_the_message() -> None:
    rows = [ROW, replace(ROW, turn_id="t_2", prompt=(Message("user", "차 추천 please"),))]
    suite = AnswerSuite("golden", rows)
    assert sorted(item.language for item in suite.items()) == ["en", "ko"]
    assert language_of(unicodedata.normalize("NFD", "오늘 abc")) == "ko"
    assert [language_of(text) for text in ("", "123", "abc 가", "가 ab")] == [
        "en",
        "en",
        "ko",
        "ko",
    ]
