"""Every error as JSON in OpenAI's shape, with a plain sentence and never a trace."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from javis.core.errors import (
    Busy,
    ContextOverflow,
    EngineError,
    Forbidden,
    JavisError,
    NotEnoughData,
    NotFound,
    StoreError,
    TrainError,
    UserInputError,
    VersionError,
)

LOG = logging.getLogger("javis.api")

RETRY_AFTER_S = 2
"""What a client is told to wait when all places are taken and nothing better is known."""
CLIENT_GONE = 499
"""The status of an answer that nobody waits for any more (nginx's number)."""
UNEXPECTED = "Something went wrong inside JAVIS. It was written to the log; try again."

_STATUS: tuple[tuple[type[JavisError], int], ...] = (
    (NotFound, 404),
    (UserInputError, 400),
    (VersionError, 400),
    (NotEnoughData, 400),
    (TrainError, 409),
    (Forbidden, 403),
    (Busy, 429),
    (EngineError, 503),
    (StoreError, 503),
)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BAD_VALUE = "bad_value"
_TOO_LARGE = ("row_too_large", "commit_too_large")
_RESPONSE_TITLES = {404: "There is no such address.", 405: "This address takes no such request."}
_V1_CODES = {"no_version": "model_not_found"}


def status_of(error: JavisError) -> int:
    """The HTTP status of an error; 507 when the disk is full."""
    if isinstance(error, StoreError):
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _DISK_FULL:
            return 507
        if error.code in _TOO_LARGE:
            return 413
        if error.code == _BAD_VALUE:
            return 400
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def envelope(
    status: int, message: str, *, code: str | None = None, param: str | None = None, **more: object
) -> dict[str, Any]:
    """`{"error": {message, type, param, code}}`, and `more` beside these."""
    error = {"message": message, "type": _type_of(status), "param": param, "code": code}
    return {"error": error | more}


def body_of(error: JavisError, *, openai: bool = False, **more: object) -> dict[str, Any]:
    """The JSON of an error; with `openai`, the codes its client knows."""
    code = error.code
    if openai:
        code = _V1_CODES.get(code, code)
    if isinstance(error, ContextOverflow):
        if openai:
            code = "context_length_exceeded"
        else:
            more |= {"tokens": error.tokens, "limit": error.limit, "drop_oldest": error.drop}
    problems = getattr(error, "problems", None)
    if problems is not None:
        more["problems"] = problems
    param = "model" if code == "model_not_found" else _param_of(error)
    return envelope(status_of(error), str(error), code=code, param=param, **more)


def respond(error: JavisError, *, openai: bool = False, **more: object) -> JSONResponse:
    """The answer to a request that ended with `error`."""
    status = 404 if openai and error.code in _V1_CODES else status_of(error)
    headers = {}
    if status == 429:
        headers["Retry-After"] = str(error.values.get("seconds", RETRY_AFTER_S))
    return JSONResponse(body_of(error, openai=openai, **more), status, headers)


def body_of_failure(error: Exception, *, openai: bool = False) -> dict[str, Any]:
    """The JSON for an answer that broke off after it had begun; the log gets what happened."""
    if isinstance(error, JavisError):
        LOG.warning("an answer broke off: %s", error)
        return body_of(error, openai=openai)
    LOG.error("an answer broke off", exc_info=error)
    return envelope(500, UNEXPECTED, code="internal_error")


def is_openai(scope: Scope | Request) -> bool:
    """True for the routes that speak OpenAI's dialect."""
    path = scope.url.path if isinstance(scope, Request) else scope["path"]
    return str(path).startswith("/v1/")


def sentence_of(problems: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
    """A plain sentence for the first thing wrong with a request, and the field it is about."""
    first = problems[0]
    field = field_of(first["loc"])
    kind, message = first["type"], str(first["msg"])
    if kind == "json_invalid":
        return "The body is not valid JSON.", None
    if kind == "unsupported":
        return message, first["ctx"]["param"]
    if field is None:
        return "Send a JSON object with the header Content-Type: application/json.", None
    if kind == "missing":
        return f"{field} is missing.", field
    if kind == "value_error":
        return message.removeprefix("Value error, "), field
    return f"{field}: {message[:1].lower()}{message[1:]}.", field


def field_of(location: Sequence[object]) -> str | None:
    """`messages[0].role` for `("body", "messages", 0, "role")`; None for the body as a whole."""
    name = ""
    for part in location[1:]:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name or None


def install_handlers(app: FastAPI) -> None:
    """Answer every exception of a route in the one shape."""

    async def javis_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, JavisError)
        if status_of(error) >= 500:
            LOG.warning("%s %s: %s", request.method, request.url.path, error)
        return respond(error, openai=is_openai(request))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        message, field = sentence_of(error.errors())
        return JSONResponse(envelope(400, message, code="invalid_request", param=field), 400)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = _RESPONSE_TITLES.get(error.status_code, str(error.detail))
        return JSONResponse(envelope(error.status_code, message), error.status_code, error.headers)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=CLIENT_GONE)

    app.add_exception_handler(JavisError, javis_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(ClientDisconnect, gone)


class Faults:
    """The outer edge: an exception that nobody expected becomes a plain 500 and a log entry."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = finished = False

        async def noted(message: Message) -> None:
            nonlocal started, finished
            started = True
            finished = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            if scope["type"] != "http" or (started and not finished):
                # The client sees a cut connection; the server writes the trace to its log.
                raise
            LOG.exception("%s %s failed", scope["method"], scope["path"])
            if not started:
                response = JSONResponse(envelope(500, UNEXPECTED, code="internal_error"), 500)
                await response(scope, receive, send)


def _type_of(status: int) -> str:
    named = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    return named.get(status, "server_error" if status >= 500 else "invalid_request_error")


def _param_of(error: JavisError) -> str | None:
    if error.code in ("not_a_number", "out_of_range", "not_whole"):
        return str(error.values["name"])
    if error.code in ("bad_stop", "bad_stop_length"):
        return "stop"
    if error.code in ("no_messages", "too_many_messages", "last_not_user"):
        return "messages"
    what = str(error.values.get("what", ""))
    return what if what.startswith("messages[") else None
