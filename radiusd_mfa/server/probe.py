"""What stands beside the way of a sign-in, looked at once a second: queues, hash threads, sockets, drops.

Runs in a thread of its own, so that it is seen too that the loop waits for a database. What others count for themselves
is added to the tally by the difference to the last look: the tally outlives them.
"""

import os
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from radiusd_mfa.passwords.pool import HashPool
from radiusd_mfa.server.drops import Drops
from radiusd_mfa.server.health import Health
from radiusd_mfa.server.tally import Count, Level, Tally
from radiusd_mfa.server.udp import Listener

_SO_MEMINFO = 55
"""asm-generic/socket.h; the socket module has no name for it. Its answer are 32-bit numbers (linux/sock_diag.h)."""
_MEMINFO = struct.Struct("=9I")
_QUEUED, _DROPPED = 0, 8


@dataclass(frozen=True, slots=True)
class Parts:
    """What is looked at; `depths` are sign-ins that wait to be opened, hashed and settled, and replies not yet due."""

    drops: Drops
    health: Health
    pool: HashPool
    listeners: Sequence[Listener]
    depths: Callable[[], tuple[int, int, int, int]]
    nas_entries: Callable[[], tuple[int, int]]
    """How many there are, and how many of them lie within another's range."""


@dataclass(slots=True)
class Probe:
    """Writes into the tally; one of them for each daemon."""

    tally: Tally
    parts: Parts
    _before: Counter[tuple[str, str]] = field(default_factory=Counter)
    _counting: Lock = field(default_factory=Lock)
    """Who finishes the daemon and the thread of the looks may meet here."""

    def look(self) -> None:
        """Write down how high everything stands, and what was counted since the last look."""
        parts, tally = self.parts, self.tally
        self.count()
        parts.drops.tell_of_what_was_given_up()
        levels = (Level.OPENING, Level.HASHING, Level.SETTLING, Level.REPLIES)
        for level, depth in zip(levels, parts.depths(), strict=True):
            tally.set(level, depth)
        tally.set(Level.PROCESS, os.getpid())
        tally.set(Level.HASH_THREADS, parts.pool.threads)
        tally.set(Level.HASH_THREADS_BUSY, parts.pool.busy)
        tally.set(Level.HEALTHY, parts.health.good)
        entries, overlaps = parts.nas_entries()
        tally.set(Level.NAS_ENTRIES, entries)
        tally.set(Level.NAS_OVERLAPS, overlaps)
        meminfo = [_meminfo(listener.socket) for listener in parts.listeners]
        tally.set(Level.SOCKET_OCTETS, sum(each[_QUEUED] for each in meminfo))
        tally.set(Level.SOCKET_DROPS, sum(each[_DROPPED] for each in meminfo))

    def count(self) -> None:
        """Add what was counted since the last look; also once more when a daemon has finished."""
        parts, tally = self.parts, self.tally
        for cause, number in self._since("drops", parts.drops.counts).items():
            tally.drop(cause, number)
        for nas, number in self._since("drops by NAS", parts.drops.by_nas).items():
            tally.drop_of(nas, number)
        counted: dict[str, int] = {
            Count.DATABASE_FAILURES: parts.health.failures,
            Count.DATABASE_LATE: parts.health.late,
            Count.HASHES: parts.pool.done,
            Count.HASH_TIME: int(parts.pool.spent * 1e6),
        }
        for count, number in self._since("counts", counted).items():
            tally.add(Count(count), number)

    def _since(self, kind: str, counted: Mapping[str, int]) -> dict[str, int]:
        grown = {}
        with self._counting:
            for name, number in list(counted.items()):
                if more := number - self._before[kind, name]:
                    self._before[kind, name] = number
                    grown[str(name)] = more
        return grown


def _meminfo(of: socket.socket) -> tuple[int, ...]:
    """Return what the kernel says of a socket's buffer; zeros where it is closed, or the kernel is older than 4.12."""
    try:
        answer = of.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return (0,) * 9
    return _MEMINFO.unpack(answer) if len(answer) == _MEMINFO.size else (0,) * 9
