"""The golden set: what the page asks to mark turns. Admin only: it steers the gate."""

from __future__ import annotations

from javis.service.services import Services
from javis.ui.edge import Edge, Handler, Json, Payload, User, unexpected

MAX_ROWS = 200
MAX_CHARS = 2_000
"""Of each text that is listed."""


class Golden:
    """The handlers of the star below an answer, in the chat and in Review."""

    def __init__(self, services: Services) -> None:
        self._golden = services.golden

    def table(self) -> dict[str, Handler]:
        """The handlers by the `kind` that the page's script sends."""
        return {"golden_ids": self.ids, "golden_rows": self.rows, "golden_mark": self.mark}

    def ids(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        return {"ids": self._golden.ids()}

    def rows(self, user: User, payload: Payload) -> Json:
        """The set to look at, the last marked first."""
        Edge.require_admin(user)
        rows = self._golden.rows()
        shown = rows[::-1][:MAX_ROWS]
        return {
            "total": len(rows),
            "rows": [
                {
                    "id": row.turn_id,
                    "at": row.marked_at,
                    "message": row.prompt[-1].content[:MAX_CHARS],
                    "earlier": sum(message.role == "user" for message in row.prompt[:-1]),
                    "wanted": None if row.wanted is None else row.wanted[:MAX_CHARS],
                }
                for row in shown
            ],
        }

    def mark(self, user: User, payload: Payload) -> Json:
        """Take a turn into the set, or out of it."""
        Edge.require_admin(user)
        turn_id, on = payload.id("turn"), payload.get("on")
        if not isinstance(on, bool):
            raise unexpected("on")
        if not on:
            self._golden.unmark(turn_id)
            return {"on": False, "wanted": False}
        row = self._golden.mark(turn_id, by=user.name)
        return {"on": True, "wanted": row.wanted is not None}
