"""Does the version still know what everybody can look up? Each question names its source.

Questions of choice are put twice: by likelihood (which option, alone after the question, is the
model's likeliest answer, by character) and by generation (it picks a letter). The first shows
knowledge that a small model cannot say by letter yet; the second is what a user meets. Each counts
half. Short questions are answered in the model's own words.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from functools import cached_property

from javis.core.evaluation import Asker, Item, ItemResult, Likelihood, SuiteName
from javis.core.types import Message
from javis.eval import short_answers
from javis.eval.short_answers import LETTERS, answered, chosen
from javis.eval.suites.items import DATA, read_items, version_of

LETTER_TOKENS = 16
SHORT_TOKENS = 48
_PICK = {
    "en": "Answer with the letter of the right option only.",
    "ko": "알맞은 답의 기호(A, B, C, D)만 쓰세요.",
}
_BRIEF = {
    "en": "Answer in a few words, without an explanation.",
    "ko": "설명 없이 짧게 답만 쓰세요.",
}


class KnowledgeSuite:
    """Items have a `question`, its `source`, a `kind`, and by kind

    - `choice`: four `options` and the index `answer` of the right one,
    - `short`: the `accepted` spellings, and `namesakes`, who are called so too but are wrong.
    """

    name: SuiteName = "knowledge"
    _path = DATA / "knowledge.jsonl"

    @cached_property
    def data_version(self) -> str:
        return version_of([self._path], [sys.modules[__name__], short_answers])

    @cached_property
    def _items(self) -> tuple[Item, ...]:
        return read_items(self._path)

    def items(self) -> Sequence[Item]:
        return self._items

    def run(self, item: Item, ask: Asker) -> ItemResult:
        return (_choice if item.data["kind"] == "choice" else _short)(item, ask)

    def figures(self, results: Sequence[ItemResult]) -> Mapping[str, float]:
        """The share right of each way to ask."""
        found: dict[str, float] = {}
        for way in ("by_likelihood", "by_generation"):
            marks = [r.details[way] for r in results if way in r.details]
            if marks:
                found[way] = sum(marks) / len(marks)
        return found


def _choice(item: Item, ask: Asker) -> ItemResult:
    start = time.perf_counter()
    options: list[str] = item.data["options"]
    right: int = item.data["answer"]
    prompt = [Message("user", f"{item.data['question']}\n{_BRIEF[item.language]}")]
    weighed = [ask.likelihood(prompt, option) for option in options]
    likeliest = min(range(len(options)), key=lambda at: _by_character(weighed[at], options[at]))
    answer = ask.reply([Message("user", letter_question(item))], max_tokens=LETTER_TOKENS)
    picked = chosen(answer, options)
    marks = {"by_likelihood": float(likeliest == right), "by_generation": float(picked == right)}
    return ItemResult(
        item.id,
        item.language,
        item.group,
        score=sum(marks.values()) / 2,
        answers=(answer,),
        details={
            **marks,
            "likeliest": options[likeliest],
            "picked": "" if picked is None else options[picked],
            "expected": options[right],
            "nll": weighed[right].nll,
            "tokens": weighed[right].tokens,
        },
        seconds=time.perf_counter() - start,
    )


def letter_question(item: Item) -> str:
    """The question with its lettered options."""
    lines = [f"{LETTERS[at]}. {option}" for at, option in enumerate(item.data["options"])]
    return "\n".join([item.data["question"], *lines, _PICK[item.language]])


def _by_character(likelihood: Likelihood, option: str) -> float:
    # Summed alone, a long option loses to a short one whatever it says. Bytes, as in the
    # length-normalized accuracy of lm-evaluation-harness, so that both scripts are alike.
    return likelihood.nll / len(option.encode())


def _short(item: Item, ask: Asker) -> ItemResult:
    start = time.perf_counter()
    question: str = item.data["question"]
    prompt = [Message("user", f"{question}\n{_BRIEF[item.language]}")]
    answer = ask.reply(prompt, max_tokens=SHORT_TOKENS)
    namesakes: list[str] = item.data.get("namesakes", [])
    score = float(answered(answer, question, item.data["accepted"], namesakes) is not None)
    return ItemResult(
        item.id,
        item.language,
        item.group,
        score=score,
        answers=(answer,),
        details={"by_generation": score, "expected": item.data["accepted"][0]},
        seconds=time.perf_counter() - start,
    )
