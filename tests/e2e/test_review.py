"""Review by keys and in bulk, in Chromium: what is decided is what would be learned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from javis.service.review import ReviewFilters
from tests.e2e.conftest import Open
from tests.e2e.serving import Served, scripted, serve

PHONE = "010-1234-5678"


def talk(user: str, assistant: str, rating: str, **more: Any) -> dict[str, Any]:
    turn = {"user": user, "assistant": assistant, "rating": rating, **more}
    return {"title": user, "turns": [turn]}


@pytest.fixture
def rated(tmp_path: Path) -> Iterator[Served]:
    """Four answers that need a look, and two that do not."""
    talks = [
        talk("Which tea is good for the evening?", "Camomile tea, as it calms.", "good"),
        talk("Name a colour.", "Blue is", "bad", correction="Blue is a colour.", comment="whole"),
        talk(f"My number is {PHONE}. Write it down.", "I wrote it down.", "good"),
        talk("What is the capital of France?", "Paris.", "good"),
        talk("What is the capital of France?", "Lyon, surely.", "bad"),
        talk("Tell me a word.", "ha ha ha ha ha ha ha ha ha ha ha ha ha ha ha ha ha ha", "good"),
    ]
    with serve(tmp_path, scripted()) as one:
        one.services.library.bring_in("local", {"conversations": talks})
        yield one


def statuses(served: Served) -> dict[str, str]:
    """Status by answer."""
    page = served.services.review.page(ReviewFilters())
    return {row.reply: row.status for row in page.rows}


def card(page: Page) -> Any:
    return page.locator("#jv-review-body:not(.is-busy) .jv-card-review:not(.is-leaving)")


def test_the_journey_by_keys(open_page: Open, rated: Served) -> None:
    page = open_page("#review", server=rated)
    pending = rated.services.review.page(ReviewFilters(status="pending"))
    assert pending.total == 4
    expect(page.locator(".jv-position")).to_have_text("1 of 4")
    expect(page.locator(".jv-legend .is-pending")).to_have_text("4 need a look")
    first, second, third, fourth = (row.reply for row in pending.rows)
    expect(card(page)).to_contain_text(first)
    page.keyboard.press("a")
    expect(page.locator(".jv-position")).to_have_text("2 of 4")
    expect(card(page)).to_contain_text(second)
    page.keyboard.press("x")
    expect(card(page)).to_contain_text(third)
    expect(page.locator(".jv-legend .is-excluded")).to_have_text("1 left out")
    assert statuses(rated)[first] == "approved"
    assert statuses(rated)[second] == "excluded"
    page.keyboard.press("u")
    expect(page.locator(".jv-legend .is-excluded")).to_have_text("0 left out")
    expect(page.locator(".jv-position")).to_have_text("2 of 4")
    expect(card(page).locator(".jv-tag.is-pending")).to_have_text("Needs a look")
    assert statuses(rated)[second] == "pending"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".jv-position")).to_have_text("4 of 4")
    expect(card(page)).to_contain_text(fourth)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".jv-position")).to_have_text("3 of 4")
    expect(card(page)).to_contain_text(third)
    # A key with Hangul switched on is the same key.
    page.evaluate(
        """dispatchEvent(new KeyboardEvent("keydown",
        {key: "ㅌ", code: "KeyX", bubbles: true, cancelable: true}))"""
    )
    expect(page.locator(".jv-legend .is-excluded")).to_have_text("1 left out")
    assert statuses(rated)[third] == "excluded"
    expect(card(page)).to_contain_text(fourth)
    page.keyboard.press("a")
    expect(page.locator(".jv-nothing h2")).to_have_text("That was the last one")
    page.reload()
    expect(page.locator("#jv-tab-review")).to_have_attribute("aria-selected", "true")
    # Nothing is left to look at, so everything is shown.
    expect(page.locator(".jv-position")).to_have_text("1 of 6")


def test_a_letter_in_a_field_decides_nothing(open_page: Open, rated: Served) -> None:
    page = open_page("#review", server=rated)
    before = statuses(rated)
    page.locator(".jv-filters summary").click()
    page.locator("#jv-review-text").press_sequentially("axe")
    expect(page.locator(".jv-nothing h2")).to_have_text("No rated answer fits these filters")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".jv-position")).to_have_text("1 of 6")
    assert statuses(rated) == before


def test_an_edit_teaches_another_answer(open_page: Open, rated: Served) -> None:
    page = open_page("#review", server=rated)
    page.locator(".jv-legend .is-approved").click()
    # A correction shows what it changes, and why it was asked for.
    expect(page.locator(".jv-diff ins")).to_contain_text("a colour.")
    expect(card(page)).to_contain_text("“whole”")
    page.keyboard.press("e")
    answer = page.get_by_label("Answer to learn")
    expect(answer).to_be_focused()
    answer.fill("Green is a colour, too.")
    page.keyboard.press("Control+Enter")
    expect(card(page).locator(".jv-tag", has_text="Edited")).to_be_visible()
    page.locator("[data-act=learned] summary").click()
    expect(page.locator(".jv-learned .jv-trained")).to_have_text("Green is a colour, too.")
    expect(page.locator(".jv-learned span").first).to_contain_text("Name a colour.")
    examples = {e.messages[-1].content for e in rated.services.review.approved().examples}
    assert "Green is a colour, too." in examples
    page.keyboard.press("u")
    expect(card(page).locator(".jv-tag", has_text="Edited")).to_have_count(0)


def test_the_other_language_keeps_what_is_written(open_page: Open, rated: Served) -> None:
    page = open_page("#review", server=rated)
    expect(card(page)).to_be_visible()
    page.keyboard.press("e")
    fields = page.locator(".jv-edit-card textarea")
    fields.first.fill("half a message")
    page.get_by_label("Answer to learn").fill("half an answer")
    page.click("#jv-lang")
    expect(fields.first).to_have_value("half a message")
    answer = page.get_by_label("배울 답변")
    expect(answer).to_have_value("half an answer")
    # From elsewhere, too.
    page.click("#jv-tab-chat")
    page.click("#jv-lang")
    page.click("#jv-tab-review")
    answer = page.get_by_label("Answer to learn")
    expect(answer).to_have_value("half an answer")
    answer.press("Escape")
    expect(card(page)).to_be_visible()
    page.keyboard.press("e")
    expect(answer).to_have_value("half an answer")
    page.get_by_role("button", name="Cancel").click()
    page.keyboard.press("e")
    expect(answer).not_to_have_value("half an answer")
    answer.press("Escape")
    page.keyboard.press("a")
    expect(page.locator(".jv-position")).to_have_text("2 of 4")


def test_a_bad_answer_is_not_shown_as_what_is_learned(open_page: Open, tmp_path: Path) -> None:
    with serve(tmp_path, scripted()) as one:
        rows = [talk("capital of Australia?", "Sydney.", "bad")]
        one.services.library.bring_in("local", {"conversations": rows})
        page = open_page("#review", server=one)
        learned = page.locator("[data-act=learned]")
        expect(learned.locator("summary")).to_have_text("What the model would avoid")
        learned.locator("summary").click()
        expect(learned.locator(".jv-learned .jv-avoided")).to_have_text("Sydney.")


def test_a_day_is_the_readers_own(open_page: Open, tmp_path: Path) -> None:
    talks = [
        talk("early on the second", "one", "good", rated_at="2026-07-01T23:00:00.000Z"),
        talk("late on the first", "two", "good", rated_at="2026-07-01T14:59:59.999Z"),
    ]
    with serve(tmp_path, scripted()) as one:
        one.services.library.bring_in("local", {"conversations": talks})
        page = open_page("#review/list", server=one, timezone_id="Asia/Seoul")
        rows = page.locator("#jv-review-body:not(.is-busy) .jv-line")
        expect(rows).to_have_count(2)
        since, until = page.get_by_label("Rated since"), page.get_by_label("Rated until")
        since.fill("2026-07-02")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("early on the second")
        expect(rows).to_contain_text("Jul 2")
        since.fill("")
        until.fill("2026-07-01")
        expect(rows).to_contain_text("late on the first")
        expect(rows).to_have_count(1)
        # Drawn anew, the field shows the day that was picked.
        page.click("#jv-lang")
        expect(page.get_by_label("평가한 날(까지)")).to_have_value("2026-07-01")
        page.get_by_label("이 쪽 모두 선택").check()
        page.locator("[data-act=bulk-exclude]").click()
        expect(page.locator(".jv-toast")).to_be_visible()
        assert {a for a, status in statuses(one).items() if status == "excluded"} == {"two"}


def test_personal_data_is_masked_after_a_look(open_page: Open, rated: Served) -> None:
    page = open_page("#review", server=rated)
    page.locator(".jv-filters summary").click()
    page.get_by_label("Flag").select_option("personal")
    expect(page.locator(".jv-flag")).to_contain_text("(phone number)")
    page.locator("[data-act=mask]").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("del")).to_contain_text(PHONE)
    dialog.get_by_role("button", name="Use the masked text").click()
    expect(dialog).to_have_count(0)
    expect(card(page)).not_to_contain_text(PHONE)
    approved = rated.services.review.approved().examples
    assert not any(PHONE in m.content for e in approved for m in e.messages)
    assert any("My number is" in m.content for e in approved for m in e.messages)


def test_many_at_once(open_page: Open, tmp_path: Path) -> None:
    talks = [talk(f"question {n} of its own", f"answer {n}: {n * 7919}", "good") for n in range(60)]
    with serve(tmp_path, scripted()) as one:
        one.services.library.bring_in("local", {"conversations": talks})
        one.services.preferences.set_review_everything(True)
        page = open_page("#review/list", server=one)
        expect(page.locator(".jv-line")).to_have_count(50)
        expect(page.locator(".jv-rows-head")).to_contain_text("1–50 of 60")
        page.get_by_label("Select this page").check()
        page.locator("[data-act=all-matching]").click()
        expect(page.locator(".jv-rows-head")).to_contain_text("All 60 selected")
        page.locator("[data-act=bulk-approve]").click()
        expect(page.locator(".jv-toast")).to_contain_text("Approved: 60")
        assert len(one.services.review.approved().examples) == 60
        page.get_by_role("button", name="Show all").click()
        page.locator("[data-act=page-after]").click()
        expect(page.locator(".jv-line")).to_have_count(10)
        for box in page.locator(".jv-line input").all()[:2]:
            box.check()
        page.locator("[data-act=bulk-exclude]").click()
        expect(page.locator(".jv-legend .is-excluded")).to_have_text("2 left out")
        page.locator(".jv-toast").get_by_role("button", name="Undo").click()
        expect(page.locator(".jv-legend .is-excluded")).to_have_text("0 left out")
        page.reload()
        expect(page.locator(".jv-line").first).to_be_visible()


def test_out_and_back_in(open_page: Open, rated: Served, tmp_path: Path) -> None:
    page = open_page("#review", server=rated)
    page.click("#jv-review-more")
    with page.expect_download() as saved:
        page.locator("[data-act=export]").click()
    lines = Path(saved.value.path()).read_text("utf-8").splitlines()
    texts = [json.loads(line)["messages"][-1]["content"] for line in lines]
    assert "Blue is a colour." in texts
    row = json.loads(lines[texts.index("Blue is a colour.")])
    row["messages"][-1]["content"] = "Blue is the colour of the sky."
    file = tmp_path / "edited.jsonl"
    file.write_text(json.dumps(row) + "\nnot json\n", "utf-8")
    page.set_input_files("#jv-take-in", file)
    report = page.locator(".jv-report")
    expect(report).to_contain_text("Taken in: 1.")
    expect(report).to_contain_text("Line 2:")
    examples = {e.messages[-1].content for e in rated.services.review.approved().examples}
    assert "Blue is the colour of the sky." in examples
    earlier = page.locator("#jv-taken details")
    earlier.locator("summary").click()
    expect(earlier).to_contain_text("Learned: Blue is the colour of the sky.")
    page.locator("#jv-everything").check()
    expect(page.locator(".jv-legend .is-approved")).not_to_have_text("2 approved")
    assert rated.services.preferences.review_everything()
    earlier.get_by_role("button", name="Take back").click()
    expect(page.locator("#jv-taken")).to_contain_text("Taken back: 1.")
    assert rated.services.export.batches() == []


def test_what_is_written_outlasts_a_look_elsewhere(open_page: Open, rated: Served) -> None:
    page = open_page("#review", server=rated)
    expect(card(page)).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".jv-position")).to_have_text("2 of 4")
    expect(card(page)).to_be_visible()
    page.keyboard.press("e")
    answer = page.get_by_label("Answer to learn")
    answer.fill("half an answer")
    page.get_by_role("button", name="List").click()
    expect(page.locator(".jv-line").first).to_be_visible()
    page.get_by_role("button", name="One by one").click()
    expect(answer).to_have_value("half an answer")
    page.locator(".jv-legend .is-approved").click()
    expect(card(page)).to_be_visible()
    page.locator(".jv-legend .is-pending").click()
    expect(answer).to_have_value("half an answer")


def test_the_keyboard_stays_where_it_was(open_page: Open, rated: Served) -> None:
    page = open_page("#review/list", server=rated)
    expect(page.locator(".jv-line").first).to_be_visible()
    legend = page.locator(".jv-legend .is-pending")
    legend.press("Enter")
    expect(page.locator("#jv-review-body:not(.is-busy) .jv-line")).to_have_count(6)
    expect(legend).to_be_focused()
    page.locator(".jv-rows-head input").press("Space")
    expect(page.locator(".jv-rows-head input")).to_be_checked()
    expect(page.locator(".jv-rows-head input")).to_be_focused()
    page.locator("[data-act=bulk-approve]").press("Enter")
    expect(page.locator(".jv-line.is-chosen")).to_have_count(0)
    expect(page.locator("#jv-review-body")).to_be_focused()
    mode = page.get_by_role("button", name="One by one")
    mode.press("Enter")
    expect(card(page)).to_be_visible()
    expect(mode).to_be_focused()
    for act in ("next", "approve"):
        position = page.locator(".jv-position").inner_text()
        page.locator(f"[data-act={act}]").press("Enter")
        expect(page.locator(".jv-position")).not_to_have_text(position)
        expect(page.locator(f"[data-act={act}]")).to_be_focused()
