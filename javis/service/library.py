"""The list of conversations: find, rename, delete with undo, take out and bring in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from javis.core.errors import Errors, UserInputError
from javis.core.types import (
    MAX_TITLE_CHARS,
    Conversation,
    Feedback,
    Turn,
    check_text,
)
from javis.service.answerer import Answerer, title_of
from javis.service.markdown import read_markdown, write_markdown
from javis.service.recall import Recall
from javis.service.transfer import read_conversation, relinked
from javis.service.tree import branch_to
from javis.store import Store

MAX_IMPORT_TURNS = 100_000
MAX_PROBLEMS = 50
"""More bad rows of one import are counted, not listed."""


class ImportRefused(UserInputError):
    """Nothing was imported; `problems` has a line for each bad row, up to MAX_PROBLEMS."""

    def __init__(self, problems: list[UserInputError], count: int) -> None:
        super().__init__(
            "import_refused",
            "Nothing was imported. Rows that cannot be read: {count}\n{lines}",
            count=count,
            lines=Errors(problems),
        )
        self.problems = [str(problem) for problem in problems]


class Library:
    """A user's conversations as a whole."""

    def __init__(self, store: Store, answerer: Answerer, recall: Recall) -> None:
        self._store = store
        self._answerer = answerer
        self._recall = recall

    def page(
        self, owner: str, query: str = "", offset: int = 0, limit: int = 50
    ) -> tuple[list[Conversation], int]:
        """Conversations newest first, and how many there are; `query` looks into their texts."""
        return self._store.conversations.page(owner, query, offset, limit)

    def get(self, owner: str, conversation_id: str) -> Conversation:
        return self._store.conversations.get(conversation_id, owner)

    def rename(self, owner: str, conversation_id: str, title: str) -> Conversation:
        title = " ".join(check_text(title, "The title", MAX_TITLE_CHARS).split())
        self._store.conversations.rename(conversation_id, owner, title)
        return self.get(owner, conversation_id)

    def delete(self, owner: str, conversation_id: str) -> None:
        """Hide a conversation; `restore` brings it back until it is purged.

        An answer that is being written ends: nobody would read it.
        """
        self._store.conversations.delete(conversation_id, owner)
        self._answerer.stop(conversation_id)

    def restore(self, owner: str, conversation_id: str) -> Conversation:
        """Undo a delete."""
        self._store.conversations.restore(conversation_id, owner)
        return self.get(owner, conversation_id)

    def bring_in(self, owner: str, data: object) -> list[Conversation]:
        """Import `{"conversations": […]}`: all of it or, with ImportRefused, nothing."""
        rows = data.get("conversations") if isinstance(data, dict) else None
        if not isinstance(rows, list) or not rows:
            raise UserInputError(
                "import_shape",
                'The file must hold {"conversations": [...]} with at least one of them.',
            )
        if len(rows) + sum(map(_turns_in, rows)) > MAX_IMPORT_TURNS:
            raise UserInputError(
                "import_too_large",
                "At most {limit} turns can be imported at once.",
                limit=f"{MAX_IMPORT_TURNS:,}",
            )
        problems: list[UserInputError] = []
        unlisted = 0
        moved: dict[str, str] = {}
        read: list[tuple[Conversation, list[Turn], list[Feedback]]] = []
        for number, row in enumerate(rows, 1):
            item = read_conversation(row, owner, number, problems, moved)
            if item is not None:
                read.append(item)
            unlisted += len(problems[MAX_PROBLEMS:])
            del problems[MAX_PROBLEMS:]
        if problems:
            raise ImportRefused(problems, len(problems) + unlisted)
        named = [
            (self._named(c, turns), [relinked(turn, moved) for turn in turns], votes)
            for c, turns, votes in read
        ]
        self._store.conversations.import_many(named)
        if any(vote.correction for _, _, votes in named for vote in votes):
            self._recall.learn()
        return [conversation for conversation, _, _ in named]

    def bring_in_markdown(self, owner: str, text: str) -> list[Conversation]:
        """Import one conversation that `markdown` wrote, or a person in its manner."""
        return self.bring_in(owner, {"conversations": [read_markdown(text)]})

    def take_out(self, owner: str, conversation_id: str | None = None) -> Iterator[dict[str, Any]]:
        """One dict for each conversation, in the format that `bring_in` reads."""
        if conversation_id is not None:
            wanted = [self.get(owner, conversation_id)]
        else:
            # At once: a message that comes meanwhile would move its conversation between pages.
            wanted, _ = self.page(owner, limit=sys.maxsize)
        for conversation in wanted:
            turns = self._store.conversations.turns(conversation.id)
            votes = self._store.feedback.current_many([t.id for t in turns])
            yield {
                "title": conversation.title,
                "created_at": conversation.created_at,
                "head": conversation.head,
                "turns": [_row(t, votes.get(t.id)) for t in turns],
            }

    def markdown(self, owner: str, conversation_id: str) -> str:
        """The shown branch as a Markdown document."""
        conversation = self.get(owner, conversation_id)
        turns = self._store.conversations.turns(conversation_id)
        return write_markdown(conversation.title, branch_to(turns, conversation.head))

    @staticmethod
    def _named(conversation: Conversation, turns: list[Turn]) -> Conversation:
        if conversation.title:
            return conversation
        return replace(conversation, title=title_of(turns[0].user) if turns else "")


def _turns_in(row: object) -> int:
    turns = row.get("turns") if isinstance(row, dict) else None
    return len(turns) if isinstance(turns, list) else 0


def _row(turn: Turn, vote: Feedback | None) -> dict[str, Any]:
    row = asdict(turn)
    row["assistant"] = row.pop("reply")
    for key in ("conversation_id", "timings"):
        row.pop(key)
    row["sampling"]["stop"] = list(turn.sampling.stop)
    row["sources"] = list(turn.sources)
    if vote:
        row |= {
            "rating": vote.rating,
            "reasons": list(vote.reasons),
            "comment": vote.comment,
            "correction": vote.correction,
            "rated_at": vote.created_at,
        }
    return row
