"""The knowledge suite: what its data must be, and who gets which score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from javis.core.evaluation import Item, Likelihood
from javis.core.types import Message
from javis.eval.short_answers import LETTERS, chosen, guessing, named
from javis.eval.suites.knowledge import KnowledgeSuite, letter_question

SUITE = KnowledgeSuite()
ITEMS = SUITE.items()
CHOICES = [item for item in ITEMS if item.data["kind"] == "choice"]
SHORT = [item for item in ITEMS if item.data["kind"] == "short"]
by_id = pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)


class Scripted:
    """Says `letters` to lettered questions, `words` to others; finds `likely` options likely."""

    def __init__(self, letter: str, words: str, likely: str) -> None:
        self.letter, self.words, self.likely = letter, words, likely
        self.asked: list[str] = []

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int = 256, stop: Sequence[str] = ()
    ) -> str:
        self.asked.append(messages[-1].content)
        return self.letter if "\nA. " in messages[-1].content else self.words

    def likelihood(self, prompt: Sequence[Message] | str, answer: str) -> Likelihood:
        size = len(answer.encode())
        return Likelihood((0.1 if answer == self.likely else 0.5) * size, size)


def knowing(item: Item) -> Scripted:
    if item.data["kind"] == "short":
        return Scripted("", f"{item.data['accepted'][0]}.", "")
    right: int = item.data["answer"]
    return Scripted(LETTERS[right], "", item.data["options"][right])


def test_there_is_enough_of_everything() -> None:
    assert len(ITEMS) >= 200
    for kind in (CHOICES, SHORT):
        assert set(Counter(item.language for item in kind).values()) == {60}
    assert len({item.id for item in ITEMS}) == len(ITEMS)
    assert len({item.data["question"] for item in ITEMS}) >= len(ITEMS) - 2  # two on spelling
    assert sum("korea" in item.group for item in ITEMS if item.language == "ko") >= 80


def test_right_options_are_spread_evenly() -> None:
    for language in ("ko", "en"):
        places = Counter(i.data["answer"] for i in CHOICES if i.language == language)
        assert places == {0: 15, 1: 15, 2: 15, 3: 15}


def test_a_sample_is_fair() -> None:
    sample = ITEMS[:40]
    assert abs(sum(item.language == "ko" for item in sample) - 20) <= 4
    assert 10 <= sum(item.data["kind"] == "choice" for item in sample) <= 30


@by_id
def test_items_are_whole(item: Item) -> None:
    assert len(item.data["source"]) > 3
    assert item.data["question"].strip() == item.data["question"]
    if item.data["kind"] == "choice":
        assert len(item.data["options"]) == len(set(item.data["options"])) == 4
    else:
        question: str = item.data["question"]
        assert named(question, item.data["accepted"]) is None, "the question gives the answer"
        for wanted in item.data["accepted"]:
            assert named(wanted, [wanted]) == wanted
            assert not guessing(wanted, question)
            said = f"{wanted}입니다." if item.language == "ko" else f"I think it is {wanted}."
            assert named(said, [wanted]) == wanted


@by_id
def test_who_knows_gets_one(item: Item) -> None:
    assert SUITE.run(item, knowing(item)).score == 1


@by_id
def test_who_does_not_gets_none(item: Item) -> None:
    wrong = ""
    if item.data["kind"] == "choice":
        wrong = item.data["options"][(item.data["answer"] + 1) % 4]
    for words in ("", "I do not know.", "모르겠습니다.", item.data["question"], "???"):
        result = SUITE.run(item, Scripted(words, words, wrong))
        assert result.score == 0, words


@pytest.mark.parametrize(
    ("id_", "answer", "score"),
    [
        *(("ko-short-010", "태조 왕건", 0), ("ko-short-010", "태조 이성계", 1)),
        *(("ko-short-011", "조선민주주의인민공화국", 0), ("ko-short-011", "고조선입니다.", 1)),
        *(("en-short-044", "Percy Bysshe Shelley", 0), ("en-short-044", "Mary Shelley", 1)),
        *(("ko-short-040", said, 1) for said in ("개예요.", "개죠.")),
        *(("ko-short-040", said, 0) for said in ("개구리예요.", "개미죠.", "무지개예요.")),
        ("en-short-060", "There are five rings: blue, yellow, black, green, and red.", 1),
        ("ko-short-057", "1+2+3+4+5+6+7+8+9+10=55입니다.", 1),
        *(
            ("en-short-022", said, 1)
            for said in ("$H_2O$", "H_2O", "H_{2}O", "$\\text{H}_2\\text{O}$", "H<sub>2</sub>O")
        ),
        *(("en-short-022", said, 0) for said in ("H2O2", "H_2O_2", "$H_2O_2$", "HO", "D2O")),
        *(("en-short-056", said, 1) for said in ("Base-16", "base16", "It is base 16.", "16")),
        *(("en-short-056", said, 0) for said in ("Base-10", "base160", "base-2")),
        (
            "en-short-060",
            "The Olympic symbol has five interlocking rings, coloured blue, yellow, black, green, "
            "and red.",
            1,
        ),
        ("en-short-060", "It has six rings, coloured blue, yellow, black, green, and red.", 0),
        ("en-short-060", "four, five, six, seven", 0),
        ("ko-short-034", "ㅏ, ㅑ, ㅓ, ㅕ, ㅗ, ㅛ, ㅜ, ㅠ, ㅡ, ㅣ의 10개입니다.", 1),
        *(("ko-short-034", said, 1) for said in ("모두 열 가지입니다.", "열 개")),
        *(("ko-short-034", said, 0) for said in ("ㅏ, ㅑ, ㅓ, ㅕ의 21개입니다.", "8, 9, 10, 11")),
        *(("ko-short-014", "통일신라", 1), ("ko-short-014", "후백제", 0)),
        *(("en-short-015", "Napoléon", 1), ("en-short-015", "Napoléon III", 0)),
    ],
)
def test_answers_that_are_easily_taken_amiss(id_: str, answer: str, score: float) -> None:
    item = next(item for item in SHORT if item.id == id_)
    assert SUITE.run(item, Scripted("", answer, "")).score == score


@pytest.mark.parametrize("item", CHOICES, ids=lambda item: item.id)
def test_the_same_letter_always_is_a_guess(item: Item) -> None:
    picked = chosen("C", item.data["options"])
    result = SUITE.run(item, Scripted("C", "", ""))
    assert result.details["by_generation"] == float(picked == item.data["answer"])


@pytest.mark.parametrize("item", CHOICES, ids=lambda item: item.id)
def test_an_option_said_in_words_counts(item: Item) -> None:
    right = item.data["options"][item.data["answer"]]
    assert chosen(right, item.data["options"]) == item.data["answer"]


def test_likelihood_is_by_character() -> None:
    """Summed, the shortest option would win here."""

    class Even(Scripted):
        def likelihood(self, prompt: Sequence[Message] | str, answer: str) -> Likelihood:
            size = len(answer.encode())
            return Likelihood((0.49 if answer == right else 0.5) * size, size)

    item = next(i for i in CHOICES if i.data["options"][i.data["answer"]] == "George Washington")
    right = "George Washington"
    assert any(len(option) < len(right) - 3 for option in item.data["options"])
    assert SUITE.run(item, Even("", "", "")).details["by_likelihood"] == 1


def test_the_model_sees_options_and_what_is_wanted() -> None:
    item = next(i for i in CHOICES if i.language == "ko")
    text = letter_question(item)
    assert all(f"{letter}. " in text for letter in LETTERS)
    assert text.endswith("기호(A, B, C, D)만 쓰세요.")


def test_figures_tell_the_two_ways_apart() -> None:
    item = CHOICES[0]
    right = item.data["options"][item.data["answer"]]
    results = [SUITE.run(item, Scripted("no", "", right)), SUITE.run(SHORT[0], knowing(SHORT[0]))]
    assert SUITE.figures(results) == {"by_likelihood": 1.0, "by_generation": 0.5}
    assert results[0].score == 0.5
    assert SUITE.figures([]) == {}
