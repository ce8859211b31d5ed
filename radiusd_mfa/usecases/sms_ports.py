"""What passes between the use cases of SMS and their store, as frozen values. Knows no SQL and no gateway."""

from dataclasses import dataclass, field
from typing import Protocol

from radiusd_mfa.core.facts import MethodKind


@dataclass(frozen=True, slots=True)
class Phone:
    """A method that sends its codes to a phone."""

    id: int
    number: str
    """As E.164 writes it."""
    label: str
    confirmed: bool
    is_default: bool
    wrong_codes: int
    """Wrong codes at the confirmation so far; 0 once it is confirmed."""
    replaces: int | None = None
    """As in `NewMethod`."""
    watermark: int = 0
    """Above 0 in an unconfirmed one: its code was given, and the backup codes wait to be recorded."""

    @property
    def kind(self) -> str:
        """What it is, as `MethodKind` says it."""
        return MethodKind.SMS


@dataclass(frozen=True, slots=True)
class SentCode:
    """The last code that was sent to a user, unless it was used; only a digest of it is kept."""

    method_id: int
    digest: bytes = field(repr=False)
    sent_at: float
    """Part of what the digest is made of, to the last bit."""
    expires_at: float


class SmsCodes(Protocol):
    """Phones, and the one code of a user that is good."""

    def add(self, user_id: int, number: str, *, label: str, at: float, replaces: int | None = None) -> int:
        """Make an unconfirmed method and return the id."""
        ...

    def phones(self, user_id: int) -> list[Phone]:
        """Return a user's phones, the oldest first."""
        ...

    def count_wrong_code(self, phone: Phone) -> None:
        """Count one more wrong code at the confirmation."""
        ...

    def history(self, user_id: int) -> str:
        """Return when codes were sent (core.sms_codes); nobody else sends one before this transaction ends."""
        ...

    def sent_to(self, number: str, *, since: float) -> int:
        """Return how many codes were sent to a number after `since`, whoever had them sent."""
        ...

    def keep(self, user_id: int, code: SentCode, *, history: str) -> None:
        """Make a code the only good one; needs `history` first."""
        ...

    def find(self, user_id: int) -> SentCode | None:
        """Return the code that was sent last; None if it was used."""
        ...

    def use(self, user_id: int, digest: bytes, *, at: float) -> bool:
        """Use the code with this digest up; False if it was used, replaced, or has expired."""
        ...

    def used(self, method_id: int, at: float) -> bool:
        """Take down when a phone's code was used; False if the phone is gone."""
        ...
