"""Review: what the page asks about rated turns. Admin only: it shows everybody's."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, cast, get_args

from javis.core.errors import JavisError, UserInputError
from javis.core.learning import FLAG_KINDS, Example, Flag, Judged, Pair, ReviewRow, Status
from javis.service.review import ReviewFilters
from javis.service.services import Services
from javis.ui.edge import Edge, Handler, Json, Payload, User, unexpected
from javis.ui.texts import Texts

PAGE_ROWS = 50
MAX_BULK_TURNS = 5_000
MAX_SHORT_CHARS = 180
MAX_OTHERS = 5
"""Other turns that a flag names, at most."""
MAX_REPORT_LINES = 50
MAX_TAKEN_SHOWN = 20
MAX_QUERY_CHARS = 200
RATINGS = ("good", "bad", "corrected")
ACTIONS = ("approve", "edit", "exclude", "reset")
WHEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)?")


class Reviewing:
    """The handlers of the Review tab."""

    def __init__(self, services: Services, texts: Texts) -> None:
        self._services = services
        self._review = services.review
        self._texts = texts

    def table(self) -> dict[str, Handler]:
        """The handlers by the `kind` that the page's script sends."""
        return {
            "review_page": self.page,
            "review_row": self.row,
            "review_text": self.text,
            "review_decide": self.decide,
            "review_bulk": self.bulk,
            "review_mask": self.mask,
            "review_similar": self.similar,
            "review_apply": self.apply,
            "review_everything": self.everything,
            "review_take_in": self.take_in,
            "review_forget": self.forget,
            "review_batches": self.batches,
            "review_batch": self.batch,
        }

    def page(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        offset = payload.number("offset", 0, 0, 10_000_000)
        limit = payload.number("limit", PAGE_ROWS, 1, PAGE_ROWS)
        page = self._review.page(filters_of(payload), offset, limit)
        return {
            "rows": [short_json(r) for r in page.rows],
            "total": page.total,
            "offset": offset,
            "counts": dict(page.counts),
            "versions": [v.name for v in self._services.versions.all()],
            "everything": self._services.preferences.review_everything(),
        }

    def row(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        return self._whole(user, self._review.get(payload.id("turn")))

    def text(self, user: User, payload: Payload) -> Json:
        """What training on this turn would see: pieces, and whether each is trained on."""
        Edge.require_admin(user)
        messages = self._review.messages(payload.id("turn"))
        return {"pieces": [list(p) for p in self._services.admin.training_text(messages)]}

    def decide(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        action = one_of(payload, "action", ACTIONS)
        changed = self._review.decide(
            payload.id("turn"),
            cast(Any, action),
            user=_optional_text(payload, "user"),
            target=_optional_text(payload, "target"),
            by=user.name,
        )
        return self._kept(user, changed)

    def bulk(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        action = one_of(payload, "action", ("approve", "exclude", "reset"))
        turns = many_ids(payload, "turns") if payload.get("turns") is not None else None
        filters = filters_of(payload) if turns is None else None
        count = self._review.bulk(cast(Any, action), turns, filters, by=user.name)
        return {"count": count, "readiness": self._readiness()}

    def mask(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        turn_id = payload.id("turn")
        row = self._review.get(turn_id)
        masked = self._review.masked(turn_id)
        return {
            "user": masked.user,
            "target": masked.target,
            "found": list(masked.found),
            "before": {"user": message_of(row), "target": row.target},
        }

    def similar(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        rows = self._review.similar(payload.id("turn"))
        return {"rows": [short_json(r) for r in rows[:PAGE_ROWS]]}

    def apply(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        turns = many_ids(payload, "turns")
        count = self._review.apply_to_similar(payload.id("turn"), turns, by=user.name)
        return {"count": count}

    def everything(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        on = payload.get("on")
        if not isinstance(on, bool):
            raise unexpected("on")
        self._services.preferences.set_review_everything(on)
        return {"on": self._services.preferences.review_everything()}

    def take_in(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        text = payload.text("text")
        taken = self._services.export.take_in(text.encode("utf-8", "replace"), by=user.name)
        bad = [
            {"line": line, "message": self._said(payload.language, code, message)}
            for line, code, message in taken.bad[:MAX_REPORT_LINES]
        ]
        return {
            "accepted": taken.accepted,
            "bad": bad,
            "total_bad": len(taken.bad),
            "flagged": len(taken.flagged),
            "batch": taken.batch,
        }

    def forget(self, user: User, payload: Payload) -> Json:
        """Take a take-in back."""
        Edge.require_admin(user)
        return {"removed": self._services.export.forget(payload.id("batch"))}

    def batches(self, user: User, payload: Payload) -> Json:
        """The files that were taken in."""
        Edge.require_admin(user)
        return {"files": [asdict(batch) for batch in self._services.export.batches()]}

    def batch(self, user: User, payload: Payload) -> Json:
        """The first rows of a file that was taken in."""
        Edge.require_admin(user)
        rows = self._services.export.taken(payload.id("batch"))
        return {"rows": [taken_json(row) for row in rows[:MAX_TAKEN_SHOWN]], "total": len(rows)}

    # Shapes --------------------------------------------------------------------------------

    def _said(self, language: str, code: str, message: str) -> str:
        """The report's own sentence where the page's language has none without placeholders."""
        return self._texts.error(language, JavisError(code, message))

    def _kept(self, user: User, row: ReviewRow) -> Json:
        return {
            "row": self._whole(user, row),
            "short": short_json(row),
            "counts": dict(self._review.page(ReviewFilters(), 0, 1).counts),
            "readiness": self._readiness(),
        }

    def _readiness(self) -> Json:
        readiness = self._services.feedback.readiness()
        first = len(self._services.versions.all()) == 1
        return {**asdict(readiness), "share": readiness.share, "first": first}

    def _whole(self, user: User, row: ReviewRow) -> Json:
        return {
            **short_json(row),
            "prompt": [asdict(m) for m in row.prompt],
            "reply": row.reply,
            "target": row.target,
            "correction": row.correction,
            "reasons": list(row.reasons),
            "comment": row.comment,
            "owner": row.owner if row.owner != user.name else "",
            "flags": [self._flag(f) for f in row.flags],
        }

    def _flag(self, flag: Flag) -> Json:
        others = []
        for turn_id in flag.others[:MAX_OTHERS]:
            try:
                others.append(short_json(self._review.get(turn_id)))
            except UserInputError:
                continue  # deleted meanwhile
        return {"kind": flag.kind, "detail": flag.detail, "others": others}


def taken_json(row: Example | Pair | Judged) -> Json:
    """A taken-in row: what was asked, what is learned from it, and what it speaks against."""
    prompt = row.messages[:-1] if isinstance(row, Example) else row.prompt
    shown: Json = {"prompt": _short(prompt[-1].content), "label": True, "rejected": None}
    if isinstance(row, Example):
        return shown | {"answer": _short(row.messages[-1].content)}
    if isinstance(row, Pair):
        return shown | {"answer": _short(row.chosen), "rejected": _short(row.rejected)}
    return shown | {"answer": _short(row.completion), "label": row.label}


def short_json(row: ReviewRow) -> Json:
    """A row as the list shows it."""
    return {
        "id": row.turn_id,
        "message": _short(message_of(row)),
        "answer": _short(row.target if row.target is not None else row.reply),
        "rating": row.rating,
        "correction": row.correction is not None,
        "status": row.status,
        "decided": row.decided,
        "edited": row.edited,
        "version": row.version,
        "at": row.created_at,
        "flags": [f.kind for f in row.flags],
    }


def message_of(row: ReviewRow) -> str:
    return row.prompt[-1].content if row.prompt else ""


def filters_of(payload: Payload) -> ReviewFilters:
    """What the page's filters ask for; an empty one asks for nothing."""
    data = payload.get("filters")
    if not isinstance(data, dict):
        data = {}
    fields = Payload(data)

    def chosen(name: str, known: tuple[str, ...]) -> Any:
        return one_of(fields, name, known) if fields.get(name) else None

    return ReviewFilters(
        rating=chosen("rating", RATINGS),
        version=_filter_text(fields, "version"),
        since=_when(fields, "since"),
        until=_when(fields, "until"),
        flag=chosen("flag", ("any", *FLAG_KINDS)),
        status=chosen("status", get_args(Status)),
        text=_filter_text(fields, "text"),
    )


def one_of(payload: Payload, name: str, known: tuple[str, ...]) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or value not in known:
        raise unexpected(name)
    return value


def many_ids(payload: Payload, name: str) -> list[str]:
    value = payload.get(name)
    if not isinstance(value, list) or len(value) > MAX_BULK_TURNS:
        raise unexpected(name)
    return [Payload({"id": v}).id("id") for v in value]


def _optional_text(payload: Payload, name: str) -> str | None:
    return None if payload.get(name) is None else payload.text(name)


def _filter_text(fields: Payload, name: str) -> str | None:
    value = fields.get(name) or None
    if value is not None and (not isinstance(value, str) or len(value) > MAX_QUERY_CHARS):
        raise unexpected(name)
    return value


def _when(fields: Payload, name: str) -> str | None:
    """A day as `2026-11-21`, or a moment as `2026-11-20T15:00:00.000Z`."""
    value = _filter_text(fields, name)
    if value is not None and not WHEN.fullmatch(value):
        raise unexpected(name)
    return value


def _short(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text[: 4 * MAX_SHORT_CHARS].split())
    return line if len(line) <= MAX_SHORT_CHARS else line[: MAX_SHORT_CHARS - 1] + "…"
