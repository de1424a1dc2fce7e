"""Compare: what the page asks about versions side by side. Admin only: it shows all data."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict

import gradio as gr

from javis.core.evaluation import SUITES
from javis.service.compare import Asked, compare_json
from javis.service.compare_reports import SavedReport
from javis.service.services import Services
from javis.ui.edge import Edge, Handler, Json, Payload, User, unexpected

FRAME_S = 0.1
"""Growing answers are sent this often at most."""
ASKING_AT_ONCE = 4
"""Admins whose prompts are answered at the same time; the engine's own line comes after."""
MAX_ANSWER_CHARS = 4_000
MAX_REPORTS = 20
PAGE = 10
"""Prompts of a suite that are sent at once."""


class Comparing:
    """The handlers of the Compare tab."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._compare = services.compare
        self._asking: dict[tuple[str, str], threading.Event] = {}
        """By user and the browser's number: what ends the answers that are being written."""

    def table(self) -> dict[str, Handler]:
        """The handlers by the `kind` that the page's script sends."""
        return {
            "compare_state": self.state,
            "compare_table": self.rows,
            "compare_answers": self.answers,
            "compare_stop": self.stop,
            "compare_report": self.report,
            "compare_delete": self.delete,
            "compare_votes": self.votes,
        }

    # Numbers -------------------------------------------------------------------------------

    def state(self, user: User, payload: Payload) -> Json:
        """What can be compared."""
        Edge.require_admin(user)
        versions = self._services.versions
        return {
            "names": self._compare.names(),
            "usable": [v.name for v in versions.usable()],
            "current": versions.current(),
            "before": versions.before(),
            "suites": [asdict(s) for s in self._services.evaluation.names()],
            "reports": self._reports(),
        }

    def rows(self, user: User, payload: Payload) -> Json:
        """The table and the data of its figures."""
        Edge.require_admin(user)
        return compare_json(self._compare.table(_versions(payload)))

    def report(self, user: User, payload: Payload) -> Json:
        """Write a report; it is downloaded by its address."""
        Edge.require_admin(user)
        folder = self._compare.report(_versions(payload))
        return {"report": folder.name, "reports": self._reports()}

    def delete(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        self._compare.saved.delete(payload.id("report"))
        return {"reports": self._reports()}

    def votes(self, user: User, payload: Payload) -> Json:
        """What blind comparisons in the chat say so far."""
        Edge.require_admin(user)
        arena = self._services.arena
        return asdict(arena.standings()) | {"plan": asdict(arena.plan())}

    # Answers -------------------------------------------------------------------------------

    def answers(self, user: User, payload: Payload) -> Json:
        """What the versions said to the items of a suite."""
        Edge.require_admin(user)
        suite = payload.id("suite")
        if suite not in SUITES:
            raise unexpected("suite")
        page = self._compare.answers(
            _versions(payload),
            suite=suite,
            only_different=payload.get("only_different") is True,
            offset=payload.number("offset", 0, 0, 10**6),
            limit=PAGE,
        )
        return {"rows": [_asked(row) for row in page.rows], "total": page.total, "page": PAGE}

    def frames(self, user: User, payload: Payload) -> Iterator[Json]:
        """The growing answers of some versions to one prompt; each frame holds them whole."""
        Edge.require_admin(user)
        call, versions = payload.call, _versions(payload)
        stop = self._asking.setdefault((user.name, call), threading.Event())
        texts = dict.fromkeys(versions, "")
        ended: dict[str, Json] = {}
        drawn = 0.0
        try:
            with closing(self._compare.ask(versions, payload.text("text"), user.name)) as pieces:
                for said in pieces:
                    if stop.is_set():
                        break
                    texts[said.version] += said.chunk.text
                    if said.chunk.finish:
                        timings = said.chunk.timings
                        speed = timings.tokens_per_second if timings else 0.0
                        ended[said.version] = {"finish": said.chunk.finish, "speed": speed}
                    if time.monotonic() - drawn >= FRAME_S:
                        drawn = time.monotonic()
                        yield {"call": call, "texts": dict(texts), "ended": dict(ended)}
        finally:
            self._asking.pop((user.name, call), None)
        yield {"call": call, "texts": texts, "ended": ended, "done": True}

    def stop(self, user: User, payload: Payload) -> Json:
        """End the answers that are being written."""
        Edge.require_admin(user)
        event = self._asking.get((user.name, payload.id("asking")))
        if event is not None:
            event.set()
        return {}

    # Shapes --------------------------------------------------------------------------------

    def _reports(self) -> list[Json]:
        return [_report(report) for report in self._compare.saved.all()[:MAX_REPORTS]]


def ask_wire(comparing: Comparing, edge: Edge) -> gr.HTML:
    """The invisible component that the growing answers of the Compare tab come through."""
    wire = gr.HTML(
        html_template="",
        js_on_load="(window.jvWires ??= {}).ask = { props, watch, trigger, send: 'send' };",
        elem_id="jv-ask",
    )

    def send(event: gr.EventData, request: gr.Request) -> Iterator[Json]:
        payload = Payload(event._data)
        # A generator function: that is how Gradio knows that frames will come.
        yield from edge.stream(payload, lambda: comparing.frames(edge.user(request), payload))

    wire.send(
        send,
        outputs=wire,
        show_progress="hidden",
        trigger_mode="multiple",
        concurrency_limit=ASKING_AT_ONCE,
        api_visibility="private",
    )
    return wire


def _versions(payload: Payload) -> tuple[str, ...]:
    """At least one, as the page always sends."""
    versions = tuple(dict.fromkeys(payload.texts("versions")))
    if not versions:
        raise unexpected("versions")
    return versions


def _report(report: SavedReport) -> Json:
    return {
        "id": report.id,
        "at": report.created_at,
        "versions": list(report.versions),
        "files": list(report.files),
    }


def _asked(row: Asked) -> Json:
    answers = {
        name: {"text": answer.text[:MAX_ANSWER_CHARS], "score": answer.score}
        for name, answer in row.answers.items()
    }
    return {
        "item": row.item,
        "prompt": row.prompt[:MAX_ANSWER_CHARS],
        "language": row.language,
        "group": row.group,
        "same": row.same,
        "answers": answers,
    }
