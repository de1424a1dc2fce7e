"""`/api/arena`: blind comparison. Votes for everybody, the plan and the standings for the admin."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool, StrictStr
from starlette.requests import Request

from javis.api.auth import Auth
from javis.core.arena import ArenaPlan, Duel
from javis.service.services import Services


class PlanRequest(BaseModel):
    on: StrictBool
    share: float = Field(description="Of the prompts in the chat, 0.01 to 1.")
    versions: Annotated[list[StrictStr], Field(max_length=50)] = Field(
        [], description="May stand against the version in use; empty: all that can answer."
    )


class VoteRequest(BaseModel):
    vote: Literal["left", "right", "tie", "both_bad", "skipped"] = Field(
        description="`skipped` ends it uncounted, or takes a vote back."
    )


def arena_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/api/arena", tags=["training"])
    arena = services.arena

    @router.get("")
    def plan(request: Request) -> dict[str, Any]:
        """Whether, how often and among which versions answers are compared."""
        auth.require_admin(request)
        return _plan(arena.plan())

    @router.put("")
    def set_plan(body: PlanRequest, request: Request) -> dict[str, Any]:
        """Turn comparison in the chat on or off."""
        auth.require_admin(request)
        return _plan(arena.set_plan(body.on, body.share, body.versions))

    @router.get("/standings")
    def standings(request: Request) -> dict[str, Any]:
        """Strength of each version against the one in use, with 95 % intervals, and all counts."""
        auth.require_admin(request)
        return asdict(arena.standings())

    @router.post("/duels/{duel_id}/vote")
    def vote(duel_id: str, body: VoteRequest, request: Request) -> dict[str, Any]:
        """Say which of two answers is better; the answer tells who wrote which."""
        return _duel(arena.vote(auth.user_of(request).name, duel_id, body.vote))

    @router.get("/duels/{duel_id}")
    def duel(duel_id: str, request: Request) -> dict[str, Any]:
        """A comparison that has ended; refused while it waits for a vote."""
        return _duel(arena.duel(auth.user_of(request).name, duel_id))

    def _plan(plan: ArenaPlan) -> dict[str, Any]:
        return asdict(plan) | {"contestants": arena.contestants(), "votes": arena.votes()}

    return router


def _duel(duel: Duel) -> dict[str, Any]:
    """Without the owner, who is asking."""
    found = asdict(duel)
    found.pop("owner")
    return found
