"""`/api/evaluations`: ask suites of versions, follow and cancel it, read the results. The
admin's alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictInt, StrictStr
from starlette.requests import Request

from javis.api.auth import Auth
from javis.core.evaluation import ItemResult, SuiteName, SuiteReport
from javis.service.evaluation import EvalRun, SuiteInfo
from javis.service.services import Services

Name = Annotated[StrictStr, Field(max_length=40)]


class EvaluationRequest(BaseModel):
    """The body of `POST /api/evaluations`."""

    versions: list[Name] = Field(max_length=100, description="`base`, `v1.0`, …")
    suites: list[SuiteName] = Field(max_length=20)
    sample: StrictInt | None = Field(
        None, ge=1, description="The first so many items of each suite; absent: all of them."
    )


def evaluations_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/api/evaluations", tags=["training"])
    evaluation = services.evaluation

    @router.post("", status_code=202)
    def start(body: EvaluationRequest, request: Request) -> dict[str, Any]:
        """Start an evaluation; answers at once, with the id to follow it by. What was asked of a
        version before is not asked again."""
        owner = auth.require_admin(request).name
        return _row(evaluation.start(body.versions, body.suites, body.sample, owner))

    @router.get("")
    def listed(request: Request) -> dict[str, Any]:
        """The evaluations since the program started, the newest first."""
        auth.require_admin(request)
        return {"evaluations": [_row(run) for run in evaluation.runs()]}

    # Before the one with an id in its place.
    @router.get("/suites")
    def suites(request: Request) -> dict[str, Any]:
        """The suites that can be asked, how many items each has, and how long one takes."""
        auth.require_admin(request)
        return {"suites": [_row(info) for info in evaluation.names()]}

    @router.get("/reports")
    def reports(
        request: Request, version: Annotated[list[str] | None, Query(max_length=100)] = None
    ) -> dict[str, Any]:
        """What is known of these versions (`?version=base&version=v1.0`), or of all of them."""
        auth.require_admin(request)
        return {"reports": [_row(report) for report in evaluation.reports(version)]}

    @router.get("/results")
    def results(suite: SuiteName, version: str, request: Request) -> dict[str, Any]:
        """Every answer of a version to a suite, with its score and how it was marked."""
        auth.require_admin(request)
        return {"results": [_row(one) for one in evaluation.results(suite, version)]}

    @router.get("/harness")
    def harness(
        request: Request, version: Annotated[list[str] | None, Query(max_length=100)] = None
    ) -> dict[str, Any]:
        """What `javis eval --harness` found of these versions, or of all."""
        auth.require_admin(request)
        return {"results": [plain(row) for row in evaluation.harness(version)]}

    @router.get("/{run_id}")
    def one(run_id: str, request: Request) -> dict[str, Any]:
        """How far an evaluation is, or how it ended."""
        auth.require_admin(request)
        return _row(evaluation.run(run_id))

    @router.post("/{run_id}/cancel")
    def cancel(run_id: str, request: Request) -> dict[str, Any]:
        """End it; everything finished is kept."""
        auth.require_admin(request)
        return _row(evaluation.cancel(run_id))

    return router


def _row(value: EvalRun | SuiteInfo | SuiteReport | ItemResult) -> dict[str, Any]:
    return {name: plain(one) for name, one in asdict(value).items()}


def plain(value: Any) -> Any:
    """As JSON can say it: a number that is none is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    known = (str, int, float, bool, type(None))
    return value if isinstance(value, known) else str(value)
