"""What the user can change while the program runs, with its defaults and limits."""

from __future__ import annotations

from dataclasses import asdict, fields

from javis.core.arena import SHARE, ArenaPlan
from javis.core.errors import UserInputError
from javis.core.learning import Prices, SchedulePlan
from javis.core.types import MAX_COMMENT_CHARS, SamplingParams, check_text
from javis.store import Store

READINESS_GOAL = 500
MAX_PRESETS = 50
MAX_PRICE = 10_000.0
MAX_SCHEDULE = {"turns": 100_000, "days": 3650}


class Preferences:
    """Typed access to the stored preferences."""

    def __init__(self, store: Store, recommended: SamplingParams | None = None) -> None:
        self._rows = store.preferences
        self._recommended = recommended or SamplingParams()

    def sampling(self) -> SamplingParams:
        """The user's defaults, and what suits the model until there are any."""
        stored = self._rows.get("sampling", {})
        return SamplingParams(**{**asdict(self._recommended), **stored, "stop": ()})

    def set_sampling(self, sampling: SamplingParams) -> None:
        values = asdict(sampling)
        values.pop("stop")
        self._rows.set("sampling", values)

    def system_prompt(self) -> str:
        return str(self._rows.get("system_prompt", ""))

    def set_system_prompt(self, text: str) -> None:
        self._rows.set(
            "system_prompt", check_text(text, "The system prompt", MAX_COMMENT_CHARS, empty_ok=True)
        )

    def readiness_goal(self) -> int:
        return int(self._rows.get("readiness_goal", READINESS_GOAL))

    def set_readiness_goal(self, goal: object) -> None:
        if isinstance(goal, bool) or not isinstance(goal, int) or not 10 <= goal <= 100_000:
            raise UserInputError(
                "bad_goal", "The goal must be a whole number between 10 and 100,000."
            )
        self._rows.set("readiness_goal", goal)

    def prices(self) -> Prices:
        """What training costs; the user's own where they were set."""
        stored = self._rows.get("prices", {})
        return Prices(**{f.name: float(stored.get(f.name, f.default)) for f in fields(Prices)})

    def set_prices(self, prices: dict[str, object]) -> Prices:
        """Replace the prices that are named."""
        known = asdict(self.prices())
        for name, price in prices.items():
            good = isinstance(price, (int, float)) and not isinstance(price, bool)
            if name not in known or not good or not 0 <= price <= MAX_PRICE:  # type: ignore[operator]
                raise UserInputError(
                    "bad_price", "{name} must be a price between 0 and 10,000.", name=str(name)[:40]
                )
            known[name] = price
        self._rows.set("prices", known)
        return self.prices()

    def schedule(self) -> SchedulePlan:
        """When to train without being asked; never, until the user says so."""
        stored = self._rows.get("schedule", {})
        return SchedulePlan(int(stored.get("turns", 0)), int(stored.get("days", 0)))

    def set_schedule(self, turns: object = 0, days: object = 0) -> SchedulePlan:
        """0 turns a condition off."""
        for name, value in (("turns", turns), ("days", days)):
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or not 0 <= value <= MAX_SCHEDULE[name]:  # type: ignore[operator]
                raise UserInputError(
                    "bad_schedule",
                    "{name} must be a whole number between 0 and {limit}.",
                    name=name,
                    limit=MAX_SCHEDULE[name],
                )
        self._rows.set("schedule", {"turns": turns, "days": days})
        return self.schedule()

    def arena(self) -> ArenaPlan:
        """When two versions answer side by side; never, until the admin says so."""
        stored = self._rows.get("arena", {})
        versions = tuple(stored.get("versions", ()))
        return ArenaPlan(bool(stored.get("on")), float(stored.get("share", SHARE)), versions)

    def set_arena(self, on: object, share: object, versions: object = ()) -> ArenaPlan:
        if not isinstance(on, bool):
            raise UserInputError("not_yes_or_no", "{what} is on or off.", what="Blind comparison")
        number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if not number or not 0.01 <= share <= 1:  # type: ignore[operator]
            raise UserInputError("bad_share", "The share must be between 1 % and 100 %.")
        listed = isinstance(versions, (list, tuple)) and len(versions) <= MAX_PRESETS
        if not listed or not all(isinstance(v, str) and len(v) <= 100 for v in versions):  # type: ignore[attr-defined]
            raise UserInputError("bad_versions", "The versions must be a list of names.")
        self._rows.set("arena", {"on": on, "share": share, "versions": list(versions)})  # type: ignore[call-overload]
        return self.arena()

    def use_corrections(self) -> bool:
        """Whether corrections are shown to the model as examples for similar questions."""
        return bool(self._rows.get("use_corrections", True))

    def set_use_corrections(self, on: object) -> None:
        if not isinstance(on, bool):
            raise UserInputError(
                "not_yes_or_no", "{what} is on or off.", what="Learning from corrections at once"
            )
        self._rows.set("use_corrections", on)

    def review_everything(self) -> bool:
        """Whether also what has no flag waits for a reviewer."""
        return bool(self._rows.get("review_everything", False))

    def set_review_everything(self, on: object) -> None:
        if not isinstance(on, bool):
            raise UserInputError("not_yes_or_no", "{what} is on or off.", what="review_everything")
        self._rows.set("review_everything", on)

    def presets(self) -> dict[str, str]:
        """The user's own system prompts by name."""
        return dict(self._rows.get("presets", {}))

    def save_preset(self, name: str, text: str) -> None:
        name = check_text(name, "The name", 60).strip()
        check_text(text, "The system prompt", MAX_COMMENT_CHARS)
        presets = self.presets()
        if name not in presets and len(presets) >= MAX_PRESETS:
            raise UserInputError(
                "too_many_presets", "{limit} presets is the most there can be.", limit=MAX_PRESETS
            )
        self._rows.set("presets", {**presets, name: text})

    def delete_preset(self, name: str) -> None:
        presets = self.presets()
        if presets.pop(name.strip(), None) is None:
            raise UserInputError("no_preset", "There is no preset of the name {name}.", name=name)
        self._rows.set("presets", presets)
