"""`GET /health`: is it up, and what answers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from javis.service.services import Services


def health_router(services: Services) -> APIRouter:
    router = APIRouter(tags=["health"])

    # Those who watch whether it is up often ask for the head only.
    @router.head("/health", include_in_schema=False)
    @router.get("/health")
    def health() -> dict[str, Any]:
        """Whether it runs, the model, the engine, the version that answers, seconds since start."""
        return services.admin.health()

    return router
