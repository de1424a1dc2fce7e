"""The main job in a real browser: talk, stop, go back, change, and lose nothing."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.conftest import Open
from tests.e2e.serving import Served, scripted, serve
from tests.e2e.steps import TEXT, act, answered, chat, last_turn, say, turn_id


def test_the_first_minute(open_page: Open) -> None:
    page = open_page(user="first")
    expect(page.locator("#jv-hello h1")).to_be_visible()
    expect(page.locator(".jv-examples button")).to_have_count(3)
    expect(page.locator("#jv-model")).to_have_text("SmolLM2 135M · on this computer · English")
    expect(page.locator(TEXT)).to_be_focused()
    expect(page).to_have_title("JAVIS")
    page.locator(".jv-examples button").first.click()
    turn = answered(page)
    expect(turn.locator(".jv-md")).to_contain_text("You said: Explain why")
    expect(page).to_have_title(re.compile("^Explain why .* JAVIS$"))
    page.click("#jv-model")
    expect(page.locator(".jv-pop")).to_contain_text("Apache-2.0")
    page.keyboard.press("Escape")
    expect(page.locator(".jv-pop")).to_have_count(0)


def test_an_answer_streams_and_renders(open_page: Open) -> None:
    page = open_page(user="stream")
    say(page, "something long")
    expect(last_turn(page).locator(".jv-md.is-writing")).to_be_visible()
    expect(page.locator("#jv-send.is-stop")).to_be_visible()
    turn = answered(page)
    expect(turn.locator("table td").first).to_have_text("서울")
    expect(turn.locator("pre code")).to_contain_text("안녕하세요")
    expect(turn.locator("ol > li ul > li")).to_have_count(2)
    link = turn.get_by_role("link", name="the docs")
    expect(link).to_have_attribute("href", "https://example.com/docs")
    expect(link).to_have_attribute("rel", re.compile("noopener"))


def test_stop_by_key_and_by_button(open_page: Open) -> None:
    page = open_page(user="stop")
    for stop in (lambda: page.keyboard.press("Escape"), lambda: page.click("#jv-send")):
        say(page, "count for me")
        expect(last_turn(page).locator(".jv-md")).to_contain_text("3 4 5")
        stop()
        turn = answered(page)
        expect(turn.locator(".jv-note")).to_contain_text("Stopped.")
        assert "399" not in turn.locator(".jv-md").inner_text()
        page.click("#jv-new")


def test_stop_waits_for_no_other_question(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path, scripted()) as fresh:
        page = open_page(server=fresh)
        asked, free = threading.Event(), threading.Event()
        found = fresh.services.library.page

        def slow(*what: Any) -> Any:
            asked.set()
            free.wait(30)
            return found(*what)

        monkeypatch.setattr(fresh.services.library, "page", slow)
        say(page, "count for me")
        expect(last_turn(page).locator(".jv-md")).to_contain_text("3 4 5")
        page.fill("#jv-search", "old")
        assert asked.wait(10)
        with page.expect_response(lambda r: '"stop"' in (r.request.post_data or "")):
            page.click("#jv-send")
        assert not free.is_set()
        free.set()
        turn = answered(page)
        expect(turn.locator(".jv-note")).to_contain_text("Stopped.")
        assert "399" not in turn.locator(".jv-md").inner_text()


def test_answer_again_and_look_back(open_page: Open) -> None:
    page = open_page(user="again")
    first = chat(page, "hello").locator(".jv-md").inner_text()
    act(last_turn(page), "again").click()
    expect(last_turn(page).locator(".jv-pager")).to_contain_text("2/2")
    second = last_turn(page).locator(".jv-md").inner_text()
    assert first != second
    act(last_turn(page), "msg.answers-left").click()
    expect(last_turn(page).locator(".jv-pager")).to_contain_text("1/2")
    expect(last_turn(page).locator(".jv-md")).to_have_text(first)
    page.reload()
    expect(last_turn(page).locator(".jv-pager")).to_contain_text("1/2")


def test_edit_the_message_and_the_answer(open_page: Open) -> None:
    page = open_page(user="edit")
    chat(page, "first words")
    page.press(TEXT, "ArrowUp")
    editor = page.locator(".jv-user .jv-editor textarea")
    expect(editor).to_be_focused()
    editor.fill("other words")
    editor.press("Control+Enter")
    turn = answered(page)
    expect(turn.locator(".jv-bubble")).to_have_text("other words")
    expect(turn.locator(".jv-user .jv-pager")).to_contain_text("2/2")
    act(turn, "msg.wordings-left").click()
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("first words")
    act(last_turn(page), "edit-reply").click()
    page.locator(".jv-md .jv-editor textarea").fill("My **own** answer")
    page.locator(".jv-md .jv-editor .jv-primary").click()
    expect(last_turn(page).locator(".jv-md strong")).to_have_text("own")
    expect(last_turn(page).locator(".jv-note")).to_contain_text("Your version.")


def test_an_edited_message_waits_for_the_running_answer(open_page: Open) -> None:
    page = open_page(user="edit-busy")
    first = chat(page, "first words")
    act(first, "edit-user").click()
    editor = page.locator(".jv-user .jv-editor")
    editor.locator("textarea").fill("changed words")
    say(page, "count for me")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("1 2 3")
    expect(editor.locator(".jv-primary")).to_be_disabled()
    editor.locator("textarea").press("Control+Enter")
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("count for me")
    expect(editor.locator("textarea")).to_have_value("changed words")
    page.focus(TEXT)
    page.keyboard.press("Escape")
    expect(answered(page).locator(".jv-note")).to_contain_text("Stopped.")
    expect(editor.locator(".jv-primary")).to_be_enabled()
    editor.locator("textarea").press("Control+Enter")
    expect(page.locator(".jv-turn")).to_have_count(1)
    expect(answered(page).locator(".jv-bubble")).to_have_text("changed words")


def test_branch_and_details(open_page: Open) -> None:
    page = open_page(user="branch")
    chat(page, "one")
    chat(page, "two")
    act(page.locator(".jv-turn").first, "branch").click()
    expect(page.locator(".jv-turn")).to_have_count(1)
    expect(page.locator(".jv-item")).to_have_count(2)
    expect(page.locator("#jv-title")).to_have_text("one (branch)")
    act(last_turn(page), "details").click()
    details = last_turn(page).locator(".jv-details")
    for word in ("Version", "Base model", "tokens/s", "Seed", "temperature 0.7"):
        expect(details).to_contain_text(word)


def test_controls_go_with_the_message(open_page: Open) -> None:
    page = open_page(user="controls")
    page.click("#jv-version input")
    page.get_by_role("option", name="v1.0").click()
    page.locator("#jv-temperature input[type=number]").fill("0.2")
    page.click("#jv-tune")
    page.locator("#jv-seed input").fill("42")
    page.locator("#jv-system-prompt textarea").fill("Be kind.")
    page.click("#jv-tune")
    turn = chat(page, "with settings")
    expect(turn.locator(".jv-md")).to_contain_text("(seed 42)")
    act(turn, "details").click()
    for word in ("v1.0", "temperature 0.2", "Be kind."):
        expect(turn.locator(".jv-details")).to_contain_text(word)


def test_a_system_prompt_stays_with_its_chat(open_page: Open, served: Served) -> None:
    served.services.preferences.set_system_prompt("Be brief.")
    page = open_page(user="prompts")
    prompt = page.locator("#jv-system-prompt textarea")
    expect(prompt).to_have_value("Be brief.")
    page.click("#jv-tune")
    prompt.fill("Speak like a pirate.")
    page.click("#jv-tune")
    chat(page, "first chat")
    page.click("#jv-new")
    expect(prompt).to_have_value("Be brief.")
    chat(page, "second chat")
    page.locator(".jv-open", has_text="first chat").click()
    expect(prompt).to_have_value("Speak like a pirate.")
    page.reload()
    page.wait_for_selector("body.jv-booted")
    expect(prompt).to_have_value("Speak like a pirate.")
    asked = chat(page, "go on")
    assert served.services.chat.turn("prompts", turn_id(asked)).system_prompt == (
        "Speak like a pirate."
    )
    page.locator(".jv-open", has_text="second chat").click()
    expect(prompt).to_have_value("Be brief.")
    page.click("#jv-tune")
    prompt.fill("Typed, and not sent yet.")
    page.reload()
    page.wait_for_selector("body.jv-booted")
    expect(prompt).to_have_value("Typed, and not sent yet.")
    page.locator(".jv-open", has_text="first chat").click()
    expect(prompt).to_have_value("Speak like a pirate.")
    served.services.preferences.set_system_prompt("")


def test_new_defaults_leave_the_shown_chat_as_it_is(open_page: Open, served: Served) -> None:
    page = open_page()
    page.click("#jv-new")
    prompt = page.locator("#jv-system-prompt textarea")
    page.click("#jv-tune")
    prompt.fill("Speak like a pirate.")
    page.click("#jv-tune")
    chat(page, "a pirate's chat")
    page.locator("#jv-temperature input[type=number]").fill("1.5")
    page.wait_for_function("localStorage.getItem('javis.temperature') === '1.5'")
    page.click("#jv-tab-admin")
    page.click("#jv-section-system")
    page.locator("#jv-admin-system-prompt textarea").fill("Be brief.")
    page.click("#jv-admin-save")
    expect(page.locator(".jv-toast")).to_contain_text("New chats begin with this.")
    # The new defaults are shown, and are there after a reload too.
    assert page.evaluate("localStorage.getItem('javis.temperature')") is None
    expect(prompt).to_have_value("Speak like a pirate.")
    page.click("#jv-tab-chat")
    page.click("#jv-new")
    expect(prompt).to_have_value("Be brief.")
    served.services.preferences.set_system_prompt("")


def test_a_new_chat_right_after_sending_is_another_one(open_page: Open) -> None:
    page = open_page(user="at-once")
    page.fill(TEXT, "count for the first chat")
    page.evaluate(
        "document.querySelector('#jv-send').click(); document.querySelector('#jv-new').click()"
    )
    expect(page.locator(".jv-item")).to_have_count(1)
    expect(page.locator(".jv-turn")).to_have_count(0)
    expect(page.locator("#jv-send.is-stop")).to_have_count(0)
    assert "c=" not in page.url
    chat(page, "the second chat")
    expect(page.locator(".jv-turn")).to_have_count(1)
    expect(page.locator(".jv-item")).to_have_count(2)
    page.locator(".jv-open", has_text="first chat").click()
    expect(page.locator(".jv-turn")).to_have_count(1)
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("count for the first chat")
    page.keyboard.press("Escape")
    answered(page)


def test_a_sent_draft_does_not_come_back(open_page: Open) -> None:
    page = open_page(user="draft")
    chat(page, "an old chat")
    page.click("#jv-new")
    page.fill(TEXT, "What is a cat?")
    page.locator(".jv-open").first.click()
    expect(page.locator(TEXT)).to_have_value("")
    page.click("#jv-new")
    expect(page.locator(TEXT)).to_have_value("What is a cat?")
    page.press(TEXT, "Enter")
    answered(page)
    page.click("#jv-new")
    expect(page.locator("#jv-hello h1")).to_be_visible()
    expect(page.locator(TEXT)).to_have_value("")


def test_a_draft_outlives_a_reload(open_page: Open) -> None:
    page = open_page(user="redraft")
    chat(page, "an old chat")
    page.fill(TEXT, "not sent yet")
    page.reload()
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("an old chat")
    expect(page.locator(TEXT)).to_have_value("not sent yet")
    page.press(TEXT, "Enter")
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("not sent yet")
    answered(page)
    page.reload()
    expect(page.locator(".jv-turn")).to_have_count(2)
    expect(page.locator(TEXT)).to_have_value("")


def test_what_is_typed_right_after_a_click_belongs_to_the_chat_that_was_clicked(
    open_page: Open,
) -> None:
    page = open_page(user="quick")
    chat(page, "the old chat")
    page.click("#jv-new")
    page.fill(TEXT, "for a new one")
    # Faster than any hand: before the server has told what is in the chat.
    page.evaluate("""() => {
        document.querySelector(".jv-open").click();
        const box = document.getElementById("jv-text");
        box.value = "for the old one";
        box.dispatchEvent(new Event("input", { bubbles: true }));
        box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    }""")
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("for the old one")
    expect(page.locator(".jv-turn")).to_have_count(2)
    answered(page)
    page.click("#jv-new")
    expect(page.locator(TEXT)).to_have_value("for a new one")


def test_an_edit_and_a_word_about_an_answer_wait_while_another_chat_is_looked_at(
    open_page: Open,
) -> None:
    page = open_page(user="unsaved")
    chat(page, "the old chat")
    page.click("#jv-new")
    turn = chat(page, "another chat")
    act(turn, "edit-user").click()
    turn.locator(".jv-user textarea").fill("what I meant")
    act(turn, "bad").click()
    turn.locator(".jv-panel input").fill("too short, I think")
    page.click("#jv-new")
    page.locator(".jv-open", has_text="the old chat").click()
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("the old chat")
    page.locator(".jv-open", has_text="another chat").click()
    expect(page.locator(".jv-user textarea")).to_have_value("what I meant")
    expect(page.locator(".jv-panel input")).to_have_value("too short, I think")
    last_turn(page).get_by_role("button", name="Cancel").click()
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("another chat")


def holding(page: Page, kind: str) -> list[Route]:
    """The page's questions of this kind from now on, held until they are let go."""
    held: list[Route] = []

    def see(route: Route) -> None:
        if f'"kind":"{kind}"' in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route("**/run/predict*", see)
    return held


def let_go(page: Page, held: list[Route]) -> None:
    while not held:
        page.wait_for_timeout(20)
    for route in held:
        route.continue_()
    held.clear()


def test_a_second_stop_leaves_the_next_answer_alone(open_page: Open) -> None:
    page = open_page(user="twice")
    say(page, "count for me")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("3 4 5")
    held = holding(page, "stop")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    let_go(page, held)
    expect(answered(page).locator(".jv-note")).to_contain_text("Stopped.")
    say(page, "count once more")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("3 4 5")
    page.wait_for_timeout(500)
    assert held == [], "nobody asked to stop this one"
    expect(page.locator("#jv-send.is-stop")).to_be_visible()


def test_a_late_look_wipes_nothing_that_was_sent_since(open_page: Open) -> None:
    page = open_page(user="late")
    held = holding(page, "view")
    say(page, "hello")
    while not held:
        page.wait_for_timeout(20)
    say(page, "count for me")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("3 4 5")
    let_go(page, held)
    page.wait_for_timeout(300)
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("count for me")
    expect(page.locator("#jv-send.is-stop")).to_be_visible()
    page.unroute("**/run/predict*")


def test_what_was_written_about_an_answer_is_there_when_one_comes_back_to_it(
    open_page: Open,
) -> None:
    page = open_page(user="comeback")
    turn = chat(page, "hello")
    act(turn, "bad").click()
    turn.locator(".jv-panel input").fill("too short, I think")
    act(turn, "again").click()
    expect(last_turn(page).locator(".jv-pager")).to_contain_text("2/2")
    act(last_turn(page), "msg.answers-left").click()
    expect(last_turn(page).locator(".jv-pager")).to_contain_text("1/2")
    expect(page.locator(".jv-panel input")).to_have_value("too short, I think")


def test_a_comment_waits_for_the_end_of_an_answer(open_page: Open) -> None:
    page = open_page(user="waits")
    chat(page, "the old chat")
    page.click("#jv-new")
    turn = chat(page, "another chat")
    act(turn, "bad").click()
    turn.locator(".jv-panel input").fill("too short, I think")
    say(page, "count for me")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("3 4 5")
    for title in ("the old chat", "another chat", "the old chat", "another chat"):
        page.locator(".jv-open", has_text=title).click()
        expect(page.locator(".jv-turn").first.locator(".jv-bubble")).to_have_text(title)
    page.keyboard.press("Escape")
    expect(page.locator(".jv-panel input")).to_have_value("too short, I think")
    page.locator(".jv-panel input").fill("")


def test_a_title_that_is_being_typed_is_not_cut_off(open_page: Open) -> None:
    page = open_page(user="title")
    chat(page, "the old chat")
    page.click("#jv-new")
    held = holding(page, "list")
    say(page, "another chat")
    page.locator(".jv-item", has_text="the old chat").locator("button").last.click()
    page.get_by_role("menuitem", name="Rename").click()
    page.keyboard.type("half")
    let_go(page, held)
    page.unroute("**/run/predict*")
    page.wait_for_timeout(300)
    page.keyboard.type(" and whole")
    page.keyboard.press("Enter")
    expect(page.locator(".jv-open", has_text="half and whole")).to_be_visible()
    expect(page.locator(".jv-open", has_text="another chat")).to_be_visible()


def test_a_system_prompt_that_was_not_used_yet_waits_in_its_chat(open_page: Open) -> None:
    page = open_page(user="prompts")
    chat(page, "the old chat")
    page.click("#jv-new")
    chat(page, "another chat")
    page.click("#jv-tune")
    prompt = page.locator("#jv-system-prompt textarea")
    prompt.fill("Speak like a pirate.")
    for title, shown in (("the old chat", ""), ("another chat", "Speak like a pirate.")) * 2:
        page.locator(".jv-open", has_text=title).click()
        expect(last_turn(page).locator(".jv-bubble")).to_have_text(title)
        expect(prompt).to_have_value(shown)
    chat(page, "who are you?")
    page.click("#jv-new")
    expect(prompt).to_have_value("")
    prompt.fill("Sing.")
    chat(page, "and now?")
    page.click("#jv-new")
    expect(prompt).to_have_value("")


def test_two_clicks_make_one_branch(open_page: Open) -> None:
    page = open_page(user="branches")
    act(chat(page, "hello"), "branch").dblclick()
    expect(page.locator(".jv-toast")).to_contain_text("branch")
    page.wait_for_timeout(500)
    expect(page.locator(".jv-item")).to_have_count(2)


def test_words_typed_while_the_page_starts_stay(open_page: Open) -> None:
    page = open_page(user="early")
    chat(page, "the old chat")
    page.reload(wait_until="commit")
    page.locator(TEXT).press_sequentially("as soon as I can")
    page.wait_for_selector("body.jv-booted")
    expect(last_turn(page).locator(".jv-bubble")).to_have_text("the old chat")
    expect(page.locator(TEXT)).to_have_value("as soon as I can")


def test_escape_elsewhere_stops_no_answer(open_page: Open) -> None:
    page = open_page(user="elsewhere")
    say(page, "count for me")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("3 4 5")
    page.focus("#jv-search")
    page.keyboard.press("Escape")
    page.locator("#jv-version input").click()
    page.keyboard.press("Escape")
    page.click("#jv-model")
    page.keyboard.press("Escape")
    expect(page.locator(".jv-pop")).to_have_count(0)
    page.wait_for_timeout(300)
    expect(page.locator("#jv-send.is-stop")).to_be_visible()
    page.focus(TEXT)
    page.keyboard.press("Escape")
    expect(answered(page).locator(".jv-note")).to_contain_text("Stopped.")


def test_a_look_at_a_running_answer_that_fails_is_not_the_last(open_page: Open) -> None:
    page = open_page(user="lookagain")
    say(page, "count slowly")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("1 2 3")
    other = page.context.new_page()
    other.goto(page.url)
    expect(last_turn(other).locator(".jv-note")).to_contain_text("Answering")
    # As when the computer slept: one call comes to nothing.
    other.evaluate("""() => {
        const wire = window.jvWires.calls, real = wire.trigger.bind(wire);
        wire.trigger = (name, data) => {
            const broken = data?.kind === "view" && !window.jvFailed;
            window.jvFailed ||= broken;
            return real(name, broken ? { ...data, conversation: "c_gone" } : data);
        };
    }""")
    other.wait_for_function("() => window.jvFailed")
    page.keyboard.press("Escape")
    expect(last_turn(other).locator(".jv-note")).to_contain_text("Stopped.")
    expect(other.locator("#jv-send.is-stop")).to_have_count(0)


def test_a_refused_message_goes_back_to_its_writer(open_page: Open) -> None:
    page = open_page(user="refused")
    page.click("#jv-tune")
    page.locator("#jv-seed input").fill("not a number")
    page.click("#jv-tune")
    say(page, "do not lose me")
    expect(page.locator(".jv-notice")).to_contain_text("Seed must be a whole number.")
    expect(page.locator(TEXT)).to_have_value("do not lose me")
    expect(page.locator(".jv-turn")).to_have_count(0)
    expect(page.locator("#jv-hello h1")).to_be_visible()


def test_too_long_a_conversation_offers_to_leave_out_the_oldest(open_page: Open) -> None:
    page = open_page(user="overflow")
    chat(page, "word " * 1200)
    say(page, "more " * 1000)
    notice = page.locator(".jv-notice")
    expect(notice).to_contain_text("too long for the model")
    assert page.input_value(TEXT).startswith("more more")
    notice.get_by_role("button", name="Leave out the oldest turn").click()
    turn = answered(page)
    expect(page.locator(".jv-turn")).to_have_count(2)
    expect(page.locator(TEXT)).to_have_value("")
    act(turn, "details").click()
    expect(turn.locator(".jv-details")).to_contain_text("Turns left out")


def test_a_model_that_fails_midway(open_page: Open, tmp_path: Path) -> None:
    with serve(tmp_path, scripted(fail_after=3)) as failing:
        page = open_page(server=failing)
        say(page, "please count")
        expect(page.locator(".jv-notice")).to_contain_text("The model failed")
        turn = last_turn(page)
        expect(turn.locator(".jv-md")).to_contain_text("1 2 3")
        expect(turn.locator(".jv-note")).to_contain_text("What was written is kept.")
        failing.engine.fail_after = None
        turn.get_by_role("button", name="Answer again").first.click()
        expect(last_turn(page).locator(".jv-pager")).to_contain_text("2/2", timeout=20_000)


def test_a_reload_and_a_second_tab(open_page: Open, served: Served) -> None:
    page = open_page(user="reload")
    turn = chat(page, "remember this")
    known = turn_id(turn)
    page.reload()
    expect(page.locator(f'[data-turn-id="{known}"]')).to_contain_text("remember this")
    say(page, "count slowly")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("1 2 3")
    second = page.context.new_page()
    second.goto(page.url)
    expect(second.locator(".jv-turn").last.locator(".jv-note")).to_contain_text("Answering")
    page.keyboard.press("Escape")
    expect(second.locator(".jv-turn").last.locator(".jv-note")).to_contain_text("Stopped.")
    expect(second.locator(".jv-turn")).to_have_count(2)


def test_a_server_that_dies_midway_is_missed_and_found_again(
    browser: Browser, tmp_path: Path
) -> None:
    # Not `open_page`: a browser logs every refused connection as an error.
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        with serve(tmp_path, scripted(delay_s=0.05)) as one:
            page.goto(one.url)
            page.wait_for_selector("body.jv-booted")
            say(page, "count on me")
            expect(last_turn(page).locator(".jv-md")).to_contain_text("1 2 3")
        port = urlsplit(one.url).port or 0
        expect(page.locator(".jv-notice")).to_contain_text("connection", timeout=15_000)
        expect(last_turn(page).locator(".jv-md")).to_contain_text("1 2 3")
        with serve(tmp_path, scripted(), port=port):
            note = last_turn(page).locator(".jv-note")
            expect(note.get_by_role("button")).to_be_visible(timeout=20_000)
            expect(page.locator(".jv-notice")).to_have_count(0)
            expect(page.locator("#jv-send.is-stop")).to_have_count(0)
            expect(last_turn(page).locator(".jv-md")).to_contain_text("1 2 3")


def test_outside_the_chat_a_lost_server_is_said_in_the_pages_language(
    browser: Browser, tmp_path: Path
) -> None:
    with browser.new_context(locale="ko-KR", viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        with serve(tmp_path, scripted()) as one:
            page.goto(f"{one.url}#admin/versions")
            page.wait_for_selector("body.jv-booted")
        port = urlsplit(one.url).port or 0
        toast = page.locator(".jv-toast")
        expect(toast).to_contain_text("연결이 끊겼습니다", timeout=15_000)
        expect(page.locator(".toast-wrap")).to_be_hidden()
        with serve(tmp_path, scripted(), port=port):
            expect(toast).to_have_count(0, timeout=15_000)


def test_who_is_logged_out_elsewhere_keeps_the_message(browser: Browser, served: Served) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=401, json={"error": {"message": "Log in first."}})

    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.goto(served.url)
        page.wait_for_selector("body.jv-booted")
        page.route("**/queue/join*", refuse)
        page.route("**/api/readiness", refuse)
        say(page, "do not lose me")
        notice = page.locator(".jv-notice")
        expect(notice).to_contain_text("You are logged out.", timeout=8_000)
        expect(notice.get_by_role("link")).to_have_attribute("href", "login")
        expect(page.locator(TEXT)).to_have_value("do not lose me")
        expect(page.locator(".jv-turn")).to_have_count(0)


def test_a_killed_stream_is_there_after_a_restart(open_page: Open, tmp_path: Path) -> None:
    with serve(tmp_path, scripted()) as before:
        page = open_page(server=before)
        say(page, "count on me")
        expect(last_turn(page).locator(".jv-md")).to_contain_text("1 2 3")
        store = before.store
        [row] = store.conversations.page("local", "", 0, 1)[0]
        [turn] = store.conversations.turns(row.id)
        page.close()
    with serve(tmp_path, scripted()) as after:
        # What `kill -9` leaves: the turn was never finished, and the start marks it.
        from dataclasses import replace

        after.store.conversations.put_turn(replace(turn, reply="1 2 3", finish=None))
        after.store.conversations.mark_interrupted()
        page = open_page(f"?c={row.id}", server=after)
        note = last_turn(page).locator(".jv-note")
        expect(note).to_contain_text("shut down while writing")
        note.get_by_role("button").click()
        expect(last_turn(page).locator(".jv-md")).to_contain_text("4 5")
        page.keyboard.press("Escape")
        expect(answered(page).locator(".jv-pager")).to_contain_text("2/2")


def test_an_answer_of_nothing_says_so(open_page: Open) -> None:
    page = open_page(user="nothing")
    turn = chat(page, "raw:")
    expect(turn.locator(".jv-note")).to_contain_text("The model had nothing to say.")
    turn.locator(".jv-note").get_by_role("button", name="Answer again").click()
    expect(last_turn(page).locator(".jv-pager")).to_contain_text("2/2")
