"""What is plainly wrong with an answer, whatever was asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

from javis.dataset.control import ControlTokens
from javis.dataset.repetition import repeated
from javis.eval.text_match import common_subsequence, similarity

Symptom = Literal[
    "empty", "repeated", "echo", "truncated", "wrong_language", "label", "control_token", "garbled"
]
SYMPTOMS: tuple[Symptom, ...] = get_args(Symptom)

LONG_CHARS = 400
"""A shorter answer without a full stop is a heading, a list or a word; a longer one broke off."""
NEAR = 0.85
"""How similar an answer is to its question when it says nothing of its own. An answer in a whole
sentence that takes up the question's words stays below."""
_LABELS = (
    *("출력", "입력", "답변", "정답", "질문", "사용자", "어시스턴트", "응답", "지시", "결과"),
    *("output", "input", "answer", "question", "user", "assistant", "human", "system"),
    *("response", "instruction", "ai", "q", "a", "model"),
)
_LABEL = re.compile(
    rf"(?im)\A\W*(?:{'|'.join(_LABELS)})\s*(?:\*\*)?\s*[:：]"
    r"|^\s*(?:user|human|assistant|사용자|어시스턴트|질문|답변)\s*[:：]"
    r"|^#{2,}\s*(?:instruction|response|input|output|지시|응답|입력|출력)\b"
)
_RULE_FIRST = re.compile(r"\A\s*(?:-{3,}|\*{3,}|={3,})")
_RULE_LAST = re.compile(r"(?:-{3,}|\*{3,}|={3,})\s*\Z")
_BOLD = re.compile(r"\*\*")
_END = re.compile(
    r"[.!?…。！？][\"'”’*`»」』]*\Z|```\Z|[)\]}|][\"'”’*]*\Z|[~〜^ㅎㅋㅠㅜ]\Z|=\s*\S+\Z"
)
SHORT_LINE = 40
"""A last line of its own up to here is a greeting, a name or a heading."""
_HANGUL = re.compile(r"[가-힣]")
_LATIN = re.compile(r"[A-Za-z]")
_FOREIGN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0400-\u04ff\u0600-\u06ff\u0e00-\u0e7f]")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_JAMO = re.compile(r"[ㄱ-ㅎㅏ-ㅣ]")
_LAUGH = re.compile(r"[ㅋㅎㅠㅜㅇㄱㄴㄷㅊㅈㅂㅅ]+")
_TOKENS = ControlTokens()


def symptoms(
    answer: str, prompt: str, languages: Sequence[str] = (), *, cut: bool | None = None
) -> tuple[Symptom, ...]:
    """All that is wrong with `answer`, in the order of SYMPTOMS; () for one that is fit to read.

    `languages` are those that may be answered in (`ko`, `en`); () if any may. `cut`: we ended it
    at our own limit, so that what only its end would show is no fault; False: it is known to have
    ended by itself, so that its last sentence did not break off.
    """
    text = unicodedata.normalize("NFC", answer).strip()
    if not any(letter.isalnum() for letter in text):
        # Rules and marks without a word are no answer either.
        return ("empty",)
    found = {
        "repeated": bool(repeated(text)),
        "echo": echoes(text, prompt),
        "truncated": not cut and (_open_code(text) if cut is False else broken_off(text)),
        "wrong_language": bool(languages) and language_of(text) not in (*languages, ""),
        "label": leaks_label(text, cut=bool(cut)),
        "control_token": bool(_TOKENS.find(text)),
        "garbled": garbled(text),
    }
    return tuple(symptom for symptom in SYMPTOMS if found.get(symptom))


def echoes(text: str, prompt: str) -> bool:
    """The answer says the question again, or nearly, and little else."""
    said, asked = _letters(text), _letters(prompt)
    if len(asked) < 8 or len(said) > 3 * len(asked):
        return False
    if similarity(said, asked) >= NEAR:
        return True
    # What stands around the question: too little, or only letters of it once more.
    around = "".join(said.split(asked))
    own = len(around) - common_subsequence(around, asked)
    return asked in said and (len(around) < len(asked) / 2 or own < (1 - NEAR) * len(around))


def broken_off(text: str) -> bool:
    """A long answer that ends in the middle of a sentence, or a code block that never ends."""
    if _open_code(text):
        return True
    text = text.rstrip().rstrip("\ufe0f")
    *before, last = text.split("\n")
    if len(text) < LONG_CHARS or (before and len(last) <= SHORT_LINE):
        return False
    is_list = bool(re.match(r"\s*(?:[-*•]|\d+[.)])\s", last))
    is_emoji = unicodedata.category(text[-1]) in ("So", "Sk")
    return not (_END.search(text) or is_list or is_emoji)


def _open_code(text: str) -> bool:
    return text.count("```") % 2 == 1


def language_of(text: str) -> str:
    """`ko`, `en`, `other`, or "" where there are too few letters to tell.

    Code does not count. A Korean text may hold many English words: a fifth of Hangul makes it
    Korean, as one syllable stands for about three letters.
    """
    text = unicodedata.normalize("NFC", _CODE.sub(" ", text))
    hangul, latin = len(_HANGUL.findall(text)), len(_LATIN.findall(text))
    foreign = len(_FOREIGN.findall(text))
    if hangul + latin + foreign < 4:
        return ""
    if foreign > 0.2 * (hangul + latin + foreign):
        return "other"
    return "ko" if hangul >= 0.2 * (hangul + latin) else "en"


def leaks_label(text: str, *, cut: bool = False) -> bool:
    """A label of the training text ("출력:"), a rule ("---") at the edge, or a "**" left open.

    A rule between two parts and words in bold are Markdown, which the page shows as such. Code may
    hold all of these; a letter stands in for it, as what follows it is not at the beginning.
    """
    text = _CODE.sub("x", text)
    if _LABEL.search(text) or _RULE_FIRST.search(text):
        return True
    return not cut and bool(_RULE_LAST.search(text) or len(_BOLD.findall(text)) % 2)


def garbled(text: str) -> bool:
    """Replacement characters, control characters, or loose Hangul letters that spell nothing."""
    if "\ufffd" in text:
        return True
    if any(
        unicodedata.category(letter) in ("Cc", "Co", "Cs")
        for letter in text
        if letter not in "\t\n\r"
    ):
        return True
    loose = len(_JAMO.findall(_LAUGH.sub("", text)))
    return loose > max(3, len(text) // 20)


def _letters(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFC", text).casefold() if c.isalnum())
