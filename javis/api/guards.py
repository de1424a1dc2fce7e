"""What stands in front of every route and of the page, in this order:

headers of every answer · Host · Origin · size of the body · login · doors of the page · faults
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from javis.api.auth import Auth
from javis.api.body_limit import BodyLimit
from javis.api.errors import Faults, envelope
from javis.api.login import login_address, wants_html
from javis.core.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS = ("/login", "/health")
PRIVATE_PATHS = ("/api/", "/v1/", "/login", "/logout")
PAGE_API = "/gradio_api/"
PAGE_DOORS = (
    *("queue/join", "queue/data", "run/", "cancel", "reset", "heartbeat/", "startup-events"),
    *("info", "app_id", "theme.css"),
)
"""What our page asks of Gradio. Its other doors (files, uploads, a proxy, deep links, code by a
model, whatever the next release brings) lead nowhere here."""
POLICY = "; ".join(
    (
        # Nothing is loaded from or sent to anywhere else: an image in an answer that the model
        # was talked into cannot carry a conversation away.
        "default-src 'self'",
        # Gradio's page has inline scripts and styles, and compiles code it is given as text.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' blob:",
        "worker-src 'self' blob:",
        "frame-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:@/\\?#,]+))(?::(\d{1,5}))?")


def install_guards(app: FastAPI, settings: Settings, auth: Auth) -> None:
    """Put all guards in front of `app` and whatever is mounted in it, before or after this."""
    # Each one added stands before those added earlier.
    app.add_middleware(Faults)
    app.add_middleware(PageDoors)
    app.add_middleware(Gate, auth=auth)
    app.add_middleware(BodyLimit)
    app.add_middleware(OriginGuard)
    app.add_middleware(HostGuard, settings=settings)
    app.add_middleware(AnswerHeaders)


def split_host(value: str) -> tuple[str, str] | None:
    """Name (lower case, no final dot) and port ("" when absent) of a Host header."""
    match = _HOST.fullmatch(value)
    if match is None:
        return None
    name = (match[1] or match[2]).casefold().removesuffix(".")
    return name, match[3] or ""


class HostGuard:
    """Refuses names that are not ours, so that no site can point its own name at this server."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        named = [*settings.allowed_hosts.split(","), settings.host]
        parsed = [split_host(n.strip()) or (n.strip().casefold(), "") for n in named if n.strip()]
        self._names = {*LOOPBACK, *(name for name, _ in parsed)}
        # A number cannot be re-pointed as a name can. Where other computers are let in by
        # password, they may use whichever address of this one they see.
        self._any_address = not settings.is_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._knows(Headers(scope=scope)):
            message = "This server does not answer to that name (see JAVIS_ALLOWED_HOSTS)."
            await refuse(scope, receive, send, 400, message, "wrong_host")
            return
        await self._app(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        hosts = headers.getlist("host")
        host = split_host(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return False
        return host[0] in self._names or (self._any_address and _is_address(host[0]))


class OriginGuard:
    """Refuses what another site's page sends: only our own pages may change anything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = scope["type"] == "websocket" or (
            scope["type"] == "http" and scope["method"] not in SAFE_METHODS
        )
        if guarded and not self._is_ours(scope):
            message = "Requests from pages of other sites are refused."
            await refuse(scope, receive, send, 403, message, "wrong_origin")
            return
        await self._app(scope, receive, send)

    @staticmethod
    def _is_ours(scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origins = headers.getlist("origin") or headers.getlist("referer")
        if not origins:
            # No browser: curl, the OpenAI client.
            return True
        host = split_host(headers.get("host", ""))
        try:
            origin = urlsplit(origins[0])
            theirs = split_host(origin.netloc)
        except ValueError:
            return False
        if len(origins) > 1 or host is None or theirs is None:
            return False
        if origin.scheme not in ("http", "https"):
            return False
        if scope["scheme"] in ("https", "wss") and origin.scheme == "http":
            return False
        default = {"http": "80", "https": "443"}[origin.scheme]
        return host[0] == theirs[0] and (host[1] or default) == (theirs[1] or default)


class Gate:
    """Lets in who is logged in or has the API key; shows others the way to the login."""

    def __init__(self, app: ASGIApp, auth: Auth) -> None:
        self._app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._may_pass(scope):
            await self._app(scope, receive, send)
        elif self._is_page(scope):
            address = login_address(scope["path"], scope["query_string"].decode("latin-1"))
            await RedirectResponse(address, 303)(scope, receive, send)
        else:
            message = "Log in, or send the API key as 'Authorization: Bearer …'."
            await refuse(scope, receive, send, 401, message, "not_logged_in")

    def _may_pass(self, scope: Scope) -> bool:
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN_PATHS:
            return True
        return self._auth.user_of_headers(Headers(scope=scope)) is not None

    def _is_page(self, scope: Scope) -> bool:
        """A browser on its way to a page, and a login that can help."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return False
        return self._auth.login_on and wants_html(Request(scope))


class PageDoors:
    """Shuts what Gradio offers beyond the needs of our page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith(PAGE_API) and not path.removeprefix(PAGE_API).startswith(PAGE_DOORS):
            await refuse(scope, receive, send, 404, "There is no such address.", "no_route")
            return
        await self._app(scope, receive, send)


class AnswerHeaders:
    """Headers on every answer, the refusals of the other guards included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_private = scope["path"].startswith(PRIVATE_PATHS)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # Gradio lets pages of other local servers read its answers; we let nobody.
                for name in [n for n in headers if n.startswith("access-control-")]:
                    del headers[name]
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Content-Security-Policy"] = POLICY
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                # Not no-referrer: with that, browsers send `Origin: null` with our own forms.
                headers["Referrer-Policy"] = "same-origin"
                if is_private:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, with_headers)


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, message: str, code: str
) -> None:
    """Answer in the guards' name; a websocket is closed before it opens."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    response: Response = JSONResponse(envelope(status, message, code=code), status, headers)
    await response(scope, receive, send)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
