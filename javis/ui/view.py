"""Conversations and turns as the page's script reads them. Texts stay texts, nothing is HTML."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from javis.core.arena import Duel, Side, other
from javis.core.types import Conversation, EngineInfo, Feedback, Turn
from javis.service.tree import ConversationView, OpenDuel, TurnView

WINDOW_TURNS = 40
"""Turns sent at first; earlier ones when the reader asks for them."""


def conversation_row(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "title": conversation.title,
        "at": conversation.updated_at,
    }


def conversation_json(view: ConversationView, turns: int = WINDOW_TURNS) -> dict[str, Any]:
    """The end of the shown branch, and how many turns come before it."""
    shown = view.turns[-turns:]
    return {
        **conversation_row(view.conversation),
        "answering": view.answering,
        "earlier": len(view.turns) - len(shown),
        "turns": [turn_json(t) for t in shown],
        "duel": open_duel_json(view.open_duel) if view.open_duel else None,
    }


def turn_json(view: TurnView) -> dict[str, Any]:
    turn = view.turn
    return {
        "id": turn.id,
        "user": turn.user,
        "reply": turn.reply,
        "finish": turn.finish,
        "error": turn.error,
        "answers": list(view.answers),
        "edits": list(view.edits),
        "feedback": feedback_json(view.feedback),
        "example_at": view.example_at,
        "duel": duel_json(view.duel, turn.id) if view.duel else None,
        "about": about_json(turn),
    }


def open_duel_json(duel: OpenDuel) -> dict[str, Any]:
    """Two answers that wait for a vote: texts, and nothing of who wrote them."""
    both = (duel.left, duel.right)
    sides = [{"turn": t.id, "text": t.reply, "finish": t.finish} for t in both]
    return {"id": duel.id, "sides": sides}


def duel_json(duel: Duel, turn_id: str) -> dict[str, Any]:
    """How a comparison ended, seen from one of its turns."""
    mine: Side = "left" if duel.left == turn_id else "right"
    return {
        "id": duel.id,
        "end": duel.end,
        "won": None if duel.winner is None else duel.winner == mine,
        "version": duel.version(mine),
        "other": duel.version(other(mine)),
    }


def feedback_json(feedback: Feedback | None) -> dict[str, Any] | None:
    if feedback is None or feedback.is_empty:
        return None
    return {
        "rating": feedback.rating,
        "reasons": list(feedback.reasons),
        "comment": feedback.comment,
        "correction": feedback.correction,
    }


def about_json(turn: Turn) -> dict[str, Any]:
    """Where an answer came from (the details below it)."""
    timings = turn.timings
    return {
        "at": turn.created_at,
        "version": turn.version,
        "model": turn.model,
        "quantization": turn.quantization,
        "engine": turn.engine,
        "speed": round(timings.tokens_per_second, 1),
        "first_ms": round(timings.ttft_ms),
        "total_ms": round(timings.total_ms),
        "tokens_in": timings.prompt_tokens,
        "tokens_cached": timings.cached_tokens,
        "tokens_out": timings.completion_tokens,
        "temperature": turn.sampling.temperature,
        "top_p": turn.sampling.top_p,
        "max_tokens": turn.sampling.max_tokens,
        "penalty": turn.sampling.repetition_penalty,
        "seed": turn.sampling.seed,
        "system_prompt": turn.system_prompt,
        "dropped": turn.dropped_turns,
        "origin": turn.origin,
    }


def model_json(info: EngineInfo) -> dict[str, Any]:
    return asdict(info)
