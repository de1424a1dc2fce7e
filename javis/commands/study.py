"""`javis compare --methods`: train several methods on the same data, ask them the same questions,
and put them side by side. What cannot be trained or asked here is said, not left out silently."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from javis.commands import compare, evaluate
from javis.commands import train as training
from javis.core.errors import JavisError, UserInputError
from javis.core.evaluation import SUITES, SuiteName
from javis.core.learning import METHODS, Method, TrainJob
from javis.core.settings import Settings
from javis.core.types import BASE
from javis.eval.comparison import Note
from javis.service.evaluation import EvalService
from javis.service.learning import Learning
from javis.store import Store
from javis.train.supervisor import Supervisor

Say = Callable[[str], None]
SHORT: Mapping[str, Method] = {
    "lora": "sft-lora",
    "qlora": "sft-qlora",
    "prompt": "prompt-tuning",
}
"""Short names of methods; the others are short already."""


@dataclass(slots=True)
class Findings:
    """What a study has so far."""

    names: list[str] = field(default_factory=list)
    """Versions, and ids of runs that became none because the gate refused them."""
    notes: list[Note] = field(default_factory=list)


def methods_of(text: str) -> list[Method]:
    """`lora,dpo` as methods, each once. Raises UserInputError."""
    found: list[Method] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        method = SHORT.get(name, name)
        if method not in METHODS:
            raise UserInputError(
                "bad_method",
                "'{method}' is no way to train; there are {methods}.",
                method=name[:40],
                methods=", ".join([*SHORT, *METHODS]),
            )
        if method not in found:
            found.append(method)
    if not found:
        raise UserInputError("no_methods", "Name at least one method.")
    return found


def suites_of(text: str | None) -> list[SuiteName] | None:
    """`health,agent` as names; `none` is none, nothing said is all. Raises UserInputError."""
    if text is None:
        return None
    found: list[SuiteName] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name not in (*SUITES, "none"):
            raise UserInputError("no_suite", "There is no suite {name}.", name=name[:40])
        if name != "none":
            found.append(name)  # type: ignore[arg-type]
    return found


def run(
    settings: Settings,
    store: Store,
    say: Say,
    methods: Sequence[Method],
    *,
    names: Sequence[str] = (),
    preset: str,
    max_steps: int | None,
    suites: Sequence[SuiteName] | None,
    sample: int | None,
) -> None:
    """The whole study. Ctrl+C leaves it: what is finished is kept, and a training that goes on
    is brought to its end by a running server.

    `names` are versions to be put beside what is trained. `suites` None takes all that have
    questions, an empty list none.
    """
    with compare.opened(settings, store) as service:
        # A mistyped name is told before hours of training.
        service.table([BASE, *names])
    findings = Findings([name for name in names if name != BASE])
    learning = training.open_learning(settings, store, say)
    try:
        for method in methods:
            train(learning, method, findings, say, preset=preset, max_steps=max_steps)
    finally:
        learning.training.let_go()
    if findings.names and suites != []:
        ask(settings, store, findings, say, suites, sample)
    compare.run(settings, store, say, [BASE, *findings.names], notes=findings.notes)


def train(
    learning: Learning,
    method: Method,
    findings: Findings,
    say: Say,
    *,
    preset: str,
    max_steps: int | None,
) -> None:
    """Train one method and note what became of it."""
    say(f"-- {method}")
    try:
        learning.keeper.tick()
        values: dict[str, Any] = dict(learning.training.form(method, preset).values)
        if max_steps:
            values["max_steps"] = max_steps
        job = learning.training.start(
            training.OWNER, method, hyperparameters=values, promote="never"
        )
    except JavisError as error:
        _not_trained(findings, method, str(error), say)
        return
    job = training.watch(learning, job, say)
    for line in training.outcome(learning.training, job):
        say(line)
    if job.version:
        findings.names.append(job.version)
    elif job.state == "rejected":
        # The gate keeps it from answering; its numbers are what a study is about.
        findings.names.append(job.id)
    else:
        _not_trained(findings, method, _why(job), say)


def ask(
    settings: Settings,
    store: Store,
    findings: Findings,
    say: Say,
    suites: Sequence[SuiteName] | None,
    sample: int | None,
) -> None:
    """Ask the base and everything trained the same questions; answers there are, are kept."""
    with (
        evaluate.suites_of(settings) as known,
        evaluate.opened(settings, known, say) as service,
    ):
        offered = known()
        chosen = [
            name
            for name in SUITES
            if name in offered and offered[name].items() and (suites is None or name in suites)
        ]
        if not chosen:
            return
        for name in [BASE, *findings.names]:
            say(f"-- asking {name}")
            try:
                why = _ask_one(service, settings, store, name, chosen, sample, say)
            except KeyboardInterrupt:
                say("The other questions are left out.")
                return
            except JavisError as error:
                why = str(error)
            if why:
                say(why)
                findings.notes.append(Note("not_asked", {"versions": [name], "why": why}))


def _ask_one(
    service: EvalService,
    settings: Settings,
    store: Store,
    name: str,
    suites: Sequence[SuiteName],
    sample: int | None,
    say: Say,
) -> str:
    """Returns why not all could be asked; "" when all was. KeyboardInterrupt when it was left."""
    if name.startswith("j_"):
        job = store.jobs.get(name)
        adapter = Supervisor(settings.data_dir / "runs").folder(job.id) / "adapter"
        service.of_candidate(job.id, adapter, suites, sample, threading.Event())
        return ""
    run = service.start([name], suites, sample, evaluate.OWNER)
    ended = evaluate.follow(service, run, say)
    if ended.state == "cancelled":
        raise KeyboardInterrupt
    return ended.message if ended.state == "failed" else ""


def _not_trained(findings: Findings, method: Method, why: str, say: Say) -> None:
    say(why)
    findings.notes.append(Note("not_trained", {"method": method, "why": why}))


def _why(job: TrainJob) -> str:
    return str(job.reason_values.get("message") or job.reason or job.state)
