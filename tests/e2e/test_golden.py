"""The golden set by one click, in Chromium: in the chat, and by key in Review."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Open
from tests.e2e.serving import Served, scripted, serve
from tests.e2e.steps import act, chat, last_turn, turn_id


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    with serve(tmp_path, scripted()) as one:
        yield one


def test_a_star_in_the_chat_stays_over_a_reload(open_page: Open, own: Served) -> None:
    page = open_page(server=own)
    turn = chat(page, "Which tea?")
    star = act(turn, "golden")
    expect(star).to_have_attribute("aria-pressed", "false")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".jv-toast")).to_contain_text("every version will be asked this")
    assert own.services.golden.ids() == [turn_id(turn)]
    page.reload()
    page.wait_for_selector("body.jv-booted")
    expect(act(last_turn(page), "golden")).to_have_attribute("aria-pressed", "true")
    act(last_turn(page), "golden").press("Enter")
    expect(act(last_turn(page), "golden")).to_have_attribute("aria-pressed", "false")
    assert own.services.golden.ids() == []


def test_a_star_in_review_by_key(open_page: Open, own: Served) -> None:
    turn = {"user": "Tea?", "assistant": "No.", "rating": "bad"}
    own.services.library.bring_in("local", {"conversations": [{"title": "t", "turns": [turn]}]})
    page = open_page("#review", server=own, locale="ko-KR")
    star = page.locator("#jv-review-body [data-golden]")
    expect(star).to_have_attribute("aria-label", "골든 세트: 모든 버전에 물어보기")
    page.keyboard.press("g")
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".jv-toast")).to_contain_text("원하는 답변을 써 주세요")
    assert len(own.services.golden.rows()) == 1
    page.locator("#jv-review-more").click()
    page.locator("#jv-golden summary").click()
    listed = page.locator("#jv-golden li")
    expect(listed).to_contain_text("Tea?")
    expect(listed).to_contain_text("아직 비교할 답변이 없습니다")
    listed.locator("[data-golden]").click()
    expect(star).to_have_attribute("aria-pressed", "false")
    expect(listed.locator("[data-golden]")).to_have_attribute("aria-pressed", "false")
    assert own.services.golden.rows() == []


def test_only_the_admin_sees_stars(open_page: Open, own: Served) -> None:
    page: Page = open_page(server=own, user="eve")
    turn = chat(page, "Hi")
    expect(act(turn, "branch")).to_be_visible()
    expect(act(turn, "golden")).to_have_count(0)
