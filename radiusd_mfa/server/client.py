"""A NAS of our own, for one request after another: `try`, `demo` and `doctor` ask a running server with it.

Owns the client's socket, retransmission, and which datagrams count as the reply. Knows no NAS entry and no user.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from typing import Final, Self

from radiusd_mfa.config import Endpoint
from radiusd_mfa.radius.client import encode_request, verify_reply
from radiusd_mfa.radius.wire import PACKET_LIMIT, Attribute, Code, Packet, PacketError

PATIENCE: Final = 6.0
"""Seconds after which no reply is expected any more: three tries, each longer than a delayed Access-Reject takes."""
RETRY_AFTER: Final = 2.0
"""Seconds between two tries (RFC 5080 2.2.1: the initial retransmission time)."""
_NAS_IP_ADDRESS: Final = 4  # RFC 2865 5.4
_NAS_IPV6_ADDRESS: Final = 95  # RFC 3162 2.1


class ClientProblem(Exception):
    """The request can't be sent; the sentence says why."""


class Silence(StrEnum):
    """Why there is no reply, as far as the asking side can tell."""

    NOBODY_LISTENS = "nobody-listens"
    """The kernel answered that the port is closed."""
    NOT_GENUINE = "not-genuine"
    """Something answered, but not with the shared secret."""
    NO_REPLY = "no-reply"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it; the octets of the request hold the password only in its hidden form."""

    request: bytes = field(repr=False)
    reply: Packet | Silence
    sent: int
    """How often the request went out."""
    seconds: float


class Client:
    """A RADIUS client with a socket of its own, bound to a source address of this machine."""

    def __init__(self, server: Endpoint, *, source: str, secret: bytes, expects_signed: bool = True) -> None:
        self._secret = secret
        self._expects_signed = expects_signed
        family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
        self._socket: Final = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.bind((source, 0))
            # Connected, so that a closed port is told at once and nobody else's datagrams are read.
            self._socket.connect((server.host, server.port))
        except OSError as error:
            self._socket.close()
            raise ClientProblem(f"Nothing can be sent from {source} to {server}: {error.strerror}.") from error
        self.source: Final = Endpoint(*self._socket.getsockname()[:2])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def sign_in(
        self,
        typed: bytes,
        *,
        attributes: Sequence[tuple[int, bytes]],
        patience: float = PATIENCE,
        retry_after: float = RETRY_AFTER,
    ) -> Exchange:
        """Send an Access-Request with these attributes and wait for its reply; raises ClientProblem."""
        authenticator = os.urandom(16)
        try:
            octets = encode_request(
                code=Code.ACCESS_REQUEST,
                identifier=os.urandom(1)[0],
                authenticator=authenticator,
                secret=self._secret,
                attributes=attributes,
                password=typed,
            )
        except PacketError as error:
            raise ClientProblem("RADIUS carries no name over 253 and no password over 128 octets.") from error
        began = monotonic()
        reply, sent = self._ask(octets, authenticator, until=began + patience, retry_after=retry_after)
        return Exchange(octets, reply, sent, monotonic() - began)

    def status(self, *, patience: float, retry_after: float = 1.0) -> Packet | Silence:
        """Ask with Status-Server whether the server is well (RFC 5997); raises ClientProblem."""
        authenticator = os.urandom(16)
        octets = encode_request(
            code=Code.STATUS_SERVER, identifier=os.urandom(1)[0], authenticator=authenticator, secret=self._secret
        )
        return self._ask(octets, authenticator, until=monotonic() + patience, retry_after=retry_after)[0]

    def _ask(
        self, octets: bytes, authenticator: bytes, *, until: float, retry_after: float
    ) -> tuple[Packet | Silence, int]:
        """Send the same octets until a reply comes: a retransmission costs no second evaluation (RFC 5080 2.2.2)."""
        found: Packet | Silence = Silence.NO_REPLY
        sent = 0
        while (now := monotonic()) < until:
            try:
                self._socket.send(octets)
                sent += 1
                found = self._receive(authenticator, until=min(until, now + retry_after), before=found)
            except ConnectionRefusedError:
                return Silence.NOBODY_LISTENS, sent
            except OSError as error:
                raise ClientProblem(f"Nothing can be sent from {self.source}: {error.strerror}.") from error
            if isinstance(found, Packet):
                break
        return found, sent

    def _receive(self, authenticator: bytes, *, until: float, before: Packet | Silence) -> Packet | Silence:
        """Return the first datagram that is the reply; what is not genuine is no reply (RFC 2865 3)."""
        found = before
        while (left := until - monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                return self._verified(self._socket.recv(PACKET_LIMIT + 1), authenticator)
            except TimeoutError:
                break
            except PacketError:
                found = Silence.NOT_GENUINE
        return found

    def _verified(self, octets: bytes, authenticator: bytes) -> Packet:
        return verify_reply(
            octets,
            request_authenticator=authenticator,
            secret=self._secret,
            require_message_authenticator=self._expects_signed,
        )


def named(user: str, *, nas: str, source: str, device: str = "", state: bytes | None = None) -> list[tuple[int, bytes]]:
    """Return the attributes of a sign-in as a NAS sends them: who, whence, and the State of a challenge."""
    packed = socket.inet_pton(socket.AF_INET6 if ":" in source else socket.AF_INET, source)
    address = (_NAS_IPV6_ADDRESS if ":" in source else _NAS_IP_ADDRESS, packed)
    given = [(Attribute.USER_NAME, user.encode()), address, (Attribute.NAS_IDENTIFIER, nas.encode())]
    if device:
        given.append((Attribute.CALLING_STATION_ID, device.encode()))
    return given if state is None else [*given, (Attribute.STATE, state)]
