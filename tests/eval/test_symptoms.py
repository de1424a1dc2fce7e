"""What is plainly wrong with an answer, and what only looks so."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from javis.eval.symptoms import SYMPTOMS, language_of, symptoms

PROMPT = "고양이를 처음 키울 때 무엇을 준비해야 하나요?"
GROWING = (
    "A cat needs a quiet corner of its own before it needs any toy. Put the litter box where "
    "nobody walks by, and the bowl far from it. In the first week let it come to you; a hand held "
    "low is less frightening than one from above. Scratching posts save the sofa. Dry food keeps, "
    "while wet food adds the water that many cats forget to drink. Ask a vet about vaccines, and "
    "about the right time for a chip. Windows want a net. "
)

ILL = [
    ("", "empty"),
    (" \n ", "empty"),
    ("...", "empty"),
    ("---", "empty"),
    ("**", "empty"),
    (
        "고양이는 고양이는 고양이는 고양이는 고양이는 고양이는 고양이는 고양이는 고양이는",
        "repeated",
    ),
    ("네. " + "가" * 60, "repeated"),
    ("I like it. " * 30, "repeated"),
    (PROMPT, "echo"),
    ("고양이를 처음 키울 때, 무엇을 준비해야 하나요", "echo"),
    ("고양이를 처음 키울 때 무엇을 준비해야 하면서요.", "echo"),
    (f"{PROMPT}\n\n고양이를 준비해야 하나요?", "echo"),
    (GROWING + "And then it", "truncated"),
    ("```python\nprint(1)", "truncated"),
    ("You need a litter box and food.", "wrong_language"),
    ("猫を飼うには餌とトイレが必要です。", "wrong_language"),
    ("출력: 사료와 화장실을 준비하세요.", "label"),
    ("**출력:** 사료와 화장실을 준비하세요.", "label"),
    ("답변 : 사료를 준비하세요.", "label"),
    ("### 응답\n사료를 준비하세요.", "label"),
    ("사료를 준비하세요.\n사용자: 고마워요", "label"),
    ("---\n사료를 준비하세요.", "label"),
    ("사료를 준비하세요.\n---", "label"),
    ("**사료를 준비하세요.", "label"),
    ("`f(**kwargs)`는 **이름으로 받은 값입니다.", "label"),
    ("출력: `사료`를 준비하세요.", "label"),
    ("사료를 `준비`하세요.\n---", "label"),
    ("사료를 준비하세요.<|im_end|>", "control_token"),
    ("<think>음</think>사료를 준비하세요.", "control_token"),
    ("사료\ufffd\ufffd를 준비하세요.", "garbled"),
    ("사료를\x07 준비하세요.", "garbled"),
    ("ㅏㅓㅗㅜㅡㅣ 사료 ㅐㅔㅒㅖ", "garbled"),
]
WELL = [
    "사료와 물그릇, 화장실을 준비하세요.",
    "**사료**와 **화장실**이 필요합니다.",
    "먼저 준비할 것:\n- 사료\n- 화장실\n- 스크래처",
    "사료가 필요해요.\n\n---\n\n그리고 화장실도 필요해요.",
    "고양이를 처음 키울 때 무엇을 준비해야 하는지 알려 드릴게요. 사료와 화장실이 먼저입니다.",
    "고양이를 처음 키울 때는 사료와 물그릇, 화장실을 준비해야 합니다.",
    f"{PROMPT} 사료와 물그릇, 화장실, 그리고 숨을 곳을 먼저 준비하시면 됩니다.",
    "GPU 서버의 Docker 설정처럼 English가 섞여도 한국어 문장이면 괜찮습니다.",
    "축하해요 ㅋㅋㅋㅋㅋ 사료부터 사세요 ㅎㅎ",
    "입력과 출력을 나누어 보세요.",
    "1 < 2 이고 <b>는 태그입니다.",
    "| 물건 | 값 |\n| --- | --- |\n| 사료 | 2만 원 |",
    "이름으로 준 값은 `f(**kwargs)`처럼 받습니다.",
    "이렇게 받습니다.\n```python\ndef f(**kwargs):\n    return kwargs\n```\n**이름**이 남습니다.",
    "이렇게 적습니다.\n```yaml\nservice:\n  user: root\n```",
    "`사료`\n---\n화장실도 필요합니다.",
    "네.",
]


@pytest.mark.parametrize(("answer", "symptom"), ILL)
def test_an_ill_answer_shows_it(answer: str, symptom: str) -> None:
    assert symptom in symptoms(answer, PROMPT, ("ko",))


@pytest.mark.parametrize("answer", WELL)
def test_a_sound_answer_shows_nothing(answer: str) -> None:
    assert symptoms(answer, PROMPT, ("ko",)) == ()


def test_every_symptom_is_tried() -> None:
    assert {symptom for _, symptom in ILL} == set(SYMPTOMS)


def test_a_list_or_a_full_stop_ends_a_long_answer() -> None:
    assert symptoms(GROWING, "?") == ()
    assert symptoms(GROWING + "\n- a last point", "?") == ()


@pytest.mark.parametrize(
    "end",
    [
        *("\n\nKind regards,\nAnna Miller", "\n\nBest wishes", "Enjoy your time together 😊"),
        *(
            "See you soon ❤️",
            "즐거운 하루 되세요~",
            "행복하세요 ㅎㅎ",
            "It is all worth it (really)",
        ),
        "So the cost in euros is x = 42",
    ],
)
def test_an_answer_may_end_without_a_full_stop(end: str) -> None:
    assert symptoms(GROWING + end, "?") == ()


def test_who_stopped_by_itself_did_not_break_off() -> None:
    assert "truncated" in symptoms(GROWING + "And then it", "?")
    assert "truncated" in symptoms(f"Dear you,\n\n{GROWING}And then it", "?")
    assert symptoms(GROWING + "And then it", "?", cut=False) == ()
    assert "truncated" in symptoms("```python\nprint(1)", "?", cut=False)


def test_what_we_cut_ourselves_is_no_fault() -> None:
    assert symptoms(GROWING + "And **then", "?", ("en",), cut=True) == ()
    assert symptoms("", "?", ("en",), cut=True) == ("empty",)
    assert symptoms("Output: yes", "?", ("en",), cut=True) == ("label",)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("안녕하세요", "ko"),
        (unicodedata.normalize("NFD", "안녕하세요"), "ko"),
        ("Hello there", "en"),
        ("42", ""),
        (
            "파이썬으로 이렇게 씁니다: ```python\nfor row in rows: print(row.name, row.value)\n```",
            "ko",
        ),
        ("Kimchi is called 김치 in Korean, and everybody likes it.", "en"),
        ("你好世界,今天很好", "other"),
    ],
)
def test_language(text: str, language: str) -> None:
    assert language_of(text) == language


@given(st.text(max_size=200), st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_no_text_raises(answer: str, prompt: str) -> None:
    assert set(symptoms(answer, prompt, ("ko",))) <= set(SYMPTOMS)
