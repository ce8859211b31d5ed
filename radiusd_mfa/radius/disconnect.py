"""Disconnect-Request: a NAS is told to end the sessions of a user (RFC 5176).

Owns the packet, what an answer to it may be, and the words for a refusal. Knows no socket and no clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from radiusd_mfa.radius.md5 import md5
from radiusd_mfa.radius.signature import check_message_authenticator, check_response_authenticator, hmac_md5
from radiusd_mfa.radius.wire import HEADER, PACKET_LIMIT, Attribute, Cause, PacketError, attribute, parse

PORT: Final = 3799
"""Where a NAS listens for it (RFC 5176 2.1)."""
_REQUEST: Final = 40
_ACK: Final = 41
_NAK: Final = 42
_EVENT_TIMESTAMP: Final = 55  # RFC 2869 5.3
_ERROR_CAUSE: Final = 101
_CAUSE_OCTETS: Final = 4
ERROR_CAUSES: Final[Mapping[int, str]] = {
    201: "residual session context removed",
    401: "it knows an attribute of the request not",
    402: "it misses an attribute in the request",
    403: "it is another NAS than the request says",
    404: "the request is invalid",
    405: "it does not support this service",
    406: "it does not support this extension",
    407: "an attribute of the request has an invalid value",
    501: "it is administratively prohibited: allow this server to send Disconnect-Requests",
    502: "a proxy can't route the request",
    503: "it has no such session: it is over, or known there by another name",
    504: "the session can't be removed",
    505: "a proxy failed",
    506: "it lacks resources",
    507: "it has begun, and asks first",
    508: "several sessions fit, and it ends one only",
}
"""What Error-Cause says (RFC 5176 3.5)."""


@dataclass(frozen=True, slots=True)
class DisconnectRequest:
    """The octets to send, and the Request Authenticator that its answer is bound to."""

    octets: bytes = field(repr=False)
    authenticator: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the NAS says: done, or not and why, if it tells."""

    done: bool
    error_cause: int | None = None

    @property
    def words(self) -> str:
        """Why not, in words; empty where it is done or no cause was told."""
        if self.error_cause is None:
            return ""
        return ERROR_CAUSES.get(self.error_cause, f"Error-Cause {self.error_cause}")


def encode_disconnect(
    *, identifier: int, secret: bytes, attributes: Iterable[tuple[int, bytes]], event_time: int
) -> DisconnectRequest:
    """Build a Disconnect-Request about the session that `attributes` name; `event_time` is in Unix seconds.

    Raises PacketError for a value over 253 octets or a packet over 4096.
    """
    named = b"".join([attribute(kind, value) for kind, value in attributes])
    rest = (
        attribute(Attribute.MESSAGE_AUTHENTICATOR, bytes(16))
        + named
        + attribute(_EVENT_TIMESTAMP, event_time.to_bytes(4))
    )
    length = HEADER + len(rest)
    if length > PACKET_LIMIT:
        raise PacketError(Cause.PACKET_LENGTH)
    start = bytes((_REQUEST, identifier)) + length.to_bytes(2)
    # RFC 5176 3.4: the Message-Authenticator is made over a Request Authenticator of zeros, and stands in its place
    # when the Request Authenticator is made, as that of accounting (RFC 2866 3).
    signed = attribute(Attribute.MESSAGE_AUTHENTICATOR, hmac_md5(start + bytes(16) + rest, secret)) + rest[18:]
    authenticator = md5(start + bytes(16) + signed + secret).digest()
    return DisconnectRequest(start + authenticator + signed, authenticator)


def read_answer(octets: bytes, *, request: DisconnectRequest, secret: bytes) -> Answer:
    """Read the answer to a Disconnect-Request, or raise PacketError: for what is none, or not made with the secret.

    A Message-Authenticator must be right where there is one; not every NAS sends one (RFC 5176 3.4).
    """
    packet = parse(octets)
    if packet.code not in (_ACK, _NAK) or packet.identifier != request.octets[1]:
        raise PacketError(Cause.CODE)
    check_response_authenticator(packet, secret=secret, request_authenticator=request.authenticator)
    if Attribute.MESSAGE_AUTHENTICATOR in packet.found:
        signed = packet.octets[:4] + request.authenticator + packet.octets[HEADER:]
        check_message_authenticator(packet, signed=signed, secret=secret)
    cause = packet.found.get(_ERROR_CAUSE, b"")
    return Answer(packet.code == _ACK, int.from_bytes(cause) if len(cause) == _CAUSE_OCTETS else None)
