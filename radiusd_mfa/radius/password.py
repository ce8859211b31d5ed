"""User-Password as it travels: hidden with MD5 of the shared secret (RFC 2865 5.2).

Owns the hiding and its lengths. Knows no packet; whether the password is right is for others.
"""

from typing import Final

from radiusd_mfa.radius.md5 import md5

PASSWORD_LIMIT: Final = 128
"""Octets of the longest password, padded or not (RFC 2865 5.2)."""
_BLOCK: Final = 16


def fits(hidden: bytes) -> bool:
    """Whether a User-Password value has a length that RFC 2865 5.2 allows: 16, 32, ... 128 octets."""
    return 0 < len(hidden) <= PASSWORD_LIMIT and len(hidden) % _BLOCK == 0


def reveal(hidden: bytes, *, secret: bytes, authenticator: bytes) -> bytes:
    """Recover the password without its padding; a NUL inside it stays, so `pw NUL x` never becomes `pw`."""
    # b1 = MD5(S + RA), b2 = MD5(S + c(1)), ...: each pad depends on the hidden block before it.
    pads = md5(secret + authenticator).digest()
    for at in range(_BLOCK, len(hidden), _BLOCK):
        pads += md5(secret + hidden[at - _BLOCK : at]).digest()
    return _xor(hidden, pads).rstrip(b"\0")


def hide(password: bytes, *, secret: bytes, authenticator: bytes) -> bytes:
    """Make the value of User-Password from a password of at most 128 octets; an empty one is a block of padding."""
    padded = password.ljust(_BLOCK, b"\0")
    padded += bytes(-len(padded) % _BLOCK)
    hidden = []
    before = authenticator
    for at in range(0, len(padded), _BLOCK):
        before = _xor(padded[at : at + _BLOCK], md5(secret + before).digest())
        hidden.append(before)
    return b"".join(hidden)


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(len(one))
