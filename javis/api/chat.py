"""`/api/chat`, ratings and versions: what a program does with stored conversations."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool, StrictStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from javis.api.auth import Auth
from javis.api.completion_request import Number, Whole
from javis.api.errors import LOG, body_of_failure, envelope, respond
from javis.api.openai import HEARTBEAT_S, WAITING, usage_of
from javis.api.pump import EventStream, Pump
from javis.core.errors import JavisError
from javis.core.types import SamplingParams, Turn
from javis.service.chat import Options
from javis.service.services import Services

MAX_DROP = 1_000_000
Texts = Annotated[list[StrictStr], Field(max_length=100)]
# A turn's id; the services know which exist.
Id = Annotated[StrictStr, Field(max_length=100)]


class ChatRequest(BaseModel):
    """The body of `POST /api/chat`. What is not given is taken from the settings."""

    message: StrictStr
    conversation_id: Id | None = Field(None, description="Absent: a new conversation.")
    version: Annotated[StrictStr, Field(max_length=100)] | None = Field(
        None, description="`base`, `v1.0`, …; absent: the version in use."
    )
    temperature: Number | None = Field(None, description="0 to 2.")
    top_p: Number | None = Field(None, description="0.01 to 1.")
    max_tokens: Whole | None = None
    repetition_penalty: Number | None = Field(None, description="0.5 to 2.")
    seed: Whole | None = None
    stop: Texts | None = None
    system_prompt: StrictStr | None = None
    drop_oldest: Annotated[Whole, Field(ge=0, le=MAX_DROP)] = Field(
        0, description="Leave out this many of the oldest turns, when the conversation is too long."
    )
    examples: StrictBool = Field(
        True, description="Show the model your correction of a similar question, if there is one."
    )
    stream: StrictBool = False

    def options(self, defaults: SamplingParams) -> Options:
        """Raises UserInputError for a value out of range."""
        names = ("temperature", "top_p", "max_tokens", "repetition_penalty", "seed")
        given = {n: getattr(self, n) for n in names if getattr(self, n) is not None}
        return Options(
            sampling=replace(defaults, **given, stop=tuple(self.stop or ())),
            version=self.version or None,
            system_prompt=self.system_prompt,
            drop=self.drop_oldest,
            examples=self.examples,
        )


class FeedbackRequest(BaseModel):
    """The body of `POST /api/feedback`: the whole judgement of a turn, replacing the last one."""

    turn_id: Id
    rating: Literal["good", "bad"] | None = Field(description="null takes the vote back.")
    reasons: Texts | None = None
    comment: StrictStr | None = None
    correction: StrictStr | None = Field(None, description="The answer you wanted.")


def chat_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["chat"])

    @router.post("/chat", response_model=None)
    async def chat(body: ChatRequest, request: Request) -> Response:
        """One turn of a stored conversation. With `stream`, as server-sent events."""
        owner = auth.user_of(request).name

        def start() -> Iterator[Turn]:
            options = body.options(services.preferences.sampling())
            return services.chat.reply(owner, body.message, body.conversation_id, options, "api")

        pump = Pump(request, start)
        await pump.open()
        if body.stream:
            return EventStream(pump, _events(pump))
        return await _whole(pump)

    @router.post("/chat/{conversation_id}/stop")
    def stop(conversation_id: str, request: Request) -> dict[str, bool]:
        """End the answer that is being written; what is there of it is kept."""
        return {"stopped": services.chat.stop(auth.user_of(request).name, conversation_id)}

    @router.post("/feedback")
    def rate(body: FeedbackRequest, request: Request) -> dict[str, Any]:
        """Rate, correct or comment on an answer; `rating: null` takes a vote back."""
        feedback = services.feedback.rate(
            auth.user_of(request).name,
            body.turn_id,
            body.rating,
            body.reasons or [],
            body.comment or "",
            body.correction,
        )
        return asdict(feedback)

    @router.get("/feedback/{turn_id}")
    def feedback_of(turn_id: str, request: Request) -> dict[str, Any]:
        """The judgement that counts, and all there were, oldest first."""
        owner = auth.user_of(request).name
        current = services.feedback.current(owner, turn_id)
        history = services.feedback.history(owner, turn_id)
        return {
            "current": None if current is None else asdict(current),
            "history": [asdict(entry) for entry in history],
        }

    @router.get("/readiness")
    def readiness(request: Request) -> dict[str, Any]:
        """How many rated turns are usable for a first training, against the goal."""
        auth.user_of(request)
        measured = services.feedback.readiness()
        return asdict(measured) | {"share": measured.share}

    return router


def turn_json(turn: Turn) -> dict[str, Any]:
    """What `/api/chat` answers."""
    timings = turn.timings
    return {
        "conversation_id": turn.conversation_id,
        "turn_id": turn.id,
        "reply": turn.reply,
        "finish_reason": turn.finish,
        "version": turn.version,
        "model": turn.model,
        "seed": turn.sampling.seed,
        "sources": list(turn.sources),
        "usage": usage_of(timings),
        "timings": {
            "ttft_ms": round(timings.ttft_ms, 1),
            "total_ms": round(timings.total_ms, 1),
            "tokens_per_second": round(timings.tokens_per_second, 1),
        },
    }


async def _whole(pump: Pump[Turn]) -> Response:
    last: Turn | None = None
    try:
        async for batch in pump.batches():
            last = batch[-1]
    except JavisError as error:
        if last is None:
            raise
        LOG.warning("an answer broke off: %s", error)
        # The message and what was said of the answer are stored: say where.
        return respond(error, conversation_id=last.conversation_id, turn_id=last.id)
    finally:
        pump.close()
    if last is None:
        return JSONResponse(envelope(503, "No answer came.", code="no_answer"), 503)
    return JSONResponse(turn_json(last))


async def _events(pump: Pump[Turn]) -> AsyncIterator[bytes]:
    """`start` with the ids, `delta` with text, `end` with the whole, or `error`."""
    sent = 0
    ids: dict[str, str] = {}
    spoke = time.monotonic()
    try:
        async for batch in pump.batches():
            turn = batch[-1]
            if not ids:
                ids = {"conversation_id": turn.conversation_id, "turn_id": turn.id}
                yield _event("start", ids | {"version": turn.version, "model": turn.model})
            now = time.monotonic()
            if len(turn.reply) > sent:
                yield _event("delta", {"text": turn.reply[sent:]})
                sent, spoke = len(turn.reply), now
            elif now - spoke > HEARTBEAT_S:
                yield WAITING
                spoke = now
            if turn.finish:
                yield _event("end", turn_json(turn))
    except Exception as error:  # noqa: BLE001 - the status is sent; only an event can tell
        body = body_of_failure(error)
        body["error"] |= ids
        yield _event("error", body)


def _event(name: str, data: dict[str, Any]) -> bytes:
    # Escaped to ASCII: many clients split lines also at U+2028 and its like.
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode("ascii")
