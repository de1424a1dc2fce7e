"""What several tests share, and the rule that CI skips nothing it must run."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = ROOT / "models/base/SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf"

if sys.version_info < (3, 12):
    # A thread that logs an error parses the line for its marks. The parser of these Pythons is not
    # safe across threads (gh-106905): a test that parses sources would now and then fail with
    # "AST constructor recursion depth mismatch".
    traceback._extract_caret_anchors_from_line_segment = lambda segment: None  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def embedded_gguf() -> Path:
    """The embedded model; `python launch.py test` and `javis fetch` put it there."""
    assert EMBEDDED.is_file(), "run `javis fetch` (or `python launch.py test`) first"
    return EMBEDDED


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure, but for those that need a graphics card."""
    if not os.environ.get("CI") or hasattr(session.config, "workerinput"):
        return  # Of two processes (`-n 2`) a third one knows what became of all tests.
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [r for r in reporter.stats.get("skipped", []) if "gpu" not in r.keywords]
    if skipped and session.exitstatus == 0:
        reporter.write_line(f"CI must run every test; skipped: {[r.nodeid for r in skipped]}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
