"""A page on which nothing moves is not drawn sixty times a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.e2e.steps import last_turn, say

Open = Callable[..., Page]

COUNT = """
window.frames_asked = 0;
const real = window.requestAnimationFrame;
window.requestAnimationFrame = (work) => { window.frames_asked++; return real.call(window, work); };
"""


def frames_in(page: Page, milliseconds: int) -> int:
    """How many frames anything on the page asked for in so long."""
    before: Any = page.evaluate("window.frames_asked")
    page.wait_for_timeout(milliseconds)
    return int(page.evaluate("window.frames_asked")) - int(before)


def test_a_page_that_rests_asks_for_no_frames(open_page: Open) -> None:
    page = open_page()
    page.context.add_init_script(COUNT)
    page.reload()
    page.wait_for_selector("body.jv-booted")
    assert page.evaluate("window.frames_asked") > 0, "nothing is counted"
    # Gradio's sign that it is loading swings out for a few seconds.
    assert any(frames_in(page, 1000) < 4 for _ in range(10))
    say(page, "count for me")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("3 4 5")
    # Nothing of Gradio's moves either while an answer grows; the page draws when a frame comes.
    assert frames_in(page, 500) < 12
