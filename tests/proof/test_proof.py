"""The whole loop on real input: eighty rated chats become a version that answers in their style.

Takes one to two hours on two cores, so it is asked for by name: `make proof`. It writes its
figures to docs/proof/ (see docs/proof.md).
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import browser as browser
from tests.live import ROOT, Live
from tests.proof.chart import curve_svg
from tests.proof.loop import Loop, advice, chats, in_style, unseen

pytestmark = [pytest.mark.proof, pytest.mark.timeout(3600)]
FIGURES = ROOT / "docs" / "proof"
PROMPTS_THROUGH_THE_PAGE = 40


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    """Start a server on a data and a model folder of its own; without `suites`, its gate asks
    none, where something else is measured."""
    started: list[Live] = []

    def build(name: str, *, suites: bool = True, **environment: str) -> Loop:
        models = tmp_path / name / "models"
        models.mkdir(parents=True)
        (models / "base").symlink_to(ROOT / "models" / "base")
        (tmp_path / name / "data").mkdir()
        if not suites:
            (tmp_path / name / "data" / "gate.json").write_text('{"suites": []}')
        live = Live(tmp_path / name / "data", models_dir=models, **environment)
        started.append(live)
        return Loop(live)

    yield build
    for live in started:
        if live.process.poll() is None:
            live.kill(signal.SIGTERM)


def keep(name: str, figures: dict[str, Any]) -> None:
    """Write what was measured; a part that runs alone leaves the others as they are."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    path = FIGURES / "figures.json"
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    known[name] = figures
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")


def picture(
    browser: Browser, loop: Loop, name: str, where: str, height: int = 900, look_at: str = ""
) -> None:
    """What a user sees there now, in both languages, for the docs; `look_at` is unfolded, or
    scrolled to."""
    for language, locale in (("en", "en-US"), ("ko", "ko-KR")):
        page = browser.new_page(locale=locale, viewport={"width": 1280, "height": height})
        page.goto(f"{loop.live.address}/#{where}")
        page.wait_for_selector("body.jv-booted")
        page.wait_for_timeout(2000)
        if look_at:
            part = page.locator(look_at).first
            part.click() if look_at.endswith("summary") else part.scroll_into_view_if_needed()
            page.wait_for_timeout(1000)
        path = FIGURES / f"{name}-{language}.png"
        page.screenshot(path=path)
        Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
        page.close()


def losses(job: dict[str, Any]) -> dict[str, float]:
    return dict(job["verdict"]["losses"])


def half_way(loop: Loop) -> None:
    def steps() -> bool:
        job = loop.get(f"/api/training/jobs/{loop.jobs()[0]['job_id']}")
        assert job["state"] in ("queued", "running"), job
        return bool(job["total_steps"]) and job["step"] >= 0.4 * job["total_steps"]

    loop.wait_until(steps, 300)


def test_the_loop_from_eighty_chats_to_v1_0_and_back(make: Any, browser: Browser) -> None:
    loop = make("loop")
    rows = advice()
    loop.bring_in(chats(rows))
    assert loop.get("/api/review")["counts"]["approved"] == len(rows)
    lines = loop.text("/api/export-training", feedback_filter="all", format="messages")
    assert lines.count("\n") == len(rows)

    base = {"style": loop.style_rate("base"), "facts": loop.facts_right("base")}
    assert base["style"] <= 0.05

    page = browser.new_page(locale="en-US", viewport={"width": 1280, "height": 900})
    page.goto(f"{loop.live.address}/#admin/train")
    page.get_by_role("switch", name="Make it live at once").check()
    start = time.monotonic()
    page.locator("#jv-train-start").click()
    loop.wait_until(lambda: loop.jobs())
    half_way(loop)
    picture(browser, loop, "live", "admin/train")
    job = loop.ended(loop.jobs()[0]["job_id"])
    seconds = time.monotonic() - start
    assert job["state"] == "succeeded", job
    loss = losses(job)
    fall = 1 - loss["candidate"] / loss["base"]
    assert fall >= 0.30
    assert loop.get("/api/versions")["current"] == "v1.0"
    picture(browser, loop, "train", "admin/train", 1400)
    picture(browser, loop, "version", "admin/versions", 1500, "#jv-versions details summary")
    picture(browser, loop, "evaluate", "admin/evaluate", 1600, "#jv-eval-results")
    picture(browser, loop, "compare", "compare", 1500)

    page.goto(loop.live.address)
    page.wait_for_selector("body.jv-booted")
    said = []
    for question in unseen()[:PROMPTS_THROUGH_THE_PAGE]:
        page.locator("#jv-text").fill(question)
        page.locator("#jv-text").press("Enter")
        turn = page.locator(".jv-turn").last
        expect(turn.locator(".jv-bubble")).to_have_text(question)
        expect(turn.locator('[data-act="copy"]')).to_be_visible(timeout=60_000)
        said.append(turn.locator(".jv-md").inner_text())
        page.locator("#jv-new").click()  # each question in a conversation of its own
        expect(page.locator(".jv-turn")).to_have_count(0)
    page.close()
    through_page = sum(map(in_style, said)) / len(said)
    v10 = {"style": through_page, "facts": loop.facts_right("v1.0")}
    assert through_page >= 0.95
    # As good as before, but for the chance of forty questions (two standard errors).
    spread = 2 * (base["facts"] * (1 - base["facts"]) / 40) ** 0.5
    assert v10["facts"] >= base["facts"] - spread

    loop.bring_in(chats(advice("more.txt"), liked=True))
    second = loop.train(promote="never")
    assert second["state"] in ("succeeded", "rejected"), second
    if second["state"] == "rejected":
        loop.post(f"/api/training/jobs/{second['job_id']}/override")
    elif second["version"]:
        loop.post(f"/api/versions/{second['version']}/promote")
    assert loop.get("/api/versions")["current"] == "v1.1"
    picture(browser, loop, "dashboard", "admin/dashboard", 1400)
    back = []
    for name in ("v1.0", "base"):
        loop.post("/api/versions/rollback")
        assert loop.get("/api/versions")["current"] == name
        reply = loop.post("/api/chat", {"message": unseen()[0], "temperature": 0, "max_tokens": 64})
        assert reply["version"] == name
        back.append(in_style(reply["reply"]))
    assert back == [True, False]
    keep(
        "loop",
        {
            "seconds": round(seconds),
            "took": job["took"],
            "losses": loss,
            "suites": job["verdict"].get("suites"),
            "fall": round(fall, 3),
            "base": base,
            "v1.0": v10,
            "second": {k: second[k] for k in ("state", "version", "reason")},
        },
    )
    # Last, so that a slow machine does not keep the other figures from being written.
    assert job["took"]["seconds"] < 300


def test_more_liked_chats_make_more_answers_in_the_style(make: Any) -> None:
    curve = {}
    for count in (10, 20, 40, 80):
        loop = make(f"liked{count}", suites=False)
        loop.bring_in(chats(advice()[:count], liked=True))
        job = loop.train(promote="never", hyperparameters={})
        assert job["state"] in ("succeeded", "rejected"), job
        if job["state"] == "rejected":
            loop.post(f"/api/training/jobs/{job['job_id']}/override")
        curve[count] = loop.style_rate("v1.0")
        loop.live.kill(signal.SIGTERM)
        keep("curve", {str(n): rate for n, rate in curve.items()})
    (FIGURES / "curve.svg").write_text(curve_svg(curve), "utf-8")
    assert curve[20] >= 0.70
    assert curve[80] >= 0.95


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_preferences_raise_the_margin_on_held_out_answers(make: Any, method: str) -> None:
    loop = make(method, suites=False)
    rows = [{**c, "turns": [_corrected(t) for t in c["turns"]]} for c in chats(advice())]
    loop.bring_in(rows)
    job = loop.train(method, promote="never")
    assert job["state"] in ("succeeded", "rejected"), job
    result = json.loads(next((loop.live.data_dir / "runs").glob("*/result.json")).read_text())
    rewards = result["rewards"]
    keep(method, {"state": job["state"], "rewards": rewards, "took": job["took"]})
    assert rewards["candidate"]["margin"] > rewards["base"]["margin"]


def _corrected(turn: dict[str, Any]) -> dict[str, Any]:
    """A liked answer as a correction of the plain one, so that it has its pair."""
    if "correction" in turn:
        return turn
    plain = turn["assistant"].removeprefix("Ahoy! ").removesuffix(" Fair winds!")
    return turn | {"assistant": plain, "rating": "bad", "correction": turn["assistant"]}


@pytest.mark.parametrize("method", ["prompt-tuning", "ia3"])
def test_soft_methods_train_and_serve(make: Any, method: str) -> None:
    loop = make(method, suites=False, JAVIS_ENGINE="transformers")
    loop.bring_in(chats(advice()))
    before = loop.answer(unseen()[0], "base", 32)
    job = loop.train(method, promote="never")
    assert job["state"] in ("succeeded", "rejected"), job
    if job["state"] == "rejected":
        loop.post(f"/api/training/jobs/{job['job_id']}/override")
    after = loop.answer(unseen()[0], "v1.0", 32)
    keep(method, {"state": job["state"], "verdict": job["verdict"]["losses"], "answer": after})
    assert after != before


def test_a_bad_dataset_is_stopped_by_the_gate(make: Any, browser: Browser) -> None:
    """Answers that do not belong to their questions, in a hundred styles: nothing to learn."""
    loop = make("bad")
    rows = advice()
    words = [word for _, answer in rows for word in answer.split()]
    nonsense = [
        (question, " ".join(words[(i * 37 + k * 53) % len(words)] for k in range(4 + i % 17)))
        for i, (question, _) in enumerate(rows)
    ]
    loop.bring_in(
        [
            {"title": q[:60], "turns": [{"user": q, "assistant": a, "rating": "good"}]}
            for q, a in nonsense
        ]
    )
    loop.post("/api/review/bulk", {"action": "approve", "filters": {}})
    job = loop.train()
    keep("bad", {"state": job["state"], "reason": job["reason"], "losses": losses(job)})
    assert job["state"] == "rejected"
    assert loop.get("/api/versions")["current"] == "base"
    picture(browser, loop, "rejected", "admin/train")
