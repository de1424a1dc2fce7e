"""What the user can change while the program runs, with its defaults and limits."""

from __future__ import annotations

from dataclasses import asdict

from javis.core.errors import UserInputError
from javis.core.types import MAX_COMMENT_CHARS, SamplingParams, check_text
from javis.store import Store

READINESS_GOAL = 500
MAX_PRESETS = 50


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
        self._rows.set("presets", {k: v for k, v in self.presets().items() if k != name})
