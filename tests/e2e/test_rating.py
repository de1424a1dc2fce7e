"""A thumb counts at once, can say more, can be taken back, and survives whatever happens next."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.conftest import Open
from tests.e2e.serving import Served
from tests.e2e.steps import act, chat, last_turn, say, turn_id


def test_a_thumb_counts_at_once_and_can_say_more(open_page: Open, served: Served) -> None:
    page = open_page(user="thumb")
    turn = chat(page, "rate me")
    which = turn_id(turn)
    kept = served.services.feedback
    act(turn, "bad").click()
    panel = turn.locator(".jv-panel")
    expect(panel).to_be_visible()
    first = kept.current("thumb", which)
    assert first and first.rating == "bad"
    panel.get_by_role("button", name="Too long").click()
    panel.get_by_role("button", name="Wrong tone").click()
    panel.locator("input").fill("shorter, please")
    panel.locator("summary").click()
    wanted = panel.locator("textarea")
    assert wanted.input_value().startswith("You said: rate me")
    wanted.fill("What I wanted")
    panel.get_by_role("button", name="Save").click()
    expect(panel).to_have_count(0)
    expect(turn.locator(".jv-note")).to_contain_text("You wrote the answer you wanted.")
    full = kept.current("thumb", which)
    assert full.reasons == ("too_long", "wrong_tone")
    assert (full.comment, full.correction) == ("shorter, please", "What I wanted")
    assert served.services.chat.turn("thumb", which).reply.startswith("You said")


def test_folding_the_wanted_answer_keeps_it_and_emptying_deletes_it(
    open_page: Open, served: Served
) -> None:
    page = open_page(user="folded")
    turn = chat(page, "rate me")
    which = turn_id(turn)
    kept = served.services.feedback
    panel = turn.locator(".jv-panel")
    wanted = panel.locator("textarea")
    save = panel.get_by_role("button", name="Save")

    def correction() -> str | None:
        now = kept.current("folded", which)
        assert now
        return now.correction

    act(turn, "bad").click()
    panel.locator("summary").click()
    wanted.fill("What I wanted")
    save.click()
    expect(panel).to_have_count(0)
    act(turn, "note").click()
    panel.locator("summary").click()
    expect(wanted).not_to_be_visible()
    panel.locator("input").fill("and a word more")
    save.click()
    expect(panel).to_have_count(0)
    assert correction() == "What I wanted"
    act(turn, "note").click()
    wanted.fill("")
    save.click()
    expect(panel).to_have_count(0)
    assert correction() is None


def test_a_vote_taken_back_by_mistake_comes_back_whole(open_page: Open, served: Served) -> None:
    page = open_page(user="undone")
    turn = chat(page, "rate me")
    kept = served.services.feedback
    act(turn, "bad").click()
    turn.locator(".jv-panel input").fill("a comment")
    turn.locator(".jv-panel summary").click()
    turn.locator(".jv-panel textarea").fill("What I wanted")
    turn.get_by_role("button", name="Save").click()
    expect(turn.locator(".jv-panel")).to_have_count(0)
    before = kept.current("undone", turn_id(turn))
    act(turn, "bad").click()
    expect(act(turn, "bad")).to_have_attribute("aria-pressed", "false")
    undo = page.locator(".jv-toast", has_text="taken back").get_by_role("button", name="Undo")
    act(turn, "copy").click()
    expect(page.locator(".jv-toast", has_text="Copied")).to_be_visible()
    undo.click()
    expect(act(turn, "bad")).to_have_attribute("aria-pressed", "true")
    after = kept.current("undone", turn_id(turn))
    assert before and after
    assert (after.rating, after.comment, after.correction) == ("bad", "a comment", "What I wanted")
    assert (after.rating, after.comment, after.correction) == (
        before.rating,
        before.comment,
        before.correction,
    )


def test_the_other_thumb_keeps_what_was_typed(open_page: Open) -> None:
    page = open_page(user="torn")
    turn = chat(page, "rate me")
    panel = turn.locator(".jv-panel")
    act(turn, "bad").click()
    panel.get_by_role("button", name="Too long").click()
    panel.locator("input").fill("half a comment")
    panel.locator("summary").click()
    panel.locator("textarea").fill("What I wanted")
    act(turn, "good").click()
    expect(panel.locator(".jv-chip")).to_have_count(0)
    expect(panel.locator("input")).to_have_value("half a comment")
    expect(panel.locator("textarea")).to_have_value("What I wanted")
    expect(panel.locator("textarea")).to_be_visible()


def test_closing__the_panel_keeps_the_vote_and_the_same_thumb_takes_it_back(
    open_page: Open, served: Served
) -> None:
    page = open_page(user="back")
    turn = chat(page, "rate me")
    act(turn, "good").click()
    expect(turn.locator(".jv-panel")).to_be_visible()
    expect(turn.locator(".jv-chip")).to_have_count(0)
    page.keyboard.press("Escape")
    turn.locator(".jv-panel header button").click()
    expect(act(turn, "good")).to_have_attribute("aria-pressed", "true")
    act(turn, "bad").click()
    expect(act(turn, "bad")).to_have_attribute("aria-pressed", "true")
    expect(act(turn, "good")).to_have_attribute("aria-pressed", "false")
    act(turn, "bad").click()
    expect(act(turn, "bad")).to_have_attribute("aria-pressed", "false")
    expect(turn.locator(".jv-panel")).to_have_count(0)
    history = served.services.feedback.history("back", turn_id(turn))
    assert [f.rating for f in history] == ["good", "bad", None]


def test_what_is_written_below_an_answer_outlives_escape_and_another_chat(open_page: Open) -> None:
    page = open_page(user="aside")
    turn = chat(page, "rate me")
    act(turn, "bad").click()
    panel = turn.locator(".jv-panel")
    panel.get_by_role("button", name="Too long").click()
    panel.locator("input").fill("half a comment")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    act(turn, "note").click()
    expect(panel.locator("input")).to_have_value("half a comment")
    panel.locator("input").fill("")
    page.click("#jv-new")
    page.locator(".jv-open").first.click()
    expect(panel.get_by_role("button", name="Too long")).to_have_attribute("aria-pressed", "true")
    panel.locator("header button").click()
    act(turn, "edit-user").click()
    page.locator(".jv-editor textarea").fill("half a question")
    page.keyboard.press("Escape")
    act(turn, "edit-user").click()
    expect(page.locator(".jv-editor textarea")).to_have_value("half a question")
    page.get_by_role("button", name="Cancel").click()
    act(turn, "edit-user").click()
    expect(page.locator(".jv-editor textarea")).to_have_value("rate me")


def test_thumbs_survive_the_next_answer_a_reload_and_another_conversation(open_page: Open) -> None:
    page = open_page(user="survive")
    first = chat(page, "first")
    which = f'[data-turn-id="{turn_id(first)}"]'
    good = page.locator(f'{which} [data-act="good"]')
    say(page, "count for a while")
    expect(last_turn(page).locator(".jv-md")).to_contain_text("1 2 3")
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    page.locator(f"{which} .jv-panel header button").click()
    expect(last_turn(page).locator(".jv-md")).to_contain_text("30 31")
    expect(good).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(last_turn(page).locator(".jv-note")).to_contain_text("Stopped.")
    expect(good).to_have_attribute("aria-pressed", "true")
    page.click("#jv-new")
    page.locator(".jv-open").first.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(good).to_have_attribute("aria-pressed", "true")


def test_readiness_counts_along(open_page: Open) -> None:
    page = open_page(user="ready")
    words = page.locator(".jv-ready-words")
    expect(words).to_contain_text("of 500")
    before = int(words.inner_text().split()[0])
    act(chat(page, "something new to rate"), "good").click()
    expect(words).to_contain_text(f"{before + 1} of 500")
