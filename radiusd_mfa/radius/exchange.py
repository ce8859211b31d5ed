"""Which request is new, which is being worked on, and which was answered (RFC 5080 2.2.2).

Owns the memory of recent exchanges: bounded, and pure, for the time is an argument (monotonic seconds). Only
authenticated packets belong here, so that a forged one neither reads an answer nor pushes one out. What is forgotten
here costs no security: the database gives the same request the same verdict (I6).
"""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

_STEPS: Final = 4
"""Expired exchanges cleared at each meeting: more than one, so that they run out, and few, so that none stalls."""

_Key = tuple[Hashable, int]


class Meeting(Enum):
    """What a request is to the server, if there is no answer to repeat."""

    FRESH = "fresh"
    PENDING = "pending"


FRESH: Final = Meeting.FRESH
PENDING: Final = Meeting.PENDING


@dataclass(slots=True)
class _Pending:
    authenticator: bytes
    since: float
    last_seen: float
    gap: float = 0.0


@dataclass(slots=True)
class _Answered:
    authenticator: bytes
    since: float
    octets: bytes = field(repr=False)
    last_seen: float
    gap: float = 0.0


class Exchanges:
    """At most `capacity` exchanges, each known for `lifetime` seconds after it was met, then after its answer.

    `source` is whatever makes a client's socket unique: its address and port together with our own socket. When full,
    the oldest answer goes first, and only where nothing is answered the oldest request in work: its reply can still
    be sent, only its retransmission is worked on again.
    """

    def __init__(self, capacity: int, lifetime: float = 30.0) -> None:
        self._capacity = capacity
        self._lifetime = lifetime
        # Each in the order of its expiry, so that what is oldest stands in front.
        self._pending: OrderedDict[_Key, _Pending] = OrderedDict()
        self._answered: OrderedDict[_Key, _Answered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pending) + len(self._answered)

    def meet(self, source: Hashable, identifier: int, authenticator: bytes, now: float) -> Meeting | bytes:
        """Say whether to work on a request (FRESH), drop it (PENDING), or send the returned octets again.

        A new authenticator under the same source and identifier is a new request, and the old one is forgotten.
        """
        self._expire(now)
        key = (source, identifier)
        answered = self._answered.get(key)
        if answered is not None and self._is(answered, authenticator, now):
            answered.gap, answered.last_seen = now - answered.last_seen, now
            return answered.octets
        pending = self._pending.get(key)
        if pending is not None and self._is(pending, authenticator, now):
            pending.gap, pending.last_seen = now - pending.last_seen, now
            return PENDING
        self._drop(key)
        if len(self) >= self._capacity:
            (self._answered or self._pending).popitem(last=False)
        self._pending[key] = _Pending(authenticator, now, now)
        return FRESH

    def answer(self, source: Hashable, identifier: int, authenticator: bytes, octets: bytes, now: float) -> None:
        """Keep a reply for retransmissions; one to a request that was superseded or forgotten is not kept."""
        key = (source, identifier)
        pending = self._of(key, authenticator)
        if pending is not None:
            del self._pending[key]
            self._answered[key] = _Answered(authenticator, now, octets, pending.last_seen)

    def forget(self, source: Hashable, identifier: int, authenticator: bytes) -> None:
        """End a request in silence, so that its retransmission is worked on again."""
        key = (source, identifier)
        if self._of(key, authenticator) is not None:
            del self._pending[key]

    def last_seen(self, source: Hashable, identifier: int, authenticator: bytes) -> float | None:
        """When the client last sent a request that is in work, which renews its deadline; None: it is forgotten.

        Minus infinity where another request has its identifier by now: the client waits for this one no more.
        """
        key = (source, identifier)
        known = self._pending.get(key) or self._answered.get(key)
        if known is not None and known.authenticator != authenticator:
            return -math.inf
        return known.last_seen if isinstance(known, _Pending) else None

    def gap(self, source: Hashable, identifier: int) -> float:
        """Return the seconds between the last two sendings of the request that is known by this identifier."""
        known = self._answered.get((source, identifier)) or self._pending.get((source, identifier))
        return known.gap if known else 0.0

    def _of(self, key: _Key, authenticator: bytes) -> _Pending | None:
        pending = self._pending.get(key)
        return pending if pending is not None and pending.authenticator == authenticator else None

    def _is(self, known: _Pending | _Answered, authenticator: bytes, now: float) -> bool:
        return known.authenticator == authenticator and now - known.since < self._lifetime

    def _drop(self, key: _Key) -> None:
        self._pending.pop(key, None)
        self._answered.pop(key, None)

    def _expire(self, now: float) -> None:
        oldest = now - self._lifetime
        for _ in range(_STEPS):
            if not self._answered or next(iter(self._answered.values())).since > oldest:
                break
            self._answered.popitem(last=False)
        for _ in range(_STEPS):
            if not self._pending or next(iter(self._pending.values())).since > oldest:
                break
            self._pending.popitem(last=False)
