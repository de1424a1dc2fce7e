"""The list of conversations, the two languages, light and dark, small screens and the keyboard."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.conftest import Open
from tests.e2e.serving import Served
from tests.e2e.steps import TEXT, act, chat, last_turn, say


def test_delete_and_undo(open_page: Open) -> None:
    page = open_page(user="delete")
    chat(page, "keep me")
    row = page.locator(".jv-item")
    row.hover()
    row.get_by_role("button", name=re.compile("^More")).click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(row).to_have_count(0)
    expect(page.locator("#jv-hello h1")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(row).to_have_count(1)
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("keep me")


def test_rename_and_search(open_page: Open) -> None:
    page = open_page(user="search")
    chat(page, "about apples")
    page.click("#jv-new")
    chat(page, "about bananas")
    row = page.locator(".jv-item").first
    row.hover()
    row.get_by_role("button", name=re.compile("^More")).click()
    page.keyboard.press("Enter")
    page.locator(".jv-rename").fill("Yellow fruit")
    page.keyboard.press("Enter")
    expect(page.locator(".jv-open").first).to_have_text("Yellow fruit")
    expect(page.locator("#jv-title")).to_have_text("Yellow fruit")
    page.fill("#jv-search", "apples")
    expect(page.locator(".jv-open")).to_have_count(1)
    expect(page.locator(".jv-open")).to_have_text("about apples")
    page.fill("#jv-search", "no such words")
    expect(page.locator(".jv-none")).to_have_text("Nothing found.")
    page.fill("#jv-search", "")
    expect(page.locator(".jv-open")).to_have_count(2)


def test_an_escape_that_ends_a_syllable_keeps_the_new_name(open_page: Open) -> None:
    page = open_page(user="rename")
    chat(page, "about cherries")
    row = page.locator(".jv-item").first
    row.hover()
    row.get_by_role("button", name=re.compile("^More")).click()
    page.keyboard.press("Enter")
    field = page.locator(".jv-rename")
    field.fill("붉은 과일")
    composing = {"key": "Escape", "keyCode": 229, "isComposing": True, "bubbles": True}
    field.dispatch_event("keydown", composing)
    expect(field).to_have_value("붉은 과일")
    page.keyboard.press("Enter")
    expect(page.locator(".jv-open").first).to_have_text("붉은 과일")


def test_import_and_export(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    turns = [{"user": "from afar", "assistant": "**hello**", "rating": "good"}]
    file = tmp_path / "talks.json"
    file.write_text(json.dumps({"conversations": [{"title": "Brought", "turns": turns}]}))
    page.set_input_files("#jv-file", file)
    expect(last_turn(page).locator(".jv-md strong")).to_have_text("hello")
    expect(act(last_turn(page), "good")).to_have_attribute("aria-pressed", "true")
    row = page.locator(".jv-item", has_text="Brought")
    row.hover()
    row.get_by_role("button", name=re.compile("^More")).click()
    with page.expect_download() as saved:
        page.get_by_role("menuitem", name="Export as JSON").click()
    assert "from afar" in Path(saved.value.path()).read_text(encoding="utf-8")
    row.hover()
    row.get_by_role("button", name=re.compile("^More")).click()
    with page.expect_download() as saved:
        page.get_by_role("menuitem", name="Export as Markdown").click()
    document = tmp_path / "talk.md"
    document.write_bytes(Path(saved.value.path()).read_bytes())
    page.set_input_files("#jv-file", document)
    expect(page.locator(".jv-item", has_text="Brought")).to_have_count(2)
    expect(last_turn(page).locator(".jv-md strong")).to_have_text("hello")
    expect(act(last_turn(page), "good")).to_have_attribute("aria-pressed", "false")
    document.write_text("# notes\n\nnothing of ours")
    page.set_input_files("#jv-file", document)
    expect(page.locator(".jv-notice")).to_contain_text("none that JAVIS exported")
    file.write_text("{ not json")
    page.set_input_files("#jv-file", file)
    expect(page.locator(".jv-notice")).to_contain_text("nothing was imported")


def test_the_language_switch_keeps_the_draft(open_page: Open) -> None:
    page = open_page(user="tongue")
    chat(page, "hello")
    page.fill(TEXT, "half a thought")
    page.click("#jv-lang")
    expect(page.locator("#jv-new")).to_have_text("새 대화")
    expect(page.locator(TEXT)).to_have_value("half a thought")
    expect(page.locator(TEXT)).to_have_attribute("placeholder", "메시지를 입력하세요")
    expect(act(last_turn(page), "good")).to_have_attribute("aria-label", "좋은 답변")
    expect(page.locator("#jv-temperature [data-testid=block-info]")).to_have_text("온도")
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    page.reload()
    expect(page.locator("#jv-new")).to_have_text("새 대화")


def test_korean_comes_from_the_browser(open_page: Open) -> None:
    page = open_page(user="korean", locale="ko-KR")
    expect(page.locator("#jv-hello h1")).to_have_text("무슨 이야기를 나눠 볼까요?")
    expect(page.locator(".jv-sub")).to_contain_text("영어만 할 줄 압니다")
    page.click("#jv-tune")
    page.locator("#jv-seed input").fill("x")
    say(page, "안녕하세요")
    expect(page.locator(".jv-notice")).to_contain_text("시드 값은 정수여야 합니다.")


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_dark_follows_the_system_and_can_be_chosen(open_page: Open) -> None:
    page = open_page(user="dark", color_scheme="dark")
    assert background(page) == "rgb(31, 30, 28)"
    page.click("#jv-theme")
    page.get_by_role("menuitem", name="Light").click()
    assert background(page) == "rgb(250, 248, 245)"
    page.reload()
    page.wait_for_selector("body.jv-booted")
    assert background(page) == "rgb(250, 248, 245)"


def test_a_phone_has_a_drawer_and_nothing_sticks_out(open_page: Open) -> None:
    page = open_page(user="phone", viewport={"width": 390, "height": 844})
    chat(page, "something long")
    nav = page.locator("#jv-nav")
    expect(nav).to_be_hidden()
    page.click("#jv-show")
    expect(nav).to_be_visible()
    page.locator(".jv-open").first.click()
    expect(nav).to_be_hidden()
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(wide)
    tall = "document.documentElement.scrollHeight > innerHeight"
    assert not page.evaluate(tall)


def test_keyboard_alone_reaches_everything(open_page: Open) -> None:
    page = open_page(user="keys")
    page.keyboard.type("typed without a click")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    expect(page.locator(TEXT)).to_have_value("typed without a click\nsecond line")
    page.keyboard.press("Enter")
    expect(act(last_turn(page), "bad")).to_be_visible()
    act(last_turn(page), "bad").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".jv-panel")).to_be_visible()
    expect(act(last_turn(page), "bad")).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.locator("#jv-search")).to_be_focused()
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, input, textarea, select, a[href]')]
        .filter((n) => n.offsetParent && !(n.ariaLabel || n.innerText.trim() || n.labels?.length))
        .map((n) => n.outerHTML.slice(0, 120))"""
    )
    assert unnamed == []


def test_an_enter_that_ends_a_syllable_sends_nothing(open_page: Open) -> None:
    page = open_page(user="ime", locale="ko-KR")
    page.focus(TEXT)
    cdp = page.context.new_cdp_session(page)
    cdp.send("Input.imeSetComposition", {"text": "한", "selectionStart": 1, "selectionEnd": 1})
    page.evaluate(
        """document.getElementById("jv-text").dispatchEvent(new KeyboardEvent("keydown",
        {key: "Enter", keyCode: 229, isComposing: true, bubbles: true, cancelable: true}))"""
    )
    cdp.send("Input.insertText", {"text": "한글"})
    expect(page.locator(TEXT)).to_have_value("한글")
    expect(page.locator(".jv-turn")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator(".jv-turn")).to_have_count(1)
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("한글")


def test_the_answer_is_followed_only_from_the_end(open_page: Open) -> None:
    page = open_page(user="scroll", viewport={"width": 800, "height": 420})
    chat(page, "something long")
    say(page, "count")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("40 41")
    page.evaluate("document.getElementById('jv-scroll').scrollTop = 0")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("80 81")
    assert page.evaluate("document.getElementById('jv-scroll').scrollTop") == 0
    page.click("#jv-to-end")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("120 121")
    gap = (
        "(s => s.scrollHeight - s.scrollTop - s.clientHeight)(document.getElementById('jv-scroll'))"
    )
    assert page.evaluate(gap) < 60
    page.keyboard.press("Escape")


def test_a_small_question_says_soon_that_the_session_is_gone(
    browser: Browser, served: Served
) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=401, json={"error": {"message": "Log in first."}})

    # Not `open_page`: a browser logs every refused request as an error.
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.goto(served.url)
        page.wait_for_selector("body.jv-booted")
        page.route("**/run/predict*", refuse)
        page.route("**/api/readiness", refuse)
        page.click("#jv-tab-review")
        nothing = page.locator(".jv-nothing")
        expect(nothing).to_contain_text("You are logged out.", timeout=8_000)
        page.unroute("**/run/predict*")
        page.unroute("**/api/readiness")
        nothing.get_by_role("button", name="Try again").click()
        expect(page.locator("#jv-review-head .jv-legend")).to_be_visible()


def test_the_address_names_the_view(open_page: Open) -> None:
    page = open_page("#admin/versions")
    expect(page.locator("#jv-tab-admin")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".jv-timeline")).to_be_visible()
    page.click("#jv-tab-review")
    page.get_by_role("button", name="List").click()
    page.click("#jv-lang")
    expect(page.locator("#jv-review-head h1")).to_have_text("검토")
    page.reload()
    listed = page.get_by_role("button", name="목록", exact=True)
    expect(listed).to_have_attribute("aria-pressed", "true")
    page.go_back()
    page.go_back()
    expect(page.locator(".jv-timeline")).to_be_visible()
    page.focus("#jv-tab-admin")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#jv-tab-chat")).to_be_focused()
    expect(page.locator(TEXT)).to_be_visible()
    stranger = open_page("#admin/versions", user="eve")
    expect(stranger.locator(TEXT)).to_be_visible()
    expect(stranger.locator("#jv-review, #jv-admin").first).to_be_hidden()


def test_a_start_whose_reply_was_lost_asks_again(open_page: Open) -> None:
    """As it happens while Gradio still sets its parts up on a busy machine."""
    page = open_page()
    boots = 0

    def lose_the_first(route: Route) -> None:
        nonlocal boots
        body = route.request.post_data or ""
        is_boot = '"kind":"boot"' in body
        boots += is_boot
        if is_boot and boots == 1:
            # Answered, but to a question that no page asked.
            route.continue_(post_data=re.sub(r'"call":"c\d+"', '"call":"lost"', body))
        else:
            route.continue_()

    page.route("**/gradio_api/run/**", lose_the_first)
    page.reload()
    page.wait_for_selector("body.jv-booted", timeout=20_000)
    assert boots == 2
    expect(page.locator(".jv-notice")).to_have_count(0)


def test_a_list_closes_behind_the_keyboard_and_takes_escape_for_itself(open_page: Open) -> None:
    page = open_page(user="lists")
    lists = page.locator("[role=listbox]")
    page.focus(TEXT)
    page.keyboard.press("Tab")
    expect(lists).to_have_count(1)
    page.keyboard.press("Tab")
    expect(lists).to_have_count(0)
    page.click("#jv-tune")
    expect(page.locator("body")).to_have_class(re.compile("jv-advanced-open"))
    page.click("#jv-preset input")
    expect(lists).to_have_count(1)
    page.keyboard.press("Escape")
    expect(lists).to_have_count(0)
    expect(page.locator("body")).to_have_class(re.compile("jv-advanced-open"))
    page.keyboard.press("Escape")
    expect(page.locator("body")).not_to_have_class(re.compile("jv-advanced-open"))
