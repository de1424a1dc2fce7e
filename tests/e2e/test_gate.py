"""The suites of the gate as the admin sees them: how far they are, and what stopped a candidate."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from javis.core.types import Message, SamplingParams
from javis.engine.scripted import ScriptedEngine
from tests.e2e.conftest import Open
from tests.e2e.serving import Served, Trainer, serve


def stutter(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    """What the candidate says nobody wants to read."""
    if version == "candidate":
        return "no no no no no no no no no no no no no no no no no no no no no no no no"
    korean = any("가" <= c <= "힣" for c in messages[-1].content)
    return "물론입니다. 차근차근 말씀드릴게요." if korean else "Of course. Here it is, in steps."


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Served]:
    talks = [
        {"turns": [{"user": f"question {n}", "assistant": f"answer {n * 7919}", "rating": "good"}]}
        for n in range(40)
    ]
    engine = ScriptedEngine(stutter, context_tokens=2048, delay_s=0.02)
    engine.info = replace(engine.info, model="smollm2-135m", title="SmolLM2 135M")
    with serve(tmp_path, engine, build=Trainer()) as one:
        one.services.library.bring_in("local", {"conversations": talks})
        rule = {"suites": {"names": ["health", "golden"]}}
        (one.services.settings.data_dir / "gate.json").write_text(json.dumps(rule))
        yield one


def test_a_candidate_that_stutters_is_stopped_and_the_table_says_by_how_much(
    open_page: Open, site: Served
) -> None:
    page = open_page("#admin/train", server=site)
    page.locator("#jv-train-start").click()
    expect(page.locator(".jv-live .jv-tag")).to_have_text("Evaluating", timeout=20_000)
    expect(page.locator(".jv-live-facts")).to_contain_text("of 48 questions asked")
    outcome = page.locator(".jv-outcome")
    expect(outcome).to_contain_text("The candidate did not pass", timeout=30_000)
    expect(outcome.locator(".jv-verdict")).to_contain_text("Healthy answers: it falls from")
    failed = outcome.locator("tr.is-failed")
    expect(failed).to_have_count(1)
    expect(failed).to_contain_text("to 0 points of 100 on 24 questions; 5 are allowed")
    expect(failed.locator("td").last).to_contain_text("(90 %)")
    assert site.services.versions.current() == "base"
    site.services.training.override(site.services.training.jobs()[0].id, "local")
    page = open_page("#admin/versions", server=site, locale="ko-KR")
    row = page.locator("tr.is-failed").first
    expect(row).to_contain_text("온전한 답변: 문제 24개에서", timeout=20_000)
