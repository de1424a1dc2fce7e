"""No request makes the server hold more than a bounded body, or wait for one without end."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from javis.api.errors import envelope

MIB = 1024 * 1024
MAX_BODY_BYTES = 8 * MIB
MAX_FILE_BYTES = 64 * MIB
FILE_PATHS = (
    "/api/conversations/import",
    "/api/export-training/take-in",
    "/api/versions/import",
)
"""Where a whole library or data set may come in."""
SILENCE_S = 30.0
"""A sender that says nothing for so long in the middle of its body is given up."""
WHOLE_S = 600.0
"""And so is one whose body is not complete after so long, however often it says a byte."""
DRAIN_BYTES = 64 * MIB
DRAIN_S = 5.0


class BodyLimit:
    """413 for a body that is too long, whether it says so first or not; 408 for one that stops
    or crawls."""

    def __init__(
        self, app: ASGIApp, silence_s: float = SILENCE_S, whole_s: float = WHOLE_S
    ) -> None:
        self._app = app
        self._silence_s = silence_s
        self._whole_s = whole_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = MAX_FILE_BYTES if scope["path"] in FILE_PATHS else MAX_BODY_BYTES
        request = _Body(receive, send, limit, self._silence_s, self._whole_s)
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > limit:
            if headers.get("expect") is None:
                # Else the sender waits for a word before it sends anything.
                await request.drain()
            await request.refuse(scope, 413)
            return
        try:
            await self._app(scope, request.receive, request.send)
        except HTTPException as error:
            if error.status_code != request.refused or request.started:
                raise
        if request.refused and not request.started:
            await request.refuse(scope, request.refused)


class _Body:
    """One request's body, counted as it is read."""

    def __init__(
        self, receive: Receive, send: Send, limit: int, silence_s: float, whole_s: float
    ) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._silence_s = silence_s
        self._whole_s = whole_s
        self._end = 0.0
        self._bytes = 0
        self._complete = False
        self.refused = 0
        """The status it was refused with, 0 when it was not."""
        self.started = False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            self._end = self._end or time.monotonic() + self._whole_s
            left_s = self._end - time.monotonic()
            async with asyncio.timeout(max(0.0, min(self._silence_s, left_s))):
                message = await self._receive()
        except TimeoutError:
            self._give_up(408)
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._bytes > self._limit:
                await self.drain()
                self._give_up(413)
        else:
            self._complete = True
        return message

    def _give_up(self, status: int) -> None:
        self.refused = status
        raise HTTPException(status, "The body is too long or stopped coming.")

    async def send(self, message: Message) -> None:
        if self.refused and not self.started:
            # What the app makes of the broken body is replaced by our own answer.
            return
        self.started = True
        await self._send(message)

    async def drain(self) -> None:
        """Take in and forget what still comes, for a while: closing at once would reset the
        connection, and the sender would never read why."""
        end = time.monotonic() + DRAIN_S
        taken = 0
        while not self._complete and taken < DRAIN_BYTES:
            try:
                async with asyncio.timeout(max(0.0, end - time.monotonic())):
                    message = await self._receive()
            except TimeoutError:
                return
            taken += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)

    async def refuse(self, scope: Scope, status: int) -> None:
        if status == 413:
            text = f"The request is too large; at most {self._limit // MIB} MiB are possible."
            code = "body_too_large"
        else:
            text, code = "The body stopped in its middle, or came too slowly.", "body_stopped"
        response = JSONResponse(envelope(status, text, code=code), status, {"Connection": "close"})
        await response(scope, self._receive, self._send)
