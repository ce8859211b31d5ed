"""Passwords that were right a moment ago: for reconnect storms, where argon2id bounds how many get in.

Off unless `password_cache` is set. What it trades: for so many seconds this process's memory holds keyed digests of
right passwords, which somebody who can read that memory could guess against far faster than against argon2id. It
never holds a password, a code or a wrong guess, and it saves only the hash: code, throttle, audit stay as they are.
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock
from typing import Final, Protocol

KEPT: Final = 100_000
"""Digests kept at most, 16 octets each."""


class Checks(Protocol):
    """What checks a password for real."""

    def verify(self, password: str, stored: str) -> bool:
        """Whether the prepared password is the one that was hashed."""
        ...

    def is_cheap(self, stored: str) -> bool:
        """Whether verifying takes microseconds."""
        ...

    def dummy(self) -> str:
        """Return a hash that nothing matches."""
        ...

    def make(self, text: str) -> str:
        """Return a hash of this text."""
        ...


class PasswordCache:
    """Remembers right passwords for `seconds`; `key` is chance of this process's own, `clock` gives seconds.

    The digest covers the stored hash: as soon as the database has another one, nothing here matches any more.
    """

    def __init__(self, checks: Checks, *, seconds: float, key: bytes, clock: Callable[[], float]) -> None:
        self._checks = checks
        self._seconds = seconds
        self._key = key
        self._clock = clock
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = Lock()

    def verify(self, password: str, stored: str) -> bool:
        """Whether the password is right, remembered or checked anew."""
        if self.remembers(password, stored):
            return True
        right = self._checks.verify(password, stored)
        if right and not self._checks.is_cheap(stored):
            self._remember(self._digest(password, stored))
        return right

    def is_cheap(self, stored: str) -> bool:
        """Whether verifying takes microseconds without any memory."""
        return self._checks.is_cheap(stored)

    def remembers(self, password: str, stored: str) -> bool:
        """Whether this password was right for this hash within the last seconds."""
        with self._lock:
            return self._until.get(self._digest(password, stored), 0.0) > self._clock()

    def dummy(self) -> str:
        """Return a hash that nothing matches."""
        return self._checks.dummy()

    def make(self, text: str) -> str:
        """Return a hash of this text, of which nothing is remembered."""
        return self._checks.make(text)

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._until.pop(digest, None)
            self._until[digest] = self._clock() + self._seconds
            oldest = next(iter(self._until))
            if len(self._until) > KEPT or self._until[oldest] <= self._clock():
                del self._until[oldest]

    def _digest(self, password: str, stored: str) -> bytes:
        hashed = blake2b(stored.encode(), key=self._key, digest_size=16, person=b"password cache")
        hashed.update(b"\0")
        hashed.update(password.encode())
        return hashed.digest()
