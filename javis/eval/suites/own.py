"""The user's own data as suites: what was held out, what was marked, what was disliked.

A question is known by what it says: its id holds a hash of its texts. So a set that grows is asked
only what is new in it, and an answer to an older wording never counts for the newer one.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from javis.core.evaluation import Asker, Item, ItemResult, SuiteName
from javis.core.types import Message
from javis.eval import judge as judge_module
from javis.eval import text_match
from javis.eval.judge import Judge, Judgement
from javis.eval.suites.items import mixed, version_of

MAX_TOKENS = 256


@dataclass(frozen=True, slots=True)
class OwnRow:
    """One of the user's turns."""

    turn_id: str
    prompt: tuple[Message, ...]
    """System prompt, earlier turns, and the user's message last."""
    wanted: str | None
    """The answer the user wants; None when nobody wrote one."""
    reply: str
    """What was answered then."""
    group: str
    """Held out: where the row comes from. Else whether training may learn from it."""


class HeldOutSuite:
    """How likely a version finds the answers that the user approved and training never saw."""

    name: SuiteName = "held-out"

    def __init__(self, rows: Sequence[OwnRow]) -> None:
        self._items = mixed(item_of(row) for row in rows if row.wanted)

    @property
    def data_version(self) -> str:
        return version_of([Path(__file__)])

    def items(self) -> Sequence[Item]:
        return self._items

    def run(self, item: Item, ask: Asker) -> ItemResult:
        found = ask.likelihood(messages_of(item), str(item.data["wanted"]))
        details = {"nll": found.nll, "tokens": found.tokens}
        return ItemResult(item.id, item.language, item.group, None, details=details)


class AnswerSuite:
    """Asks the user's own questions again, and holds the answers against those that were wanted.

    Without a judge the score is chrF to the wanted answer, and None where there is none. With one
    it is how often the judge finds the new answer the better one: than the golden answer, or than
    the answer that was disliked.
    """

    def __init__(self, name: SuiteName, rows: Sequence[OwnRow], judge: Judge | None = None) -> None:
        self.name: SuiteName = name
        self._items = mixed(item_of(row) for row in rows)
        self._judge = judge

    @property
    def data_version(self) -> str:
        if self._judge is None:
            return version_of([Path(__file__)], [text_match])
        marked = version_of([Path(__file__)], [text_match, judge_module])
        return hashlib.sha256(f"{marked}\0{self._judge.name}".encode()).hexdigest()[:12]

    def items(self) -> Sequence[Item]:
        return self._items

    def run(self, item: Item, ask: Asker) -> ItemResult:
        prompt = messages_of(item)
        answer = ask.reply(prompt, max_tokens=MAX_TOKENS).strip()
        wanted = item.data["wanted"]
        details: dict[str, Any] = {"wanted": wanted, "before": item.data["reply"]}
        score = None
        if wanted is not None:
            score = details["chrf"] = text_match.chrf(answer, wanted)
            details["similarity"] = text_match.similarity(answer, wanted)
        if self._judge is not None:
            judged = self._judged(item, prompt, answer)
            details["judge"] = asdict(judged)
            score = judged.score
        return ItemResult(item.id, item.language, item.group, score, (answer,), details)

    def figures(self, results: Sequence[ItemResult]) -> Mapping[str, float]:
        """How near the wanted answers come, and how far the judge can be trusted."""
        found: dict[str, float] = {}
        for name in ("chrf", "similarity"):
            values = [r.details[name] for r in results if _number(r.details.get(name))]
            if values:
                found[name] = sum(values) / len(values)
        judged = [r.details["judge"] for r in results if isinstance(r.details.get("judge"), dict)]
        if judged:
            found["judge_agree_rate"] = sum(bool(j.get("agrees")) for j in judged) / len(judged)
        return found

    def _judged(self, item: Item, prompt: Sequence[Message], answer: str) -> Judgement:
        assert self._judge is not None
        wanted, reply = item.data["wanted"], str(item.data["reply"])
        if self.name == "golden" and wanted is not None:
            return self._judge.compare(prompt, answer, wanted)
        return self._judge.compare(prompt, answer, reply, wanted=wanted)


def item_of(row: OwnRow) -> Item:
    """A row as a question. Its language is that of the user's message."""
    data = {
        "messages": [asdict(message) for message in row.prompt],
        "wanted": row.wanted,
        "reply": row.reply,
    }
    told = json.dumps([data, row.group], ensure_ascii=False, sort_keys=True)
    digest = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return Item(f"{row.turn_id}-{digest}", language_of(row.prompt[-1].content), row.group, data)


def messages_of(item: Item) -> list[Message]:
    return [Message(m["role"], m["content"]) for m in item.data["messages"]]


def language_of(text: str) -> str:
    """`ko` when a fourth of the letters are Hangul, else `en`."""
    text = unicodedata.normalize("NFC", text)
    hangul = sum("가" <= letter <= "힣" for letter in text)
    return "ko" if hangul and hangul * 4 >= sum(map(str.isalpha, text)) else "en"


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
