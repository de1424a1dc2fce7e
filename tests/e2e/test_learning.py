"""From a thumb to a version that answers and back, in Chromium; only the trainer is scripted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from javis.engine.scripted import ScriptedEngine
from tests.e2e.conftest import Open
from tests.e2e.serving import Served, Trainer, scripted, serve
from tests.e2e.steps import answered, say

PREDICT = "**/run/predict*"


def engine() -> ScriptedEngine:
    """Says which version answers."""
    made = ScriptedEngine(context_tokens=2048)
    made.info = replace(made.info, model="smollm2-135m", title="SmolLM2 135M")
    return made


@pytest.fixture
def trainer() -> Trainer:
    return Trainer()


@pytest.fixture
def site(tmp_path: Path, trainer: Trainer) -> Iterator[Served]:
    talks = [
        {"turns": [{"user": f"question {n}", "assistant": f"answer {n * 7919}", "rating": "good"}]}
        for n in range(40)
    ]
    with serve(tmp_path, engine(), build=trainer) as one:
        one.services.library.bring_in("local", {"conversations": talks})
        yield one


def outcome(page: Page) -> Any:
    return page.locator(".jv-outcome")


def start(page: Page) -> None:
    page.locator("#jv-train-start").click()


def ask(page: Page, text: str) -> str:
    say(page, text)
    return str(answered(page).locator(".jv-md").inner_text())


def test_from_a_thumb_to_a_version_and_back(open_page: Open, site: Served) -> None:
    page = open_page(server=site)
    assert ask(page, "who answers?") == "[base] who answers?"
    site.services.preferences.set_readiness_goal(40)
    page.locator("#jv-tab-admin").click()
    expect(page.locator("#jv-train-data")).to_contain_text("40")
    expect(page.locator(".jv-why")).to_contain_text("there are 40 good answers")
    expect(page.locator(".jv-estimate")).to_contain_text("about")
    expect(page.locator("#jv-train-start")).to_have_text("Start training v1.0")
    start(page)
    expect(outcome(page)).to_contain_text("v1.0 is ready")
    expect(outcome(page)).to_contain_text("v1.0 answers better than the base model")
    page.reload()
    expect(outcome(page)).to_contain_text("v1.0 is ready")
    assert site.services.versions.current() == "base"
    outcome(page).locator("[data-act=promote]").click()
    expect(outcome(page)).to_contain_text("v1.0 is live")
    assert site.services.versions.current() == "v1.0"
    page.locator("#jv-tab-chat").click()
    expect(page.locator(".jv-banner")).to_contain_text("v1.0 is live since")
    expect(page.locator("#jv-version input")).to_have_value("v1.0 · live")
    assert ask(page, "and now?") == "[v1.0] and now?"
    page.locator("[data-act=undo-live]").click()
    expect(page.locator(".jv-banner")).not_to_contain_text("v1.0")
    expect(page.locator("#jv-version input")).to_have_value("Base model · live")
    assert ask(page, "and back?") == "[base] and back?"


def test_a_run_goes_on_over_a_reload_and_ends_when_told(
    open_page: Open, site: Served, trainer: Trainer
) -> None:
    trainer.words = ["slow"]
    page = open_page("#admin/train", server=site)
    start(page)
    live = page.locator(".jv-live")
    expect(live).to_contain_text("of 500")
    expect(live.locator("svg.jv-curve-picture path.is-loss").first).to_be_attached()
    page.reload()
    expect(live).to_contain_text("of 500")
    expect(page.locator("#jv-train-start")).to_be_disabled()
    chip = page.locator(".jv-run-chip")
    expect(chip).to_contain_text("Training")
    chip.focus()
    words = chip.inner_text()
    # It is told anew at every beat, and the keyboard stays on it.
    expect(chip).not_to_have_text(words, timeout=20_000)
    expect(chip).to_be_focused()
    page.locator("#jv-train-cancel").click()
    expect(outcome(page)).to_contain_text("The training was cancelled")
    trainer.words = []
    outcome(page).locator("[data-act=resume]").click()
    expect(outcome(page)).to_contain_text("v1.0 is ready")


def test_a_rejected_candidate_says_why_and_needs_a_typed_word(
    open_page: Open, site: Served, trainer: Trainer
) -> None:
    trainer.words = ["worse"]
    page = open_page("#admin/train", server=site)
    start(page)
    expect(outcome(page)).to_contain_text("The candidate did not pass")
    expect(outcome(page).locator(".jv-verdict")).to_contain_text("not better than the base model")
    expect(outcome(page).locator("tr.is-failed")).to_have_count(1)
    outcome(page).locator("[data-act=override]").click()
    dialog = page.get_by_role("dialog")
    publish = dialog.get_by_role("button", name="Publish")
    expect(publish).to_be_disabled()
    dialog.locator("input").fill("publish")
    publish.click()
    expect(outcome(page)).to_contain_text("v1.0 is live")
    assert site.services.versions.current() == "v1.0"
    [job] = site.services.training.jobs()
    assert job.overridden_by == "local"


def test_what_is_missing_is_said(open_page: Open, tmp_path: Path, trainer: Trainer) -> None:
    with serve(tmp_path, scripted(), build=trainer) as empty:
        page = open_page("#admin/train", server=empty)
        expect(page.locator("#jv-train-how .jv-alarm")).to_contain_text(
            "8 more good answers are needed"
        )
        expect(page.locator("#jv-train-start")).to_be_disabled()
        page.get_by_label("Method").select_option("kto")
        expect(page.locator("#jv-train-how .jv-alarm")).to_contain_text("at least 16 rated answers")
        page.locator("summary", has_text="All settings").click()
        page.locator("#jv-h-learning_rate").fill("7")
        page.locator("#jv-h-learning_rate").blur()
        expect(page.locator("#jv-estimate")).to_contain_text("Learning rate must be between")


def test_a_refused_setting_is_named_and_marked(open_page: Open, site: Served) -> None:
    page = open_page("#admin/train", server=site, locale="ko-KR")
    page.get_by_text("모든 설정").click()
    box = page.locator("#jv-h-max_length")
    expect(box).to_have_attribute("aria-invalid", "false")
    box.fill("4")
    box.press("Tab")
    expect(page.locator("#jv-estimate")).to_contain_text("예시 최대 길이 값은 16~131,072토큰 사이")
    expect(box).to_have_attribute("aria-invalid", "true")
    box.fill("512")
    box.press("Tab")
    expect(box).to_have_attribute("aria-invalid", "false")


def test_a_model_that_cannot_be_trained_says_so(open_page: Open) -> None:
    page = open_page("#admin/train")
    expect(page.locator("#jv-train-how .jv-alarm")).to_contain_text("cannot be trained")


def test_versions_can_be_switched_and_deleted(open_page: Open, site: Served) -> None:
    page = open_page("#admin/train", server=site)
    page.get_by_text("Make it live at once").click()
    start(page)
    expect(outcome(page)).to_contain_text("v1.0 is live")
    page.locator("#jv-section-versions").click()
    v1 = page.locator('[data-version="v1.0"]')
    expect(v1.locator(".jv-tag.is-on")).to_have_text("Live")
    expect(v1).to_contain_text("Gate passed")
    page.locator("#jv-rollback").click()
    expect(page.locator('[data-version="base"] .jv-tag.is-on')).to_be_visible()
    page.locator(".jv-toast").get_by_role("button", name="Undo").click()
    expect(v1.locator(".jv-tag.is-on")).to_be_visible()
    page.get_by_role("button", name="More for v1.0").click()
    page.get_by_role("menuitem", name="Why it cannot be deleted").click()
    expect(page.locator(".jv-toast").last).to_contain_text("v1.0 is in use")
    page.locator("#jv-rollback").click()
    expect(v1.locator("[data-act=promote]")).to_be_visible()
    page.get_by_role("button", name="More for v1.0").click()
    page.get_by_role("menuitem", name="Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input").fill("v1.0")
    dialog.get_by_role("button", name="Delete").click()
    expect(v1).to_have_count(0)


def test_a_file_that_is_no_adapter_is_refused_in_words(
    browser: Browser, site: Served, tmp_path: Path
) -> None:
    # Not `open_page`: a browser logs every refused request as an error.
    with browser.new_context(locale="ko-KR") as context:
        page = context.new_page()
        page.goto(f"{site.url}#admin/versions")
        file = tmp_path / "broken.zip"
        file.write_bytes(b"no zip at all")
        page.set_input_files("#jv-version-file", file)
        expect(page.locator(".jv-toast")).to_contain_text("가져오지 못했습니다")


def test_the_browser_keeps_its_choices(open_page: Open, site: Served) -> None:
    page = open_page(server=site)
    slider = page.locator("#jv-temperature input[type=number]")
    slider.fill("0.3")
    slider.blur()
    page.wait_for_function("localStorage.getItem('javis.temperature') === '0.3'")
    page.click("#jv-tune")
    top_p = page.locator("#jv-top-p input[type=number]")
    longest = page.locator("#jv-max-tokens input[type=number]")
    for box, value in ((top_p, "0.5"), (longest, "64")):
        box.fill(value)
        box.blur()
    page.wait_for_function("localStorage.getItem('javis.max_tokens') === '64'")
    page.reload()
    page.wait_for_selector("body.jv-booted")
    expect(slider).to_have_value("0.3")
    expect(top_p).to_have_value("0.5")
    expect(longest).to_have_value("64")
    page.evaluate("localStorage.setItem('javis.temperature', '99')")
    page.evaluate("localStorage.setItem('javis.max_tokens', '99999999')")
    page.evaluate("localStorage.setItem('javis.top_p', 'much')")
    page.evaluate("localStorage.setItem('javis.version', 'v9.9')")
    page.reload()
    page.wait_for_selector("body.jv-booted")
    expect(slider).to_have_value("0.7")
    expect(top_p).to_have_value(str(site.services.preferences.sampling().top_p))
    expect(longest).to_have_value(str(site.services.preferences.sampling().max_tokens))
    assert ask(page, "still fine?") == "[base] still fine?"


def hold(page: Page, kind: str) -> list[Route]:
    """Keeps questions of one kind from the server until `page.unroute(PREDICT)`."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        wanted = f'"kind":"{kind}"' in (route.request.post_data or "")
        held.append(route) if wanted else route.fallback()

    page.route(PREDICT, keep)
    return held


def until(page: Page, held: list[Route]) -> None:
    while not held:
        page.wait_for_timeout(20)


def test_a_double_click_goes_back_once(open_page: Open, site: Served) -> None:
    page = open_page("#admin/train", server=site)
    page.get_by_text("Make it live at once").click()
    start(page)
    expect(outcome(page)).to_contain_text("v1.0 is live")
    page.locator("#jv-section-versions").click()
    expect(page.locator("#jv-rollback")).to_have_text("Back to the base model")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.post_data or ""))
    page.locator("#jv-rollback").dblclick()
    expect(page.locator('[data-version="base"] .jv-tag.is-on')).to_be_visible()
    expect(page.locator(".jv-toast")).to_contain_text("The base model is live now.")
    page.wait_for_timeout(300)
    assert sum('"version_rollback"' in data for data in asked) == 1
    # And forth again.
    asked.clear()
    page.locator('[data-version="v1.0"] [data-act=promote]').dblclick()
    expect(page.locator('[data-version="v1.0"] .jv-tag.is-on')).to_be_visible()
    page.wait_for_timeout(300)
    assert sum('"version_promote"' in data for data in asked) == 1


def test_the_schedule_keeps_what_was_chosen(open_page: Open, site: Served) -> None:
    page = open_page("#admin/train", server=site)
    page.locator("#jv-schedule-on").check()
    turns, days = page.locator("#jv-schedule-turns"), page.locator("#jv-schedule-days")
    expect(turns).to_have_value("100")
    held = hold(page, "train_schedule")
    turns.fill("70")
    turns.press("Tab")
    until(page, held)
    days.press_sequentially("1")
    page.unroute(PREDICT)
    page.wait_for_timeout(400)
    expect(days).to_be_focused()
    days.press_sequentially("4")
    days.press("Tab")
    expect(days).to_have_value("14")
    page.wait_for_timeout(400)
    plan = site.services.preferences.schedule()
    assert (plan.turns, plan.days) == (70, 14)
    expect(turns).to_have_value("70")


def test_two_prices_are_both_kept(open_page: Open, site: Served) -> None:
    page = open_page("#admin/train", server=site)
    page.locator("summary", has_text="Prices").click()
    first, second = page.locator("#jv-prices input").nth(0), page.locator("#jv-prices input").nth(1)
    names = [(box.get_attribute("id") or "").removeprefix("jv-p-") for box in (first, second)]
    held = hold(page, "train_prices")
    first.fill("3")
    first.press("Tab")
    until(page, held)
    second.fill("")
    second.press_sequentially("1")
    page.unroute(PREDICT)
    page.wait_for_timeout(600)
    expect(second).to_be_focused()
    second.press_sequentially("2")
    second.press("Tab")
    page.wait_for_timeout(600)
    prices = site.services.preferences.prices()
    assert [getattr(prices, name) for name in names] == [3, 12]


def test_a_run_leaves_the_keyboard_where_it_is(
    open_page: Open, site: Served, trainer: Trainer
) -> None:
    trainer.words = ["slow"]
    page = open_page("#admin/train", server=site)
    page.locator("summary", has_text="All settings").click()
    start(page)
    expect(page.locator(".jv-live")).to_contain_text("of 500")
    cancel = page.locator("#jv-train-cancel")
    cancel.focus()
    words = page.locator(".jv-live-facts").inner_text()
    expect(page.locator(".jv-live-facts")).not_to_have_text(words)
    expect(cancel).to_be_focused()
    rate = page.locator("#jv-h-learning_rate")
    rate.fill("0.000")
    [job] = site.services.training.jobs()
    site.services.training.cancel(job.id)
    expect(outcome(page)).to_contain_text("The training was cancelled")
    expect(page.locator("#jv-train-start")).to_be_enabled()
    expect(rate).to_be_focused()
    rate.press_sequentially("2")
    expect(rate).to_have_value("0.0002")
