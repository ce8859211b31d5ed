"""Requests as no decent NAS builds them: signed, but with whatever attributes in whatever order."""

import os

from radiusd_mfa.radius.password import hide
from radiusd_mfa.radius.signature import hmac_md5
from radiusd_mfa.radius.wire import HEADER, Attribute, Code
from tests.support.world import SECRET, TestNas

Pairs = list[tuple[int, bytes]]
SIGNATURE = (int(Attribute.MESSAGE_AUTHENTICATOR), bytes(16))
"""Stands where the Message-Authenticator is to be; `build` fills it in."""


def build(
    pairs: Pairs,
    *,
    authenticator: bytes,
    identifier: int = 7,
    code: int = Code.ACCESS_REQUEST,
    secret: bytes = SECRET,
) -> bytes:
    """Put a packet together from any attributes; every SIGNATURE among them is made right, as far as can be."""
    rest = b"".join(bytes((kind, 2 + len(value))) + value for kind, value in pairs)
    octets = bytes((code, identifier)) + (HEADER + len(rest)).to_bytes(2) + authenticator + rest
    blank = bytes((SIGNATURE[0], 18)) + SIGNATURE[1]
    return octets.replace(blank, blank[:2] + hmac_md5(octets, secret))


def user(name: bytes = b"alice") -> tuple[int, bytes]:
    return int(Attribute.USER_NAME), name


def password(typed: bytes, authenticator: bytes, secret: bytes = SECRET) -> tuple[int, bytes]:
    return int(Attribute.USER_PASSWORD), hide(typed, secret=secret, authenticator=authenticator)


def new_authenticator() -> bytes:
    return os.urandom(16)


def none_is_answered(nas: TestNas, packets: list[bytes]) -> bool:
    """Send packets and then a Status-Server: whether its answer is the first that comes, for UDP keeps the order here.

    A reply to anything before it would not verify as the answer to the Status-Server.
    """
    for octets in packets:
        nas.send(octets)
    return nas.status() is not None
