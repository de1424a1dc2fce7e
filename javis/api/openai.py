"""`/v1`: the routes that OpenAI's clients know."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from javis.api.auth import Auth
from javis.api.completion_request import CURRENT, CompletionRequest
from javis.api.errors import body_of_failure
from javis.api.pump import EventStream, Pump
from javis.core.errors import NotFound
from javis.core.types import BASE, Chunk, Timings
from javis.service.completions import Completion
from javis.service.services import Services

HEARTBEAT_S = 3.0
"""While the model reads a long prompt, a comment this often tells the client it is alive."""
DONE = b"data: [DONE]\n\n"
WAITING = b": waiting\n\n"
_FINISH = {"stop": "stop", "length": "length", "cancelled": "length"}
"""OpenAI has no word for an answer that was stopped; `length` says that its end is missing."""


def openai_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["openai"])

    @router.get("/models")
    def models(request: Request) -> dict[str, Any]:
        """The base model and every adapter version that can answer."""
        auth.user_of(request)
        names = [version.name for version in services.versions.usable()]
        return {"object": "list", "data": [_model(services, name) for name in names]}

    @router.get("/models/{model:path}")
    def model(request: Request, model: str) -> dict[str, Any]:
        """One of them, by the name that `model` takes in a request."""
        auth.user_of(request)
        name = BASE if model == services.admin.model.model else model
        if name in CURRENT:
            name = services.versions.current()
        if name not in [version.name for version in services.versions.usable()]:
            raise NotFound("no_version", "There is no model {name}.", name=model[:200])
        return _model(services, name)

    @router.post("/chat/completions", response_model=None)
    async def chat_completions(body: CompletionRequest, request: Request) -> Response:
        """Answer a list of messages; kept only with `store`. With `stream`, as it is written."""
        answer = Answer(services, auth.user_of(request).name, body)
        pump = Pump(request, answer.start)
        await pump.open()
        if body.stream:
            return EventStream(pump, answer.events(pump))
        return JSONResponse(await answer.whole(pump))

    return router


class Answer:
    """One completion, in OpenAI's words."""

    def __init__(self, services: Services, owner: str, body: CompletionRequest) -> None:
        self._services = services
        self._owner = owner
        self._body = body
        self._created = int(time.time())
        self._completion: Completion | None = None

    def start(self) -> Iterator[Chunk]:
        """Ask for the answer. Runs in the pump's thread: it reads the store and counts tokens."""
        body, services = self._body, self._services
        self._completion = services.completions.complete(
            self._owner,
            body.messages,
            body.sampling(services.preferences.sampling()),
            body.version(services.admin.model.model),
            keep=bool(body.store),
        )
        return self._completion.chunks

    async def whole(self, pump: Pump[Chunk]) -> dict[str, Any]:
        """The complete answer. Raises what the engine raises."""
        texts: list[str] = []
        last = Chunk()
        try:
            async for batch in pump.batches():
                texts += [chunk.text for chunk in batch]
                last = batch[-1]
        finally:
            pump.close()
        message = {"role": "assistant", "content": "".join(texts), "refusal": None}
        finish = _FINISH[last.finish or "cancelled"]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return self._head("chat.completion") | {
            "choices": [choice],
            "usage": usage_of(last.timings or Timings()),
        }

    async def events(self, pump: Pump[Chunk]) -> AsyncIterator[bytes]:
        """The answer as server-sent events, as many tokens in one as are waiting."""
        before, after = self._frame()
        yield self._event({"role": "assistant", "content": ""})
        spoke = time.monotonic()
        try:
            async for batch in pump.batches():
                text = "".join([chunk.text for chunk in batch])
                now = time.monotonic()
                if text:
                    yield f"{before}{json.dumps(text)}{after}".encode("ascii")
                    spoke = now
                elif now - spoke > HEARTBEAT_S:
                    yield WAITING
                    spoke = now
                last = batch[-1]
                if last.finish:
                    yield self._event({}, _FINISH[last.finish])
                    if self._body.wants_usage:
                        yield self._usage(last.timings or Timings())
                    yield DONE
        except Exception as error:  # noqa: BLE001 - the status is sent; only an event can tell
            yield _line(body_of_failure(error, openai=True))

    def _head(self, kind: str) -> dict[str, Any]:
        assert self._completion is not None
        return {
            "id": self._completion.id,
            "object": kind,
            "created": self._created,
            "model": self._completion.version.name,
            "system_fingerprint": None,
        }

    def _event(self, delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        data = self._head("chat.completion.chunk") | {"choices": [choice]}
        return _line(data | ({"usage": None} if self._body.wants_usage else {}))

    def _usage(self, timings: Timings) -> bytes:
        data = self._head("chat.completion.chunk")
        return _line(data | {"choices": [], "usage": usage_of(timings)})

    def _frame(self) -> tuple[str, str]:
        """What stands before and after the quoted text of each event, made once."""
        mark = "\x00"
        before, after = self._event({"content": mark}).decode().split(json.dumps(mark))
        return before, after


def usage_of(timings: Timings) -> dict[str, Any]:
    """The tokens of an answer, counted as OpenAI does."""
    return {
        "prompt_tokens": timings.prompt_tokens,
        "completion_tokens": timings.completion_tokens,
        "total_tokens": timings.prompt_tokens + timings.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": timings.cached_tokens},
    }


def _line(data: dict[str, Any]) -> bytes:
    # Escaped to ASCII: many clients split lines also at U+2028 and its like.
    return f"data: {json.dumps(data)}\n\n".encode("ascii")


def _model(services: Services, name: str) -> dict[str, Any]:
    info = services.admin.model
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "javis",
        "base_model": info.model,
        "quantization": info.quantization,
        "context_tokens": info.context_tokens,
        "current": name == services.versions.current(),
    }
