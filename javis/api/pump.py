"""From a blocking iterator to an answer that is written as it comes.

The services yield from blocking generators. Each answer gets a thread of its own, so that many
of them never starve the pool that the other routes run on, and the event loop takes whatever is
there at once: one hand-over for each token at most, fewer when the client is slow.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

LOG = logging.getLogger("javis.api")
T = TypeVar("T")


class Pump(Generic[T]):
    """Runs `start()` and what it returns in a thread until its end, an error or a gone client."""

    def __init__(self, request: Request, start: Callable[[], Iterator[T]]) -> None:
        self._start = start
        self._items: deque[T] = deque()
        self._error: Exception | None = None
        self._done = False
        self._closed = False
        self._signalled = False
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._watcher = self._loop.create_task(self._watch(request))
        threading.Thread(target=self._run, name="javis-answer", daemon=True).start()

    async def open(self) -> None:
        """Wait for the first item, so that a refusal is known before the answer begins.

        Raises what `start` or the iterator raised, ClientDisconnect when nobody waits any more.
        """
        try:
            while not (self._items or self._done or self._closed):
                await self._next_signal()
        except asyncio.CancelledError:
            self.close()
            raise
        if self._closed:
            raise ClientDisconnect
        if not self._items and self._error:
            self.close()
            self._raise_error()

    async def batches(self) -> AsyncIterator[list[T]]:
        """All that is there, again and again; ends early when the client is gone."""
        while not self._closed:
            # In this order: what comes between the two lines is signalled again.
            done = self._done
            batch = [self._items.popleft() for _ in range(len(self._items))]
            if batch:
                yield batch
            elif done:
                break
            else:
                await self._next_signal()
        if self._error and not self._closed:
            self._raise_error()

    @property
    def closed(self) -> bool:
        """True when the client is gone."""
        return self._closed

    def close(self) -> None:
        """End the answer; the thread closes the iterator before it would take another item."""
        self._closed = True
        self._watcher.cancel()
        self._wake.set()

    def _raise_error(self) -> None:
        # Let go of it: its trace holds the iterator, and with that a place at the engine.
        error, self._error = self._error, None
        assert error is not None
        try:
            raise error
        finally:
            del error

    async def _next_signal(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        self._signalled = False

    async def _watch(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.close()

    # In the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            items = self._start()
            try:
                for item in items:
                    if self._closed:
                        break
                    self._items.append(item)
                    self._signal()
            finally:
                if isinstance(items, Generator):
                    items.close()
        except Exception as error:  # noqa: BLE001 - the waiting coroutine raises it
            self._error = error
            if self._closed:
                LOG.warning("an answer that nobody waited for ended badly: %s", error)
        self._done = True
        self._signalled = False
        self._signal()

    def _signal(self) -> None:
        if self._signalled:
            return
        self._signalled = True
        try:
            self._loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:
            # The loop is closed: the server has stopped.
            self._closed = True


class EventStream(StreamingResponse):
    """Server-sent events made from a pump; the pump is closed however the answer ends."""

    def __init__(self, pump: Pump[T], events: AsyncIterator[bytes]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, headers=headers, media_type="text/event-stream")
        self._pump = pump

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Starlette would listen for the end of the connection a second time; the pump does.
        try:
            with suppress(OSError):
                await self.stream_response(send)
        finally:
            self._pump.close()
