"""Marking of short answers and of chosen letters, with answers as models write them."""

from __future__ import annotations

import pytest

from javis.eval.short_answers import answered, chosen, guessing, named

LISTS = ("A, B, C, D", "A or B", "B and C", "A/B", "A와 B", "(A), (B)", "The answer is A or B")
OPTIONS = ("Canberra", "Sydney", "Melbourne", "Perth")


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("Paris", "Paris"),
        ("The capital of France is **Paris**.", "Paris"),
        ("paris!", "Paris"),
        ("파리는 프랑스의 수도입니다.", "파리"),
        ("Paris는 프랑스의 수도입니다.", "Paris"),
        ("It is H₂O.", "H2O"),
        ("Saint\u2011Exupéry wrote it: Antoine de Saint-Exupéry", "Saint-Exupéry"),
        ("1,024", "1024"),
        ("2^10 = 1024.", "1024"),
        *(("1024.0", "1024"), ("$1,024.00.", "1024"), ("12", "12.0"), ("10.50", "10.50")),
        ("It has four chambers", "four"),
        ("그 해는 1945년입니다", "1945"),
        ("10월9일입니다.", "10월 9일"),
        ("개의 새끼입니다", "개"),
        ("개", "개"),
        ("South  America.", "South America"),
        ("Not Lyon, but Paris", "Paris"),
        ("It is hawai'i", "Hawai\u02bbi"),
    ],
)
def test_a_right_answer_is_seen(answer: str, accepted: str) -> None:
    assert named(answer, ["nothing of this", accepted]) == accepted


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("", "Paris"),
        ("Lyon", "Paris"),
        ("Comparison", "Paris"),
        ("Parisian", "Paris"),
        ("It is not Paris.", "Paris"),
        ("파리가 아니라 리옹입니다", "파리"),
        ("파리는 아닙니다", "파리"),
        ("10245", "1024"),
        ("1024.5", "1024"),
        *(("1024.05", "1024"), ("1024.0.1", "1024"), ("10240", "1024.0")),
        ("0.12", "12"),
        ("-12", "12"),
        ("개구리", "개"),
        ("고래", "래"),
        ("fourteen", "four"),
        ("11024", "1024"),
        ("SouthAmerica", "South America"),
    ],
)
def test_a_wrong_answer_is_not(answer: str, accepted: str) -> None:
    assert named(answer, [accepted]) is None


@pytest.mark.parametrize(
    "answer",
    [
        "10, 11, 12, 13, 14",
        "It may be 10 or 11 or 12 or even 13.",
        "Paris, Lyon, Nice, Lille",
        "- Paris\n- Lyon\n- Nice\n- Lille",
        "파리, 리옹, 니스, 릴",
        "Paris or Lyon or Nice or Lille",
    ],
)
def test_a_list_is_guessing(answer: str) -> None:
    assert guessing(answer, "Which one?")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Paris, France",
        "It is Paris, which is also the largest city of France, and its capital since long ago.",
        "9 + 8 + 7 + 6 = 30",
        "1945, on 2 September",
        "파리입니다. 프랑스의 수도이고, 가장 큰 도시입니다.",
    ],
)
def test_a_sentence_is_not(answer: str) -> None:
    assert not guessing(answer, "What is 9 + 8 + 7 + 6?")


@pytest.mark.parametrize(
    ("answer", "question", "accepted"),
    [
        ("There are five rings: blue, yellow, black, green, and red.", "How many rings?", "five"),
        ("Five (blue, yellow, black, green, red)", "How many rings?", "five"),
        ("1+2+3+4+5+6+7+8+9+10=55", "1부터 10까지 더하면?", "55"),
        ("(1 + 10) × 10 ÷ 2 = 55입니다.", "1부터 10까지 더하면?", "55"),
        ("1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 = 55.", "What is the sum?", "55"),
    ],
)
def test_an_answer_with_its_reasons_is_no_guess(answer: str, question: str, accepted: str) -> None:
    assert answered(answer, question, [accepted]) == accepted


@pytest.mark.parametrize(
    "answer",
    [
        *("One of these: four, five, six, seven", "four, five, six, seven", "It may be 5, 6, 7, 8"),
    ],
)
def test_one_of_many_guesses_is_no_answer(answer: str) -> None:
    assert answered(answer, "How many?", ["5", "five"]) is None


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        *(("Mary Shelley", True), ("Shelley", True), ("Percy Bysshe Shelley", False)),
        ("Mary Shelley, the wife of Percy Bysshe Shelley", True),
    ],
)
def test_a_namesake_is_not_meant(answer: str, right: bool) -> None:
    assert bool(named(answer, ["Shelley"], ["Percy Bysshe Shelley"])) is right


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "b",
            "b.",
            "(b)",
            "b) Sydney",
            "b: Sydney",
            "The answer is b.",
            "Answer: b",
            "정답은 b입니다",
        ),
        *("B", "B.", "b. Sydney".replace("b", "B"), "(B)", "**B**", "B) Sydney", "B입니다", "B번"),
        *(
            "The answer is B.",
            "Answer: B",
            "정답은 B입니다.",
            "답: B",
            "정답: (B) Sydney",
            "Option B",
        ),
        *("At first the answer A looks good. But the answer is B.", "Sydney", "It is Sydney."),
        *(" \n B\n", "It is not Canberra but Sydney", "B: Sydney"),
        *(
            "A. Perth\n\nThe correct answer is B. Sydney",
            "B. Sydney, not Perth",
            "B, not A",
            "B, as A is wrong",
        ),
        *("알맞은 답의 기호는 B입니다.", "기호: B", "기호는 **B**입니다.", "The letter is B."),
        *("B is the correct answer.", "B is correct.", "**B** is right.", "It's B.", "It is B."),
        *(
            "The correct letter is B.",
            "I choose B.",
            "\\boxed{B}",
            "So we get $\\boxed{\\text{B}}$",
        ),
        "A is tempting, but B is the right answer.",
    ],
)
def test_a_choice_is_read(answer: str) -> None:
    assert chosen(answer, OPTIONS) == 1


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "?",
        "A good question!",
        "I don't know",
        "Canberra or Sydney",
        *("E", "e", "a city", "a or b", "The answer is a city.", "b.c. 300"),
        "1",
        "But why",
        "A. Sydney",
        *(
            "It's A good question.",
            "B is not correct.",
            "A or B is correct.",
            "기호는 A와 B입니다.",
        ),
        "It's A or B.",
    ],
)
def test_no_choice_is_read_into_other_answers(answer: str) -> None:
    assert chosen(answer, OPTIONS) is None
