"""Evaluate, compare and look back, in Chromium; the suites are real, only the model is scripted."""

from __future__ import annotations

import io
import math
import re
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from javis.core.arena import Duel, End
from javis.core.evaluation import ItemResult
from javis.core.types import Turn
from javis.engine.scripted import ScriptedEngine, echo
from javis.eval.harness_results import Kept, Row
from javis.eval.suites import suites
from javis.store import new_turn_id, now_iso
from javis.store.duels import new_duel_id
from tests.e2e.conftest import Open
from tests.e2e.serving import Served, scripted, serve
from tests.e2e.steps import act, chat

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def engine() -> ScriptedEngine:
    """Says which version answers, so that two versions never say the same."""
    made = scripted(versions=("v1.0",), delay_s=0.0)
    made._answer = echo
    return made


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, engine: ScriptedEngine) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("compare"), engine) as one:
        yield one


@pytest.fixture(scope="module")
def evaluated(site: Served) -> Served:
    """Both versions have answered twenty questions on health."""
    run = site.services.evaluation.start(["base", "v1.0"], ["health"], 20, "local")
    assert site.services.evaluation.wait(run.id, 30).state == "succeeded"
    return site


def fits(page: Page) -> bool:
    """Nothing makes the page, or what scrolls in it, wider than the window."""
    wide = "['html', '#jv-compare-body', '#jv-admin'].map((s) => document.querySelector(s))"
    return bool(page.evaluate(f"{wide}.every((n) => !n || n.scrollWidth <= innerWidth)"))


def texts(rows: Locator) -> list[str]:
    return [text.strip() for text in rows.all_inner_texts()]


def test_an_evaluation_is_started_watched_and_read(open_page: Open, site: Served) -> None:
    page = open_page("#admin/evaluate", server=site)
    start = page.locator("#jv-eval-start")
    expect(start).to_be_enabled()
    for box in page.locator("fieldset").nth(1).locator("input").all():
        box.set_checked(box.get_attribute("data-pick") == "instruction")
    page.locator('[data-pick="v1.0"]').check()
    page.get_by_role("button", name="20", exact=True).click()
    expect(page.locator("#jv-eval-start-row")).to_contain_text("40 answers")
    page.locator('[data-pick="instruction"]').uncheck()
    expect(start).to_be_disabled()
    page.locator('[data-pick="instruction"]').check()
    start.click()
    expect(page.locator("#jv-eval-run")).to_contain_text("40 of 40 answers")
    suite = page.locator('[data-suite="instruction"]')
    expect(suite.locator(".jv-measure")).to_have_count(2)
    expect(suite).to_contain_text(re.compile(r"20 of \d+ questions asked · shows a difference of"))
    expect(suite).to_contain_text("questions would show 5 points")
    suite.get_by_text("By language and kind").click()
    expect(suite.get_by_role("row", name="Korean")).to_be_visible()
    page.reload()
    expect(suite.locator(".jv-measure")).to_have_count(2)
    page.get_by_role("button", name="Put away").click()
    expect(page.locator("#jv-eval-run")).to_be_empty()


def test_what_the_harness_found_is_shown(open_page: Open, site: Served) -> None:
    known = site.services.evaluation._known
    for version in site.services.versions.usable():
        value = 0.25 if version.name == "base" else 0.5
        numbers = [Row("kobest_copa", "acc", value, 0.0123, 100), Row("sums", "bits", 2, None, 6)]
        how = (True, 100, "0.4.13", now_iso())
        known.harness.keep(known.subject(version), [Kept(version.name, n, *how) for n in numbers])
    page = open_page("#admin/evaluate", server=site)
    shown = page.locator('[data-suite="harness"]')
    expect(shown.get_by_role("columnheader")).to_have_text(["Task", "Base model", "v1.0"])
    row = shown.get_by_role("row", name="kobest_copa")
    expect(row).to_contain_text("acc · chat template · first 100")
    expect(row.get_by_role("cell")).to_have_text(["0.25 ± 0.012", "0.5 ± 0.012"])
    expect(shown.get_by_role("row", name="sums").get_by_role("cell")).to_have_text(["2", "2"])


def test_an_evaluation_can_be_cancelled_and_goes_on_where_it_was(
    open_page: Open, tmp_path: Path
) -> None:
    engine = scripted(versions=("v1.0",), delay_s=0.05)
    with serve(tmp_path, engine) as slow:
        page = open_page("#admin/evaluate", server=slow)
        page.locator("#jv-eval-start").click()
        page.locator("#jv-eval-cancel").click()
        expect(page.locator("#jv-eval-run")).to_contain_text("Cancelled")
        [run] = slow.services.evaluation.runs()
        assert run.state == "cancelled"
        expect(page.locator("#jv-eval-start")).to_be_enabled()


def test_versions_stand_side_by_side(open_page: Open, evaluated: Served) -> None:
    page = open_page(server=evaluated)
    tabs = page.get_by_role("tab")
    assert texts(tabs) == ["Chat", "Review", "Compare", "Admin"]
    tabs.nth(2).click()
    table = page.locator("#jv-compare-table")
    expect(table.locator("tbody tr")).to_have_count(2)
    health = table.get_by_role("columnheader", name="Healthy answers")
    health.get_by_role("button").click()
    expect(health).to_have_attribute("aria-sort", "descending")
    health.get_by_role("button").press("Enter")
    expect(health).to_have_attribute("aria-sort", "ascending")
    expect(health.get_by_role("button")).to_be_focused()
    benchmark = page.locator('[data-figure="benchmark"]')
    bars = benchmark.locator(".jv-level")
    expect(bars.first.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile(r"Base model: [\d.]+ \([\d.]+–[\d.]+\)")
    )
    benchmark.get_by_text("As a table").click()
    expect(benchmark.get_by_role("row", name="Healthy answers")).to_be_visible()
    page.locator('.jv-pill[data-version="v1.0"]').click()
    expect(table.locator("tbody tr")).to_have_count(1)
    expect(page.locator('.jv-pill[data-version="v1.0"]')).to_be_focused()
    page.locator('.jv-pill[data-version="base"]').click()
    expect(page.locator("#jv-compare-body")).to_contain_text("Choose at least one version")


def answered(site: Served, right: dict[str, set[int]], items: int, start: int = 0) -> None:
    """Results of `health` on the disk: which items from `start` on each version got right."""
    known = site.services.evaluation._known
    suite = suites()["health"]
    for version in (v for v in site.services.versions.all() if v.name in right):
        for n, item in enumerate(suite.items()[start:items], start):
            score = float(n in right[version.name])
            result = ItemResult(item.id, item.language, item.group, score, ("x",))
            known.cache.append(known.subject(version), "health", suite.data_version, result)


@pytest.mark.parametrize(("ours", "mark"), [(22, ""), (38, "is-up")])
def test_only_what_is_more_than_chance_stands_out(
    open_page: Open, tmp_path: Path, ours: int, mark: str
) -> None:
    """The base has twenty of forty right, half of which v1.0 has wrong in the first case."""
    with serve(tmp_path, scripted(versions=("v1.0",))) as fresh:
        first = 10 if ours < 30 else 0
        right = {"base": set(range(20)), "v1.0": set(range(first, first + ours))}
        answered(fresh, right, 40)
        page = open_page("#compare/table", server=fresh)
        table = page.locator("#jv-compare-table")
        change = table.locator('tr[data-version="v1.0"] .jv-change').first
        expect(change).to_have_class(re.compile(f"^jv-change {mark}$".replace(" $", "$")))
        expect(table.locator("td.is-best")).to_have_count(0)
        # Textbook intervals of these shares, which the bootstrap comes near to.
        bars = page.locator('[data-figure="benchmark"] .jv-level-track')
        for bar, share in zip(bars.all(), (20 / 40, ours / 40), strict=True):
            half = 2.02 * math.sqrt(share * (1 - share) / 39)
            track, value, whisker = (
                box.bounding_box() or {} for box in (bar, *bar.locator("i").all())
            )
            assert value["x"] == pytest.approx(track["x"], abs=1)
            assert value["width"] / track["width"] == pytest.approx(share, abs=0.005)
            low = (whisker["x"] - track["x"]) / track["width"]
            high = low + whisker["width"] / track["width"]
            ends = (share - half, min(1, share + half))
            assert (low, high) == pytest.approx(ends, abs=0.03)


def test_too_few_common_questions_show_no_difference(open_page: Open, tmp_path: Path) -> None:
    with serve(tmp_path, scripted(versions=("v1.0",))) as fresh:
        answered(fresh, {"base": set(), "v1.0": {0, 1, 2, 3, 4}}, 5)
        change = '#jv-compare-table tr[data-version="v1.0"] .jv-change'
        page = open_page("#compare/table", server=fresh)
        expect(page.locator(change)).to_have_text("too few to compare")
        expect(page.locator(change)).to_have_attribute("title", re.compile("5"))
        answered(fresh, {"base": {5}, "v1.0": {5}}, 6, start=5)
        page.reload()
        expect(page.locator(change).first).to_have_text("+83.3")


def test_the_table_shows_what_was_measured(open_page: Open, evaluated: Served) -> None:
    page = open_page("#compare/table", server=evaluated)
    reports = evaluated.services.evaluation.reports(["v1.0"])
    [score] = [r.score for r in reports if r.suite == "health"]
    assert score is not None
    row = page.locator('#jv-compare-table tr[data-version="v1.0"]')
    expect(row).to_contain_text(f"{100 * score.value:.1f}".removesuffix(".0"))
    assert 0 < score.value < 1 or score.low < score.high


def test_all_versions_answer_a_question_of_ones_own(
    open_page: Open, site: Served, engine: ScriptedEngine
) -> None:
    page = open_page("#compare/answers", server=site)
    page.locator("#jv-ask-text").fill("who are you?")
    page.locator("#jv-ask-text").press("Enter")
    columns = page.locator(".jv-column")
    expect(columns.nth(0)).to_contain_text("[base] who are you?")
    expect(columns.nth(1)).to_contain_text("[v1.0] who are you?")
    page.get_by_label("Mark what differs").check()
    expect(columns.nth(1).locator("ins")).to_have_text("[v1.0]")
    expect(columns.nth(1).locator("del")).to_have_text("[base]")
    assert site.services.library.page("local")[1] == 0, "nothing is kept as a conversation"


def test_growing_answers_can_be_stopped(
    open_page: Open, site: Served, engine: ScriptedEngine
) -> None:
    page = open_page("#compare/answers", server=site)
    engine._delay_s = 0.1
    try:
        page.locator("#jv-ask-text").fill(" ".join(str(n) for n in range(200)))
        page.locator("#jv-ask-go").click()
        expect(page.locator(".jv-column").first).to_contain_text("[base] 0 1 2")
        expect(page.locator(".jv-column").first).to_have_attribute("aria-busy", "true")
        page.locator("#jv-ask-stop").click()
        expect(page.locator("#jv-ask-go")).to_be_visible()
        expect(page.locator("#jv-ask-text")).to_be_focused()
    finally:
        engine._delay_s = 0.0


def test_answers_to_a_suite_prompt_by_prompt(open_page: Open, evaluated: Served) -> None:
    page = open_page("#compare/answers", server=evaluated)
    page.get_by_label("What they were asked").select_option("health")
    asked = page.locator(".jv-asked")
    expect(asked).to_have_count(10)
    expect(asked.first.locator(".jv-column")).to_have_count(2)
    expect(asked.first.locator(".jv-column").first.locator(".jv-tag")).to_be_visible()
    first = asked.first.get_attribute("data-item")
    page.get_by_role("button", name="Next").click()
    expect(asked.first).not_to_have_attribute("data-item", first or "")
    expect(page.locator(".jv-pages")).to_contain_text("11")
    page.get_by_label("What they were asked").select_option("knowledge")
    expect(page.locator("#jv-answer-rows")).to_contain_text("have not answered this suite")


def test_a_report_can_be_written_and_taken_along(open_page: Open, evaluated: Served) -> None:
    page = open_page("#compare/table", server=evaluated)
    page.locator("#jv-compare-report").click()
    page.locator("#jv-make-report").click()
    line = page.locator(".jv-reports li")
    expect(line).to_have_count(1, timeout=30_000)
    address = line.get_by_role("link", name="All files").get_attribute("href")
    answer = page.request.get(evaluated.url + str(address))
    with zipfile.ZipFile(io.BytesIO(answer.body())) as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert {"comparison_summary.csv", "report.json", "report.html"} <= names
    line.get_by_role("button").click()
    expect(line).to_have_count(0)


def test_nothing_waits_for_a_report(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path, scripted(versions=("v1.0",))) as fresh:
        written = threading.Event()
        make = fresh.services.compare.report
        monkeypatch.setattr(
            fresh.services.compare, "report", lambda versions: written.wait(30) and make(versions)
        )
        page = open_page("#compare/table", server=fresh)
        page.locator("#jv-compare-report").click()
        page.locator("#jv-make-report").click()
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Chat").click()
        turn = chat(page, "hello")
        act(turn, "good").click()
        expect(act(turn, "good")).to_have_attribute("aria-pressed", "true")
        written.set()
        page.get_by_role("tab", name="Compare").click()
        page.locator("#jv-compare-report").click()
        expect(page.locator(".jv-reports li")).to_have_count(1, timeout=30_000)


def test_votes_say_when_they_are_too_few(open_page: Open, site: Served) -> None:
    page = open_page("#compare/votes", server=site)
    expect(page.locator("#jv-compare-body")).to_contain_text("Blind comparison is off")
    expect(page.locator("#jv-compare-body")).to_contain_text("Nobody has voted yet")


def vote(site: Served, end: End, times: int, one: str = "v1.0", other: str = "base") -> None:
    """Blind comparisons of `one` (left) with `other` (right) that ended so."""
    store = site.store
    for _ in range(times):
        talk = store.conversations.create("local").id
        left, right = (
            Turn(new_turn_id(), talk, None, now_iso(), "hello", "hi", "stop") for _ in range(2)
        )
        ids = (new_duel_id(), talk, "local", now_iso(), left.id, right.id)
        hashes = (None if name == "base" else name[-1] * 64 for name in (one, other))
        duel = Duel(*ids, one, other, *hashes, "smollm2-135m", "right")
        store.duels.open(duel, left, right)
        store.duels.end(duel.id, end, "left")


def test_votes_are_shown_with_what_can_be_said(open_page: Open, tmp_path: Path) -> None:
    with serve(tmp_path, scripted(versions=("v1.0",))) as fresh:
        vote(fresh, "left", 5)
        page = open_page("#compare/votes", server=fresh)
        body = page.locator("#jv-compare-body")
        expect(body).to_contain_text("Not enough votes yet: 5 so far")
        vote(fresh, "left", 25)
        vote(fresh, "right", 4)
        vote(fresh, "both_bad", 2)
        page.reload()
        preferred = "v1.0 is preferred to Base model, after 36 votes"
        expect(body).to_contain_text(preferred, timeout=20_000)
        won = [t.strip() for t in body.locator('tr[data-version="v1.0"] > *').all_inner_texts()]
        assert won == ["v1.0", "36", "30", "4", "0", "2", "–"]
        expect(body.locator(".jv-measure")).to_have_count(2)
        pair = body.locator(".jv-versus")
        expect(pair).to_have_attribute("aria-label", re.compile("v1.0 30.*Base model 4|Base.* 30"))


@pytest.mark.parametrize(
    ("against_base", "between", "sentence"),
    [
        # Strengths are held against the base, so the best is said to beat it, and nobody else.
        ((40, 4, 40, 4), (6, 4), "v1.0 is preferred to Base model, after 98 votes."),
        ((4, 40, 4, 40), (5, 5), "Base model is preferred to v1.0, v1.2, after 98 votes."),
        ((4, 40, 21, 23), (1, 9), "After 98 votes none is clearly preferred."),
    ],
)
def test_the_votes_of_three_versions(
    open_page: Open,
    tmp_path: Path,
    against_base: tuple[int, int, int, int],
    between: tuple[int, int],
    sentence: str,
) -> None:
    with serve(tmp_path, scripted(versions=("v1.0",))) as fresh:
        # v1.2 was deleted since; its votes still say what they said.
        won, lost, won_too, lost_too = against_base
        vote(fresh, "left", won)
        vote(fresh, "right", lost)
        vote(fresh, "left", won_too, "v1.2")
        vote(fresh, "right", lost_too, "v1.2")
        vote(fresh, "left", between[0], "v1.0", "v1.2")
        vote(fresh, "right", between[1], "v1.0", "v1.2")
        page = open_page("#compare/votes", server=fresh)
        expect(page.locator(".jv-verdict")).to_have_text(sentence, timeout=20_000)
        expect(page.locator(".jv-versus")).to_have_count(3)


def test_the_dashboard_counts_what_happened(open_page: Open, tmp_path: Path) -> None:
    with serve(tmp_path, scripted(versions=("v1.0",))) as fresh:
        page = open_page(server=fresh)
        for text in ("one", "two", "three"):
            turn = chat(page, text)
        act(turn, "good").click()
        expect(act(turn, "good")).to_have_attribute("aria-pressed", "true")
        page.locator("#jv-tab-admin").click()
        page.locator("#jv-section-dashboard").click()
        board = page.locator("#jv-dashboard-page")
        expect(board.locator(".jv-numbers").first).to_contain_text(re.compile(r"3\s*Answers"))
        expect(page.locator("#jv-dash-thumbs .jv-measure").first).to_contain_text("1 up, 0 down")
        expect(page.locator("#jv-dash-speed table").first).to_contain_text("Base model")
        picture = board.locator(".jv-figure-picture").first
        picture.focus()
        picture.press("ArrowLeft")
        expect(board.locator(".jv-read").first).to_have_text(re.compile(": 3$"))
        board.get_by_text("As a table").first.click()
        expect(board.locator(".jv-data tbody tr").first).to_be_visible()
        page.get_by_role("button", name="90 days").click()
        expect(page.locator('[data-days="90"]')).to_have_attribute("aria-pressed", "true")
        # A turned phone: every picture is drawn for the new width, so its letters keep their size.
        page.set_viewport_size(PHONE)
        for at in range(board.locator("svg.jv-figure-picture").count()):
            expect(board.locator("svg.jv-figure-picture").nth(at)).to_have_js_property(
                "viewBox.baseVal.width", 320
            )


def test_only_admins_see_any_of_it(open_page: Open, site: Served) -> None:
    page = open_page("#compare/table", server=site, user="eve")
    expect(page.locator("#jv-tab-compare")).to_have_count(0)
    expect(page.locator("#jv-compare")).to_be_hidden()


@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
def test_a_phone_shows_it_all(open_page: Open, evaluated: Served, locale: str) -> None:
    page = open_page(server=evaluated, viewport=PHONE, locale=locale, color_scheme="dark")
    for path in ("compare/table", "compare/answers", "compare/votes"):
        page.goto(f"{evaluated.url}#{path}")
        expect(page.locator("#jv-compare-body .jv-card").first).to_be_visible()
        assert fits(page), path
        if path == "compare/table":
            # What goes on behind the edge fades, until one is there.
            table = page.locator("#jv-compare-table")
            expect(table).to_have_class(re.compile("is-cut"))
            table.evaluate("(box) => box.scrollTo({ left: 9999 })")
            expect(table).not_to_have_class(re.compile("is-cut"))
            expect(table.locator("tbody th").first).to_be_in_viewport(ratio=1)
    for section in ("evaluate", "dashboard"):
        page.goto(f"{evaluated.url}#admin/{section}")
        expect(page.locator(f"#jv-{section} .jv-card").first).to_be_visible()
        assert fits(page), section


def test_a_slow_reply_takes_no_keystroke(open_page: Open, site: Served) -> None:
    page = open_page("#compare/table", server=site)
    expect(page.locator("#jv-compare-table")).to_be_visible()
    assert page.evaluate("document.querySelectorAll('#jv-compare-table').length") == 1
    held: list[Route] = []

    def keep(route: Route) -> None:
        wanted = '"compare_state"' in (route.request.post_data or "")
        held.append(route) if wanted else route.fallback()

    page.route("**/run/predict*", keep)
    page.get_by_role("button", name="Answers", exact=True).press("Enter")
    expect(page.get_by_role("button", name="Answers", exact=True)).to_be_focused()
    field = page.locator("#jv-ask-text")
    muted = "getComputedStyle(document.querySelector('#jv-ask-text'), '::placeholder').color"
    assert page.evaluate(muted) != page.evaluate(muted.replace(", '::placeholder'", ""))
    field.press_sequentially("who ")
    while not held:
        page.wait_for_timeout(20)
    field.evaluate("(node) => { node.jvSame = true; }")
    page.unroute("**/run/predict*")
    page.wait_for_timeout(500)
    expect(field).to_be_focused()
    page.keyboard.type("are you?")
    expect(field).to_have_value("who are you?")
    # Not even a copy of it: who composes Hangul would lose the syllable.
    assert field.evaluate("(node) => node.jvSame === true")


def test_the_keyboard_stays_where_it_was(open_page: Open, tmp_path: Path) -> None:
    with serve(tmp_path, scripted(versions=("v1.0",), delay_s=0.05)) as slow:
        page = open_page("#admin/evaluate", server=slow)
        size = page.get_by_role("button", name="20", exact=True)
        size.press("Enter")
        expect(size).to_have_attribute("aria-pressed", "true")
        expect(size).to_be_focused()
        page.locator("#jv-eval-start").click()
        cancel = page.locator("#jv-eval-cancel")
        cancel.focus()
        facts = page.locator("#jv-eval-run .jv-live-facts")
        words = facts.inner_text()
        expect(facts).not_to_have_text(words)
        expect(cancel).to_be_focused()
        cancel.press("Enter")
        expect(page.locator("#jv-eval-run")).to_contain_text("Cancelled")
        for name in ("versions", "dashboard"):
            page.locator(f"#jv-section-{name}").press("Enter")
            expect(page.locator(f"#jv-{name} .jv-card").first).to_be_visible()
            expect(page.locator(f"#jv-section-{name}")).to_be_focused()
        days = page.locator('[data-days="7"]')
        days.press("Enter")
        expect(days).to_have_attribute("aria-pressed", "true")
        expect(days).to_be_focused()
        expect(page.locator("#jv-admin")).to_have_attribute("role", "tabpanel")
