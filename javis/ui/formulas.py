"""What draws the formulas of answers: too big for every page, so the page asks for it."""

from __future__ import annotations

from pathlib import Path

from javis.ui.edge import Handler, Json, Payload, User

_VENDOR = Path(__file__).parent / "vendor"


def formulas_table() -> dict[str, Handler]:
    """The handler by the `kind` that the page's script sends."""
    return {"formulas": _formulas}


def _formulas(user: User, payload: Payload) -> Json:
    """Temml, as the text of its script and of its style sheet."""
    return {
        "script": (_VENDOR / "temml.min.js").read_text(encoding="utf-8"),
        "style": (_VENDOR / "temml.css").read_text(encoding="utf-8"),
    }
