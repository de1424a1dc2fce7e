"""`/api/conversations`: find, read, rename, delete, take out and bring in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query
from pydantic import BaseModel, StrictStr
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from javis.api.auth import Auth
from javis.core.errors import UserInputError
from javis.core.types import Conversation
from javis.service.services import Services
from javis.service.tree import ConversationView

MAX_PAGE = 200
MARKDOWN = "text/markdown"
EXPORT_BLOCK_CHARS = 65_536
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*;%\u200b-\u200f\u2028-\u202e\u2066-\u2069]+')
_IMPORT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["conversations"],
                    "properties": {"conversations": {"type": "array", "minItems": 1}},
                }
            },
            MARKDOWN: {"schema": {"type": "string"}},
        },
    }
}


class RenameRequest(BaseModel):
    title: StrictStr


def conversations_router(services: Services, auth: Auth) -> APIRouter:
    router = APIRouter(prefix="/api/conversations", tags=["conversations"])

    @router.get("")
    def page(
        request: Request,
        query: Annotated[str, Query(max_length=1000, description="Words to look for.")] = "",
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> dict[str, Any]:
        """Conversations, the last used first, and how many there are."""
        owner = auth.user_of(request).name
        found, total = services.library.page(owner, query, offset, limit)
        rows = [conversation_json(conversation) for conversation in found]
        return {"conversations": rows, "total": total, "offset": offset, "limit": limit}

    @router.post("/import", openapi_extra=_IMPORT_BODY)
    async def bring_in(request: Request) -> dict[str, Any]:
        """Take in `{"conversations": […]}`: all of it, or nothing and a line for each bad row.

        Also one conversation as `text/markdown`, as the export writes it.
        """
        owner = auth.user_of(request).name
        kind = _kind(request)
        body = await request.body()

        def read() -> list[Conversation]:
            if kind == MARKDOWN:
                return services.library.bring_in_markdown(owner, _text(body))
            return services.library.bring_in(owner, _parsed(body))

        # In a thread: reading 64 MiB of JSON would hold up every other answer.
        found = await run_in_threadpool(read)
        return {"imported": len(found), "conversations": [conversation_json(c) for c in found]}

    @router.get("/export")
    def export_all(request: Request) -> Response:
        """Every conversation, in the format that the import reads."""
        return _file(services, auth.user_of(request).name, None, "javis-conversations")

    _add_single_routes(router, services, auth)
    return router


def _add_single_routes(router: APIRouter, services: Services, auth: Auth) -> None:
    @router.get("/{conversation_id}")
    def get(conversation_id: str, request: Request) -> dict[str, Any]:
        """The shown branch of a conversation, each turn with its other answers and its rating."""
        return view_json(services.chat.view(auth.user_of(request).name, conversation_id))

    @router.patch("/{conversation_id}")
    def rename(conversation_id: str, body: RenameRequest, request: Request) -> dict[str, Any]:
        """Give a conversation another title."""
        owner = auth.user_of(request).name
        return conversation_json(services.library.rename(owner, conversation_id, body.title))

    @router.delete("/{conversation_id}")
    def delete(conversation_id: str, request: Request) -> dict[str, Any]:
        """Hide a conversation; `restore` brings it back for some days."""
        services.library.delete(auth.user_of(request).name, conversation_id)
        return {"id": conversation_id, "deleted": True}

    @router.post("/{conversation_id}/restore")
    def restore(conversation_id: str, request: Request) -> dict[str, Any]:
        """Undo a delete."""
        owner = auth.user_of(request).name
        return conversation_json(services.library.restore(owner, conversation_id))

    @router.get("/{conversation_id}/export")
    def export(
        conversation_id: str, request: Request, format: Literal["json", "markdown"] = "json"
    ) -> Response:
        """One conversation as a file: JSON with every branch, or the shown one as Markdown."""
        owner = auth.user_of(request).name
        title = services.library.get(owner, conversation_id).title
        if format == "json":
            return _file(services, owner, conversation_id, title)
        text = services.library.markdown(owner, conversation_id).encode("utf-8", "replace")
        headers = {"Content-Disposition": disposition(title, "md")}
        return Response(text, headers=headers, media_type=f"{MARKDOWN}; charset=utf-8")


def conversation_json(conversation: Conversation) -> dict[str, Any]:
    row = asdict(conversation)
    del row["owner"]
    return row


def view_json(view: ConversationView) -> dict[str, Any]:
    turns = []
    for shown in view.turns:
        feedback = None if shown.feedback is None else asdict(shown.feedback)
        turns.append(
            asdict(shown.turn)
            | {"answers": shown.answers, "edits": shown.edits, "feedback": feedback}
        )
    return {
        "conversation": conversation_json(view.conversation),
        "answering": view.answering,
        "turns": turns,
    }


def disposition(title: str, ending: str) -> str:
    """A Content-Disposition whose name is safe in a header and on any disk."""
    name = " ".join(_UNSAFE.sub(" ", title).split())[:80].strip(". ") or "conversation"
    plain = name.encode("ascii", "ignore").decode().strip(". ") or "conversation"
    quoted = quote(f"{name}.{ending}".encode("utf-8", "replace"))
    return f"attachment; filename=\"{plain}.{ending}\"; filename*=UTF-8''{quoted}"


def _file(services: Services, owner: str, conversation_id: str | None, name: str) -> Response:
    blocks = _blocks(services.library.take_out(owner, conversation_id))
    # Taken before the answer begins, so that a store that cannot be read is a proper error.
    first = next(blocks)
    headers = {"Content-Disposition": disposition(name, "json")}
    return StreamingResponse(
        _chained(first, blocks), headers=headers, media_type="application/json"
    )


def _blocks(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """The export as text in blocks of some size, never all of it at once."""
    pieces = ['{"conversations": [']
    size = 0
    separator = "\n"
    for row in rows:
        pieces.append(separator + json.dumps(row, ensure_ascii=False))
        size += len(pieces[-1])
        separator = ",\n"
        if size > EXPORT_BLOCK_CHARS:
            yield "".join(pieces)
            pieces, size = [], 0
    yield "".join([*pieces, "\n]}\n"])


def _chained(first: str, rest: Iterator[str]) -> Iterator[bytes]:
    yield first.encode("utf-8", "replace")
    for text in rest:
        yield text.encode("utf-8", "replace")


def _kind(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if kind not in ("application/json", MARKDOWN):
        raise UserInputError(
            "not_json",
            "Send a JSON object with the header Content-Type: application/json, or one "
            "conversation as text/markdown.",
        )
    return kind


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise UserInputError("not_text", "{what} must be text.", what="The body") from None


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UserInputError("not_json", "The body is not valid JSON.") from None
