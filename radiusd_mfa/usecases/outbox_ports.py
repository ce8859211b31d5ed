"""What waits to be delivered, as frozen values, and what those who deliver it need from the store.

Knows no SQL, no mail server and no template.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

WORTH_TELLING: Final = 3 * 86_400.0
"""Seconds after which nobody is told any more what had happened, and delivery is given up."""
KEPT: Final = 30 * 86_400.0
"""Seconds for which is kept what was delivered or given up; far longer than anything is told, so nothing is twice."""


class Channel(StrEnum):
    """How something reaches a person."""

    MAIL = "mail"
    SMS = "sms"


class Mail(StrEnum):
    """What people are told by mail; each has a template of this name."""

    SET_UP_LINK = "set-up-link"
    RESET_LINK = "reset-link"
    METHOD_ADDED = "method-added"
    METHOD_REMOVED = "method-removed"
    METHOD_RESET = "method-reset"
    BACKUP_CODE_USED = "backup-code-used"
    MFA_DISABLED = "mfa-disabled"
    WRONG_CODES = "wrong-codes"


NEEDS: Final[dict[Mail, frozenset[str]]] = {
    Mail.SET_UP_LINK: frozenset({"link", "expires"}),
    Mail.RESET_LINK: frozenset({"link", "expires"}),
    Mail.METHOD_ADDED: frozenset({"method", "label"}),
    Mail.METHOD_REMOVED: frozenset({"method", "label"}),
    Mail.METHOD_RESET: frozenset(),
    Mail.BACKUP_CODE_USED: frozenset({"left", "where"}),
    Mail.MFA_DISABLED: frozenset(),
    Mail.WRONG_CODES: frozenset({"count"}),
}
"""The values of each kind beyond `user`, `at` and `actor`, which all have; `method` is `totp` or `sms`."""

SMS_CODE: Final = "sms-code"
"""The kind of a text message with a one-time code."""
SECRET_KINDS: Final = frozenset({Mail.SET_UP_LINK, Mail.RESET_LINK, SMS_CODE})
"""What holds a link or a code: worthless after its time, and then removed."""


class Status(StrEnum):
    """What became of it so far."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given-up"


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """Something to be delivered; `values` are what its template names, and may hold a link or a code."""

    kind: str
    channel: Channel
    recipient: str
    values: Mapping[str, object] = field(repr=False)
    created_at: float
    expires_at: float
    user_id: int | None = None
    source: str | None = None
    """What it tells about, where it is found and not told: there is at most one for each source."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the outbox as administrators may see it: never what it says."""

    id: int
    kind: str
    channel: Channel
    user: str | None
    recipient: str
    status: Status
    created_at: float
    due_at: float | None
    expires_at: float
    tries: int
    sent_at: float | None
    last_error: str | None
    is_there: bool
    """Whether what it says is still kept; nothing else can be sent."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that this worker, and no other, may deliver until the claim ends."""

    id: int
    kind: str
    channel: Channel
    recipient: str
    values: Mapping[str, object] | None = field(repr=False)
    """None: they don't open, or can't be read."""
    created_at: float
    expires_at: float
    tries: int
    """This one included."""
    until: float
    """When the claim ends."""
    message_id: str
    """The same at every try, so that whoever gets it twice can tell; letters and digits."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A row that will not be delivered any more."""

    id: int
    kind: str
    recipient: str
    tries: int
    last_error: str | None


class OutboxBook(Protocol):
    """The outbox inside a transaction of administration."""

    def add(self, delivery: NewDelivery) -> int | None:
        """Keep something for delivery and return its id; None if its source was told before."""
        ...

    def all(self, status: Status | None = None, *, limit: int | None = None) -> Sequence[Delivery]:
        """Return rows, the newest first, at most `limit` of them."""
        ...

    def find(self, delivery_id: int) -> Delivery | None:
        """Return a row, whose status nobody else changes before this transaction ends."""
        ...

    def retry(self, delivery_id: int, *, at: float, expires_at: float) -> None:
        """Make a row due at once, with a new time until it is given up."""
        ...


class OutboxStore(Protocol):
    """The outbox as those see it who deliver; every method is one transaction and may raise `StoreFault`."""

    def claim(self, channels: Collection[Channel], *, now: float, until: float) -> Claimed | None:
        """Claim the row that is due for longest, for this worker alone; None where nothing is due."""
        ...

    def sent(self, claimed: Claimed, *, at: float) -> None:
        """Take down that it is delivered; whatever it held is removed."""
        ...

    def failed(self, claimed: Claimed, error: str, *, due_at: float) -> None:
        """Take down why it could not be delivered, and when to try again."""
        ...

    def give_up(self, *, now: float) -> Sequence[GivenUp]:
        """End what has waited too long, and return it; a link or code in it is removed."""
        ...

    def gather(self, *, now: float) -> int:
        """Find in the audit log whom to tell of a backup code or of wrong codes, once each; return how many."""
        ...

    def tidy(self, *, now: float) -> None:
        """Remove what was delivered or given up long ago."""
        ...
