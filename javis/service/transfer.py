"""Reading one conversation of an import; every bad row gets a line that says where and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast, get_args

from javis.core.errors import UserInputError
from javis.core.types import (
    BASE,
    MAX_COMMENT_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_TITLE_CHARS,
    Conversation,
    Feedback,
    Finish,
    SamplingParams,
    Turn,
    check_text,
)
from javis.service.recall import PREFIX
from javis.store import new_conversation_id, new_turn_id, now_iso

Read = tuple[Conversation, list[Turn], list[Feedback]]
MAX_DROPPED = 1_000_000
"""More turns than any conversation has."""


def read_conversation(
    row: object,
    owner: str,
    number: int,
    problems: list[UserInputError],
    moved: dict[str, str],
) -> Read | None:
    """The conversation, its turns and votes; None, and `problems`, when it is bad.

    `number` says where in the file it stands.

    `moved` gets the new id of each turn that has one in the file.
    """
    before = len(problems)
    if not isinstance(row, dict) or not isinstance(row.get("turns"), list):
        error = UserInputError("import_conversation", 'must be an object with a list "turns".')
        problems.append(_in_conversation(number, error))
        return None
    try:
        title = check_text(row.get("title") or "", "title", MAX_TITLE_CHARS, empty_ok=True)
        created_at = _time(row, "created_at") or now_iso()
    except UserInputError as error:
        problems.append(_in_conversation(number, error))
        return None
    conversation_id = new_conversation_id()
    turns: list[Turn] = []
    votes: list[Feedback] = []
    ids: dict[str, str] = {}
    for position, item in enumerate(row["turns"], 1):
        try:
            turn, vote = _read_turn(item, conversation_id, turns, ids)
        except UserInputError as error:
            problems.append(_in_turn(number, position, error))
            continue
        turns.append(turn)
        if vote and not vote.is_empty:
            votes.append(vote)
    if len(problems) > before:
        return None
    moved |= ids
    head = ids.get(str(row.get("head"))) or (turns[-1].id if turns else None)
    conversation = Conversation(
        id=conversation_id,
        owner=owner,
        title=" ".join(title.split()),
        created_at=created_at,
        # Never in the future: nothing newer would ever stand above it in the list.
        updated_at=min(now_iso(), max((t.created_at for t in turns), default=created_at)),
        head=head,
        titled=bool(title.strip()),
    )
    return conversation, turns, votes


def _in_conversation(number: int, error: UserInputError) -> UserInputError:
    return UserInputError(
        "import_in_conversation",
        "conversation {conversation}: {error}",
        conversation=number,
        error=error,
    )


def _in_turn(number: int, position: int, error: UserInputError) -> UserInputError:
    return UserInputError(
        "import_in_turn",
        "conversation {conversation}, turn {turn}: {error}",
        conversation=number,
        turn=position,
        error=error,
    )


def relinked(turn: Turn, moved: dict[str, str]) -> Turn:
    """The turn, with the turns of the same file that it names under their new ids.

    One that is not in the file keeps its id: it may be in the store.
    """
    sources = tuple(
        PREFIX + moved.get(source.removeprefix(PREFIX), source.removeprefix(PREFIX))
        if source.startswith(PREFIX)
        else source
        for source in turn.sources
    )
    edited_from = turn.edited_from and moved.get(turn.edited_from, turn.edited_from)
    return replace(turn, sources=sources, edited_from=edited_from)


def _read_turn(
    item: object, conversation_id: str, earlier: list[Turn], ids: dict[str, str]
) -> tuple[Turn, Feedback | None]:
    if not isinstance(item, dict):
        raise UserInputError("import_turn", "must be an object.")
    turn_id = new_turn_id()
    created_at = _time(item, "created_at") or now_iso()
    turn = Turn(
        id=turn_id,
        conversation_id=conversation_id,
        parent_id=_parent(item, earlier, ids),
        created_at=created_at,
        user=check_text(item.get("user"), "user", MAX_MESSAGE_CHARS),
        reply=check_text(item.get("assistant"), "assistant", MAX_MESSAGE_CHARS, empty_ok=True),
        finish=_finish(item),
        error=_name(item, "error", 2000) or None,
        model=_name(item, "model", 200),
        engine=_name(item, "engine", 50),
        quantization=_name(item, "quantization", 50),
        version=_name(item, "version", 50) or BASE,
        version_sha256=_name(item, "version_sha256", 64) or None,
        system_prompt=check_text(
            item.get("system_prompt") or "", "system_prompt", MAX_MESSAGE_CHARS, empty_ok=True
        ),
        sampling=_sampling(item.get("sampling")),
        sources=tuple(check_text(s, "sources", 200) for s in _texts(item, "sources")),
        dropped_turns=_dropped(item),
        edited_from=_name(item, "edited_from", 200) or None,
        origin="import",
    )
    if item.get("id") is not None:
        ids[str(item["id"])] = turn_id
    return turn, _vote(item, turn)


def _name(item: dict[str, Any], key: str, limit: int) -> str:
    return check_text(item.get(key) or "", key, limit, empty_ok=True)


def _finish(item: dict[str, Any]) -> Finish:
    """How the answer ended: half a sentence must not come back as a whole answer."""
    finish = item.get("finish", "imported")
    if finish is None:  # taken out while it was written
        return "interrupted"
    return cast(Finish, finish) if finish in get_args(Finish) else "imported"


def _dropped(item: dict[str, Any]) -> int:
    dropped = item.get("dropped_turns") or 0
    if type(dropped) is not int or not 0 <= dropped <= MAX_DROPPED:
        raise UserInputError(
            "import_count",
            "{name} must be a whole number from 0 to {limit}.",
            name="dropped_turns",
            limit=f"{MAX_DROPPED:,}",
        )
    return dropped


def _texts(item: dict[str, Any], key: str) -> list[str]:
    texts = item.get(key) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UserInputError("import_texts", "{name} must be a list of texts.", name=key)
    return texts


def _parent(item: dict[str, Any], earlier: list[Turn], ids: dict[str, str]) -> str | None:
    if "parent_id" not in item:
        return earlier[-1].id if earlier else None
    if item["parent_id"] is None:
        return None
    try:
        return ids[str(item["parent_id"])]
    except KeyError:
        raise UserInputError(
            "import_parent", "parent_id names no earlier turn of this conversation."
        ) from None


def _vote(item: dict[str, Any], turn: Turn) -> Feedback | None:
    return Feedback(
        turn_id=turn.id,
        created_at=_time(item, "rated_at") or turn.created_at,
        rating=item.get("rating"),
        reasons=tuple(_texts(item, "reasons")),
        comment=check_text(item.get("comment") or "", "comment", MAX_COMMENT_CHARS, empty_ok=True),
        correction=item.get("correction"),
    )


def _sampling(value: object) -> SamplingParams:
    if value is None:
        return SamplingParams()
    if not isinstance(value, dict):
        raise UserInputError("import_sampling", "sampling must be an object.")
    names = ("temperature", "top_p", "max_tokens", "repetition_penalty", "seed")
    known = {name: value[name] for name in names if name in value}
    return SamplingParams(**known, stop=tuple(_texts(value, "stop")))


def _time(item: dict[str, Any], key: str) -> str | None:
    """ISO 8601 in UTC with milliseconds; a time without a zone is taken as UTC."""
    if item.get(key) is None:
        return None
    try:
        moment = datetime.fromisoformat(str(item[key]))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        # The first and the last year there is overflow in some time zones.
        text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        raise UserInputError(
            "import_time", "{name} must be a time such as 2026-11-21T09:30:00Z.", name=key
        ) from None
    return text.replace("+00:00", "Z")
