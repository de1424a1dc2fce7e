"""`/api/compare`: versions side by side, their answers, and reports to keep. Admin only."""

from __future__ import annotations

import mimetypes
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictBool, StrictStr
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from javis.api.auth import Auth
from javis.core.evaluation import SuiteName
from javis.core.types import MAX_MESSAGE_CHARS
from javis.service.compare import MAX_ANSWERS, MAX_PROMPTS, Asked, compare_json
from javis.service.compare_reports import SavedReport
from javis.service.services import Services

Names = Annotated[list[Annotated[StrictStr, Field(max_length=64)]], Field(max_length=64)]
Prompt = Annotated[StrictStr, Field(min_length=1, max_length=MAX_MESSAGE_CHARS)]
_VERSIONS = Query(
    max_length=64,
    description="`base`, `v1.0`… or ids of runs; none: the base and the newest versions.",
)


class ReportRequest(BaseModel):
    """The body of `POST /api/compare/reports`."""

    versions: Names = Field([], description="None: the base and the newest versions.")


class AnswersRequest(BaseModel):
    """The body of `POST /api/compare/answers`: a suite or prompts, not both."""

    versions: Names = Field(min_length=1)
    suite: SuiteName | None = Field(None, description="What they said when it was evaluated.")
    prompts: Annotated[list[Prompt], Field(max_length=MAX_PROMPTS)] = Field(
        [], description="Asked now, at temperature 0."
    )
    only_different: StrictBool = False
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=0, le=MAX_ANSWERS)] = 50


def compare_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/api/compare", tags=["compare"])
    compare = services.compare

    @router.get("")
    def table(
        request: Request,
        versions: Annotated[list[str], _VERSIONS] = [],  # noqa: B006 FastAPI's way
    ) -> dict[str, Any]:
        """The table and the data of its figures."""
        auth.require_admin(request)
        return compare_json(compare.table(versions))

    @router.post("/answers")
    def answers(body: AnswersRequest, request: Request) -> dict[str, Any]:
        """What the versions said to the same prompts, side by side."""
        auth.require_admin(request)
        fields = body.model_dump()
        page = compare.answers(fields.pop("versions"), **fields)
        return {"rows": [asked_json(row) for row in page.rows], "total": page.total}

    _add_report_routes(router, services, auth)
    return router


def _add_report_routes(router: APIRouter, services: Services, auth: Auth) -> None:
    compare = services.compare

    @router.post("/reports", status_code=201)
    def write(body: ReportRequest, request: Request) -> dict[str, Any]:
        """Write a report into `exports/reports`; says what is in it."""
        auth.require_admin(request)
        return report_json(compare.saved.get(compare.report(body.versions).name))

    @router.get("/reports")
    def reports(request: Request) -> dict[str, Any]:
        """The reports written so far, the newest first."""
        auth.require_admin(request)
        return {"reports": [report_json(report) for report in compare.saved.all()]}

    @router.get("/reports/{report_id}.zip", response_class=Response)
    def archive(report_id: str, request: Request) -> Response:
        """A report with all its files."""
        auth.require_admin(request)
        headers = {"Content-Disposition": f'attachment; filename="{report_id}.zip"'}
        data = compare.saved.archive(report_id)
        return Response(data, headers=headers, media_type="application/zip")

    @router.get("/reports/{report_id}/{name}", response_class=FileResponse)
    def file(report_id: str, name: str, request: Request) -> Response:
        """One file of a report, as a download."""
        auth.require_admin(request)
        path = compare.saved.file(report_id, name)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return FileResponse(path, media_type=kind, filename=f"{report_id}-{name}")

    @router.delete("/reports/{report_id}")
    def delete(report_id: str, request: Request) -> dict[str, Any]:
        """Delete a report for good."""
        auth.require_admin(request)
        compare.saved.delete(report_id)
        return {"report_id": report_id, "deleted": True}


def asked_json(row: Asked) -> dict[str, Any]:
    return asdict(row) | {"same": row.same}


def report_json(report: SavedReport) -> dict[str, Any]:
    fields = asdict(report)
    return {"report_id": fields.pop("id"), **fields}
