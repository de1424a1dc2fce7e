"""The page in a real browser, timed inside the browser; and what it asks, without a browser."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from javis.bench.server import post
from javis.core.errors import EngineError
from javis.window import find_browser

if TYPE_CHECKING:
    import psutil

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


SETTLE_S = 5.0
REST_S = 15.0
"""How long a page is left alone before, and while, its rest is measured."""


class Page:
    """A browser on the running app."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> Page:
        try:
            from playwright.sync_api import sync_playwright  # a tool of developers
        except ImportError:
            raise EngineError(
                "no_playwright",
                "The page's speed needs Playwright: pip install -r requirements-dev.txt",
            ) from None
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
        with self._open() as page:
            page.evaluate(WATCH)
            composer = page.locator("#jv-text")
            composer.fill(prompt)
            composer.press("Enter")
            tokens = _tokens(
                self._address, prompt, lambda: page.wait_for_function(QUIET, timeout=120_000)
            )
            times: list[float] = page.evaluate("() => window.grown")
        return (tokens - 1) / ((times[-1] - times[0]) / 1000)

    def rest(self, server: int) -> tuple[float, float]:
        """Shares of a core that the browser and the process `server` take while nobody does
        anything on the open page."""
        import psutil

        with self._open():
            time.sleep(SETTLE_S)
            browser = [
                child
                for child in psutil.Process().children(recursive=True)
                if "chrom" in child.name().lower()
            ]
            parts = (browser, [psutil.Process(server)])
            before = [_busy(processes) for processes in parts]
            time.sleep(REST_S)
            after = [_busy(processes) for processes in parts]
        of_browser, of_server = ((b - a) / REST_S for a, b in zip(before, after, strict=True))
        return of_browser, of_server

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """The page of a new conversation, ready to be typed into."""
        # A context of its own: the page would otherwise go on where it was.
        context = self._browser.new_context()
        page = context.new_page()
        page.goto(self._address)
        page.locator(".jv-examples").wait_for()
        yield page
        context.close()


class Wire:
    """What the page asks of Gradio and is told, as a program: nothing is drawn."""

    def __init__(self, address: str) -> None:
        self._address = address
        config = _get(address, "/config")
        parts = {part["id"]: part["props"] for part in config["components"]}
        self._trigger, self._call = next(
            (target, call)
            for call in config["dependencies"]
            for target, event in call["targets"]
            if event == "send" and parts[target].get("elem_id") == "jv-live"
        )
        self._data = [parts[part].get("value") for part in self._call["inputs"]]

    def decode(self, prompt: str) -> float:
        """Tokens per second between the first and the last frame that brought text."""
        session = uuid.uuid4().hex
        body = {
            "data": self._data,
            "event_data": {"op": "reply", "text": prompt, "call": session, "lang": "en"},
            "fn_index": self._call["id"],
            "trigger_id": self._trigger,
            "session_hash": session,
        }
        post(self._address, "/gradio_api/queue/join", body)
        times = []
        heard = f"{self._address}/gradio_api/queue/data?session_hash={session}"
        with urllib.request.urlopen(heard, timeout=120) as reply:  # noqa: S310 - our own server
            for line in reply:
                if line.startswith(b"data: {") and _brings_text(json.loads(line[6:])):
                    times.append(time.perf_counter())
        return (_tokens(self._address, prompt) - 1) / (times[-1] - times[0])


def _busy(processes: Sequence[psutil.Process]) -> float:
    """Seconds of a core that these have taken."""
    times = [process.cpu_times() for process in processes]
    return sum(t.user + t.system for t in times)


def _brings_text(event: dict[str, Any]) -> bool:
    """Whether a frame holds text: the first one whole, the others as what changed."""
    if event["msg"] != "process_generating":
        return False
    (told,) = event["output"]["data"]
    if isinstance(told, dict):
        return bool(told["text"])
    return any("text" in path for _, path, _ in told)


def _tokens(address: str, prompt: str, wait: Callable[[], object] = lambda: None) -> int:
    """How many tokens the answer to `prompt` has, once it is stored as finished."""
    for _ in range(60):
        # Asked rarely, and not while the text grows, so as not to disturb what is measured.
        wait()
        (newest,) = _get(address, "/api/conversations?limit=1")["conversations"]
        turn = _get(address, f"/api/conversations/{newest['id']}")["turns"][-1]
        if turn["user"] == prompt and turn["finish"]:
            return int(turn["timings"]["completion_tokens"])
        time.sleep(1)
    raise EngineError("bench_page", "The page's answer did not end within a minute.")


def _get(address: str, path: str) -> Any:
    with urllib.request.urlopen(address + path, timeout=30) as reply:  # noqa: S310
        return json.load(reply)
