"""What a user does in a conversation: say something, have it answered again, edit, branch, look.

How an answer comes about is in `answerer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from javis.core.arena import HIDDEN
from javis.core.errors import NotFound
from javis.core.types import (
    MAX_MESSAGE_CHARS,
    MAX_TITLE_CHARS,
    Conversation,
    Timings,
    Turn,
    check_text,
)
from javis.service.answerer import Answerer, Options, title_of
from javis.service.recall import Recall
from javis.service.tree import (
    ConversationView,
    branch_to,
    newest_leaf,
    view_of,
)
from javis.store import Store, new_conversation_id, new_turn_id, now_iso

__all__ = ["ChatService", "Options", "title_of"]


class ChatService:
    """Answers, and keeps every answer."""

    def __init__(self, store: Store, answerer: Answerer, recall: Recall) -> None:
        self._store = store
        self._answerer = answerer
        self._recall = recall

    # Reading -------------------------------------------------------------------------------

    def view(self, owner: str, conversation_id: str) -> ConversationView:
        """The shown branch of a conversation."""
        conversation = self._store.conversations.get(conversation_id, owner)
        turns = self._answerer.settled(conversation_id)
        feedback = self._store.feedback.current_many([t.id for t in turns])
        return view_of(
            conversation,
            turns,
            feedback,
            answering=self._answerer.is_answering(conversation_id),
            example_at=lambda turn: self._recall.used_at(owner, turn),
            duels=self._store.duels.of_conversation(conversation_id),
        )

    def head(self, owner: str, conversation_id: str) -> str | None:
        """The turn that a new message continues.

        While two answers wait for a vote, it is that of the version the user would have asked
        anyway: whoever goes on without a vote goes on as if there had been no second answer.
        """
        head = self._store.conversations.get(conversation_id, owner).head
        duel = self._store.duels.open_in(conversation_id)
        return duel.turn(duel.main) if duel and head in (duel.left, duel.right) else head

    def end_of(self, owner: str, conversation_id: str, seen: str | None) -> str | None:
        """The turn that its user sees at the end, or the head where that is not to be continued."""
        head = self.head(owner, conversation_id)
        if seen is None or seen == head:
            return head
        try:
            turn = self.turn(owner, seen)
        except NotFound:
            return head
        # What waits for a vote is continued from the answer that would have come without it.
        blind = turn.version == HIDDEN or self._store.duels.open_in(conversation_id)
        return head if blind or turn.conversation_id != conversation_id else turn.id

    def turn(self, owner: str, turn_id: str) -> Turn:
        return self._store.conversations.get_turn(turn_id, owner)

    # Answering -----------------------------------------------------------------------------

    def reply(
        self,
        owner: str,
        text: str,
        conversation_id: str | None = None,
        options: Options | None = None,
        origin: str = "chat",
        after: str | None = None,
    ) -> Iterator[Turn]:
        """Continue the shown branch (or a new conversation) with `text`.

        `after` is the turn that its user sees at the end: another tab may show another branch.
        Yields the turn as its answer grows; the last one has `finish`. Everything that can be
        refused is refused before the first yield and before anything is stored. Closing the
        iterator stops the model; what was written until then is kept.
        """
        check_text(text, "The message", MAX_MESSAGE_CHARS)
        parent: str | None = None
        if conversation_id is not None:
            parent = self.end_of(owner, conversation_id, after)
        return self._answer(owner, conversation_id, parent, text, options or Options(), origin)

    def regenerate(
        self, owner: str, turn_id: str, options: Options | None = None
    ) -> Iterator[Turn]:
        """Answer the same message again; the earlier answers stay reachable."""
        turn = self.turn(owner, turn_id)
        options = options or Options()
        if options.system_prompt is None:
            options = replace(options, system_prompt=turn.system_prompt, stored_prompt=True)
        options = replace(options, drop=options.drop or turn.dropped_turns)
        return self._answer(owner, turn.conversation_id, turn.parent_id, turn.user, options, "chat")

    def edit_message(
        self, owner: str, turn_id: str, text: str, options: Options | None = None
    ) -> Iterator[Turn]:
        """Ask the message of a turn in other words, on a new branch beside it."""
        check_text(text, "The message", MAX_MESSAGE_CHARS)
        turn = self.turn(owner, turn_id)
        options = options or Options()
        options = replace(options, drop=options.drop or turn.dropped_turns)
        return self._answer(owner, turn.conversation_id, turn.parent_id, text, options, "chat")

    def edit_reply(self, owner: str, turn_id: str, text: str) -> Turn:
        """Put the user's own answer beside the model's and go on from it.

        The model's answer stays as it was, so both are there to learn from.
        """
        check_text(text, "The answer", MAX_MESSAGE_CHARS)
        conversation_id = self.turn(owner, turn_id).conversation_id
        with self._answerer.alive(conversation_id):
            # First: it names the version in the turn that is read after it.
            self._store.duels.pass_over(conversation_id)
            edited = replace(
                self.turn(owner, turn_id),
                id=new_turn_id(),
                created_at=now_iso(),
                reply=text,
                finish="edited",
                error=None,
                timings=Timings(),
                sources=(),
                edited_from=turn_id,
                origin="edit",
            )
            self._store.conversations.add_turn(edited, head=True)
        return edited

    def stop(self, owner: str, conversation_id: str) -> bool:
        """End the running answer of a conversation; False when there is none."""
        self._store.conversations.get(conversation_id, owner)
        return self._answerer.stop(conversation_id)

    def stop_all(self) -> None:
        """End every running answer, as the program ends: each is stored as far as it came."""
        self._answerer.stop_all()

    @property
    def idle(self) -> bool:
        """True when no answer is being written."""
        return self._answerer.idle

    # The tree ------------------------------------------------------------------------------

    def select(self, owner: str, turn_id: str) -> ConversationView:
        """Show the branch that goes through this turn."""
        turn = self.turn(owner, turn_id)
        with self._answerer.alive(turn.conversation_id):
            self._store.duels.pass_over(turn.conversation_id)
            turns = self._store.conversations.turns(turn.conversation_id)
            self._store.conversations.set_head(turn.conversation_id, newest_leaf(turns, turn.id))
        return self.view(owner, turn.conversation_id)

    def branch(self, owner: str, turn_id: str, title: str) -> Conversation:
        """A new conversation that begins with the turns up to this one."""
        turn = self.turn(owner, turn_id)
        if turn.version == HIDDEN:
            # A copy would never be named.
            with self._answerer.alive(turn.conversation_id):
                self._store.duels.pass_over(turn.conversation_id)
        path = branch_to(self._store.conversations.turns(turn.conversation_id), turn.id)
        now = now_iso()
        conversation_id = new_conversation_id()
        parent: str | None = None
        copies = []
        for original in path:
            copy = replace(
                original,
                id=new_turn_id(),
                conversation_id=conversation_id,
                parent_id=parent,
                # Nobody will finish the copy of an answer that is still being written.
                finish=original.finish or "interrupted",
                edited_from=original.id,
            )
            parent = copy.id
            copies.append(copy)
        conversation = Conversation(
            id=conversation_id,
            owner=owner,
            title=" ".join(check_text(title, "The title", MAX_TITLE_CHARS).split()),
            created_at=now,
            updated_at=now,
            head=parent,
            titled=True,
        )
        self._store.conversations.import_many([(conversation, copies, [])])
        return conversation

    # Inside --------------------------------------------------------------------------------

    def _answer(
        self,
        owner: str,
        conversation_id: str | None,
        parent: str | None,
        text: str,
        options: Options,
        origin: str,
    ) -> Iterator[Turn]:
        turn, messages = self._answerer.prepare(
            owner, conversation_id, parent, text, options, origin
        )
        return self._answerer.run(owner, turn, messages)
