"""Who is asking. Without a password: the one user of this computer, who may do everything.

With one, nobody gets past the gate in `guards` without a session cookie or the API key. The
admin of a server with a password is the same user `local` as before it had one, so that setting
a password hides no conversation.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starlette.requests import cookie_parser

from javis.api.sessions import Sessions, Throttle, read_secret
from javis.core.errors import Forbidden, UserInputError
from javis.core.settings import Settings

LOCAL = "local"
"""The owner of what is said on a computer of one's own, and of what the admin says."""
ADMIN = "admin"
"""The name that the admin logs in with."""
MAX_SECRET_BYTES = 1024
MAX_NAME_CHARS = 64


@dataclass(frozen=True, slots=True)
class User:
    """`name` owns conversations."""

    name: str
    is_admin: bool


class HasHeaders(Protocol):
    """Starlette's and Gradio's requests alike."""

    @property
    def headers(self) -> Mapping[str, str]: ...


def refuse_to_bind(settings: Settings) -> None:
    """Raise UserInputError when others could reach a server that asks nobody for a password."""
    if not settings.is_loopback and settings.password is None:
        raise UserInputError(
            "needs_password",
            "Listening on {host} lets other computers in, so a password is needed: "
            "set JAVIS_PASSWORD, or listen on 127.0.0.1.",
            host=settings.host,
        )


class Auth:
    """Knows the passwords, the sessions and the API key; shows none of them."""

    def __init__(
        self, passwords: Mapping[str, str], api_key: str | None, sessions: Sessions, secret: bytes
    ) -> None:
        self._secret = secret
        self._passwords = {name: self._digest(text) for name, text in passwords.items()}
        self._api_key = self._digest(api_key) if api_key else None
        self._sessions = sessions
        self._throttle = Throttle()
        # Cookies of one host are shared by all its ports: two servers must not mix theirs up.
        self.cookie = f"javis_session_{self._digest('cookie').hex()[:8]}"

    @classmethod
    def from_settings(cls, settings: Settings, secret_file: Path) -> Auth:
        """Raises UserInputError for users that cannot be read, or users without an admin."""
        passwords = _passwords(settings)
        # Without a login nothing is signed, and no file is made.
        secret = read_secret(secret_file) if passwords else secrets.token_bytes(32)
        sessions = Sessions(
            secret,
            lambda name: _fingerprint(passwords.get(name)),
            secret_file.with_name(f"{secret_file.name}.ended"),
        )
        key = settings.api_key.get_secret_value().strip() if settings.api_key else None
        if key and not key.isascii():
            raise UserInputError(
                "bad_api_key", "JAVIS_API_KEY may have letters of English, digits and signs only."
            )
        return cls(passwords, key, sessions, secret)

    @property
    def login_on(self) -> bool:
        """Whether anybody has to log in."""
        return bool(self._passwords)

    @property
    def many_users(self) -> bool:
        """Whether a login has to say who it is."""
        return len(self._passwords) > 1

    def user_of_headers(self, headers: Mapping[str, str]) -> User | None:
        """Who sent these headers; None when they must log in first."""
        kind, _, key = _header(headers, "authorization").partition(" ")
        if self._api_key is not None and kind.casefold() == "bearer":
            # A wrong key is refused also where none is needed: it was meant to count.
            good = hmac.compare_digest(self._digest(key.strip()), self._api_key)
            return User(LOCAL, is_admin=True) if good else None
        if not self.login_on:
            return User(LOCAL, is_admin=True)
        name = self._sessions.name_of(self._cookie_of(headers))
        return _user(name) if name else None

    def user_of(self, request: HasHeaders) -> User:
        """Who sent this request. Raises Forbidden when they must log in first."""
        user = self.user_of_headers(request.headers)
        if user is None:
            raise Forbidden("not_logged_in", "Log in first.")
        return user

    def require_admin(self, request: HasHeaders) -> User:
        """The admin who sent this request. Raises Forbidden for anybody else."""
        user = self.user_of(request)
        if not user.is_admin:
            raise Forbidden("admin_only", "Only the admin can do this.")
        return user

    def log_in(self, name: str, password: str, address: str) -> str:
        """A new session's cookie value.

        Raises Forbidden for a wrong name or password (not saying which), Busy after too many.
        """
        name = name.strip() or ADMIN
        known = self._passwords.get(name) if len(name) <= MAX_NAME_CHARS else None
        # All unknown names from an address count as one, so that they fill no memory.
        key = (name if known else "", address)
        with self._throttle.lock:
            self._throttle.check(key)
            short = len(password.encode("utf-8", "replace")) <= MAX_SECRET_BYTES
            given = self._digest(password if short else "")
            # Compared also for an unknown name, so that the time taken tells nothing.
            if not hmac.compare_digest(given, known or self._secret) or not known or not short:
                self._throttle.failed(key)
                raise Forbidden("wrong_login", "The name or the password is wrong.")
            self._throttle.succeeded(key)
        return self._sessions.start(name)

    def log_out(self, headers: Mapping[str, str]) -> None:
        """End the session of these headers for good."""
        self._sessions.end(self._cookie_of(headers))

    def _cookie_of(self, headers: Mapping[str, str]) -> str:
        return cookie_parser(_header(headers, "cookie")).get(self.cookie, "")

    def _digest(self, text: str) -> bytes:
        return hmac.new(self._secret, text.encode("utf-8", "replace"), hashlib.sha256).digest()


def _user(login: str) -> User:
    return User(LOCAL, is_admin=True) if login == ADMIN else User(login, is_admin=False)


def _header(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name) or headers.get(name.title()) or ""


def _fingerprint(password: str | None) -> bytes | None:
    return None if password is None else hashlib.sha256(password.encode()).digest()


def _passwords(settings: Settings) -> dict[str, str]:
    """Login names and passwords. The messages never repeat what was set: it is secret."""
    listed = settings.users.get_secret_value() if settings.users else ""
    if settings.password is None:
        if listed:
            raise UserInputError(
                "users_need_admin", "JAVIS_USERS needs JAVIS_PASSWORD, the password of the admin."
            )
        return {}
    passwords = {ADMIN: settings.password.get_secret_value()}
    for entry in filter(None, (part.strip() for part in listed.split(","))):
        name, _, password = entry.partition(":")
        name = name.strip()
        if not name or not password.strip() or len(name) > MAX_NAME_CHARS:
            raise UserInputError("bad_users", "JAVIS_USERS must read name:password,name:password.")
        if name in passwords or name == LOCAL:
            raise UserInputError(
                "taken_user", "JAVIS_USERS has a name twice, or one of admin and local."
            )
        passwords[name] = password
    if any(len(text.encode()) > MAX_SECRET_BYTES for text in passwords.values()):
        raise UserInputError("long_password", "A password can have at most 1024 bytes.")
    return passwords
