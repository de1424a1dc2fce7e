"""A real Chromium in front of a real server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.e2e.serving import Served, scripted, serve

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Open = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def chromium(playwright: Playwright) -> str:
    """The path of Chromium; skips without one, but never in CI."""
    named = (os.environ.get("CHROMIUM"), "/usr/bin/chromium", playwright.chromium.executable_path)
    for path in named:
        if path and Path(path).exists():
            return path
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        missing = "Chromium is missing: install it, or run `playwright install chromium`."
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(playwright), args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    # `browser` comes first so that it outlives the pages that are open on this server.
    with serve(tmp_path_factory.mktemp("javis"), scripted(versions=("v1.0",))) as one:
        yield one


@pytest.fixture
def open_page(browser: Browser, served: Served) -> Iterator[Open]:
    """Opens the page as some user; in the end no error was logged and nothing left the host."""
    contexts = []
    problems: list[str] = []

    def opened(
        path: str = "", *, server: Served = served, user: str = "", ready: bool = True, **how: Any
    ) -> Page:
        if user:
            how["extra_http_headers"] = {"x-test-user": user}
        how = {"viewport": {"width": 1024, "height": 768}, "locale": "en-US", **how}
        context = browser.new_context(**how)
        contexts.append(context)
        server.before_end.append(context.close)
        page = context.new_page()
        page.set_default_timeout(10_000)
        watch(page, problems)
        page.goto(server.url + path)
        if ready:
            page.wait_for_selector("body.jv-booted")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def watch(page: Page, problems: list[str]) -> None:
    page.on("pageerror", lambda e: problems.append(f"script error: {e}"))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    local = ("http://127.0.0.1:", "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(local) else problems.append(r.url))
