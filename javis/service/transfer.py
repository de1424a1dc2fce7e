"""Reading one conversation of an import; every bad row gets a line that says where and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from javis.core.errors import UserInputError
from javis.core.types import (
    BASE,
    MAX_COMMENT_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_TITLE_CHARS,
    Conversation,
    Feedback,
    SamplingParams,
    Turn,
    check_text,
)
from javis.store import new_conversation_id, new_turn_id, now_iso

Read = tuple[Conversation, list[Turn], list[Feedback]]


def read_conversation(row: object, owner: str, where: str, problems: list[str]) -> Read | None:
    """The conversation, its turns and votes; None, and lines in `problems`, when it is bad."""
    before = len(problems)
    if not isinstance(row, dict) or not isinstance(row.get("turns"), list):
        problems.append(f'{where}: must be an object with a list "turns".')
        return None
    try:
        title = check_text(row.get("title") or "", "title", MAX_TITLE_CHARS, empty_ok=True)
        created_at = _time(row.get("created_at"))
    except UserInputError as error:
        problems.append(f"{where}: {error}")
        return None
    conversation_id = new_conversation_id()
    turns: list[Turn] = []
    votes: list[Feedback] = []
    ids: dict[str, str] = {}
    for number, item in enumerate(row["turns"], 1):
        try:
            turn, vote = _read_turn(item, conversation_id, turns, ids)
        except UserInputError as error:
            problems.append(f"{where}, turn {number}: {error}")
            continue
        turns.append(turn)
        if vote and not vote.is_empty:
            votes.append(vote)
    if len(problems) > before:
        return None
    head = ids.get(str(row.get("head"))) or (turns[-1].id if turns else None)
    conversation = Conversation(
        id=conversation_id,
        owner=owner,
        title=" ".join(title.split()),
        created_at=created_at,
        updated_at=turns[-1].created_at if turns else created_at,
        head=head,
        titled=bool(title.strip()),
    )
    return conversation, turns, votes


def _read_turn(
    item: object, conversation_id: str, earlier: list[Turn], ids: dict[str, str]
) -> tuple[Turn, Feedback | None]:
    if not isinstance(item, dict):
        raise UserInputError("import_turn", "must be an object.")
    turn_id = new_turn_id()
    created_at = _time(item.get("created_at"))
    turn = Turn(
        id=turn_id,
        conversation_id=conversation_id,
        parent_id=_parent(item, earlier, ids),
        created_at=created_at,
        user=check_text(item.get("user"), "user", MAX_MESSAGE_CHARS),
        reply=check_text(item.get("assistant"), "assistant", MAX_MESSAGE_CHARS, empty_ok=True),
        finish="imported",
        error=_name(item, "error", 2000) or None,
        model=_name(item, "model", 200),
        engine=_name(item, "engine", 50),
        quantization=_name(item, "quantization", 50),
        version=_name(item, "version", 50) or BASE,
        version_sha256=_name(item, "version_sha256", 64) or None,
        system_prompt=check_text(
            item.get("system_prompt") or "", "system_prompt", MAX_COMMENT_CHARS, empty_ok=True
        ),
        sampling=_sampling(item.get("sampling")),
        origin="import",
    )
    if item.get("id") is not None:
        ids[str(item["id"])] = turn_id
    return turn, _vote(item, turn)


def _name(item: dict[str, Any], key: str, limit: int) -> str:
    return check_text(item.get(key) or "", key, limit, empty_ok=True)


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
    reasons = item.get("reasons") or []
    if not isinstance(reasons, list) or not all(isinstance(r, str) for r in reasons):
        raise UserInputError("import_reasons", "reasons must be a list of texts.")
    return Feedback(
        turn_id=turn.id,
        created_at=turn.created_at,
        rating=item.get("rating"),
        reasons=tuple(reasons),
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
    return SamplingParams(**known)


def _time(value: object) -> str:
    """ISO 8601 in UTC with milliseconds; a time without a zone is taken as UTC."""
    if value is None:
        return now_iso()
    try:
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        # The first and the last year there is overflow in some time zones.
        text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        raise UserInputError(
            "import_time", "created_at must be a time such as 2026-11-21T09:30:00Z."
        ) from None
    return text.replace("+00:00", "Z")
