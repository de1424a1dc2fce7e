"""Nobody listens for events of a session that the server does not know.

Gradio (6.31) says so after its answer has begun: the browser hears a connection that broke, and
asks again every few seconds; the terminal shows a trace each time. After a restart of the server
that is every open tab.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import gradio as gr
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_EVENTS = "/gradio_api/queue/data"


class RefuseUnknownSessions:
    """Answers 404 at once, which ends a browser's asking."""

    def __init__(self, app: ASGIApp, page: gr.Blocks) -> None:
        self._app = app
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and scope["path"] == _EVENTS:
            query = parse_qs(scope["query_string"].decode("latin-1"))
            [session] = query.get("session_hash", [""])[:1]
            if session not in self._page._queue.pending_messages_per_session:
                app = JSONResponse({"detail": "This session is not known; load the page."}, 404)
        await app(scope, receive, send)
