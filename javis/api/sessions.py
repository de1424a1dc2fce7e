"""Signed cookies that end at their time or at a logout, and the brake on guessing passwords."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from javis.core.errors import Busy

LOG = logging.getLogger("javis.api")

SESSION_S = 14 * 24 * 3600
SECRET_BYTES = 32
FAILURES = 5
"""Wrong passwords for one user from one address before the next one has to wait."""
WINDOW_S = 60.0
MAX_TRACKED = 10_000

Clock = Callable[[], float]


def read_secret(path: Path) -> bytes:
    """The random secret in `path`; made at the first call, readable by its owner only.

    A file that is too short (a crash while it was written) is made anew, which ends every session.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = b""
    if len(found) != SECRET_BYTES:
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        # Read again: of two processes that start together the last one's secret counts.
        found = path.read_bytes()
    path.chmod(0o600)
    return found


class Sessions:
    """Makes and reads the cookie's value: `name.expiry.nonce.signature`.

    `key_of` gives a fingerprint of a user's present password, so that a new password ends the
    sessions of the old one; None for a user who is not known any more.
    """

    def __init__(
        self,
        secret: bytes,
        key_of: Callable[[str], bytes | None],
        ended_file: Path,
        now: Clock = time.time,
    ) -> None:
        self._secret = secret
        self._key_of = key_of
        self._file = ended_file
        self._now = now
        self._lock = threading.Lock()
        self._ended = self._read_ended()

    def start(self, name: str) -> str:
        """A new session's cookie value."""
        label = base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")
        payload = f"{label}.{int(self._now()) + SESSION_S}.{secrets.token_hex(16)}"
        return f"{payload}.{self._sign(name, payload)}"

    def name_of(self, value: str) -> str | None:
        """Whose session it is; None when it is altered, over, ended or of a former user."""
        checked = self._check(value)
        return checked[0] if checked else None

    def end(self, value: str) -> None:
        """Never accept this cookie again, also after a restart."""
        checked = self._check(value)
        if checked is None:
            return
        _, expiry, nonce = checked
        with self._lock:
            self._ended[nonce] = expiry
            self._ended = {n: e for n, e in self._ended.items() if e > self._now()}
            lines = "".join(f"{n} {e}\n" for n, e in self._ended.items())
            new = self._file.with_name(f"{self._file.name}.new")
            try:
                new.write_text(lines, encoding="ascii")
                new.replace(self._file)
            except OSError as error:
                LOG.warning("the list of ended sessions was not saved: %s", error.strerror)

    def _check(self, value: str) -> tuple[str, int, str] | None:
        payload, _, signature = value.rpartition(".")
        parts = payload.split(".")
        if len(value) > 1000 or len(parts) != 3 or not value.isascii():
            return None
        label, expiry, nonce = parts
        try:
            name = base64.urlsafe_b64decode(label + "=" * (-len(label) % 4)).decode()
            ends = int(expiry)
        except (binascii.Error, ValueError):
            return None
        right = self._sign(name, payload)
        if not right or not hmac.compare_digest(signature, right):
            return None
        return (name, ends, nonce) if ends > self._now() and nonce not in self._ended else None

    def _sign(self, name: str, payload: str) -> str:
        key = self._key_of(name)
        if key is None:
            return ""
        return hmac.new(self._secret + key, payload.encode(), hashlib.sha256).hexdigest()

    def _read_ended(self) -> dict[str, int]:
        try:
            rows = [line.split() for line in self._file.read_text(encoding="ascii").splitlines()]
            return {nonce: int(expiry) for nonce, expiry in rows}
        except FileNotFoundError:
            return {}
        except ValueError:
            LOG.warning("the list of ended sessions in %s is damaged and was left out", self._file)
            return {}


class Throttle:
    """After some wrong passwords for a user from an address, the next try has to wait."""

    def __init__(self, now: Clock = time.monotonic) -> None:
        self._now = now
        self._failures: dict[tuple[str, str], list[float]] = {}
        self.lock = threading.Lock()
        """Held round a whole try, so that parallel guesses are counted one by one."""

    def check(self, key: tuple[str, str]) -> None:
        """Raises Busy with the seconds to wait."""
        recent = self._recent(key)
        if len(recent) >= FAILURES:
            seconds = max(1, round(recent[-FAILURES] + WINDOW_S - self._now() + 0.5))
            raise Busy(
                "too_many_logins",
                "Too many wrong passwords. Try again in {seconds} seconds.",
                seconds=seconds,
            )

    def failed(self, key: tuple[str, str]) -> None:
        if len(self._failures) >= MAX_TRACKED:
            kept = {k: self._recent(k) for k in self._failures}
            recent = [(k, times) for k, times in kept.items() if times]
            # Far more addresses than people: forget the first ones, many at a time.
            self._failures = dict(recent[-MAX_TRACKED * 3 // 4 :])
        self._failures[key] = [*self._recent(key), self._now()]

    def succeeded(self, key: tuple[str, str]) -> None:
        self._failures.pop(key, None)

    def _recent(self, key: tuple[str, str]) -> list[float]:
        since = self._now() - WINDOW_S
        return [moment for moment in self._failures.get(key, []) if moment > since]
