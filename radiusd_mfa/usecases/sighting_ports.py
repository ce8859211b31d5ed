"""What the server saw each NAS do, and who asked that no NAS entry covers: counts for `doctor`, not for any decision.

What the audit log has of a sign-in is not counted again here. Knows no SQL and no packet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, Protocol

DAY: Final = 86_400.0
"""Seconds that one row of sightings stands for: what was mended must not be held against a NAS for ever."""
STRANGERS: Final = 64
"""Addresses without a NAS entry that a server remembers."""


@dataclass(slots=True)
class Sighting:
    """What one NAS was seen to do; counts of packets, which add up over workers, nodes and days."""

    requests: int = 0
    """New Access-Requests that were genuine as far as the entry's rules can tell."""
    signed: int = 0
    """Those of them with a Message-Authenticator."""
    proxied: int = 0
    """Those of them with a Proxy-State."""
    unreadable: int = 0
    """Those without a Message-Authenticator whose password is no text: what another shared secret makes of it."""
    answers: int = 0
    """Those that answer a challenge."""
    challenges: int = 0
    """Access-Challenges that were sent."""
    retransmissions: int = 0
    """The same packets again."""
    retransmitted_after: float = 0.0
    """Seconds from one sending to the next, of all retransmissions together."""
    unsigned_dropped: int = 0
    """Packets dropped for want of a Message-Authenticator."""
    wrong_signature: int = 0
    """Packets dropped for a wrong Message-Authenticator: the shared secrets differ."""
    proxy_state_dropped: int = 0
    """Packets dropped for a Proxy-State without a Message-Authenticator."""
    malformed: int = 0
    """Packets dropped for anything else that is wrong with them."""
    chap: int = 0
    ms_chap: int = 0
    eap: int = 0
    seen_at: float = 0.0
    """Unix time of the last genuine request."""
    dropped_at: float = 0.0
    """Unix time of the last packet that was dropped."""
    nas_identifier: str | None = None
    """What it called itself last."""

    def add(self, other: "Sighting") -> None:
        """Take in what was seen besides: counts add up, of two times the later one holds."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.seen_at >= self.seen_at and other.nas_identifier is not None:
            self.nas_identifier = other.nas_identifier
        self.seen_at = max(self.seen_at, other.seen_at)
        self.dropped_at = max(self.dropped_at, other.dropped_at)


TIMES: Final = ("seen_at", "dropped_at")
COUNTS: Final = tuple(each.name for each in fields(Sighting) if each.name not in (*TIMES, "nas_identifier"))


@dataclass(slots=True)
class Stranger:
    """An address whose packets no NAS entry covers."""

    packets: int
    seen_at: float
    """Unix time of the last one."""


class SightingStore(Protocol):
    """Where the sightings of all workers and nodes add up."""

    def add(self, sightings: Mapping[int, Sighting], strangers: Mapping[str, Stranger], now: float) -> None:
        """Add what was seen, by NAS id and by address, in one transaction; raises StoreFault."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the servers have seen in the last days: of each NAS by its id, and the strangers, the newest first."""

    nases: Mapping[int, Sighting]
    strangers: Sequence[tuple[str, Stranger]]
