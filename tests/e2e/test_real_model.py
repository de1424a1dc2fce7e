"""The promise of the README in a real browser, with the real model: rate, correct, crash, go on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.steps import act
from tests.live import Live


@pytest.fixture
def live(tmp_path: Path, embedded_gguf: Path) -> Iterator[Live]:
    live = Live(tmp_path / "data")
    yield live
    if live.process.poll() is None:
        live.kill(signal.SIGTERM)


def begin_a_long_answer(page: Page) -> int:
    """Ask until an answer is long and still being written; the number of questions it took.

    The model draws its words: about one story in thirty is over before this length.
    """
    turns = page.locator(".jv-turn")
    for asked in range(1, 6):
        before = turns.count()
        composer = page.locator("textarea:visible").first
        composer.fill("Write a very long story about a dog who travels around the world.")
        composer.press("Enter")
        expect(turns).to_have_count(before + 1, timeout=60_000)
        last = turns.last
        while not act(last, "bad").is_visible():  # what can be rated is finished
            if len(last.locator(".jv-md").text_content() or "") > 300:
                return asked
            page.wait_for_timeout(20)
    raise AssertionError(f"every answer was short: {page.locator('#jv-turns').inner_text()}")


def test_what_a_new_user_says_and_rates_survives_a_crash(live: Live, browser: Browser) -> None:
    page = browser.new_page(locale="en-US")
    page.goto(live.address)
    composer = page.locator("textarea:visible").first
    composer.fill("What is 2+2? Answer in one sentence.")
    composer.press("Enter")
    first = page.locator(".jv-turn").first
    expect(act(first, "bad")).to_be_visible(timeout=60_000)
    expect(first.locator(".jv-md")).not_to_be_empty()
    act(first, "bad").click()
    panel = first.locator(".jv-panel")
    panel.get_by_role("button", name="Too long").click()
    panel.locator("summary").click()
    panel.locator("textarea").fill("Four.")
    panel.get_by_role("button", name="Save").click()
    expect(first.locator(".jv-note")).to_contain_text("You wrote the answer you wanted.")
    address = page.url

    asked = begin_a_long_answer(page)
    live.kill()
    live.start()

    conversation = address.split("c=")[1].split("&")[0]
    page.goto(f"{live.address}/?c={conversation}")
    turns = page.locator(".jv-turn")
    expect(turns).to_have_count(1 + asked)
    expect(turns.first.locator(".jv-note")).to_contain_text("You wrote the answer you wanted.")
    kept = turns.last.locator(".jv-md").text_content() or ""
    assert len(kept) > 50
    # The answer that was cut off can be asked for again.
    turns.last.get_by_role("button", name="again").first.click()
    expect(turns.last.locator(".jv-md")).not_to_have_text(kept, timeout=60_000)
    page.close()
