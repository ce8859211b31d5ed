"""What passes between the audit log's use cases and its chain of seals. Knows no SQL and no key."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from radiusd_mfa.usecases.admin_ports import AuditEntry


@dataclass(frozen=True, slots=True)
class Seal:
    """A link of the chain: it covers the rows with ids above `after_id` up to `last_id`."""

    id: int
    """Its number in the chain, from 1."""
    after_id: int
    last_id: int
    entries: int
    newest_at: float
    """The latest time of a row, Unix seconds."""
    sealed_at: float
    mac: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """Which database this is and how far its chain is, both of one moment."""

    identity: str
    """What tells it from others, also after it was copied and restored."""
    last: Seal | None
    """The last link of the chain."""


@dataclass(frozen=True, slots=True)
class Section:
    """A seal, and the rows that are there now where it says what there was; a digest stands for a row's content."""

    seal: Seal
    is_authentic: bool
    """Whether it is as it was made."""
    follows: bool
    """Whether it names the seal before it in the table as the one before it; of the oldest: whether it may be that."""
    is_pruned: bool
    """Whether its rows, and all before them, were removed by who has the key."""
    expected: Mapping[int, bytes]
    found: Mapping[int, bytes]


class AuditChain(Protocol):
    """The seals of one database."""

    def seal(self, now: float) -> int:
        """Seal what can't change any more and return how many rows that were; any number of nodes may do it."""
        ...

    def standing(self) -> Standing:
        """Say which database this is and how far its chain is."""
        ...

    def oldest(self) -> Seal | None:
        """Return the first link that was not removed by `prune`."""
        ...

    def unsealed(self) -> int:
        """Count the rows behind the last link."""
        ...

    def mac_of(self, seal_id: int) -> bytes | None:
        """Return the mac of a link, None if it is not there."""
        ...

    def sections(self) -> Iterator[Section]:
        """Yield the chain from its beginning, all of it as it is at one moment."""
        ...

    def entries(self, *, after: int, since: float | None, until: float | None) -> Iterator[AuditEntry]:
        """Yield the sealed rows with greater ids than `after`, in the order of their ids."""
        ...

    def prune(self, before: float) -> int:
        """Remove some of the oldest rows, of seals that cover nothing from `before` on, and return how many.

        One short transaction; 0: nothing is left to be removed. The last seal always stays.
        """
        ...


@dataclass(frozen=True, slots=True)
class Voided:
    """What a restored database was stripped of, as counts."""

    methods: int
    """Authenticators whose codes up to this moment are spent."""
    backup_codes: int
    """Users whose backup codes are worthless."""
    links: int
    deliveries: int


class Restored(Protocol):
    """A database that was restored from a backup."""

    def void(self, now: float, *, keep_backup_codes: bool) -> Voided:
        """Spend what may have been spent after the backup was made, and end what may have been ended."""
        ...

    def rename(self, identity: str) -> None:
        """Make it another database than the one that it was a copy of."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the chain of a database was when this machine last saw it."""

    seal_id: int
    mac: bytes = field(repr=False)
    last_id: int
    sealed_at: float


class Marks(Protocol):
    """The marks of one machine, kept outside of any database."""

    def of(self, identity: str) -> Mark | None:
        """Return how far this machine has seen a database."""
        ...

    def put(self, identity: str, mark: Mark) -> None:
        """Keep a mark in place of the one before it."""
        ...
