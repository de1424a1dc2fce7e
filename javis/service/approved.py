"""The approved turns as of one moment, read conversation by conversation.

What comes out stays the same however much is said, rated or deleted meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from javis.core.learning import Approved, Example, Judged, Pair
from javis.core.types import Message
from javis.dataset.candidates import Candidate, judgement_of
from javis.dataset.lessons import (
    Lesson,
    answer_pairs,
    correction_pair,
    example_of,
    judged_of,
    source_of,
)
from javis.service.prompts import Branches, rejected_of
from javis.store.reviews import Snapshot, taken_from_row

Taken = Example | Pair | Judged


class Frozen:
    """The approved turns and the rows that were taken in, as of one moment."""

    def __init__(
        self,
        snapshot: Snapshot,
        candidates: dict[str, Candidate],
        everything: bool,
        voted: Sequence[Pair] = (),
    ) -> None:
        self.voted = tuple(voted)
        """Pairs from blind comparison (see `voted`)."""
        self.sequence = snapshot.sequence
        """Number of the last commit that is in it."""
        self._turns = snapshot.turns
        self._places = {row["id"]: doc for doc, row in snapshot.conversations.items()}
        # Now: what a candidate is flagged for may change later.
        approved = [c for c in candidates.values() if c.status(everything) == "approved"]
        self._candidates = candidates
        self._replaced: dict[str, list[Taken]] = defaultdict(list)
        self.foreign: list[Taken] = []
        """Taken-in rows that belong to no turn of this store."""
        used = self._sort_taken(snapshot.taken_in, self._candidates)
        there = {c.turn_id for c in approved}
        approved += [c for c in used if c.turn_id not in there]
        self._only_taken = {c.turn_id for c in used} - there
        """Turns that wait for a look themselves: only the file's rows about them count."""
        self._wanted: dict[str, list[Candidate]] = defaultdict(list)
        for candidate in approved:
            self._wanted[candidate.conversation_id].append(candidate)
        times = [str(c.feedback.get("created_at", "")) for c in approved]
        times += [at for at in self._foreign_times if at]
        self.first_at, self.last_at = min(times, default=""), max(times, default="")

    @property
    def turn_ids(self) -> set[str]:
        """Every rated turn, approved or not."""
        return set(self._candidates)

    def candidate(self, turn_id: str) -> Candidate | None:
        """A rated turn, approved or not."""
        return self._candidates.get(turn_id)

    def conversations(self) -> Iterator[list[Lesson]]:
        """The approved turns of one conversation after the other, oldest first."""
        turns: dict[str, list[int]] = defaultdict(list)
        for doc, row in self._turns.items():
            if row["conversation_id"] in self._wanted:
                turns[row["conversation_id"]].append(doc)
        for conversation_id in sorted(self._wanted, key=lambda i: self._places.get(i, 0)):
            rows = [self._turns[doc] for doc in turns.pop(conversation_id, ())]
            branches = Branches({row["id"]: row for row in rows})
            candidates = sorted(self._wanted[conversation_id], key=lambda c: c.turn_doc)
            yield [self._lesson(candidate, branches) for candidate in candidates]

    def examples(self, lessons: Sequence[Lesson]) -> Iterator[Example]:
        yield from filter(None, map(example_of, lessons))

    def pairs(self, lessons: Sequence[Lesson]) -> Iterator[Pair]:
        for lesson in lessons:
            taken = self._taken(lesson, Pair)
            made = correction_pair(lesson)
            yield from (pair for pair in taken if isinstance(pair, Pair))
            if made and not taken:
                yield made
        yield from answer_pairs(lesson for lesson in lessons if not self._taken(lesson, Pair))

    def judged(self, lessons: Sequence[Lesson]) -> Iterator[Judged]:
        for lesson in lessons:
            taken = [row for row in self._taken(lesson, Judged) if isinstance(row, Judged)]
            labels = {row.label for row in taken}
            yield from taken
            yield from (row for row in judged_of(lesson) if row.label not in labels)

    # -- inside ----------------------------------------------------------------------------

    def _sort_taken(
        self, rows: dict[int, dict[str, Any]], candidates: dict[str, Candidate]
    ) -> list[Candidate]:
        """Sort the taken-in rows to their turns; returns the turns that they speak for."""
        used: dict[str, Candidate] = {}
        self._foreign_times: list[str] = []
        for _, row in sorted(rows.items()):
            if not row.get("judgement"):
                self.foreign.append(taken_from_row(row))
                self._foreign_times.append(row.get("created_at", ""))
                continue
            candidate = candidates.get(row["turn_id"])
            # Excluded, deleted or judged anew since: then the file's row is out of date.
            if candidate is None or candidate.state == "exclude":
                continue
            if row["judgement"] == judgement_of(candidate.feedback):
                self._replaced[candidate.turn_id].append(taken_from_row(row))
                used[candidate.turn_id] = candidate
        return list(used.values())

    def _taken(self, lesson: Lesson, kind: type) -> list[Taken]:
        rows = self._replaced.get(lesson.candidate.turn_id, ())
        return [row for row in rows if isinstance(row, kind)]

    def _lesson(self, candidate: Candidate, branches: Branches) -> Lesson:
        lesson = Lesson(
            candidate=candidate,
            prompt=branches.prompt(candidate),
            target=candidate.target,
            reply=rejected_of(candidate),
            source=source_of(candidate),
        )
        if candidate.turn_id in self._only_taken:
            lesson = replace(lesson, target=None, reply="")
        for row in self._taken(lesson, Example):
            assert isinstance(row, Example)
            prompt, answer = row.messages[:-1], row.messages[-1].content
            lesson = replace(lesson, prompt=prompt, target=answer, source="import")
        return lesson


def collect(frozen: Frozen) -> Approved:
    """All of it at once, as training wants it."""
    examples: list[Example] = []
    pairs: list[Pair] = []
    judged: list[Judged] = []
    for lessons in frozen.conversations():
        examples += frozen.examples(lessons)
        pairs += frozen.pairs(lessons)
        judged += frozen.judged(lessons)
    pairs += frozen.voted
    for row in frozen.foreign:
        if isinstance(row, Example):
            examples.append(row)
            judged.append(as_judged(row))
        elif isinstance(row, Pair):
            pairs.append(row)
        else:
            judged.append(row)
    return Approved(tuple(examples), tuple(pairs), tuple(judged), frozen.first_at, frozen.last_at)


def as_judged(row: Example) -> Judged:
    """An answer to be learned, as one that was liked."""
    prompt: tuple[Message, ...] = row.messages[:-1]
    ids = (row.turn_id, row.conversation_id, row.source)
    return Judged(prompt, row.messages[-1].content, True, *ids)
