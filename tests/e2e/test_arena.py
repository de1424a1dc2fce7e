"""Blind comparison in a real browser: two answers, a vote, a name; and nothing before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from javis.core.errors import EngineError
from javis.core.types import Message, SamplingParams
from tests.e2e.conftest import Open
from tests.e2e.serving import Served, scripted, serve
from tests.e2e.steps import TEXT, act, answered, chat, last_turn, say

VOICES = {"base": "calm", "v1.0": "lively"}


def voices(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    """Each version has its own words, so that a test knows who speaks without a name."""
    text, voice = messages[-1].content, VOICES[version]
    if "break" in text and version == "v1.0":
        raise EngineError("engine_failed", "The model failed: {e}", e="scripted")
    if "count" in text:
        return f"{voice} " + " ".join(str(n) for n in range(1, 150))
    if "again" in text:
        return f"{voice}: I heard {len(messages)} messages."
    return f"{voice} words.\n\n- one\n- two"


@pytest.fixture(scope="module")
def arena(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    engine = scripted(versions=("v1.0",))
    engine._answer = voices
    with serve(tmp_path_factory.mktemp("arena"), engine) as one:
        one.services.arena.set_plan(True, 1.0)
        yield one


def sides(page: Page) -> Locator:
    return last_turn(page).locator(".jv-side")


def note(page: Page) -> Locator:
    """What is said below the answer that goes on."""
    return last_turn(page).locator(".jv-answer > .jv-note")


def vote(page: Page, name: str) -> Locator:
    return last_turn(page).locator(f'.jv-blind [data-vote="{name}"]')


def compared(page: Page, text: str) -> Locator:
    """Both answers, complete."""
    say(page, text)
    expect(sides(page)).to_have_count(2)
    expect(page.locator("#jv-send.is-stop")).to_have_count(0)
    return sides(page)


def test_two_answers_a_vote_and_the_names(open_page: Open, arena: Served) -> None:
    page = open_page(server=arena)
    both = compared(page, "hello")
    voices = {both.nth(n).locator(".jv-md p").first.inner_text() for n in (0, 1)}
    assert voices == {"calm words.", "lively words."}
    winner = both.nth(1).locator(".jv-md p").first.inner_text()
    expect(last_turn(page).locator(".jv-bar button")).to_have_count(2)
    vote(page, "right").click()
    turn = answered(page)
    expect(turn.locator(".jv-blind")).to_have_count(0)
    expect(turn.locator(".jv-md p").first).to_have_text(winner)
    chosen = "v1.0" if winner.startswith("lively") else "Base model"
    expect(turn.locator(".jv-note")).to_contain_text(f"this one: {chosen}")
    expect(page.locator(".jv-toast")).to_contain_text("Your vote counts. A was")
    expect(turn.locator(".jv-pager")).to_contain_text("/2")
    arena.services.arena.set_plan(False, 1.0)
    expect(chat(page, "again").locator(".jv-md")).to_have_text(
        re.compile(rf"^{winner.split()[0]}|heard 3 messages")
    )
    arena.services.arena.set_plan(True, 1.0)


LISTEN = """() => {
  window.heard = [];
  const { live, calls } = jvWires;
  live.watch("value", () => heard.push(JSON.stringify(live.props.value)));
  const views = (said) => said?.ok?.turns && heard.push(JSON.stringify(said));
  calls.watch("value", () => views(calls.props.value));
}"""
"""Keeps every frame of an answer and every view of a conversation, as the server sent them."""


def test_no_name_reaches_the_browser_before_the_vote(open_page: Open, arena: Served) -> None:
    page = open_page(server=arena)
    page.click("#jv-new")
    page.evaluate(LISTEN)
    compared(page, "hello there")
    drawn = [last_turn(page).evaluate("node => node.outerHTML")]
    frames = page.evaluate("heard")
    page.reload()
    page.wait_for_selector("body.jv-booted")
    expect(sides(page)).to_have_count(2)
    drawn.append(last_turn(page).evaluate("node => node.outerHTML"))
    address = page.evaluate("new URL(location.href).searchParams.get('c')")
    said = page.request.get(f"{arena.url}api/conversations/{address}").text()
    markdown = "".join(arena.services.library.markdown("local", address))
    assert len(frames) > 3 and "sides" in frames[0]
    assert '"hidden"' in said and " hidden**" in markdown
    for text in (*frames, *drawn, said, markdown):
        assert "v1.0" not in text and '"base"' not in text and "0" * 64 not in text
    page.evaluate(LISTEN)
    vote(page, "left").click()
    answered(page)
    expect(note(page)).to_contain_text("v1.0")


def test_a_vote_before_the_end(open_page: Open, arena: Served) -> None:
    page = open_page(server=arena, user="early")
    say(page, "count for me")
    expect(sides(page).nth(0).locator(".jv-md")).to_contain_text("3 4 5")
    expect(sides(page).nth(1).locator(".jv-md")).to_contain_text("3 4 5")
    chosen = sides(page).nth(1).locator(".jv-md").inner_text().split()[0]
    vote(page, "right").click()
    expect(last_turn(page).locator(".jv-blind")).to_have_count(0)
    expect(last_turn(page).locator(".jv-answer .jv-md")).to_contain_text(f"{chosen} 1 2 3")
    expect(page.locator("#jv-send.is-stop")).to_be_visible()
    expect(last_turn(page).locator(".jv-answer .jv-md")).to_contain_text("149")
    turn = answered(page)
    expect(turn.locator(".jv-note")).to_contain_text("your choice, this one")
    act(turn, "msg.answers-left").click()
    expect(note(page)).to_contain_text("Stopped.")
    expect(note(page)).to_contain_text("your choice: ")


def test_stop_then_vote_then_take_it_back(open_page: Open, arena: Served) -> None:
    page = open_page(server=arena, user="stopper")
    say(page, "count for me")
    expect(sides(page).nth(1).locator(".jv-md")).to_contain_text("3 4 5")
    page.keyboard.press("Escape")
    expect(page.locator("#jv-send.is-stop")).to_have_count(0)
    for n in (0, 1):
        expect(sides(page).nth(n).locator(".jv-note")).to_have_text("Stopped.")
    before = arena.services.arena.votes()
    vote(page, "tie").click()
    expect(note(page)).to_contain_text("about the same to you")
    assert arena.services.arena.votes() == before + 1
    page.locator(".jv-toast button").click()
    expect(note(page)).to_contain_text("no vote")
    assert arena.services.arena.votes() == before


def test_writing_on_without_a_vote(open_page: Open, arena: Served) -> None:
    page = open_page(server=arena, user="no-vote")
    compared(page, "hello")
    arena.services.arena.set_plan(False, 1.0)
    turn = chat(page, "again please")
    expect(turn.locator(".jv-md")).to_contain_text("I heard 3 messages")
    first = page.locator(".jv-turn").first
    # The version in use goes on.
    expect(first.locator(".jv-md p").first).to_have_text("calm words.")
    expect(first.locator(".jv-note")).to_contain_text("no vote")
    arena.services.arena.set_plan(True, 1.0)


def test_one_answer_fails(open_page: Open, arena: Served) -> None:
    page = open_page(server=arena, user="failing")
    say(page, "break it")
    turn = answered(page)
    expect(turn.locator(".jv-md p").first).to_have_text("calm words.")
    expect(turn.locator(".jv-note")).to_contain_text("An answer broke off")
    expect(turn.locator(".jv-blind")).to_have_count(0)


def test_by_keyboard_and_by_ear(open_page: Open, arena: Served) -> None:
    page = open_page(server=arena, user="keys")
    say(page, "hello")
    expect(page.locator("#jv-say")).to_have_text(re.compile("Two answers are being written|done"))
    expect(vote(page, "both_bad")).to_be_enabled()
    expect(page.locator("#jv-send.is-stop")).to_have_count(0)
    region = page.get_by_role("region", name="Which answer is better?")
    expect(region.get_by_role("group", name="Answer B", exact=True)).to_be_visible()
    names = [
        b.inner_text()
        for b in region.get_by_role("group", name="Your vote").locator("button").all()
    ]
    assert names == ["A is better", "B is better", "About the same", "Both are bad"]
    # A digit in the composer is a digit.
    page.focus(TEXT)
    page.keyboard.type("4")
    expect(region).to_be_visible()
    page.fill(TEXT, "")
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.dataset.vote") == "both_bad":
            break
    page.keyboard.press("3")
    expect(note(page)).to_contain_text("about the same to you")
    expect(page.locator(TEXT)).to_be_focused()


@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
def test_on_a_phone_one_answer_fills_the_screen(
    open_page: Open, arena: Served, locale: str
) -> None:
    page = open_page(
        server=arena,
        user=f"phone-{locale}",
        locale=locale,
        viewport={"width": 390, "height": 844},
        has_touch=True,
    )
    both = compared(page, "hello")
    first, second = (both.nth(n).bounding_box() for n in (0, 1))
    assert first and second
    assert 290 < first["width"] < 370 and first["x"] < second["x"] < 390
    assert abs(first["y"] - second["y"]) < 1
    flip = last_turn(page).locator(".jv-flip button")
    flip.nth(1).click()
    expect(flip.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(both.nth(1)).to_be_in_viewport(ratio=0.5)
    for name in ("left", "right", "tie", "both_bad"):
        box = vote(page, name).bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["height"] >= 40
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    words = {"ko-KR": "A가 더 좋아요", "en-US": "A is better"}
    expect(vote(page, "left")).to_have_text(words[locale])
    vote(page, "left").click()
    answered(page)


def test_the_admin_turns_it_on_and_off(open_page: Open, arena: Served) -> None:
    page = open_page("#admin/system", server=arena)
    switch = page.locator("#jv-arena-on")
    expect(switch).to_be_checked()
    switch.click()
    expect(page.locator("#jv-arena-share")).to_have_count(0)
    assert not arena.services.arena.plan().on
    switch.click()
    page.locator("#jv-arena-share").fill("40")
    page.locator("#jv-arena-share").press("Enter")
    expect(page.locator(".jv-toast")).to_have_text("Saved.")
    page.wait_for_function("document.querySelector('#jv-arena-share')?.value === '40'")
    page.locator("#jv-arena-share").fill("0")
    page.locator("#jv-arena-share").press("Enter")
    expect(page.locator(".jv-toast")).to_contain_text("between 1 % and 100 %")
    assert arena.services.arena.plan().share == 0.4
    arena.services.arena.set_plan(True, 1.0)


def test_a_closed_tab_keeps_both_and_still_asks(open_page: Open, arena: Served) -> None:
    page = open_page(server=arena, user="closer")
    say(page, "count for me")
    expect(sides(page).nth(1).locator(".jv-md")).to_contain_text("3 4 5")
    address = page.url.removeprefix(arena.url)
    page.close()
    page = open_page(address, server=arena, user="closer")
    for n in (0, 1):
        expect(sides(page).nth(n).locator(".jv-note")).to_have_text("Stopped.", timeout=15_000)
        expect(sides(page).nth(n).locator(".jv-md")).to_contain_text("1 2 3")
    vote(page, "right").click()
    expect(note(page)).to_contain_text("your choice, this one")
    page.reload()
    expect(note(page)).to_contain_text("your choice, this one")
