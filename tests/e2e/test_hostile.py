"""What a hostile text or a hostile client can do to the page: nothing."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest
from playwright.sync_api import Route, expect

from javis.core.types import SamplingParams
from tests.e2e.conftest import Open
from tests.e2e.serving import Served
from tests.e2e.steps import chat, say

CORPUS = (
    "<script>window.marker=1</script>",
    "<img src=x onerror=window.marker=1>",
    "<svg/onload=window.marker=1>",
    '<iframe srcdoc="<script>parent.marker=1</script>"></iframe>',
    "[click](javascript:window.marker=1)",
    "[click](JaVa\tScRiPt:window.marker=1)",
    "[click](&#106;avascript:window.marker=1)",
    "[click](data:text/html,<script>opener.marker=1</script>)",
    "<javascript:window.marker=1>",
    "![pic](https://evil.example/leak.png)",
    "![pic](//evil.example/leak.png)",
    "[![pic](https://evil.example/a.png)](https://evil.example/b)",
    '![a](https://evil.example/x"onerror="window.marker=1)',
    '[a](https://evil.example/" onmouseover="window.marker=1)',
    "$$\\href{javascript:window.marker=1}{x}$$ and $\\unknown{ $ and \\[ \\frac{ \\]",
    "$\\includegraphics{https://evil.example/x.png}$",
    "```html\n<script>window.marker=1</script>\n```",
    '``` x" onload="window.marker=1\n<b>\n```',
    "| <script>window.marker=1</script> | b |\n|-|-|\n| <img src=x onerror=window.marker=1> | d |",
    "{{constructor.constructor('window.marker=1')()}} ${window.marker=1} `${window.marker=1}`",
    "<style>@import url(https://evil.example/x.css)</style>",
    "<base href=https://evil.example/>",
    "<form action=https://evil.example><button>go</button></form>",
)


def test_hostile_markdown_stays_text(open_page: Open) -> None:
    page = open_page(user="xss")
    turn = chat(page, "raw:" + "\n\n".join(CORPUS))
    html = turn.locator(".jv-md").inner_html()
    inside = "document.querySelector('.jv-turn:last-child .jv-md')"
    live = page.evaluate(
        f"[...{inside}.querySelectorAll('script,img,svg:not(.jv-icon),iframe,style,base,form,"
        f"object,embed,link,meta,video,audio')].map(n => n.outerHTML)"
    )
    assert live == []
    handlers = page.evaluate(
        f"[...{inside}.querySelectorAll('*')].flatMap(n => [...n.attributes])"
        ".filter(a => a.name.startsWith('on')).map(a => a.name)"
    )
    assert handlers == []
    links = page.evaluate(f"[...{inside}.querySelectorAll('a')].map(a => a.protocol)")
    assert set(links) <= {"http:", "https:", "mailto:"}
    assert "&lt;script&gt;" in html
    page.reload()
    expect(page.locator(".jv-md").first).to_contain_text("<script>")
    # A hostile title and a hostile message are text, too.
    say(page, CORPUS[1])
    expect(page.locator(".jv-bubble").last).to_have_text(CORPUS[1])
    assert page.evaluate("window.marker === undefined")


@pytest.mark.parametrize(
    "text",
    [
        "*" * 20_000,
        "[" * 20_000,
        "`" * 20_000,
        "_a" * 20_000,
        "> " * 5_000,
        "- " * 5_000 + "x",
        "$" * 9_999,
        "|" * 10_000 + "\n" + "|-" * 5_000,
        "\n".join(" " * n + "- x" for n in range(400)),
        "<" * 20_000,
        "![](" * 5_000,
        "**a" * 7_000,
        "https://" * 3_000,
        "https://가" * 3_000,
        "https://a.kr/" + "(에서" * 5_000,
    ],
    ids=lambda t: t[:6],
)
def test_no_text_costs_more_than_a_moment(open_page: Open, text: str) -> None:
    page = open_page("?slow", user="slow")
    spent = page.evaluate(
        """(text) => {
            const host = document.createElement("div");
            const start = performance.now();
            window.jvWires.draw(host, text);
            return performance.now() - start;
        }""",
        text,
    )
    assert spent < 1500


def test_every_function_refuses_a_stranger(served: Served) -> None:
    """Each function of the page over plain HTTP, by somebody who is no admin, with junk."""
    preferences = served.services.preferences
    before = (preferences.sampling(), preferences.system_prompt(), preferences.readiness_goal())
    path = str(served.store.db.storage.path)
    with httpx.Client(base_url=served.url, headers={"x-test-user": "eve"}, timeout=30) as client:
        config = client.get("config").json()
        assert len(config["dependencies"]) >= 8
        reached = set()
        for number, dependency in enumerate(config["dependencies"]):
            for junk in (None, "x", -1, {"a": 1}, [], 10**9):
                for event in (
                    None,
                    {"kind": "admin_state"},
                    {"kind": "admin_backup"},
                    {"kind": junk},
                ):
                    said = run(client, number, [junk] * len(dependency["inputs"]), event)
                    assert b"Traceback" not in said.content
                    if said.status_code == 200:
                        reached.add(number)
                    assert path.encode() not in said.content
        # Without this the sweep could be green because nothing was called at all.
        assert len(reached) >= 7, reached
    after = (preferences.sampling(), preferences.system_prompt(), preferences.readiness_goal())
    assert before == after
    assert not (served.services.settings.data_dir / "backups").exists()


def run(client: httpx.Client, number: int, data: list[Any], event: Any) -> httpx.Response:
    body = {"fn_index": number, "data": data, "session_hash": "eve", "event_data": event}
    return client.post("gradio_api/run/predict", json=body)


def test_an_admin_question_of_a_stranger_says_why(served: Served) -> None:
    with httpx.Client(base_url=served.url, headers={"x-test-user": "eve"}) as client:
        config = client.get("config").json()
        wires = [n for n, d in enumerate(config["dependencies"]) if d["targets"][0][1] == "call"]
        assert len(wires) == 3
        kinds = ("admin_state", "admin_backup", "versions_state", "version_promote")
        for wire, kind in itertools.product(wires, kinds):
            said = run(client, wire, [], {"kind": kind, "lang": "ko", "call": "1"}).json()
            assert "data" in said, said
            assert said["data"][0]["error"]["message"] == "관리자만 할 수 있습니다."


def test_only_admins_see_the_tab(open_page: Open) -> None:
    page = open_page(user="eve")
    expect(page.locator("#jv-tab-admin")).to_have_count(0)


def test_the_admin_tab(open_page: Open, served: Served) -> None:
    page = open_page()
    page.click("#jv-tab-admin")
    page.click("#jv-section-system")
    state = page.locator("#jv-state")
    for words in ("SmolLM2 135M", "2,048 tokens", "javis.jnl"):
        expect(state).to_contain_text(words)
    page.get_by_role("button", name="Back up now").click()
    expect(page.locator(".jv-toast")).to_contain_text("Saved to")
    assert list((served.services.settings.data_dir / "backups").iterdir())
    page.locator("#jv-admin-goal input").fill("300")
    page.locator("#jv-admin-temperature input[type=number]").fill("0.4")
    page.get_by_label("Learn from corrections at once").uncheck()
    page.click("#jv-admin-save")
    expect(page.locator(".jv-toast")).to_contain_text("Saved. New chats begin with this.")
    assert served.services.preferences.readiness_goal() == 300
    assert served.services.preferences.sampling().temperature == 0.4
    assert not served.services.preferences.use_corrections()
    served.services.preferences.set_use_corrections(True)
    served.services.preferences.set_sampling(SamplingParams())
    expect(page.locator(".jv-ready-words")).to_contain_text("of 300")
    page.locator("#jv-admin-goal input").fill("3")
    page.click("#jv-admin-save")
    expect(page.locator(".jv-toast")).to_contain_text("between 10 and 100,000")
    assert served.services.preferences.readiness_goal() == 300
    assert served.services.preferences.sampling() == SamplingParams()  # a refusal keeps nothing
    served.services.preferences.set_readiness_goal(500)


def test_stored_defaults_never_overwrite_what_was_typed(open_page: Open) -> None:
    page = open_page()
    prompt = page.locator("#jv-admin-system-prompt textarea")
    held: list[Route] = []
    page.route("**/run/predict*", lambda route: held.append(route))
    page.click("#jv-tab-admin")
    page.click("#jv-section-system")
    while not held:
        page.wait_for_timeout(20)
    expect(prompt).to_be_hidden()
    page.unroute("**/run/predict*")  # lets those go on that were held
    prompt.fill("Be brief.")
    page.wait_for_timeout(300)
    expect(prompt).to_have_value("Be brief.")


def test_a_prompt_that_is_not_saved_yet_stays(open_page: Open) -> None:
    page = open_page("#admin/system")
    prompt = page.locator("#jv-admin-system-prompt textarea")
    expect(page.locator("#jv-defaults:not(.is-waiting)")).to_be_visible()
    prompt.fill("Be brief.")
    page.click("#jv-lang")
    expect(page.locator("#jv-admin-save")).to_have_text("저장")
    page.wait_for_timeout(500)
    expect(prompt).to_have_value("Be brief.")
    page.click("#jv-tab-chat")
    page.click("#jv-tab-admin")
    page.wait_for_timeout(500)
    expect(prompt).to_have_value("Be brief.")


def test_presets(open_page: Open, served: Served) -> None:
    page = open_page()
    page.click("#jv-tune")
    page.locator("#jv-system-prompt textarea").fill("Answer in one line.")
    page.locator("#jv-preset input").fill("Brief")
    page.keyboard.press("Enter")
    page.click("#jv-preset-save")
    expect(page.locator(".jv-toast")).to_contain_text("Preset saved.")
    assert served.services.preferences.presets() == {"Brief": "Answer in one line."}
    page.locator("#jv-system-prompt textarea").fill("")
    page.locator("#jv-preset input").click()
    page.get_by_role("option", name="Brief").click()
    expect(page.locator("#jv-system-prompt textarea")).to_have_value("Answer in one line.")
    page.click("#jv-preset-delete")
    expect(page.locator(".jv-toast")).to_contain_text("Preset deleted.")
    assert served.services.preferences.presets() == {}
    page.reload()
    page.wait_for_selector("body.jv-booted")
    expect(page.locator("#jv-system-prompt textarea")).to_have_value("Answer in one line.")
