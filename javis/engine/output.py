"""What every engine does to its output before a user sees it."""

from __future__ import annotations

from collections.abc import Iterable

from javis.core.errors import EngineError


def stopped() -> EngineError:
    """What a likelihood ends with when it is no longer wanted: half of one says nothing."""
    return EngineError("stopped", "It was stopped.")


class HideControl:
    """Takes the literals of control tokens out of streamed text, also when split over chunks.

    An engine never prints the tokens themselves; this is for a model that spells one out.
    """

    def __init__(self, literals: Iterable[str]) -> None:
        self._literals = tuple(t for t in literals if t)
        self._held = ""

    def feed(self, text: str) -> str:
        """The part of the text so far that is certain."""
        text = self._held + text
        before = None
        while text != before:  # what is left over may spell one out again
            before = text
            for literal in self._literals:
                text = text.replace(literal, "")
        keep = self._open_length(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back, once nothing more can come."""
        held, self._held = self._held, ""
        return held

    def _open_length(self, text: str) -> int:
        """Length of the longest end of `text` that begins a literal."""
        longest = max((len(t) for t in self._literals), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            if text.endswith(tuple(t[:size] for t in self._literals if len(t) > size)):
                return size
        return 0
