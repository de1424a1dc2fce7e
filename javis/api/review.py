"""`/api/review`: look at rated turns and decide which are learned from. Admin only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictStr
from starlette.requests import Request

from javis.api.auth import Auth
from javis.core.learning import FlagKind, ReviewRow, Status
from javis.service.review import ReviewFilters
from javis.service.services import Services

MAX_PAGE = 200
MAX_TURNS = 10_000
MAX_TEXT = 1_000
Id = Annotated[StrictStr, Field(max_length=100)]
Ids = Annotated[list[Id], Field(max_length=MAX_TURNS)]
Rating = Literal["good", "bad", "corrected"]
FlagOrAny = Literal[
    "any", "conflict", "duplicate", "personal", "control", "repetition", "cut", "context", "flood"
]
Short = Annotated[StrictStr, Field(max_length=100)]


class Filters(BaseModel):
    """Which rows; what is absent does not restrict."""

    rating: Rating | None = None
    version: Short | None = None
    since: Short | None = Field(None, description="Date or moment of the rating.")
    until: Short | None = None
    flag: FlagOrAny | None = None
    status: Status | None = None
    text: Annotated[StrictStr, Field(max_length=MAX_TEXT)] | None = None

    def as_filters(self) -> ReviewFilters:
        """Raises UserInputError for a date that is none."""
        return ReviewFilters(**self.model_dump())


class DecisionRequest(BaseModel):
    """The body of `POST /api/review/{turn_id}`."""

    action: Literal["approve", "edit", "exclude", "reset"]
    user: StrictStr | None = Field(None, description="New text of the message; for an edit.")
    target: StrictStr | None = Field(None, description="New text of the answer; for an edit.")


class BulkRequest(BaseModel):
    """The body of `POST /api/review/bulk`: the turns by id, or all that pass the filters."""

    action: Literal["approve", "exclude", "reset"]
    turn_ids: Ids | None = None
    filters: Filters | None = None


class SimilarRequest(BaseModel):
    """The body of `POST /api/review/{turn_id}/similar`."""

    turn_ids: Ids


def review_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/api/review", tags=["review"])
    review = services.review

    @router.get("")
    def page(
        request: Request,
        rating: Rating | None = None,
        version: Annotated[str | None, Query(max_length=100)] = None,
        since: Annotated[str | None, Query(max_length=100, description="Date or moment.")] = None,
        until: Annotated[str | None, Query(max_length=100)] = None,
        flag: FlagOrAny | None = None,
        status: Status | None = None,
        text: Annotated[str | None, Query(max_length=MAX_TEXT)] = None,
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> dict[str, Any]:
        """Rated turns, the last rated first, with what speaks against learning from them."""
        auth.require_admin(request)
        kind: FlagKind | Literal["any"] | None = flag
        filters = ReviewFilters(rating, version, since, until, kind, status, text)
        found = review.page(filters, offset, limit)
        rows = [row_json(row) for row in found.rows]
        return {
            "rows": rows,
            "total": found.total,
            "counts": found.counts,
            "offset": offset,
            "limit": limit,
        }

    @router.post("/bulk")
    def bulk(body: BulkRequest, request: Request) -> dict[str, int]:
        """Approve, exclude or reset many turns in one step; says how many that changed."""
        by = auth.require_admin(request).name
        filters = None if body.filters is None else body.filters.as_filters()
        return {"changed": review.bulk(body.action, body.turn_ids, filters, by)}

    @router.get("/{turn_id}")
    def get(turn_id: str, request: Request) -> dict[str, Any]:
        """One rated turn: the row, all decisions about it, and its texts with masks."""
        auth.require_admin(request)
        row = row_json(review.get(turn_id))
        history = [asdict(decision) for decision in review.history(turn_id)]
        return row | {"history": history, "masked": asdict(review.masked(turn_id))}

    @router.post("/{turn_id}")
    def decide(turn_id: str, body: DecisionRequest, request: Request) -> dict[str, Any]:
        """Approve, edit, exclude, or take a decision back."""
        by = auth.require_admin(request).name
        return row_json(
            review.decide(turn_id, body.action, user=body.user, target=body.target, by=by)
        )

    @router.get("/{turn_id}/similar")
    def similar(turn_id: str, request: Request) -> dict[str, Any]:
        """Turns with the same answer, or with nearly the same prompt."""
        auth.require_admin(request)
        found = review.similar(turn_id)
        return {"rows": [row_json(row) for row in found[:MAX_PAGE]], "total": len(found)}

    @router.post("/{turn_id}/similar")
    def apply(turn_id: str, body: SimilarRequest, request: Request) -> dict[str, int]:
        """Do to these similar turns what was done to this one."""
        by = auth.require_admin(request).name
        return {"changed": review.apply_to_similar(turn_id, body.turn_ids, by)}

    return router


def row_json(row: ReviewRow) -> dict[str, Any]:
    return asdict(row)
