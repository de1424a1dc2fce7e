"""The gate's checks as English sentences with their numbers, for reports and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from javis.core.learning import Check, Verdict

_SENTENCES = {
    "gate.enough_rows": (
        "{have} held-out conversations were scored, at least {need} are needed.",
        "{have} held-out conversations are too few to tell luck from learning: {missing} more "
        "are needed.",
    ),
    "gate.same_rows": (
        "All were scored on the same held-out rows.",
        "They were not scored on the same held-out rows: {different} differ.",
    ),
    "gate.finite": (
        "Every score is a number.",
        "{bad} scores are no numbers: the training has gone wrong.",
    ),
    "gate.better_than_base": (
        "The loss on held-out answers is {candidate:.3f}, {percent:+.1f} % against the base's "
        "{other:.3f} ({interval}).",
        "The loss on held-out answers is {candidate:.3f} against the base's {other:.3f}: "
        "not lower beyond chance ({interval}).",
    ),
    "gate.close_to_base": (
        "The loss on held-out answers, {candidate:.3f}, stays near the base's {other:.3f} "
        "({interval}; at most {allowed:+.2f}).",
        "The loss on held-out answers rises from {other:.3f} to {candidate:.3f} ({interval}; at "
        "most {allowed:+.2f}): it forgets how to answer.",
    ),
    "gate.no_disaster": (
        "{worse} of {rows} answers are more than {limit:g} nats per token worse than with the "
        "base; {allowed} are allowed.",
        "{worse} of {rows} answers are more than {limit:g} nats per token worse than with the "
        "base; only {allowed} are allowed.",
    ),
    "gate.answers_fit": (
        "Held-out answers fit their own questions better than others, by {difference:.2f} nats per "
        "token ({interval}).",
        "Held-out answers do not fit their own questions better than others beyond chance "
        "({difference:+.2f} nats per token; {interval}): it learned how answers look, not what to "
        "answer. Do the answers belong to their questions?",
    ),
    "gate.margin_raised": (
        "Good answers are preferred more than before: the margin rises from {other:.3f} to "
        "{candidate:.3f} on {pairs} held-out pairs ({interval}).",
        "Good answers are not preferred more than before, beyond chance, on {pairs} held-out "
        "pairs{interval_after}.",
    ),
    "gate.liked_raised": (
        "Against the base, liked answers gain {difference:.3f} nats per token on disliked ones, in "
        "{liked} held-out conversations with liked and {disliked} with disliked answers "
        "({interval}).",
        "Against the base, liked answers do not gain on disliked ones beyond chance: "
        "{difference:+.3f} nats per token, in {liked} held-out conversations with liked and "
        "{disliked} with disliked answers ({interval}).",
    ),
    "gate.too_few_disliked": (
        "Held-out conversations with disliked answers: {have}. {need} are needed to tell whether "
        "liked answers are preferred more than before, so the loss alone decides.",
        "Held-out conversations with disliked answers: {have}. {need} are needed to tell whether "
        "liked answers are preferred more than before.",
    ),
    "gate.not_worse_than_current": (
        "Against the version in use the loss changes by {difference:+.3f} ({interval}); at most "
        "{allowed:+.2f} is allowed.",
        "It is worse than the version in use by {difference:+.3f} ({interval}); at most "
        "{allowed:+.2f} is allowed.",
    ),
    "gate.current_changed": (
        "The version in use is the one it was held against.",
        "The version in use changed during the run, from {was} to {now}, so it was not held "
        "against that. Publish it yourself after a look, or train again.",
    ),
    "gate.current_scored": (
        "The version in use, {now}, was scored too.",
        "The version in use, {now}, could not be scored, so it was not held against that. Publish "
        "it yourself after a look.",
    ),
    "gate.same_items": (
        "All answered the same questions of the suites.",
        "Not all answered the same questions of the suites: {different} differ.",
    ),
    "gate.suites_not_asked": (
        "The suites were not asked, as this engine cannot answer with such an adapter.",
        "The suites could not be asked.",
    ),
    "gate.suite_too_few": (
        "{suite}: {candidate:.1f} points of 100 on {items} questions, against {other:.1f}: too few "
        "to tell a fall from chance, {need} are needed.",
        "{suite}: {items} questions are too few to tell a fall from chance, {need} are needed.",
    ),
    "gate.suite_kept": (
        "{suite}: {candidate:.1f} points of 100 on {items} questions, {other:.1f} before "
        "({interval}; a fall of {allowed:g} is allowed, and what may be chance).",
        "{suite}: it falls from {other:.1f} to {candidate:.1f} points of 100 on {items} questions, "
        "beyond chance ({interval}); {allowed:g} are allowed.",
    ),
    "gate.suite_near_base": (
        "{suite}: {candidate:.1f} points of 100 on {items} questions, the base {other:.1f} "
        "({interval}; {allowed:g} less are allowed, and what may be chance).",
        "{suite}: {candidate:.1f} points of 100 on {items} questions are fewer than the base's "
        "{other:.1f}, beyond chance ({interval}); {allowed:g} less are allowed.",
    ),
}


def explain(check: Check) -> str:
    """One sentence for a check."""
    passed, failed = _SENTENCES[check.name]
    values = dict(check.values)
    interval = _interval(values)
    after = f" ({interval})" if "low" in values else ""
    if "difference" not in values and check.name == "gate.not_worse_than_current":
        return "No held-out row has a loss to hold against the version in use."
    sentence = passed if check.passed else failed
    return sentence.format(**values, interval=interval, interval_after=after)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON, each check with its sentence."""
    checks = [
        asdict(check) | {"values": dict(check.values), "text": explain(check)}
        for check in verdict.checks
    ]
    return {
        "passed": verdict.passed,
        "checks": checks,
        "losses": dict(verdict.losses),
        "rows": verdict.rows,
        "suites": {name: dict(means) for name, means in verdict.suites.items()},
    }


def _interval(values: Mapping[str, Any]) -> str:
    if values.get("low") is None or values.get("high") is None:
        return "one alone, so no interval"
    share = f"{100 * values['confidence']:g}"
    return f"{share} % interval {values['low']:+.3f} to {values['high']:+.3f}"
