from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from javis.core import pages

SHOWS = """
import os, re, sys
from javis.core.pages import use_huge_pages
use_huge_pages()
kept = bytearray(64 << 20)
huge = re.search(r"AnonHugePages: +(\\d+)", open("/proc/self/smaps_rollup").read())
print(os.environ.get("GLIBC_TUNABLES"), huge.group(1), os.getpid(), sys.argv[1:])
"""
PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def shown(**environment: str) -> tuple[str, int, int, str]:
    clean = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    process = subprocess.Popen(
        [sys.executable, "-c", SHOWS, "a b", "--c"],
        env=clean | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = process.communicate(timeout=60)[0]
    chosen, huge, pid, words = said.strip().split(" ", 3)
    assert int(pid) == process.pid, "a second process: signals would miss it"
    return chosen, int(huge), process.pid, words


def test_memory_lies_on_large_pages() -> None:
    chosen, huge, _, words = shown()
    assert chosen == pages.HUGE_PAGES
    given = PAGES.exists() and "[never]" not in PAGES.read_text()
    assert huge > 60 << 10 or not given
    assert words == "['a b', '--c']"


def test_what_the_user_chose_stays() -> None:
    off = "glibc.malloc.hugetlb=0"
    assert shown(GLIBC_TUNABLES=off)[0] == off
    other = "glibc.malloc.arena_max=4"
    assert shown(GLIBC_TUNABLES=other)[0] == f"{other}:{pages.HUGE_PAGES}"


def test_elsewhere_nothing_is_started_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("started over"))
    pages.use_huge_pages()
    assert "GLIBC_TUNABLES" not in os.environ
