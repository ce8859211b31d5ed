"""What the use cases need from the world, as small protocols; the store, the clock and the keys fit in.

Knows no SQL and no socket.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from radiusd_mfa.core.facts import Attempt, Facts, Nas
from radiusd_mfa.core.values import quick
from radiusd_mfa.core.verdict import Verdict
from radiusd_mfa.usecases.books import Books

Clock = Callable[[], float]
"""Unix time in seconds."""
Entropy = Callable[[int], bytes]
"""So many random octets."""


class Digests(Protocol):
    """Keyed digests, 16 octets each; the same on every node."""

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        """Return the digest of the parts under the key of this purpose."""
        ...


class StoreFault(Exception):
    """The store did not do what it was asked: gone, slow, full, read-only, or not set up."""


@dataclass(frozen=True, slots=True)
class IssuedChallenge:
    """An Access-Challenge that goes out: the digest of its State, and until when it may be answered."""

    state: bytes
    expires: float


@quick
@dataclass(frozen=True, slots=True)
class Settlement:
    """A verdict to be made true: what was asked, what was known, what follows."""

    attempt: Attempt
    facts: Facts
    verdict: Verdict
    challenge: IssuedChallenge | None = None
    alongside: Callable[[Books], bool] | None = None
    """What else is done in the same transaction, with the user's row locked; False: a claim is lost, and all undone."""


@dataclass(frozen=True, slots=True)
class NasEntry:
    """A NAS entry as the server uses it: the part that decides, and the part that protects its packets."""

    nas: Nas
    network: IPv4Network | IPv6Network
    secret: bytes = field(repr=False)
    separators: str = ""
    code_first: bool = False
    require_message_authenticator: bool = True
    reply_message_authenticator: str = "always"
    """`always`, `mirror` or `never`."""
    allow_proxy_state: bool = False
    omit: tuple[str, ...] = ()
    """Names of attributes that this NAS must not be sent."""


class NasStore(Protocol):
    """The NAS entries, read as a whole every second."""

    def read(self) -> Sequence[NasEntry]:
        """Return all entries; raises `StoreFault`."""
        ...

    def touch(self) -> None:
        """Write something without meaning, durably: says whether the database takes writes at all."""
        ...


class SignInStore(Protocol):
    """The database work of many sign-ins at once; every method is one transaction.

    A method raises `StoreFault` where nothing was committed, and then nothing may be answered.
    """

    def open(self, attempts: Sequence[Attempt]) -> Sequence[Facts]:
        """Charge the throttle for each attempt and read the facts; a request settled before is not charged."""
        ...

    def reread(self, attempts: Sequence[Attempt]) -> Sequence[Facts]:
        """Read the facts again, without a charge."""
        ...

    def refund(self, charged: Sequence[tuple[Attempt, Facts]]) -> None:
        """Take back the charges of attempts of which nothing was ever checked, each its own only."""
        ...

    def settle(self, settlements: Sequence[Settlement]) -> Sequence[int | None]:
        """Make each verdict true and return the ids of its audit rows.

        None: a claim was lost, or the same request was settled elsewhere meanwhile; nothing of the verdict stands
        and it must be judged again on what is true now. For a verdict that was settled before, only the charge is
        taken back, and the id is 0.
        """
        ...
