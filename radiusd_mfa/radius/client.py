"""The other end: requests as a NAS sends them and replies as a NAS checks them.

Owns what `try`, `demo`, an upstream RADIUS server and the tests need of the client's side. Knows no socket and makes no
random octets: Identifier and Request Authenticator are arguments.
"""

from collections.abc import Iterable

from radiusd_mfa.radius.password import PASSWORD_LIMIT, hide
from radiusd_mfa.radius.signature import check_message_authenticator, check_response_authenticator, hmac_md5
from radiusd_mfa.radius.wire import HEADER, PACKET_LIMIT, Attribute, Cause, Code, Packet, PacketError, attribute, parse


def encode_request(
    *,
    code: Code,
    identifier: int,
    authenticator: bytes,
    secret: bytes,
    attributes: Iterable[tuple[int, bytes]] = (),
    password: bytes | None = None,
    message_authenticator: bool = True,
) -> bytes:
    """Build an Access-Request or Status-Server: Message-Authenticator, User-Password, then `attributes`.

    `authenticator` is 16 octets that nobody can guess (RFC 2865 3). Raises PacketError for a password over 128 octets,
    a value over 253, or a packet over 4096.
    """
    rest = b"".join([attribute(kind, value) for kind, value in attributes])
    if password is not None:
        if len(password) > PASSWORD_LIMIT:
            raise PacketError(Cause.VALUE_LENGTH)
        hidden = hide(password, secret=secret, authenticator=authenticator)
        rest = attribute(Attribute.USER_PASSWORD, hidden) + rest
    if message_authenticator:
        rest = attribute(Attribute.MESSAGE_AUTHENTICATOR, bytes(16)) + rest
    length = HEADER + len(rest)
    if length > PACKET_LIMIT:
        raise PacketError(Cause.PACKET_LENGTH)
    octets = bytes((code, identifier)) + length.to_bytes(2) + authenticator + rest
    if not message_authenticator:
        return octets
    value_at = HEADER + 2
    return octets[:value_at] + hmac_md5(octets, secret) + octets[value_at + 16 :]


def verify_reply(
    octets: bytes, *, request_authenticator: bytes, secret: bytes, require_message_authenticator: bool = True
) -> Packet:
    """Frame a reply and check that it answers the request with that Request Authenticator, or raise PacketError.

    A Message-Authenticator must be right where there is one, required or not (RFC 3579 3.2).
    """
    packet = parse(octets)
    if packet.code not in (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE):
        raise PacketError(Cause.CODE)
    check_response_authenticator(packet, secret=secret, request_authenticator=request_authenticator)
    if Attribute.MESSAGE_AUTHENTICATOR in packet.found:
        signed = packet.octets[:4] + request_authenticator + packet.octets[HEADER:]
        check_message_authenticator(packet, signed=signed, secret=secret)
    elif require_message_authenticator:
        raise PacketError(Cause.MESSAGE_AUTHENTICATOR_MISSING)
    return packet
