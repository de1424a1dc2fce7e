"""A conversation's turns form a tree; the page shows one branch of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from javis.core.arena import Duel
from javis.core.errors import NotFound
from javis.core.types import Conversation, Feedback, Message, Turn


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn as it is shown, with its neighbours in the tree."""

    turn: Turn
    answers: tuple[str, ...]
    """Ids of all answers to this very message, oldest first, this turn among them."""
    edits: tuple[str, ...]
    """One turn id for each wording of the message, oldest wording first."""
    feedback: Feedback | None = None
    example_at: str | None = None
    """When the user wrote the correction that the model was shown, if it was shown one."""
    duel: Duel | None = None
    """The blind comparison that this answer came out of, once it has ended."""

    @property
    def answer_index(self) -> int:
        return self.answers.index(self.turn.id)

    @property
    def edit_index(self) -> int:
        """Which wording of the message is shown."""
        return self.edits.index(self.turn.id)


@dataclass(frozen=True, slots=True)
class OpenDuel:
    """Two answers that wait for a vote; neither turn says who wrote it."""

    id: str
    left: Turn
    right: Turn


@dataclass(frozen=True, slots=True)
class ConversationView:
    conversation: Conversation
    turns: tuple[TurnView, ...]
    answering: bool = False
    """An answer is being written right now."""
    open_duel: OpenDuel | None = None
    """The two answers at the end of the branch that wait for a vote."""


def branch_to(turns: Sequence[Turn], leaf: str | None) -> list[Turn]:
    """The turns from the first to `leaf`. Raises NotFound when `leaf` is not among `turns`."""
    by_id = {t.id: t for t in turns}
    path: list[Turn] = []
    while leaf is not None:
        turn = by_id.pop(leaf, None)
        if turn is None:
            raise NotFound("no_turn", "There is no such message in this conversation.")
        path.append(turn)
        leaf = turn.parent_id
    return path[::-1]


def newest_leaf(turns: Sequence[Turn], start: str) -> str:
    """The end of the branch through `start` that follows the newest child at each fork."""
    newest_child = {t.parent_id: t.id for t in turns}
    while start in newest_child:
        start = newest_child[start]
    return start


def view_of(
    conversation: Conversation,
    turns: Sequence[Turn],
    feedback: dict[str, Feedback],
    *,
    answering: bool,
    example_at: Callable[[Turn], str | None] = lambda turn: None,
    duels: Sequence[Duel] = (),
) -> ConversationView:
    """The branch that ends at the conversation's head, with what lies beside it."""
    children: dict[str | None, list[Turn]] = {}
    for turn in turns:
        children.setdefault(turn.parent_id, []).append(turn)
    ended = {turn_id: d for d in duels if d.end for turn_id in (d.left, d.right)}
    views = []
    for turn in branch_to(turns, conversation.head):
        siblings = children[turn.parent_id]
        wordings: dict[str, str] = {}
        for sibling in siblings:
            wordings[sibling.user] = sibling.id
        wordings[turn.user] = turn.id
        answers = tuple(s.id for s in siblings if s.user == turn.user)
        edits = tuple(wordings.values())
        about = (feedback.get(turn.id), example_at(turn), ended.get(turn.id))
        views.append(TurnView(turn, answers, edits, *about))
    waiting = _open_duel(turns, conversation.head, duels)
    return ConversationView(conversation, tuple(views), answering, waiting)


def _open_duel(turns: Sequence[Turn], head: str | None, duels: Sequence[Duel]) -> OpenDuel | None:
    by_id = {turn.id: turn for turn in turns}
    for duel in duels:
        both = duel.left in by_id and duel.right in by_id
        if duel.is_open and both and head in (duel.left, duel.right):
            return OpenDuel(duel.id, by_id[duel.left], by_id[duel.right])
    return None


def messages_of(path: Sequence[Turn], system_prompt: str, text: str) -> list[Message]:
    """What the model reads: the earlier turns and the new message.

    A message that got no answer is joined to the next one, as most templates insist on question
    and answer taking turns.
    """
    messages = [Message("system", system_prompt)] if system_prompt.strip() else []
    waiting: list[str] = []
    for turn in path:
        waiting.append(turn.user)
        if turn.reply.strip():
            messages += [
                Message("user", "\n\n".join(waiting)),
                Message("assistant", turn.reply),
            ]
            waiting = []
    return [*messages, Message("user", "\n\n".join([*waiting, text]))]
