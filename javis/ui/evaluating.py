"""Evaluate: what the page asks about suites and their results. Admin only."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from javis.core.evaluation import SuiteName, SuiteReport
from javis.core.types import BASE, Version
from javis.service.eval_runs import EvalRun
from javis.service.services import Services
from javis.ui.edge import Edge, Handler, Json, Payload, User
from javis.ui.texts import Texts

MAX_SAMPLE = 100_000
MAX_RUNS = 10
"""Evaluations of the history that are sent."""


class Evaluating:
    """The handlers of Admin → Evaluate."""

    def __init__(self, services: Services, texts: Texts) -> None:
        self._versions = services.versions
        self._evaluation = services.evaluation
        self._texts = texts

    def table(self) -> dict[str, Handler]:
        """The handlers by the `kind` that the page's script sends."""
        return {
            "eval_state": self.state,
            "eval_start": self.start,
            "eval_run": self.run,
            "eval_cancel": self.cancel,
        }

    def state(self, user: User, payload: Payload) -> Json:
        """All that the section shows."""
        Edge.require_admin(user)
        return {
            "suites": [asdict(suite) for suite in self._evaluation.names()],
            "versions": [version_json(v) for v in self._versions.usable()],
            "current": self._versions.current(),
            "runs": [self._run(payload.language, r) for r in self._evaluation.runs()[:MAX_RUNS]],
            "reports": [report_json(r) for r in self._evaluation.reports(self._whole())],
            "harness": self._evaluation.harness(self._whole()),
        }

    def _whole(self) -> list[str]:
        """The base and the versions whose file is known: a damaged one has no results."""
        return [v.name for v in self._versions.all() if v.sha256 or v.name == BASE]

    def start(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        sample = payload.get("sample")
        run = self._evaluation.start(
            payload.texts("versions"),
            # The service refuses a name that it does not know.
            cast("tuple[SuiteName, ...]", payload.texts("suites")),
            None if sample is None else payload.number("sample", 1, 0, MAX_SAMPLE),
            user.name,
        )
        return self._run(payload.language, run)

    def run(self, user: User, payload: Payload) -> Json:
        """How far an evaluation is."""
        Edge.require_admin(user)
        return self._run(payload.language, self._evaluation.run(payload.id("run")))

    def cancel(self, user: User, payload: Payload) -> Json:
        Edge.require_admin(user)
        return self._run(payload.language, self._evaluation.cancel(payload.id("run")))

    def _run(self, language: str, run: EvalRun) -> Json:
        values = dict(run.error_values or {})
        key = f"error.{run.error}"
        known = run.error is not None and key in self._texts.tables[language]
        said = (
            self._texts.say(language, key, **self._texts.named(language, values)) if known else ""
        )
        row = asdict(run)
        del row["error_values"], row["message"]
        return row | {"problem": said or run.message}


def version_json(version: Version) -> Json:
    return {"name": version.name, "method": version.method}


def report_json(report: SuiteReport) -> Json:
    return asdict(report) | {"version": report.subject.version}
