"""Blind comparison: votes for everybody; the switch and the standings for the admin."""

from __future__ import annotations

from dataclasses import asdict

from javis.core.arena import ArenaPlan, Standings
from javis.service.services import Services
from javis.ui.edge import Edge, Handler, Json, Payload, User
from javis.ui.view import WINDOW_TURNS, conversation_json, duel_json


class ArenaCalls:
    """What the page asks about comparisons."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._arena = services.arena

    def table(self) -> dict[str, Handler]:
        """The handlers by the `kind` that the page's script sends."""
        return {
            "arena_vote": self.vote,
            "arena_plan": self.plan,
            "arena_set": self.set_plan,
            "arena_standings": self.standings,
        }

    def vote(self, user: User, payload: Payload) -> Json:
        """Take a vote; what it named, and the conversation as it goes on."""
        duel = self._arena.vote(user.name, payload.id("duel"), payload.text("vote"))
        turns = payload.number("turns", WINDOW_TURNS, 1, 100_000)
        view = self._services.chat.view(user.name, duel.conversation_id)
        return {
            "end": duel.end,
            "left": duel.left_version,
            "right": duel.right_version,
            "about": duel_json(duel, view.conversation.head or ""),
            "view": conversation_json(view, turns),
        }

    def plan(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        return self._plan(self._arena.plan())

    def set_plan(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        plan = self._arena.set_plan(
            payload.get("on"), payload.get("share"), payload.texts("versions")
        )
        return self._plan(plan)

    def standings(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        return standings_json(self._arena.standings(), self._arena.contestants())

    def _plan(self, plan: ArenaPlan) -> Json:
        return {
            **asdict(plan),
            "contestants": self._arena.contestants(),
            "pinned": self._services.versions.pinned,
            "votes": self._arena.votes(),
        }


def standings_json(standings: Standings, there: list[str]) -> Json:
    """With `there` for each version: False once it is deleted or cannot answer."""
    found = asdict(standings)
    for row in found["rows"]:
        row["there"] = row["version"] in there
    return found
