"""A file that does not get through says so: no server, or a proxy that answers with a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Open

GONE = "Promise.reject(new TypeError('Failed to fetch'))"
PAGE = "Promise.resolve(new Response('<h1>413 Too Large</h1>', { status: 413 }))"
FAULTS = pytest.mark.parametrize("fault", [GONE, PAGE], ids=["gone", "page"])
BIG = "x" * 2_000_001
"""Too big for an event: it goes through the route."""


def give(page: Page, field: str, file: Path, fault: str) -> None:
    # Not a routed answer: a browser logs every refused request as an error.
    page.evaluate(
        f"""() => {{
            const whole = window.fetch;
            window.fetch = (path, how) =>
                /^api.*(import|take-in)$/.test(path) ? {fault} : whole(path, how);
        }}"""
    )
    file.write_text(BIG, "utf-8")
    page.set_input_files(field, file)


@FAULTS
def test_conversations(open_page: Open, tmp_path: Path, fault: str) -> None:
    page = open_page(user="bringer")
    give(page, "#jv-file", tmp_path / "talks.json", fault)
    expect(page.locator(".jv-notice")).to_contain_text("JAVIS does not answer.")


@FAULTS
def test_rows_for_review(open_page: Open, tmp_path: Path, fault: str) -> None:
    page = open_page("#review")
    page.click("#jv-review-more")
    give(page, "#jv-take-in", tmp_path / "rows.jsonl", fault)
    expect(page.locator(".jv-toast")).to_contain_text("JAVIS does not answer.")
    expect(page.locator(".jv-report")).to_be_empty()


@FAULTS
def test_a_version(open_page: Open, tmp_path: Path, fault: str) -> None:
    page = open_page("#admin/versions")
    give(page, "#jv-version-file", tmp_path / "version.zip", fault)
    toast = page.locator(".jv-toast").last
    expect(toast).to_contain_text("The adapter was not imported. JAVIS does not answer.")
