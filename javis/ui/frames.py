"""A page that rests is not drawn.

Gradio's sign that it is loading (6.31, `StatusTracker`) goes on counting seconds after it is gone:
it asks for sixty frames a second as long as the page is open, a tenth of a core for nothing, next
to a model that would use it. It takes `requestAnimationFrame` when its module is loaded, so what
slows it must stand before all of Gradio's scripts, where `head` of `mount_gradio_app` never is.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCRIPT = b"""<script>
(() => {
  const real = window.requestAnimationFrame.bind(window);
  let resting = false;
  const slow = (work) => setTimeout(() => real(work), 1000);
  window.requestAnimationFrame = (work) => (resting ? slow(work) : real(work));
  // For page.js, once it is there: whoever took the clock above has a slow one from now on.
  window.jvRest = () => {
    resting = true;
    window.requestAnimationFrame = real;
  };
})();
</script>"""
_HEAD = b"<head>"


class RestingFrames:
    """Puts the script before every other one of the page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def with_script(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None and message["type"] == "http.response.body":
                body = message.get("body", b"")
                if Headers(scope=start).get("content-type", "").startswith("text/html"):
                    body = body.replace(_HEAD, _HEAD + SCRIPT, 1)
                headers = MutableHeaders(scope=start)
                if "content-length" in headers:
                    grown = len(body) - len(message.get("body", b""))
                    headers["content-length"] = str(int(headers["content-length"]) + grown)
                first, start = start, None
                await send(first)
                message = {**message, "body": body}
            await send(message)

        # Not compressed: it could not be changed then, and it comes from this computer.
        headers = [(n, v) for n, v in scope["headers"] if n != b"accept-encoding"]
        await self._app({**scope, "headers": headers}, receive, with_script)
