"""From a datagram to work: who sent it, is it genuine, was it seen before, what does it ask.

Everything here happens before any SQL and any hash, for the packets of strangers and forgers too.
"""

import logging
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from radiusd_mfa.core.facts import Attempt, Facts
from radiusd_mfa.core.names import NameProblem, Username, escaped
from radiusd_mfa.core.totp import CODE_LENGTHS
from radiusd_mfa.core.typed import Answer, Typed, answer, appended
from radiusd_mfa.radius.exchange import FRESH, PENDING, Exchanges
from radiusd_mfa.radius.packet import AccessRequest, StatusRequest, authenticate, read_request
from radiusd_mfa.radius.wire import PacketError, parse
from radiusd_mfa.server.drops import FAULT, UNKNOWN_NAS, Drops
from radiusd_mfa.server.nas_table import KnownNas, NasTable
from radiusd_mfa.server.sightings import Sightings
from radiusd_mfa.server.tally import Count, Tally
from radiusd_mfa.server.udp import Datagram
from radiusd_mfa.usecases.renewing import Renewal
from radiusd_mfa.usecases.sign_in import SignIn

_log: Final = logging.getLogger(__name__)
_NOT_READ: Final = Facts()
_STATION_LIMIT: Final = 64
_STATION_OCTETS: Final = 4 * 253
"""Characters of the longest Calling-Station-Id with each octet escaped: nothing of it is cut off."""
# CLIENTS: a station comes as an address, `address[port]` or a MAC; the port changes with every connection.
_STATION_PORT: Final = re.compile(r"\[\d+\]$")


@dataclass(slots=True, eq=False)
class Work:
    """One Access-Request on its way through the pipeline."""

    datagram: Datagram
    known: KnownNas
    request: AccessRequest
    attempt: Attempt
    received: float
    """Monotonic seconds."""
    exchange: tuple[object, int, bytes]
    """What the duplicate table knows the request by."""
    facts: Facts = _NOT_READ
    tries: int = 0
    closed: bool = False
    """Whether the throttle did not admit it: then its charge is taken back in a moment."""
    renewal: Renewal | None = None
    """Of the old hash of its password, for when the reply is out."""
    opening: float = 0.0
    """When the transaction began that read its facts, monotonic seconds; `opened`: when it ended."""
    opened: float = 0.0
    hashed: float = 0.0
    """Seconds for which it was with the hash threads; 0: it was not."""


@dataclass(frozen=True, slots=True)
class Status:
    """A Status-Server that wants to know whether we are well."""

    datagram: Datagram
    known: KnownNas
    request: StatusRequest


@dataclass(frozen=True, slots=True)
class Again:
    """A retransmission: the octets that were sent before (RFC 5080 2.2.2)."""

    datagram: Datagram
    octets: bytes


class Intake:
    """Reads datagrams; `now` is monotonic seconds, `at` Unix seconds."""

    def __init__(
        self,
        table: NasTable,
        exchanges: Exchanges,
        sign_in: SignIn,
        drops: Drops,
        sightings: Sightings,
        *,
        tally: Tally | None = None,
    ) -> None:
        self._table = table
        self._exchanges = exchanges
        self._sign_in = sign_in
        self._drops = drops
        self._tally = tally or Tally()
        self._sightings = sightings

    def read(self, datagram: Datagram, *, now: float, at: float) -> Work | Status | Again | None:
        """Return what a datagram asks for; None: it is dropped, or in work already."""
        address = datagram.source[0]
        known = self._table.find(address)
        if known is None:
            self._drops.note(UNKNOWN_NAS, address=address)
            self._sightings.stranger(address, at=at)
            return None
        try:
            return self._read(datagram, known, now=now, at=at)
        except PacketError as error:
            self._drops.note(error.cause, address=address, nas=known.entry.nas.name)
            self._sightings.dropped(known.entry.nas.id, error.cause, at=at)
        except Exception:  # noqa: BLE001 - as the next line says
            # A defect of ours, met by one packet, must not end the loop for all the others.
            self._drops.counts[FAULT] += 1
            _log.exception("a packet from %s could not be read", address)
        return None

    def _read(self, datagram: Datagram, known: KnownNas, *, now: float, at: float) -> Work | Status | Again | None:
        packet = parse(datagram.octets)
        authenticate(packet, known.rules)
        request = read_request(packet, known.rules)
        if isinstance(request, StatusRequest):
            return Status(datagram, known, request)
        exchange = (datagram.source, datagram.listener.shown), packet.identifier, packet.authenticator
        meeting = self._exchanges.meet(*exchange, now)
        if meeting is not FRESH:
            gap = self._exchanges.gap(*exchange[:2])
            self._sightings.retransmission(known.entry.nas.id, after=gap, at=at)
        if isinstance(meeting, bytes):
            return Again(datagram, meeting)
        if meeting is PENDING:
            self._tally.add(Count.DUPLICATES_IN_WORK)
            return None
        digest = _request_digest(datagram, packet.octets)
        attempt = self._attempt(request, known, digest, at)
        self._sightings.request(known.entry.nas.id, packet, request, attempt)
        return Work(datagram, known, request, attempt, received=now, exchange=exchange)

    def _attempt(self, request: AccessRequest, known: KnownNas, digest: bytes, at: float) -> Attempt:
        nas = known.entry.nas
        user = _username(request.user_name)
        realm, local = (user.without_realm() if user else None) or ("", None)
        at_prompt = request.state is not None or nas.otp_only
        return Attempt(
            request=digest,
            at=at,
            nas=nas,
            shown_name=user.text if user else escaped(request.user_name or b""),
            user=user,
            typed=_typed(request, known, at_prompt=at_prompt),
            text=self._sign_in.text_digest(
                user=user.text if user else "",
                text=request.password or b"",
                at_prompt=at_prompt,
                state=request.state,
            ),
            device=_device(request.calling_station_id),
            state=None if request.state is None else self._sign_in.state_digest(request.state),
            realm=realm,
            local=local,
            dialogue=self._sign_in.dialogue_of(nas, digest, request.state),
        )


def _request_digest(datagram: Datagram, octets: bytes) -> bytes:
    """Tell a request from every other: the same client socket and the same octets are the same request (I6)."""
    host, port = datagram.source[:2]
    return blake2b(octets, digest_size=16, key=f"{host} {port}".encode()[:64]).digest()


def _username(raw: bytes | None) -> Username | None:
    try:
        return Username.parse(raw) if raw is not None else None
    except NameProblem:
        return None  # nobody's name: judged, answered and recorded as an unknown user


def _typed(request: AccessRequest, known: KnownNas, *, at_prompt: bool) -> Typed | Answer:
    if request.password is None:
        return Typed((), "not-text")
    if at_prompt:
        return answer(request.password, CODE_LENGTHS)
    entry = known.entry
    return appended(
        request.password, digit_lengths=CODE_LENGTHS, separators=entry.separators, code_first=entry.code_first
    )


def _device(station: bytes | None) -> str:
    if not station:
        return ""
    shown = _STATION_PORT.sub("", escaped(station, limit=_STATION_OCTETS)).lower()
    if len(shown) <= _STATION_LIMIT:
        return shown
    # Cut off alone, two stations that begin alike would be one, and share their periods.
    return f"{shown[: _STATION_LIMIT - 17]}…{blake2b(shown.encode(), digest_size=8).hexdigest()}"
