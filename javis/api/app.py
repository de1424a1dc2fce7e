"""All routes as one FastAPI application; `app.make_asgi` mounts the page into it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

import javis
from javis.api.arena import arena_router
from javis.api.auth import Auth
from javis.api.chat import chat_router
from javis.api.compare import compare_router
from javis.api.conversations import conversations_router
from javis.api.errors import envelope, install_handlers
from javis.api.evaluations import evaluations_router
from javis.api.export import export_router
from javis.api.golden import golden_router
from javis.api.health import health_router
from javis.api.login import login_router
from javis.api.openai import openai_router
from javis.api.pages import DOCS_PAGE
from javis.api.review import review_router
from javis.api.training import training_router
from javis.api.versions import versions_router
from javis.service.services import Services

METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
_ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string", "description": "One plain sentence."},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def build_api(services: Services, auth: Auth) -> FastAPI:
    """The routes without the guards (see `guards.install_guards`)."""
    app = FastAPI(
        title="JAVIS",
        version=javis.__version__,
        # FastAPI's own pages load their scripts from another site.
        docs_url=None,
        redoc_url=None,
    )
    install_handlers(app)
    app.include_router(health_router(services))
    app.include_router(login_router(auth))
    app.include_router(openai_router(services, auth))
    app.include_router(chat_router(services, auth))
    app.include_router(conversations_router(services, auth))
    app.include_router(review_router(services, auth))
    app.include_router(golden_router(services, auth))
    app.include_router(arena_router(services, auth))
    app.include_router(export_router(services, auth))
    # What learns stays apart from what answers.
    for learning_router in (training_router, versions_router, compare_router, evaluations_router):
        app.include_router(learning_router(services, auth))

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return HTMLResponse(DOCS_PAGE)

    # The page is mounted at "/" and would answer for these in its own way.
    @app.api_route("/v1/{rest:path}", methods=METHODS, include_in_schema=False)
    @app.api_route("/api/{rest:path}", methods=METHODS, include_in_schema=False)
    def nothing_here(request: Request, rest: str) -> Response:
        message = f"There is no {request.method} /{request.url.path.lstrip('/')[:200]}; see /docs."
        return JSONResponse(envelope(404, message, code="no_route"), 404)

    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Let /openapi.json tell the errors as they are: in one shape, 400 instead of 422."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            made["components"]["schemas"]["Error"] = _ERROR_SCHEMA
            refers = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
            for operations in made["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
                    operation["responses"]["default"] = {
                        "description": "An error, in one plain sentence.",
                        "content": refers,
                    }
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]
