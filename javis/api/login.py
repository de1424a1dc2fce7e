"""`/login` and `/logout`: one small page without any file beside it."""

from __future__ import annotations

import html
import json
from urllib.parse import parse_qs, quote

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from javis.api.auth import Auth
from javis.api.errors import RETRY_AFTER_S, respond
from javis.api.pages import LOGIN_PAGE, LOGIN_TEXTS
from javis.api.sessions import SESSION_S
from javis.core.errors import Busy, JavisError, UserInputError

MAX_FORM_BYTES = 8192


def login_router(auth: Auth) -> APIRouter:
    router = APIRouter(tags=["login"])

    @router.get("/login", include_in_schema=False)
    def page(request: Request, next: str = "/") -> Response:
        """The form; nobody sees it where no login is needed."""
        if not auth.login_on:
            return RedirectResponse("/", 303)
        return _page(auth, request, next)

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        """Take `name` and `password`, as a form or as JSON, and give the session cookie."""
        form: dict[str, str] = {}
        try:
            form = _fields(await request.body(), request.headers.get("content-type", ""))
            address = request.client.host if request.client else ""
            value = await run_in_threadpool(
                auth.log_in, form.get("name", ""), form.get("password", ""), address
            )
        except JavisError as error:
            return _refused(auth, request, error, form.get("next", "/"))
        to_page = wants_html(request)
        response: Response = JSONResponse({"logged_in": True})
        if to_page:
            response = RedirectResponse(local_path(form.get("next", "/")), 303)
        response.set_cookie(
            auth.cookie,
            value,
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure=_is_https(request),
        )
        return response

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        """End this session on the server, too: a copy of its cookie is worth nothing."""
        await run_in_threadpool(auth.log_out, request.headers)
        response: Response = JSONResponse({"logged_in": False})
        if wants_html(request):
            response = RedirectResponse("/login", 303)
        response.delete_cookie(auth.cookie, httponly=True, samesite="strict")
        return response

    return router


def wants_html(request: Request) -> bool:
    """True for a browser that goes to a page, false for programs and scripts."""
    return "text/html" in request.headers.get("accept", "")


def login_address(path: str, query: str) -> str:
    """Where to log in, with the way back."""
    wanted = f"{path}?{query}" if query else path
    return "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='/')}"


def local_path(wanted: str) -> str:
    """`wanted` if it is a path on this server, else the front page: no way out to other sites."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_local and wanted.isprintable() and "\\" not in wanted else "/"


def language_of(accepted: str) -> str:
    """`ko` or `en`, whichever the browser's Accept-Language names first."""
    weighed: list[tuple[float, str]] = []
    for part in accepted.split(",")[:20]:
        tag, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((-float(weight or 1), tag[:2].casefold()))
        except ValueError:
            continue
    weighed.sort(key=lambda item: item[0])
    return next((tag for _, tag in weighed if tag in LOGIN_TEXTS), "en")


def _fields(body: bytes, content_type: str) -> dict[str, str]:
    if len(body) > MAX_FORM_BYTES:
        raise UserInputError("long_login", "The name or the password is too long.")
    if content_type.startswith("application/json"):
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise UserInputError("bad_login", "Send name and password as a form or as JSON.")
        return {key: value for key, value in data.items() if isinstance(value, str)}
    try:
        parsed = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
    except ValueError:
        raise UserInputError("bad_login", "Send name and password and nothing more.") from None
    return {key: values[-1] for key, values in parsed.items()}


def _refused(auth: Auth, request: Request, error: JavisError, wanted: str = "/") -> Response:
    if not wants_html(request):
        answer = respond(error)
        if not isinstance(error, (Busy, UserInputError)):
            answer.status_code = 401
        return answer
    status = 429 if isinstance(error, Busy) else 401
    page = _page(auth, request, wanted, error, status)
    if isinstance(error, Busy):
        page.headers["Retry-After"] = str(error.values.get("seconds", RETRY_AFTER_S))
    return page


def _page(
    auth: Auth, request: Request, wanted: str, error: JavisError | None = None, status: int = 200
) -> HTMLResponse:
    language = language_of(request.headers.get("accept-language", ""))
    texts = LOGIN_TEXTS[language]
    message = ""
    if error is not None:
        text = texts.get(error.code, str(error)).format(**error.values)
        message = f'<p class="error" role="alert">{html.escape(text)}</p>'
    page = LOGIN_PAGE.substitute(
        texts,
        lang=language,
        message=message,
        next=html.escape(local_path(wanted)),
        name_hidden="" if auth.many_users else "hidden",
    )
    return HTMLResponse(page, status)


def _is_https(request: Request) -> bool:
    # Behind a proxy that ends TLS the browser still says so in its Origin.
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")
