"""What the pages keep about whoever is signed in, and what they need from the store for it; knows no SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Stage(StrEnum):
    """How far somebody has come on the pages."""

    CODE = "code"
    """The password was right, the code is due."""
    SET_UP = "set-up"
    """The password was right, a second factor is mandatory and there is none: it may be set up, and nothing else."""
    IN = "in"
    """Signed in."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to be opened: the digest of its secret, and what the sign-in proved."""

    digest: bytes = field(repr=False)
    user_id: int
    stage: Stage
    how: str
    """The reason of the verdict: `totp`, `sms`, `backup-code`, `period`."""
    granted_to: str = field(repr=False)
    """The password hash that it rests on: with another one it is over."""
    device: str
    began: float
    """When the sign-in was."""
    at: float


@dataclass(frozen=True, slots=True)
class PageSession:
    """A session whose user still has the password of its sign-in and may still sign in; times are Unix seconds."""

    id: int
    user_id: int
    user: str
    stage: Stage
    how: str
    granted_to: str = field(repr=False)
    device: str
    created_at: float
    seen_at: float
    carries: bytes | None = field(repr=False)
    """What is to be shown once and to be acknowledged; sealed in the store."""


@dataclass(frozen=True, slots=True)
class Period:
    """A running memory of a second factor: as long as a policy says, the password alone may suffice there."""

    nas: str | None
    """None: a NAS entry that is gone, or none: the pages and commands of this machine."""
    surface: str
    device: str
    team: str | None
    at: float


class PageSessions(Protocol):
    """Sessions of the pages; every method is one transaction and raises `StoreFault`."""

    def open(self, session: NewSession) -> None:
        """Begin a session."""
        ...

    def find(self, digest: bytes) -> PageSession | None:
        """Return a session; None where there is none, or its user is disabled or has another password by now."""
        ...

    def renew(self, digest: bytes, session: NewSession) -> bool:
        """Let the session of this secret go on under another one; False if it was ended or went on meanwhile."""
        ...

    def touch(self, session_id: int, at: float) -> None:
        """Note that somebody was there."""
        ...

    def carry(self, session_id: int, what: bytes | None) -> None:
        """Keep something for the next page, or forget it."""
        ...

    def end(self, session_id: int) -> None:
        """End a session."""
        ...

    def periods(self, user_id: int) -> Sequence[Period]:
        """Return where a user's second factor is remembered, the latest first."""
        ...
