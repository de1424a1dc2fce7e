"""What a person does on the page, named once."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

TEXT = "#jv-text"


def say(page: Page, text: str) -> None:
    """Write a message and send it; the answer is still coming."""
    page.fill(TEXT, text)
    page.press(TEXT, "Enter")


def last_turn(page: Page) -> Locator:
    return page.locator(".jv-turn").last


def answered(page: Page) -> Locator:
    """The last turn, once its answer is complete."""
    turn = last_turn(page)
    expect(turn.locator('[data-act="copy"]')).to_be_visible()
    return turn


def chat(page: Page, text: str) -> Locator:
    say(page, text)
    expect(last_turn(page).locator(".jv-bubble")).to_have_text(text.strip())
    return answered(page)


def act(turn: Locator, name: str) -> Locator:
    """A button of a turn."""
    return turn.locator(f'[data-act="{name}"]')


def turn_id(turn: Locator) -> str:
    return turn.get_attribute("data-turn-id") or ""
