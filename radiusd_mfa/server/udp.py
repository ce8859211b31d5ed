"""UDP sockets: drained in one go, and the reply leaves from the address that was asked.

On a socket that is bound to every address the kernel would choose the source of a reply by its routes, and a NAS drops
a reply from an address that it did not ask. So the destination of each datagram is read (IP_PKTINFO) and sent back.

The socket's buffer is the queue of what nobody has looked at yet. Where it has grown too long to be answered in time
from its old end, it is emptied, and the newest is kept, evenly of each NAS: what was there longest is asked again
soonest, and a NAS that floods takes no other's place.
"""

import socket
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, NamedTuple

from radiusd_mfa.config import Endpoint

Address = tuple[str, int] | tuple[str, int, int, int]

_IP_PKTINFO: Final = 8
"""linux/in.h; the socket module of Python 3.11 has no name for it."""
_IN_PKTINFO: Final = struct.Struct("=i4s4s")
_DATAGRAM: Final = 4096 + 1
"""RFC 2865 3: the longest packet; one octet more shows what is too long."""
AT_ONCE: Final = 256
"""Datagrams that are handled at once."""
_STALE: Final = 0.5
"""Seconds of waiting in the buffer from which it is too long: in the old order everybody would wait so long."""
_EMPTIED: Final = 1 << 14
"""Datagrams read at most to empty a buffer; 2 us each, and it holds some thousand."""
BUFFER: Final = 1 << 20
"""Octets, as far as the system's limit lets it: room for a burst of some thousand requests."""
_SO_TIMESTAMPNS: Final = 35
"""asm-generic/socket.h; the socket module of Python 3.11 has no name for it. Its message is a timespec."""
_TIMESPEC: Final = struct.Struct("@ll")
_CONTROL: Final = socket.CMSG_SPACE(64)


class ListenProblem(Exception):
    """The address can't be listened on; the sentence says which and why."""


class Datagram(NamedTuple):
    """What came in: octets, from where, and the control message that makes the reply leave from where it was asked."""

    octets: bytes
    source: Address
    asked: tuple[int, int, bytes] | None
    listener: "Listener"


class Listener:
    """One bound UDP socket."""

    def __init__(self, bound: socket.socket) -> None:
        self.socket: Final = bound
        self.shown: Final = _shown(bound.getsockname())
        self._any: Final = bound.getsockname()[0] in ("0.0.0.0", "::")  # noqa: S104 - recognised, not bound
        self.passed_over = 0
        """Datagrams that were read and not handed on, since newer ones were there."""
        self.taken = 0
        """Datagrams that were read."""
        self.has_more = False
        """Whether the last draining ended before the buffer was empty."""
        bound.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        if self._any:
            _ask_for_destinations(bound)

    @classmethod
    def bind(cls, endpoint: Endpoint, *, shared: bool = False) -> "Listener":
        """Bind a socket; `shared` lets other workers of ours bind the same port. Raises ListenProblem."""
        return cls(_bound(endpoint.host, endpoint.port, shared=shared))

    @staticmethod
    def named(one: socket.socket) -> str:
        """Return where a socket listens, as it is written in settings."""
        return _shown(one.getsockname())

    def drain(self, lane: Callable[[str], Hashable] = str) -> Sequence[Datagram]:
        """Return what has arrived, at most 256 datagrams, so that one socket can't keep the loop from the others.

        Where more is there, and is old, those take turns that `lane` tells apart by their addresses.
        """
        arrived: list[Datagram] = []
        left, room = AT_ONCE, _CONTROL  # the first one is the oldest, so it alone must say when it came
        while left > 0:
            left -= 1
            try:
                octets, control, _flags, source = self.socket.recvmsg(_DATAGRAM, room)
            except BlockingIOError:
                break
            except ConnectionError:
                continue  # an ICMP error for an earlier reply: that client is gone, this call is not
            except OSError:
                break  # short of memory for the moment: what waits is there at the next turn
            if not arrived:
                left = _EMPTIED if _waited(control, time.time()) > _STALE else left
                room = room if self._any else 0
            arrived.append(Datagram(octets, source, _answerable(control), self))
        self.has_more = left <= 0
        self.taken += len(arrived)
        kept = arrived if len(arrived) <= AT_ONCE else _newest_of_each(arrived, lane)
        self.passed_over += len(arrived) - len(kept)
        return kept

    def send(self, octets: bytes, datagram: Datagram) -> None:
        """Send a reply to where the datagram came from. What the kernel can't take now, the client asks for again."""
        try:
            if datagram.asked is None:
                self.socket.sendto(octets, datagram.source)
            else:
                self.socket.sendmsg([octets], [datagram.asked], 0, datagram.source)
        except OSError:
            return

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    one = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has its own socket, and its own NASes
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.setblocking(False)
        one.bind((host, port))
    except OSError as error:
        one.close()
        raise ListenProblem(f"can't listen on {_shown((host, port))}: {error.strerror}") from error
    return one


def _ask_for_destinations(one: socket.socket) -> None:
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        one.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def _waited(control: list[tuple[int, int, bytes]], now: float) -> float:
    """Return the seconds that a datagram was in the buffer; 0 where it doesn't say."""
    for level, kind, data in control:
        if (level, kind, len(data)) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS, _TIMESPEC.size):
            seconds, nanoseconds = map(int, _TIMESPEC.unpack(data))
            return now - seconds - nanoseconds / 1e9
    return 0.0


def _newest_of_each(arrived: Iterable[Datagram], lane: Callable[[str], Hashable]) -> Sequence[Datagram]:
    """Choose as many as are handled at once: lanes take turns, each with its newest."""
    lanes: defaultdict[Hashable, list[Datagram]] = defaultdict(list)
    for datagram in arrived:
        lanes[lane(datagram.source[0])].append(datagram)
    kept: list[Datagram] = []
    while lanes and len(kept) < AT_ONCE:
        for name, waiting in list(lanes.items())[: AT_ONCE - len(kept)]:
            kept.append(waiting.pop())
            if not waiting:
                del lanes[name]
    return kept


def _answerable(control: list[tuple[int, int, bytes]]) -> tuple[int, int, bytes] | None:
    """Turn the destination of a datagram into the source of its reply (ip(7), RFC 3542 6)."""
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _interface, local, _destination = _IN_PKTINFO.unpack(data[: _IN_PKTINFO.size])
            return level, kind, _IN_PKTINFO.pack(0, local, b"\0\0\0\0")
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            return level, kind, data
    return None


def _shown(address: tuple[object, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
