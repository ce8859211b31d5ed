"""A NAS with many ports: sends what lies ready, retransmits the same octets, and checks who really answered.

Owns sockets, Identifiers and what is outstanding. It decides nothing about when to send: load.py does.
"""

import select
import socket
from array import array
from collections import deque
from collections.abc import Sequence
from hashlib import md5
from time import monotonic
from typing import Final

from bench.lib.mmsg import Incoming, Outgoing

WAITING: Final = 1
GIVEN_UP: Final = 255
_IDENTIFIERS: Final = 256


class Client:
    """`state[n]` is 0 before request n is sent, 1 while it waits, the code of the reply, or 255 when given up."""

    def __init__(
        self, target: tuple[str, int], datagrams: Sequence[bytes], secret: bytes, *, ports: int, timeout: float
    ) -> None:
        count = len(datagrams)
        self._secret = secret
        self._timeout = timeout
        self._authenticators = [octets[4:20] for octets in datagrams]
        self._outgoing = Outgoing(datagrams)
        self._incoming = Incoming()
        self._ports = [_connected(target) for _ in range(ports)]
        self._descriptors = [port.fileno() for port in self._ports]
        self._index = {descriptor: index for index, descriptor in enumerate(self._descriptors)}
        self._owner = [-1] * (ports * _IDENTIFIERS)
        self._timers: deque[tuple[float, int, int, int]] = deque()
        self._poll = select.epoll()
        for descriptor in self._descriptors:
            self._poll.register(descriptor, select.EPOLLIN)
        self.state = bytearray(count)
        self.sent_at = array("d", bytes(8 * count))
        self.answered_at = array("d", bytes(8 * count))
        self.outstanding = 0
        self.retransmissions = 0
        self.foreign = 0
        """Replies that answer nothing that waits: late ones, or ones whose Response Authenticator is wrong."""

    def send(self, first: int, stop: int, now: float) -> None:
        """Send requests first .. stop-1 for the first time."""
        slots = len(self._owner)
        for number in range(first, stop):
            before = self._owner[number % slots]
            if before >= 0:
                self._give_up(before)
            self._owner[number % slots] = number
        count = stop - first
        self.state[first:stop] = bytes((WAITING,)) * count
        self.sent_at[first:stop] = array("d", (now,)) * count
        self.outstanding += count
        self._transmit(first, stop)
        self._timers.append((now + self._timeout, first, stop, 1))

    def receive(self, wait: float) -> None:
        """Wait at most so many seconds for a reply, and take in all that have arrived."""
        for descriptor, _events in self._poll.poll(max(0.0, wait)):
            base = self._index[descriptor] * _IDENTIFIERS
            replies = self._incoming.receive(descriptor)
            now = monotonic()
            for octets in replies:
                self._take(octets, base, now)

    def next_timer(self) -> float:
        """Return when something must be sent again; monotonic seconds."""
        return self._timers[0][0] if self._timers else float("inf")

    def retransmit(self, now: float, tries: int) -> None:
        """Send again what has waited for a whole timeout; give up after `tries` transmissions."""
        while self._timers and self._timers[0][0] <= now:
            due, first, stop, done = self._timers.popleft()
            for start, end in self._waiting(first, stop):
                if done < tries:
                    self.retransmissions += end - start
                    self._transmit(start, end)
                else:
                    for number in range(start, end):
                        self._give_up(number)
            if done < tries:
                self._timers.append((due + self._timeout, first, stop, done + 1))

    def close(self) -> None:
        """Close the sockets."""
        self._poll.close()
        for port in self._ports:
            port.close()

    def _take(self, octets: bytes, base: int, now: float) -> None:
        slot = base + octets[1]
        number = self._owner[slot]
        # RFC 2865 3: the Response Authenticator says that it answers this very request.
        if (
            number < 0
            or md5(octets[:4] + self._authenticators[number] + octets[20:] + self._secret).digest() != octets[4:20]
        ):
            self.foreign += 1
            return
        self._owner[slot] = -1
        self.state[number] = octets[0]
        self.answered_at[number] = now
        self.outstanding -= 1

    def _give_up(self, number: int) -> None:
        self.state[number] = GIVEN_UP
        self._owner[number % len(self._owner)] = -1
        self.outstanding -= 1

    def _waiting(self, first: int, stop: int) -> list[tuple[int, int]]:
        """Return the runs of requests that still wait."""
        runs = []
        state = self.state
        at = state.find(WAITING, first, stop)
        while at >= 0:
            end = at
            while end < stop and state[end] == WAITING:
                end += 1
            runs.append((at, end))
            at = state.find(WAITING, end, stop)
        return runs

    def _transmit(self, first: int, stop: int) -> None:
        while first < stop:
            end = min(stop, (first | 255) + 1)  # one port carries 256 Identifiers
            descriptor = self._descriptors[(first >> 8) % len(self._descriptors)]
            # What the kernel does not take is lost, as it would be on a wire; the timer sends it again.
            self._outgoing.send(descriptor, first, end - first)
            first = end


def _connected(target: tuple[str, int]) -> socket.socket:
    port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port.setblocking(False)
    port.connect(target)
    return port
