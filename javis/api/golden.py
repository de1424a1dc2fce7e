"""`/api/golden`: the questions that every version has to answer well. Admin only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from javis.api.auth import Auth
from javis.service.services import Services


def golden_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/api/golden", tags=["golden"])
    golden = services.golden

    @router.get("")
    def rows(request: Request) -> dict[str, Any]:
        """The golden set: prompts, and the answers that others are compared with."""
        auth.require_admin(request)
        found = golden.rows()
        return {"rows": [asdict(row) for row in found], "total": len(found)}

    @router.put("/{turn_id}")
    def mark(turn_id: str, request: Request) -> dict[str, Any]:
        """Take a turn into the golden set."""
        by = auth.require_admin(request).name
        return asdict(golden.mark(turn_id, by))

    @router.delete("/{turn_id}")
    def unmark(turn_id: str, request: Request) -> dict[str, bool]:
        """Take a turn out of the golden set."""
        auth.require_admin(request)
        return {"removed": golden.unmark(turn_id)}

    return router
