"""`/api/export-training`: approved turns as a file, and edited files back in. Admin only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from javis.api.auth import Auth
from javis.service.export import Filter, Format
from javis.service.services import Services

MAX_LINES = 200
"""More bad rows than these are counted, not listed."""
_TAKE_IN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Rows of one of the export's formats: JSONL, or CSV with its first line.",
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}


def export_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/api/export-training", tags=["review"])

    @router.get("", response_class=StreamingResponse)
    def export(
        request: Request, feedback_filter: Filter = "good", format: Format = "messages"
    ) -> Response:
        """The approved turns as of now. The file and its manifest are kept in `exports/`, too."""
        auth.require_admin(request)
        writing = services.export.open(format, feedback_filter)
        blocks = writing.blocks()
        # Taken before the answer begins, so that what cannot be written is a proper error.
        first = next(blocks)
        kind = "text/csv; charset=utf-8" if format == "csv" else "application/x-ndjson"
        headers = {"Content-Disposition": f'attachment; filename="{writing.name}"'}
        return StreamingResponse(_chained(first, blocks), headers=headers, media_type=kind)

    @router.post("/take-in", openapi_extra=_TAKE_IN_BODY)
    async def take_in(
        request: Request,
        dry_run: Annotated[bool, Query(description="Only say what would be taken.")] = False,
    ) -> dict[str, Any]:
        """Take every good row in; the bad ones are listed with their lines and reasons."""
        by = auth.require_admin(request).name
        body = await request.body()
        # In a thread: reading so much JSON would hold up every other answer.
        taken = await run_in_threadpool(services.export.take_in, body, by, dry_run=dry_run)
        bad = [{"line": n, "code": code, "message": text} for n, code, text in taken.bad]
        flagged = [{"line": line, "found": list(found)} for line, found in taken.flagged]
        return asdict(taken) | {
            "bad": bad[:MAX_LINES],
            "bad_rows": len(bad),
            "flagged": flagged[:MAX_LINES],
            "flagged_rows": len(flagged),
        }

    @router.get("/take-in")
    def batches(request: Request) -> dict[str, Any]:
        """The files that were taken in, the newest first."""
        auth.require_admin(request)
        return {"files": [asdict(batch) for batch in services.export.batches()]}

    @router.delete("/take-in/{batch}")
    def forget(batch: str, request: Request) -> dict[str, int]:
        """Take a take-in back."""
        auth.require_admin(request)
        return {"removed": services.export.forget(batch)}

    return router


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
