"""Large pages of memory for the model. To be asked for as a program starts."""

from __future__ import annotations

import os
import sys

HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""glibc asks the kernel for pages of 2 MB instead of 4 kB (GNU libc manual, "Memory Allocation
Tunables"; from 2.35, unknown to older ones and elsewhere, and ignored there). A model reads its
memory for each token and looks up every page of it; docs/bench.md has what this brings."""


def use_huge_pages() -> None:
    """Start this process over with them, unless its user has chosen: glibc reads its tunables only
    as a program starts. Its children have them from the start."""
    chosen = os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or "glibc.malloc.hugetlb" in chosen:
        return
    os.environ["GLIBC_TUNABLES"] = f"{chosen}:{HUGE_PAGES}" if chosen else HUGE_PAGES
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell
