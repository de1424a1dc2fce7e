"""A page that nobody uses leaves the processor to the model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest

from javis.ui.app import rest


async def looks(monkeypatch: pytest.MonkeyPatch, prepare: Callable[[gr.Blocks], None]) -> int:
    """How often Gradio's queue wakes up in half a second in which nothing happens."""
    with gr.Blocks() as page:
        gr.Markdown("nothing")
    page.queue()
    prepare(page)
    count, sleep, here = 0, asyncio.sleep, threading.get_ident()

    async def counted(delay: float) -> None:
        nonlocal count
        # The queues of other tests' servers look as well, in threads of their own.
        count += threading.get_ident() == here
        await sleep(delay)

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", counted)
        work = [page._queue.start_processing(), page._queue.start_progress_updates()]
        tasks = [asyncio.create_task(part) for part in work]
        await sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return count


def looked(monkeypatch: pytest.MonkeyPatch, prepare: Callable[[gr.Blocks], None]) -> int:
    # In a thread: a browser that other tests opened keeps a loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(looks(monkeypatch, prepare))).result()


def test_the_queue_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(monkeypatch, lambda page: None) > 100
    assert looked(monkeypatch, rest) < 40
