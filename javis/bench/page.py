"""The page in a real browser, timed inside the browser."""

from __future__ import annotations

import json
import urllib.request
from types import TracebackType
from typing import Any

from javis.core.errors import EngineError
from javis.window import find_browser

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking",
             "--no-first-run", "--disable-component-update", "--disable-sync")  # fmt: skip
WATCH = """() => {
  window.grown = [];
  let size = 0;
  const look = () => {
    const answers = document.querySelectorAll('.jv-answer .jv-md');
    const text = answers.length ? answers[answers.length - 1].textContent : '';
    if (text.length !== size) { size = text.length; window.grown.push(performance.now()); }
  };
  new MutationObserver(look).observe(document.body,
    {subtree: true, childList: true, characterData: true});
}"""
QUIET = """() => {
  const times = window.grown;
  return times.length > 1 && performance.now() - times[times.length - 1] > 1500;
}"""


class Page:
    """A browser on the running app."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> Page:
        from playwright.sync_api import sync_playwright  # a tool of developers

        browser = find_browser()
        if browser is None:
            raise EngineError("no_browser", "The page's speed needs Chrome or Chromium.")
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=browser, args=list(ARGUMENTS)
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._browser.close()
        self._playwright.stop()

    def decode(self, prompt: str) -> float:
        """Tokens per second between the first and the last change of the text on the page."""
        # A context of its own: the page would otherwise go on where it was.
        context = self._browser.new_context()
        self._page = page = context.new_page()
        page.goto(self._address)
        page.locator(".jv-examples").wait_for()
        page.evaluate(WATCH)
        composer = page.locator("#jv-text")
        composer.fill(prompt)
        composer.press("Enter")
        tokens = self._tokens(prompt)
        times: list[float] = page.evaluate("() => window.grown")
        context.close()
        return (tokens - 1) / ((times[-1] - times[0]) / 1000)

    def _tokens(self, prompt: str) -> int:
        """How many tokens the answer to `prompt` has, once it is stored as finished."""
        for _ in range(60):
            # Asked rarely, and not while the text grows, so as not to disturb what is measured.
            self._page.wait_for_function(QUIET, timeout=120_000)
            (newest,) = self._get("/api/conversations?limit=1")["conversations"]
            turn = self._get(f"/api/conversations/{newest['id']}")["turns"][-1]
            if turn["user"] == prompt and turn["finish"]:
                return int(turn["timings"]["completion_tokens"])
            self._page.wait_for_timeout(1000)
        raise EngineError("bench_page", "The page's answer did not end within a minute.")

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self._address + path, timeout=30) as reply:  # noqa: S310
            return json.load(reply)
