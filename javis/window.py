"""The page in a window of its own, by an installed Chrome, Chromium, Edge or Brave.

Such a browser's application mode is a native window without tabs and address bar, and needs no
further package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

NAMES = (
    "google-chrome",
    "chromium",
    "chromium-browser",
    "microsoft-edge",
    "brave-browser",
    "chrome",
    "msedge",
)
MAC_APPS = ("Google Chrome", "Microsoft Edge", "Chromium", "Brave Browser")
WINDOWS_PATHS = (r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe")


def open_window(
    address: str, profile: Path, say: Callable[[str], None]
) -> subprocess.Popen[bytes] | None:
    """Open `address` in its own window; without such a browser, in the ordinary one."""
    browser = find_browser()
    if browser is None:
        say("No Chrome, Chromium, Edge or Brave was found for a window; opening the browser.")
        webbrowser.open(address)
        return None
    profile.mkdir(parents=True, exist_ok=True, mode=0o700)
    arguments = [
        f"--app={address}",
        f"--user-data-dir={profile}",
        "--window-size=1200,860",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
    ]
    if sys.platform.startswith("linux") and os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses to start as root with it
    return subprocess.Popen(
        [browser, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def find_browser() -> str | None:
    """The path of a browser that has an application mode."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    candidates = [Path(f"/Applications/{app}.app/Contents/MacOS/{app}") for app in MAC_APPS]
    for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        if folder := os.environ.get(variable):
            candidates += [Path(folder) / path for path in WINDOWS_PATHS]
    return next((str(path) for path in candidates if path.exists()), None)
