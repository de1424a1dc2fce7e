"""Between the dataclasses of `core` and the rows in the journal.

Rows may be older or newer than this program: missing fields get their defaults, unknown ones are
left alone. The readers are written out by hand, as they run 100,000 times for an export.
"""

from __future__ import annotations

import datetime
import uuid
from dataclasses import asdict
from typing import Any

from javis.core.errors import UserInputError
from javis.core.types import BASE, REASONS, Conversation, Feedback, SamplingParams, Timings, Turn
from javis.store.codec import Row

CONVERSATIONS = "conversations"
TURNS = "turns"
FEEDBACK = "feedback"


def now_iso(ago_s: float = 0.0) -> str:
    """The time, or that of `ago_s` seconds ago, as `2026-11-21T03:04:05.678Z`."""
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=ago_s)
    return now.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def new_conversation_id() -> str:
    return "c_" + uuid.uuid4().hex


def new_turn_id() -> str:
    return "t_" + uuid.uuid4().hex


def conversation_to_row(conversation: Conversation) -> Row:
    return asdict(conversation)


def conversation_from_row(row: Row) -> Conversation:
    get = row.get
    return Conversation(
        id=row["id"],
        owner=row["owner"],
        title=get("title", ""),
        created_at=get("created_at", ""),
        updated_at=get("updated_at", ""),
        head=get("head"),
        deleted_at=get("deleted_at"),
        titled=get("titled", False),
    )


def turn_to_row(turn: Turn) -> Row:
    sampling, timings = turn.sampling, turn.timings
    return {
        "id": turn.id,
        "conversation_id": turn.conversation_id,
        "parent_id": turn.parent_id,
        "created_at": turn.created_at,
        "user": turn.user,
        "reply": turn.reply,
        "finish": turn.finish,
        "error": turn.error,
        "model": turn.model,
        "engine": turn.engine,
        "quantization": turn.quantization,
        "version": turn.version,
        "version_sha256": turn.version_sha256,
        "system_prompt": turn.system_prompt,
        "sampling": {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "repetition_penalty": sampling.repetition_penalty,
            "seed": sampling.seed,
            "stop": list(sampling.stop),
        },
        "timings": {
            "prompt_tokens": timings.prompt_tokens,
            "cached_tokens": timings.cached_tokens,
            "completion_tokens": timings.completion_tokens,
            "ttft_ms": timings.ttft_ms,
            "total_ms": timings.total_ms,
        },
        "sources": list(turn.sources),
        "dropped_turns": turn.dropped_turns,
        "edited_from": turn.edited_from,
        "origin": turn.origin,
    }


def turn_from_row(row: Row) -> Turn:
    get = row.get
    return Turn(
        id=row["id"],
        conversation_id=row["conversation_id"],
        parent_id=get("parent_id"),
        created_at=get("created_at", ""),
        user=get("user", ""),
        reply=get("reply", ""),
        finish=get("finish"),
        error=get("error"),
        model=get("model", ""),
        engine=get("engine", ""),
        quantization=get("quantization", ""),
        version=get("version", BASE),
        version_sha256=get("version_sha256"),
        system_prompt=get("system_prompt", ""),
        sampling=_sampling(get("sampling") or {}),
        timings=_timings(get("timings") or {}),
        sources=tuple(get("sources") or ()),
        dropped_turns=get("dropped_turns", 0),
        edited_from=get("edited_from"),
        origin=get("origin", "chat"),
    )


def _sampling(row: dict[str, Any]) -> SamplingParams:
    get = row.get
    try:
        return SamplingParams(
            temperature=get("temperature", 0.7),
            top_p=get("top_p", 0.95),
            max_tokens=get("max_tokens", 1024),
            repetition_penalty=get("repetition_penalty", 1.0),
            seed=get("seed"),
            stop=tuple(get("stop") or ()),
        )
    except UserInputError:
        # The limits were other ones when the row was written; the answer is worth more.
        return SamplingParams()


def _timings(row: dict[str, Any]) -> Timings:
    get = row.get
    return Timings(
        prompt_tokens=get("prompt_tokens", 0),
        cached_tokens=get("cached_tokens", 0),
        completion_tokens=get("completion_tokens", 0),
        ttft_ms=get("ttft_ms", 0.0),
        total_ms=get("total_ms", 0.0),
    )


def feedback_to_row(feedback: Feedback) -> Row:
    return {
        "turn_id": feedback.turn_id,
        "created_at": feedback.created_at,
        "rating": feedback.rating,
        "reasons": list(feedback.reasons),
        "comment": feedback.comment,
        "correction": feedback.correction,
    }


def feedback_from_row(row: Row) -> Feedback:
    get = row.get
    rating = get("rating")
    return Feedback(
        turn_id=row["turn_id"],
        created_at=get("created_at", ""),
        rating=rating if rating in ("good", "bad") else None,
        reasons=tuple(reason for reason in get("reasons") or () if reason in REASONS),
        comment=get("comment") or "",
        correction=get("correction") or None,
    )
