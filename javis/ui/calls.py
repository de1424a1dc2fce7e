"""The small questions of the page: lists, votes, titles, branches. One method each."""

from __future__ import annotations

import json
from dataclasses import asdict

from javis.core.errors import UserInputError
from javis.core.types import MAX_TITLE_CHARS
from javis.service.services import Services
from javis.ui.edge import Handler, Json, Payload, User
from javis.ui.texts import Texts
from javis.ui.view import (
    WINDOW_TURNS,
    conversation_json,
    conversation_row,
    feedback_json,
    model_json,
)

PAGE_ROWS = 50
MAX_QUERY_CHARS = 200
MAX_IMPORT_CHARS = 64_000_000


class Calls:
    """What the page may ask besides an answer."""

    def __init__(self, services: Services, texts: Texts) -> None:
        self._services = services
        self._texts = texts

    def table(self) -> dict[str, Handler]:
        """The handlers by the `kind` that the page's script sends."""
        return {
            "boot": self.boot,
            "list": self.list_rows,
            "view": self.view,
            "select": self.select,
            "stop": self.stop,
            "rate": self.rate,
            "edit_reply": self.edit_reply,
            "branch": self.branch,
            "rename": self.rename,
            "delete": self.delete,
            "restore": self.restore,
            "bring_in": self.bring_in,
            "readiness": self.readiness,
        }

    def boot(self, user: User, payload: Payload) -> Json:
        """All that a freshly opened page shows, in one answer."""
        return {
            "admin": user.is_admin,
            "user": user.name,
            "model": model_json(self._services.admin.model),
            "version": self._services.versions.current(),
            "login": self._services.settings.password is not None,
            "prompt": self._services.preferences.system_prompt(),
            "list": self.list_rows(user, payload),
            "readiness": self.readiness(user, payload),
        }

    # Conversations -------------------------------------------------------------------------

    def list_rows(self, user: User, payload: Payload) -> Json:
        query = payload.get("query") or ""
        if not isinstance(query, str) or len(query) > MAX_QUERY_CHARS:
            raise UserInputError(
                "query_too_long",
                "A search takes at most {limit} characters.",
                limit=MAX_QUERY_CHARS,
            )
        offset = payload.number("offset", 0, 0, 10_000_000)
        rows, total = self._services.library.page(user.name, query.strip(), offset, PAGE_ROWS)
        return {"rows": [conversation_row(r) for r in rows], "total": total, "offset": offset}

    def view(self, user: User, payload: Payload) -> Json:
        turns = payload.number("turns", WINDOW_TURNS, 1, 100_000)
        view = self._services.chat.view(user.name, payload.id("conversation"))
        return conversation_json(view, turns)

    def rename(self, user: User, payload: Payload) -> Json:
        row = self._services.library.rename(
            user.name, payload.id("conversation"), payload.text("title")
        )
        return conversation_row(row)

    def delete(self, user: User, payload: Payload) -> Json:
        self._services.library.delete(user.name, payload.id("conversation"))
        return {}

    def restore(self, user: User, payload: Payload) -> Json:
        return conversation_row(
            self._services.library.restore(user.name, payload.id("conversation"))
        )

    def bring_in(self, user: User, payload: Payload) -> Json:
        text = payload.text("text")
        if len(text) > MAX_IMPORT_CHARS:
            raise UserInputError("import_too_big", "This file is too big to import here.")
        library = self._services.library
        if payload.get("markdown") is True:
            rows = library.bring_in_markdown(user.name, text)
        else:
            rows = library.bring_in(user.name, _parsed(text))
        return {"count": len(rows), "first": rows[0].id}

    # Turns ---------------------------------------------------------------------------------

    def select(self, user: User, payload: Payload) -> Json:
        turns = payload.number("turns", WINDOW_TURNS, 1, 100_000)
        return conversation_json(self._services.chat.select(user.name, payload.id("turn")), turns)

    def stop(self, user: User, payload: Payload) -> Json:
        return {"stopped": self._services.chat.stop(user.name, payload.id("conversation"))}

    def rate(self, user: User, payload: Payload) -> Json:
        rating = payload.get("rating")
        comment = payload.get("comment") or ""
        correction = payload.get("correction")
        if rating is not None and rating not in ("good", "bad"):
            raise UserInputError("bad_rating", "A rating is good, bad or nothing.")
        if correction is not None and not isinstance(correction, str):
            raise UserInputError("not_text", "{what} must be text.", what="The correction")
        if not isinstance(comment, str):
            raise UserInputError("not_text", "{what} must be text.", what="The comment")
        feedback = self._services.feedback.rate(
            user.name,
            payload.id("turn"),
            rating,
            payload.texts("reasons"),
            comment,
            correction,
        )
        return {
            "feedback": feedback_json(feedback),
            "readiness": self.readiness(user, payload),
        }

    def edit_reply(self, user: User, payload: Payload) -> Json:
        turn = self._services.chat.edit_reply(user.name, payload.id("turn"), payload.text("text"))
        return {"turn": turn.id}

    def branch(self, user: User, payload: Payload) -> Json:
        turn = self._services.chat.turn(user.name, payload.id("turn"))
        source = self._services.library.get(user.name, turn.conversation_id)
        title = self._texts.say(payload.language, "branch_title", title=source.title)
        branched = self._services.chat.branch(user.name, turn.id, title[:MAX_TITLE_CHARS])
        return conversation_row(branched)

    def readiness(self, user: User, payload: Payload) -> Json:
        readiness = self._services.feedback.readiness()
        first = len(self._services.versions.all()) == 1
        return {**asdict(readiness), "share": readiness.share, "first": first}


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UserInputError(
            "import_not_json", "This file is no JSON. Choose one that JAVIS exported."
        ) from None
