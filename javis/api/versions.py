"""`/api/versions`: which adapter versions there are, switching between them, taking them in."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from javis.api.auth import Auth
from javis.core.errors import UserInputError
from javis.core.types import Version
from javis.service.services import Services
from javis.service.version_rows import details_json, drop_json, event_json, version_json

_ZIP_TYPES = ("application/zip", "application/octet-stream", "application/x-zip-compressed")
_IMPORT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class SwitchRequest(BaseModel):
    note: str = Field("", max_length=1000, description="Why; kept in the history.")


def versions_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/api/versions", tags=["training"])
    versions = services.versions

    @router.get("")
    def listed(request: Request) -> dict[str, Any]:
        """The base and every adapter version, with the reason where one cannot be used.

        For the admin also where each came from, the gate's verdict, thumbs and the history.
        """
        if not auth.user_of(request).is_admin:
            rows = [version_json(details) for details in versions.details()]
            return {"current": versions.current(), "versions": rows}
        drop = versions.watch()
        return {
            "current": versions.current(),
            "notice": versions.notice(),
            "pinned": versions.pinned,
            "rollback_to": versions.before(),
            "drop": drop_json(drop) if drop else None,
            "versions": [details_json(details) for details in versions.details()],
            "history": [event_json(event) for event in versions.history()],
        }

    @router.post("/rollback")
    def rollback(request: Request, body: SwitchRequest | None = None) -> dict[str, Any]:
        """Let the version that answered before this one answer again, or the base."""
        by = auth.require_admin(request).name
        version = versions.rollback(by, body.note if body else "")
        return _switched(version)

    @router.post("/import", openapi_extra=_IMPORT_BODY)
    async def bring_in(request: Request) -> dict[str, Any]:
        """Take in an adapter made elsewhere, as a zip file; it answers once it is promoted."""
        by = auth.require_admin(request).name
        _must_be_zip(request)
        body = await request.body()
        # In a thread: it is verified, converted and tried out, which takes seconds.
        version = await run_in_threadpool(versions.bring_in, body, by)
        return details_json(next(d for d in versions.details() if d.version.name == version.name))

    @router.post("/{name}/promote")
    def promote(name: str, request: Request, body: SwitchRequest | None = None) -> dict[str, Any]:
        """Let a version, or `base`, answer from the next message on."""
        by = auth.require_admin(request).name
        return _switched(versions.promote(name, by, body.note if body else ""))

    @router.delete("/{name}")
    def delete(name: str, request: Request) -> dict[str, Any]:
        """Delete a version for good; not the one in use, its parent, or the one before it."""
        versions.delete(name, auth.require_admin(request).name)
        return {"name": name, "deleted": True}

    def _switched(version: Version) -> dict[str, Any]:
        return {
            "current": versions.current(),
            "name": version.name,
            "sha256": version.sha256,
            "rollback_to": versions.before(),
        }

    return router


def _must_be_zip(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if kind not in _ZIP_TYPES:
        raise UserInputError(
            "not_zip",
            "Send the zip file as the body, with the header Content-Type: {type}.",
            type="application/zip",
        )
