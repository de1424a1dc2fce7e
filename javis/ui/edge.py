"""The outer edge of every callback: who asks, is the input whole, what is said when it fails.

Any function of a Gradio page can be called by plain HTTP with any JSON. So nothing behind this
edge trusts a type, an id or a name that came from the browser.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import gradio as gr

from javis.core.errors import ContextOverflow, Forbidden, JavisError, UserInputError
from javis.ui.texts import FALLBACK, LANGUAGES, Texts

log = logging.getLogger(__name__)

Json = dict[str, Any]
MAX_ID_CHARS = 100
FORM = "form"
"""The `call` of a reply that no question of the script waits for: a button of Gradio's."""


class User(Protocol):
    """Who is asking, as the server found out."""

    @property
    def name(self) -> str: ...

    @property
    def is_admin(self) -> bool: ...


def unexpected(name: str) -> UserInputError:
    """The refusal of a field that the page's own script would never send so."""
    return UserInputError("bad_request", "The page sent something unexpected ({name}).", name=name)


UserOf = Callable[[gr.Request], User]


class Payload:
    """What the browser sent, read field by field."""

    def __init__(self, data: object) -> None:
        self._data: Json = data if isinstance(data, dict) else {}

    @property
    def language(self) -> str:
        value = self._data.get("lang")
        return value if isinstance(value, str) and value in LANGUAGES else FALLBACK

    @property
    def call(self) -> str:
        """The browser's number of this call, given back with the reply."""
        value = self._data.get("call")
        return value[:MAX_ID_CHARS] if isinstance(value, str) else ""

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def get(self, name: str) -> object:
        return self._data.get(name)

    def text(self, name: str) -> str:
        value = self._data.get(name)
        if not isinstance(value, str):
            raise unexpected(name)
        return value

    def id(self, name: str) -> str:
        value = self.text(name)
        if not 0 < len(value) <= MAX_ID_CHARS:
            raise unexpected(name)
        return value

    def optional_id(self, name: str) -> str | None:
        return None if self._data.get(name) is None else self.id(name)

    def number(self, name: str, default: int, low: int, high: int) -> int:
        value = self._data.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise unexpected(name)
        return max(low, min(high, value))

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise unexpected(name)
        return tuple(value[:50])


Handler = Callable[[User, Payload], Json]


class Edge:
    """Turns handlers into Gradio callbacks that know the user and never fail without a word."""

    def __init__(self, user_of: UserOf, texts: Texts) -> None:
        self._user_of = user_of
        self.texts = texts

    def call(self, handlers: dict[str, Handler]) -> Callable[..., Json]:
        """One callback for small questions; `kind` in the event's data picks the handler."""

        def callback(event: gr.EventData, request: gr.Request) -> Json:
            payload = Payload(event._data)

            def work() -> Json:
                user = self._user_of(request)
                kind = payload.get("kind")
                handler = handlers.get(kind) if isinstance(kind, str) else None
                if handler is None:
                    raise unexpected("kind")
                return handler(user, payload)

            return self.reply(payload, work)

        return callback

    def reply(self, payload: Payload, work: Callable[[], Json]) -> Json:
        """What `work` returns, or why it failed, as the script expects it."""
        try:
            return {"call": payload.call, "ok": work()}
        except Exception as error:  # noqa: BLE001 - the outer edge
            return {"call": payload.call, "error": self.failure(payload.language, error)}

    def stream(self, payload: Payload, frames: Callable[[], Iterator[Json]]) -> Iterator[Json]:
        """The frames; when they fail, one more that says why."""
        last: Json = {"call": payload.call}
        try:
            for last in frames():
                yield last
        except Exception as error:  # noqa: BLE001 - the outer edge
            yield {**last, "error": self.failure(payload.language, error)}

    def user(self, request: gr.Request) -> User:
        return self._user_of(request)

    def admin(self, request: gr.Request) -> User:
        """The user, if an admin; Forbidden otherwise."""
        return self.require_admin(self._user_of(request))

    @staticmethod
    def require_admin(user: User) -> User:
        if not user.is_admin:
            raise Forbidden("admin_only", "Only the admin can do this.")
        return user

    def failure(self, language: str, error: Exception) -> Json:
        """What the page shows of an error. Unforeseen ones are logged and named by a number."""
        if isinstance(error, ContextOverflow):
            return {
                "code": error.code,
                "message": self.texts.error(language, error),
                "drop": error.drop,
            }
        if isinstance(error, JavisError):
            failure = {"code": error.code, "message": self.texts.error(language, error)}
            field = error.values.get("field")
            return {**failure, "field": field} if field else failure
        number = uuid.uuid4().hex[:8]
        log.error("Unforeseen failure %s", number, exc_info=error)
        return {
            "code": "unforeseen",
            "message": self.texts.say(language, "error.unforeseen", number=number),
        }
