"""What becomes of a run whose trainer has ended: judged, published, put to use; or why not."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from javis.core.errors import JavisError, NotFound, TrainError, VersionError
from javis.core.evaluation import SuiteName
from javis.core.learning import TERMINAL, Check, TrainJob, Verdict
from javis.core.types import BASE, Version
from javis.engine.adapter import read_json
from javis.engine.models import same_model
from javis.eval.explain import verdict_json
from javis.eval.gate import Rule, judge, read_rule
from javis.eval.suite_gate import not_asked, worse_items
from javis.service.examining import Answers, CannotAnswer, Examiner, Interrupted
from javis.service.preferences import Preferences
from javis.service.run_files import LINE, turns_of
from javis.store import Store, now_iso
from javis.train.config import USED
from javis.train.process import Worker
from javis.train.supervisor import Supervisor
from javis.versions.publish import Proof, Publisher

LOG = logging.getLogger("javis.training")
CANCELLING = "cancelling"
"""The phase that says that the user wants it to end, whoever then sees it end."""
PROMOTING = "promoting"
"""The phase in which it is too late to cancel: the version goes into use this moment."""
STALLED = "stalled"
_KILLED = -9


class Shelf(Protocol):
    """The versions, of a running server or only on disk."""

    def all(self) -> Sequence[Version]: ...

    def current(self) -> str: ...

    def refresh(self) -> None: ...

    def promote(self, name: str, by: str, note: str = "") -> Version: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """Takes runs to their end. Call it holding the right to train, with the trainer dead."""

    store: Store
    supervisor: Supervisor
    publisher: Publisher
    versions: Shelf
    preferences: Preferences
    rule_file: Path
    examiner: Examiner | None = None
    """Asks the suites; without one the losses alone decide."""
    base_model: str | None = None
    """The model that is running, if it can be trained."""

    def settle(self, job: TrainJob) -> TrainJob:
        """The end of a run whose trainer lives no more."""
        result = self.supervisor.result(job.id)
        if job.phase == CANCELLING:
            return self.end(job, "cancelled")
        if job.reason == STALLED:
            return self.failed(
                job,
                TrainError("stalled", "The trainer gave no sign of life any more and was ended."),
            )
        if result and result["state"] == "cancelled":
            return self.end(job, "cancelled")
        if result is None:
            return self.failed(job, self._cause_of_death(job))
        if result["state"] != "trained":
            values = _mapping(result.get("values")) | {"message": result.get("message", "")}
            code = str(result.get("code") or "train_failed")
            return self.end(job, "failed", reason=code, reason_values=plain(values))
        try:
            self.require_base(job)
        except TrainError as error:
            return self.failed(job, error)
        began = time.monotonic()
        job = self.store.jobs.update(job.id, took=self._took(result))
        if job.dry_run:
            return self.end(job, "succeeded")
        try:
            self._judge(job, result)
            # The gate and the publishing may take longer than the training.
            took = self._took(result, time.monotonic() - began)
            return self.store.jobs.update(job.id, took=took)
        except Interrupted:
            # The next start of the program goes on where this one was.
            return self.store.jobs.get(job.id)
        except JavisError as error:
            if self._cancelled(job.id):
                return self.end(job, "cancelled")
            LOG.warning("run %s failed at its end: %s", job.id, error)
            return self.failed(job, error)

    def require_base(self, job: TrainJob) -> None:
        """A run is judged, tried out and published with the model that it trained."""
        if self.base_model is None or not same_model(job.base_model, self.base_model):
            raise TrainError(
                "run_of_other_base",
                "This run belongs to {base}, which is not running now. Start JAVIS with it and "
                "resume the run.",
                base=job.base_model,
            )

    def asking_seconds(self) -> float:
        """About how long the gate will ask questions. A rule that is broken says so at the end."""
        try:
            samples = self._samples(read_rule(self.rule_file))
        except JavisError:
            return 0.0
        return self.examiner.seconds(samples) if self.examiner else 0.0

    def _samples(self, rule: Rule) -> dict[SuiteName, int]:
        return {name: rule.suites.sample[name] for name in rule.suites.names}

    def publish(
        self, job: TrainJob, result: Mapping[str, Any], by: str, *, promote: bool
    ) -> TrainJob:
        """Make the candidate a version, and put it to use if that is wanted."""
        version = self._published(job) or replace(
            self.publisher, prove=self._unless_cancelled(job.id)
        ).publish(
            self.supervisor.folder(job.id) / "adapter",
            self._metadata(job, by),
            _report(job, result),
            job=job.id,
            by=by,
        )
        self.versions.refresh()
        job = self.store.jobs.update(job.id, version=version.name)
        if job.phase == CANCELLING:
            return self.end(job, "cancelled")
        reason: dict[str, Any] = {"reason": "", "reason_values": {}}
        if promote:
            try:
                # Publishing takes a while, too. Against the gate, the user decides.
                if not job.overridden_by and (changed := self._changed(job)):
                    raise TrainError(
                        "current_changed",
                        "The version in use changed during the run, from {was} to {now}. Look at "
                        "the new one and promote it yourself, or train again.",
                        **changed,
                    )
                if not job.overridden_by:
                    job = self._enter(job, PROMOTING)
                self.versions.promote(version.name, by, f"run {job.id}")
            except JavisError as error:
                if job.overridden_by or self._cancelled(job.id):
                    raise  # To the user who waits for it, or has cancelled it.
                # The version is there and good; which one answers is as before.
                reason = _reason(error)
        return self.end(job, "succeeded", **reason)

    def _unless_cancelled(self, job_id: str) -> Proof:
        """The publisher's proof; what was cancelled meanwhile is not published."""

        def prove(folder: Path) -> Mapping[str, Any]:
            found = self.publisher.prove(folder) if self.publisher.prove else {}
            if self.store.jobs.get(job_id).phase == CANCELLING:
                raise TrainError("run_cancelled", "The run was cancelled.")
            return found

        return prove

    def end(self, job: TrainJob, state: str, **changed: Any) -> TrainJob:
        """Write down how it ended, unless that has been done, or it was discarded since."""
        try:
            return self.store.jobs.end(job.id, state=state, ended_at=now_iso(), **changed)
        except NotFound:
            return replace(job, state="cancelled")

    def failed(self, job: TrainJob, error: JavisError) -> TrainJob:
        """The end by an error; the version that answers stays as it is."""
        return self.end(job, "failed", **_reason(error))

    def _judge(self, job: TrainJob, result: Mapping[str, Any]) -> TrainJob:
        verdict, answers = self._verdict(job, result)
        if unfair := self._not_held_against(job, result):
            verdict = replace(verdict, passed=False, checks=(*verdict.checks, unfair))
        said = verdict_json(verdict) | {"worse": worse_items(answers)}
        job = self.store.jobs.update(job.id, verdict=said)
        if not verdict.passed:
            failed = next(check for check in verdict.checks if not check.passed)
            values = plain(failed.values)
            return self.end(job, "rejected", reason=failed.name, reason_values=values)
        job = self._enter(job, "publishing")
        return self.publish(job, result, job.owner, promote=job.promote == "gate")

    def _verdict(self, job: TrainJob, result: Mapping[str, Any]) -> tuple[Verdict, Answers]:
        """What the gate says, and what the suites were answered."""
        rule = read_rule(self.rule_file)
        scores = _mapping(result.get("scores"))
        if scores.get("current"):
            scores["current"] = self._with_seen(scores["current"], job.data.get("parent"))
        verdict = judge(scores, rule)
        # One that is refused for its losses need not be asked for minutes.
        if not verdict.passed or not rule.suites.names or self.examiner is None:
            return verdict, {}
        self._enter(job, "evaluating")
        try:
            answers = self.examiner.answers(
                job,
                self.supervisor.folder(job.id),
                self._samples(rule),
                lambda: self._cancelled(job.id),
            )
        except CannotAnswer:
            return replace(verdict, checks=(*verdict.checks, not_asked())), {}
        return (judge(scores, rule, answers), answers) if answers else (verdict, {})

    def _with_seen(self, rows: Sequence[Mapping[str, Any]], name: object) -> list[dict[str, Any]]:
        """A version's scores, those marked that are of conversations it was trained on.

        As data grows, more is held out, also of what was trained on before.
        """
        learned = self._learned_by(name)
        seen = {row.get("conversation_id") for row in rows if row.get("turn_id") in learned}
        return [dict(row) | {"seen": row.get("conversation_id") in seen} for row in rows]

    def _learned_by(self, name: object) -> set[str]:
        """The turns that a version was trained on, as far as its run still tells."""
        path = next((v.path for v in self.versions.all() if v.name == name), None)
        try:
            turn_ids = turns_of(self.supervisor.folder(_run_of(Path(path or ""))))
        except NotFound:
            return set()
        learned = {turn for part in ("train", "replay") for turn in turn_ids.get(part, ())}
        # Lines of a file are other ones in another file.
        return {turn for turn in learned if not turn.startswith(LINE)}

    def _not_held_against(self, job: TrainJob, result: Mapping[str, Any]) -> Check | None:
        """The failed check of a run that was not held against the version in use."""
        if changed := self._changed(job):
            return Check("gate.current_changed", False, changed)
        parent = job.data.get("parent")
        if parent and not _mapping(result.get("scores")).get("current"):
            return Check("gate.current_scored", False, {"now": parent})
        return None

    def _changed(self, job: TrainJob) -> dict[str, str]:
        """The version in use when the run began and now, if that is another one."""
        was, now = job.data.get("parent") or BASE, self.versions.current()
        if now == was:
            return {}
        # The program may have died just after its own version was put to use.
        own = self._published(job)
        return {} if own and own.name == now else {"was": was, "now": now}

    def _enter(self, job: TrainJob, phase: str) -> TrainJob:
        """Go on to a phase. Raises TrainError when it was cancelled."""
        with self.store.db.storage.exclusive():
            if self._cancelled(job.id):
                raise TrainError("run_cancelled", "The run was cancelled.")
            return self.store.jobs.update(job.id, phase=phase)

    def _cancelled(self, job_id: str) -> bool:
        try:
            job = self.store.jobs.get(job_id)
        except NotFound:
            return True
        return job.phase == CANCELLING or job.state in TERMINAL

    def _cause_of_death(self, job: TrainJob) -> TrainError:
        status = None
        if job.pid is not None:
            status = self.supervisor.exit_status(Worker(job.pid, job.pid_started or 0.0))
        if status is None:
            return TrainError("interrupted", "The trainer was ended from outside. Resume the run.")
        if status == _KILLED:
            return TrainError(
                "killed",
                "The system ended the trainer, most often because the memory ran out. Take a "
                "smaller batch or shorter rows.",
            )
        return TrainError("crashed", "The trainer broke off; its log says more.")

    def _published(self, job: TrainJob) -> Version | None:
        """The version of this run, if the program died just after it was published."""
        for version in reversed(self.versions.all()):
            if version.name == BASE or version.damaged or version.path is None:
                continue
            if _run_of(Path(version.path)) == job.id:
                return version
        return None

    def _metadata(self, job: TrainJob, by: str) -> dict[str, Any]:
        wanted = {k: v for k, v in job.hyperparameters.items() if k in USED[job.method]}
        config = {
            "method": job.method,
            "epochs": wanted.get("epochs"),
            "learning_rate": wanted.get("learning_rate"),
            "lora_r": wanted.get("rank"),
            "lora_alpha": wanted.get("alpha"),
        }
        more = {k: v for k, v in wanted.items() if k not in ("epochs", "learning_rate")}
        against = f"Published by {by} against the gate." if job.overridden_by else ""
        verdict = job.verdict or {}
        return {
            "base_model": job.base_model,
            "training_data": {
                "total_conversations": job.data.get("conversations", 0),
                "total_turns": job.data.get("turns", 0),
                "date_range": job.data.get("date_range", []),
            },
            "training_config": config | {"hyperparameters": more},
            "notes": against,
            "parent": job.data.get("parent"),
            "manifest_sha256": job.data.get("manifest_sha256", ""),
            "run": job.id,
            "eval": {key: verdict.get(key) for key in ("passed", "losses", "suites", "rows")},
        }

    def _took(self, result: Mapping[str, Any], after_s: float = 0.0) -> dict[str, Any]:
        train = _mapping(result.get("train"))
        names = ("seconds", "steps", "tokens", "trainable_parameters", "peak_memory_bytes")
        took = {name: train[name] for name in names if isinstance(train.get(name), (int, float))}
        whole = float(train.get("total_seconds") or took.get("seconds", 0.0)) + after_s
        cost = self.preferences.prices().local(whole)
        return took | {"total_seconds": whole, "cost": cost}


def _reason(error: JavisError) -> dict[str, Any]:
    values = plain(error.values) | {"message": str(error)}
    return {"reason": error.code, "reason_values": values}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the store can keep them."""
    kinds = (str, int, float, bool, type(None))
    return {str(k): v if isinstance(v, kinds) else str(v) for k, v in values.items()}


def require_candidate(supervisor: Supervisor, job: TrainJob) -> Mapping[str, Any]:
    """The result of a run that has a trained adapter. Raises TrainError without one."""
    result = supervisor.result(job.id)
    if result is None or result["state"] != "trained":
        raise TrainError("no_candidate", "This run has nothing that could be published.")
    return result


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _report(job: TrainJob, result: Mapping[str, Any]) -> dict[str, Any]:
    train = _mapping(result.get("train"))
    curve = train.pop("curve", None) or []
    return {
        "verdict": dict(job.verdict or {}),
        "curve": curve,
        "samples": result.get("samples") or [],
        "train": train,
        "overridden_by": job.overridden_by,
    }


def _run_of(folder: Path) -> str:
    try:
        return str(read_json(folder / "metadata.json").get("run", ""))
    except VersionError:
        return ""
