"""What a version is asked, and how its answers are marked."""

from __future__ import annotations

from javis.core.evaluation import Suite, SuiteName
from javis.eval.suites.agent import AgentSuite
from javis.eval.suites.health import HealthSuite
from javis.eval.suites.instruction import InstructionSuite
from javis.eval.suites.knowledge import KnowledgeSuite


def suites() -> dict[SuiteName, Suite]:
    """The suites that need nothing of the user's."""
    found: list[Suite] = [InstructionSuite(), KnowledgeSuite(), AgentSuite(), HealthSuite()]
    return {suite.name: suite for suite in found}
