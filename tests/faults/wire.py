"""The wire between NASes and servers: loses, doubles and reorders datagrams, and keeps the packet log.

It stands on the servers' side of the loss: what it has sent did reach the kernel, and what a server has sent is in the
log even if the NAS never gets it.
"""

import asyncio
import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import count
from typing import Final, cast

from radiusd_mfa.radius.client import encode_request, verify_reply
from radiusd_mfa.radius.wire import Attribute, Code, Packet, PacketError
from tests.faults.evidence import Credential, Reply, Request, Sent

_IDENTIFIERS: Final = 256
_BUFFER: Final = 1 << 22
Address = tuple[str, int]


@dataclass
class Weather:
    """How bad the wire is: shares of the datagrams, each way, and seconds of delay at most."""

    chance: random.Random
    lost: float = 0.3
    doubled: float = 0.3
    late: float = 0.3
    delay: float = 0.15

    def falls(self) -> list[float]:
        """Return the delay of each copy that arrives; none where the datagram is lost."""
        if self.chance.random() < self.lost:
            return []
        copies = 2 if self.chance.random() < self.doubled else 1
        return [self.chance.random() * self.delay if self.chance.random() < self.late else 0.0 for _ in range(copies)]


@dataclass
class PacketLog:
    """What was asked, and every datagram between the wire and the servers."""

    nodes: Mapping[Address, str]
    requests: dict[bytes, Request] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be sent, and sent again, to any server."""

    octets: bytes
    digest: bytes
    port: "Port"
    answer: "asyncio.Future[Packet]"

    def send(self, node: Address) -> None:
        """Send the octets once, if the wire lets them through."""
        for delay in self.port.weather.falls():
            asyncio.get_running_loop().call_later(delay, self.port.transmit, self, node)


class Port(asyncio.DatagramProtocol):
    """One socket of a NAS; it carries 256 requests in all, so that a reply is never taken for another's."""

    def __init__(self, log: PacketLog, weather: Weather, secret: bytes) -> None:
        self.log = log
        self.weather = weather
        self.secret = secret
        self.left = _IDENTIFIERS
        self._transport: asyncio.DatagramTransport | None = None
        self._asked: dict[int, Asked] = {}

    @classmethod
    async def open(cls, source: str, log: PacketLog, weather: Weather, secret: bytes) -> "Port":
        """Bind a socket at a loopback address."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        bound.setblocking(False)
        bound.bind((source, 0))
        loop = asyncio.get_running_loop()
        _transport, port = await loop.create_datagram_endpoint(lambda: cls(log, weather, secret), sock=bound)
        return port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # by the protocol's contract

    def ask(self, attributes: list[tuple[int, bytes]], typed: bytes, about: Callable[[bytes], Request]) -> Asked:
        """Make a request with a new Identifier and authenticator, and write down what it is about."""
        assert self._transport is not None
        assert self.left
        self.left -= 1
        octets = encode_request(
            code=Code.ACCESS_REQUEST,
            identifier=self.left,
            authenticator=random.randbytes(16),
            secret=self.secret,
            attributes=attributes,
            password=typed,
        )
        host, port = self._transport.get_extra_info("sockname")
        # As the server does it (server/intake.py): how the audit log knows a request.
        digest = blake2b(octets, digest_size=16, key=f"{host} {port}".encode()).digest()
        made = Asked(octets, digest, self, asyncio.get_running_loop().create_future())
        self._asked[self.left] = made
        text = blake2b(typed, digest_size=8).hexdigest()
        self.log.requests[digest] = replace(about(digest), typed=text)
        return made

    def transmit(self, asked: Asked, node: Address) -> None:
        """Hand a datagram to the kernel."""
        if self._transport is None or self._transport.is_closing():
            return
        self.log.sent.append(Sent(time.time(), asked.digest, self.log.nodes[node]))
        self._transport.sendto(asked.octets, node)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        at, node = time.time(), self.log.nodes.get(addr, str(addr))
        asked = self._asked.get(data[1]) if len(data) > 1 else None
        packet = None
        if asked is not None:
            try:
                packet = verify_reply(data, request_authenticator=asked.octets[4:20], secret=self.secret)
            except PacketError:
                packet = None
        digest = asked.digest if asked is not None else b""
        state = state_of(packet) if packet is not None and packet.code == Code.ACCESS_CHALLENGE else b""
        self.log.replies.append(Reply(at, digest, node, data, verified=packet is not None, state=state))
        if asked is not None and packet is not None:
            for delay in self.weather.falls():
                asyncio.get_running_loop().call_later(delay, _deliver, asked, packet)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there at the moment: as if it were lost."""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _deliver(asked: Asked, packet: Packet) -> None:
    if not asked.answer.done():
        asked.answer.set_result(packet)


def state_of(packet: Packet) -> bytes:
    """Return the State of a challenge."""
    return next(value for kind, value in packet.attributes if kind == Attribute.STATE)


@dataclass(frozen=True)
class Manners:
    """How a NAS asks its two servers when nobody answers."""

    timeout: float = 1.0
    tries: int = 2
    """Transmissions to each server."""
    anew: bool = False
    """Whether the other server is asked with a new authenticator, as many clients do, and not with the same octets."""


@dataclass
class Nas:
    """A device with two servers: it retransmits, fails over, and tells nobody but the log what it saw."""

    name: str
    source: str
    servers: list[Address]
    manners: Manners
    log: PacketLog
    weather: Weather
    secret: bytes
    _port: Port | None = None
    _old: list[Port] = field(default_factory=list)
    _turns: "count[int]" = field(default_factory=count)

    async def sign_in(
        self, user: str, typed: bytes, about: Callable[[bytes, str], Request], *, state: bytes | None = None
    ) -> Packet | None:
        """Ask one server and then the other; None: nobody answered."""
        attributes = [(int(Attribute.USER_NAME), user.encode())]
        if state is not None:
            attributes.append((int(Attribute.STATE), state))
        first = next(self._turns) % len(self.servers)
        asked: Asked | None = None
        for node in (self.servers[first], self.servers[1 - first]):
            if asked is None or self.manners.anew:
                asked = (await self._with_room()).ask(attributes, typed, lambda digest: about(digest, self.name))
            for _ in range(self.manners.tries):
                asked.send(node)
                # Each a little otherwise, as devices do: what is in step would all come at once.
                wait = self.manners.timeout * self.weather.chance.uniform(0.8, 1.2)
                done, _pending = await asyncio.wait({asked.answer}, timeout=wait)
                if done:
                    return asked.answer.result()
        return None

    async def _with_room(self) -> Port:
        if self._port is None or not self._port.left:
            opened = await Port.open(self.source, self.log, self.weather, self.secret)
            if self._port is None or not self._port.left:
                self._port = opened
                self._old.append(opened)
            else:
                opened.close()
        return self._port

    def close(self) -> None:
        """Close the sockets: until now a late reply was still written down."""
        for port in self._old:
            port.close()


def request(
    digest: bytes,
    nas: str,
    *,
    user: str,
    credential: Credential | None,
    password_right: bool = True,
    known: bool = True,
    code_typed: bool = True,
    state: bytes | None = None,
) -> Request:
    """Write down what a request is about."""
    return Request(digest, nas, user, known, password_right, credential, code_typed, state)
