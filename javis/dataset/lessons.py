"""What an approved turn teaches: an example, pairs of answers, and answers with a thumb."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from javis.core.learning import Example, Judged, Pair
from javis.core.types import Message
from javis.dataset.candidates import Candidate
from javis.dataset.dedupe import near_same

MAX_ANSWER_PAIRS = 4
"""Pairs from the answers to one message: more would give it too much weight."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """An approved turn with its texts as they may be used."""

    candidate: Candidate
    prompt: tuple[Message, ...]
    target: str | None
    """The answer to be learned; None for one that was only disliked."""
    reply: str
    """The model's own answer."""
    source: str
    """`liked`, `correction`, `edit`, `import` or `disliked`."""

    @property
    def rewritten(self) -> bool:
        """Somebody wrote the target because the model's answer was not good enough."""
        candidate = self.candidate
        written = self.target is not None and self.target.strip() != self.reply.strip()
        return written and (candidate.correction is not None or candidate.rating != "good")


def source_of(candidate: Candidate) -> str:
    """Where the target of a turn comes from."""
    if candidate.state == "edit":
        return "edit"
    if candidate.correction is not None:
        return "correction"
    return "liked" if candidate.target is not None else "disliked"


def example_of(lesson: Lesson) -> Example | None:
    """The answer to be learned, for SFT."""
    if lesson.target is None or not lesson.target.strip():
        return None
    messages = (*lesson.prompt, Message("assistant", lesson.target))
    return Example(messages, *_ids(lesson), lesson.source)


def correction_pair(lesson: Lesson) -> Pair | None:
    """What somebody wrote against what the model had said."""
    if not lesson.rewritten or not lesson.reply.strip() or lesson.target is None:
        return None
    source = "import" if lesson.source == "import" else "correction"
    return Pair(lesson.prompt, lesson.target, lesson.reply, *_ids(lesson), source)


def answer_pairs(lessons: Iterable[Lesson]) -> Iterator[Pair]:
    """Liked answers against disliked ones to the very same prompt, in one conversation.

    A message that was only answered again says nothing: both answers need a thumb.
    """
    by_prompt: dict[object, list[Lesson]] = defaultdict(list)
    for lesson in lessons:
        by_prompt[lesson.candidate.sibling_of].append(lesson)
    for siblings in by_prompt.values():
        if len(siblings) > 1:
            yield from _against(siblings)


def _against(siblings: Sequence[Lesson]) -> Iterator[Pair]:
    liked = [one for one in siblings if one.candidate.vote == "good" and one.target]
    disliked = [one for one in siblings if one.candidate.vote == "bad" and one.reply.strip()]
    made = 0
    for good in liked:
        for bad in disliked:
            assert good.target is not None
            same_prompt = good.prompt == bad.prompt
            if made < MAX_ANSWER_PAIRS and same_prompt and not near_same(good.target, bad.reply):
                made += 1
                yield Pair(good.prompt, good.target, bad.reply, *_ids(good), "answers")


def judged_of(lesson: Lesson) -> Iterator[Judged]:
    """Answers with a thumb, for KTO."""
    if lesson.target is not None and lesson.target.strip():
        yield Judged(lesson.prompt, lesson.target, True, *_ids(lesson), lesson.source)
    if (lesson.target is None or lesson.rewritten) and lesson.reply.strip():
        yield Judged(lesson.prompt, lesson.reply, False, *_ids(lesson), "disliked")


def _ids(lesson: Lesson) -> tuple[str, str]:
    return lesson.candidate.turn_id, lesson.candidate.conversation_id
