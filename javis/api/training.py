"""`/api/training`: start, follow, cancel and resume training runs. The admin's alone."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool, StrictStr
from starlette.requests import Request
from starlette.responses import Response

from javis.api.auth import Auth
from javis.api.openai import WAITING
from javis.api.pump import EventStream, Pump
from javis.core.learning import TERMINAL, Method, Promote, TrainEvent, TrainJob
from javis.service.services import Services
from javis.service.training_view import JobView, Progress

POLL_S = 0.25
HEARTBEAT_S = 10.0
Text = Annotated[StrictStr, Field(max_length=500)]
Values = Annotated[dict[StrictStr, Any], Field(max_length=50)]


class JobRequest(BaseModel):
    """The body of `POST /api/training/jobs`."""

    method: Method
    base_model: Text | None = Field(None, description="Absent: the model that is running.")
    hyperparameters: Values | None = Field(
        None, description="Those that are to differ from the recommended ones."
    )
    dataset: Text | None = Field(
        None, description="A JSONL file in the exports folder; absent: everything approved."
    )
    promote: Promote = Field("gate", description="`never`: the version is made but not used.")
    dry_run: StrictBool = Field(False, description="Two steps and a sample; makes no version.")


class EstimateRequest(BaseModel):
    """The body of `POST /api/training/estimate`."""

    method: Method
    hyperparameters: Values | None = None
    dataset: Text | None = None


def training_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/api/training", tags=["training"])
    training = services.training

    @router.post("/jobs", status_code=202)
    def start(body: JobRequest, request: Request) -> dict[str, Any]:
        """Start a run; answers at once, with the id to follow it by."""
        owner = auth.require_admin(request).name
        job = training.start(owner, **body.model_dump())
        return {"job_id": job.id}

    @router.get("/jobs")
    def jobs(request: Request) -> dict[str, Any]:
        """Every run, the newest first; the one that is going on with how far it is."""
        auth.require_admin(request)

        def progress(job: TrainJob) -> Progress:
            return Progress() if job.state in TERMINAL else training.job(job.id).progress

        return {"jobs": [job_json(j) | progress_json(progress(j)) for j in training.jobs()]}

    @router.get("/proposal")
    def proposal(request: Request) -> dict[str, Any]:
        """The method that suits what was approved, why, and what the others still miss."""
        auth.require_admin(request)
        return asdict(training.propose())

    @router.post("/estimate")
    def estimate(body: EstimateRequest, request: Request) -> dict[str, Any]:
        """Time, memory, disk and money that a run would take."""
        auth.require_admin(request)
        return asdict(training.estimate(**body.model_dump()))

    _add_single_routes(router, services, auth)
    return router


def _add_single_routes(router: APIRouter, services: Services, auth: Auth) -> None:
    training = services.training

    @router.get("/jobs/{job_id}")
    def job(job_id: str, request: Request) -> dict[str, Any]:
        """A run: state, progress, and how it ended."""
        auth.require_admin(request)
        return view_json(training.job(job_id))

    @router.get("/jobs/{job_id}/events", response_model=None)
    async def events(job_id: str, request: Request) -> Response:
        """What happens, as server-sent events until the run ends; `Last-Event-ID` goes on."""
        auth.require_admin(request)
        after = _last_event_id(request)
        pump = Pump(request, lambda: follow(services, job_id, after))
        await pump.open()
        return EventStream(pump, _stream(pump))

    @router.post("/jobs/{job_id}/cancel")
    def cancel(job_id: str, request: Request) -> dict[str, Any]:
        """End a run within 5 seconds."""
        auth.require_admin(request)
        return job_json(training.cancel(job_id))

    @router.post("/jobs/{job_id}/resume", status_code=202)
    def resume(job_id: str, request: Request) -> dict[str, Any]:
        """Go on with a failed or cancelled run from its newest whole checkpoint."""
        auth.require_admin(request)
        return job_json(training.resume(job_id))

    @router.post("/jobs/{job_id}/override")
    def override(job_id: str, request: Request) -> dict[str, Any]:
        """Publish what the gate refused, and put it to use. It is written down who did."""
        return job_json(training.override(job_id, auth.require_admin(request).name))

    @router.delete("/jobs/{job_id}")
    def discard(job_id: str, request: Request) -> dict[str, Any]:
        """Forget a run that has ended, with its files; its version stays."""
        auth.require_admin(request)
        training.discard(job_id)
        return {"job_id": job_id, "deleted": True}


def job_json(job: TrainJob) -> dict[str, Any]:
    """A run without what is the server's own business."""
    row = asdict(job)
    for name in ("pid", "pid_started", "owner"):
        del row[name]
    return {"job_id": row.pop("id"), **row}


def view_json(view: JobView) -> dict[str, Any]:
    """A run with its progress."""
    more = {
        "log_tail": view.log_tail,
        "resumable": view.resumable,
        "can_override": view.can_override,
    }
    return job_json(view.job) | progress_json(view.progress) | more


def progress_json(progress: Progress) -> dict[str, Any]:
    """How far a run is; `eval` is the newest loss on held-out rows."""
    row = asdict(progress)
    row["eval"] = row.pop("eval_loss")
    return row


Followed = TrainEvent | TrainJob | None


def follow(services: Services, job_id: str, after: int) -> Iterator[Followed]:
    """The events after that number as they come, None now and then, at last the ended run."""
    training = services.training
    training.get(job_id)
    # At once, so that the client sees that it is heard.
    yield None
    spoke = time.monotonic()
    while True:
        # In this order: what came before the end is all read after it.
        job = training.get(job_id)
        for event in training.events(job_id, after):
            after = event.number
            spoke = time.monotonic()
            yield event
        if job.state in TERMINAL:
            yield job
            return
        if time.monotonic() - spoke > HEARTBEAT_S:
            spoke = time.monotonic()
            yield None
        time.sleep(POLL_S)


async def _stream(pump: Pump[Followed]) -> AsyncIterator[bytes]:
    async for batch in pump.batches():
        for item in batch:
            if item is None:
                yield WAITING
            elif isinstance(item, TrainEvent):
                yield _event(item.kind, {"at": item.at, **item.values}, item.number)
            else:
                yield _event("end", job_json(item))


def _event(name: str, data: dict[str, Any], number: int | None = None) -> bytes:
    identity = "" if number is None else f"id: {number}\n"
    # Escaped to ASCII: many clients split lines also at U+2028 and its like.
    return f"{identity}event: {name}\ndata: {json.dumps(data)}\n\n".encode("ascii")


def _last_event_id(request: Request) -> int:
    """Where a client that lost the connection left off; from the start when that is no number."""
    given = request.headers.get("last-event-id", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
