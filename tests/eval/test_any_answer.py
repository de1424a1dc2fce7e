"""Whatever a model writes, marking it raises nothing and gives a score from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from javis.core.evaluation import Item, Likelihood
from javis.core.types import Message
from javis.eval.suites.agent import AgentSuite
from javis.eval.suites.knowledge import KnowledgeSuite

AGENT, KNOWLEDGE = AgentSuite(), KnowledgeSuite()
PIECES = (
    *("Answer: ", "답: ", "A", "B, C", "A → B", "R", "오른쪽", "=", "-", ".", ",", "1", "٣", "½"),
    *("9" * 400, "1e999", "{", "}", "[", "]", '"', ":", "\\", "\n", "```json\n", "\x00", "\u200d"),
    *('{"tool": "convert", "arguments": ', '"value": 1e999, "from_unit": "km", "to_unit": "m"'),
    *('{"tool": "calculator", "arguments": {"expression": "', "**", "%", "(", "not ", "네", "가"),
    *('{"tool": "add_days", "arguments": {"start": "9999-12-31", "days": 1}}', "null", "NaN"),
)
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=12).map("".join)


class Says:
    def __init__(self, text: str) -> None:
        self._text = text

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int = 256, stop: Sequence[str] = ()
    ) -> str:
        return self._text

    def likelihood(self, prompt: Sequence[Message] | str, answer: str) -> Likelihood:
        return Likelihood(1.0, 1)


@settings(max_examples=400, deadline=None)
@given(item=st.sampled_from(AGENT.items()), text=TEXT)
def test_agent_marks_anything(item: Item, text: str) -> None:
    assert 0 <= (AGENT.run(item, Says(text)).score or 0.0) <= 1


@settings(max_examples=400, deadline=None)
@given(item=st.sampled_from(KNOWLEDGE.items()), text=TEXT)
def test_knowledge_marks_anything(item: Item, text: str) -> None:
    assert 0 <= (KNOWLEDGE.run(item, Says(text)).score or 0.0) <= 1
