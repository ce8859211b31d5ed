"""The MD5 that RADIUS is built on (RFC 2865 3): CPython's own, or hashlib's where there is none.

OpenSSL's costs 0.4 us more a call, six calls an exchange, for setting up what MD5 does not need; and a machine in FIPS
mode refuses it, where RADIUS can't do without. Both give the same sixteen octets (tests/radius/test_rfc_vectors.py).
"""

from typing import Protocol


class Digest(Protocol):
    """A digest in the making."""

    def copy(self) -> "Digest":
        """Return another one that has read the same octets."""
        ...

    def update(self, octets: bytes, /) -> None:
        """Read more octets."""
        ...

    def digest(self) -> bytes:
        """Return the 16 octets."""
        ...


class Md5(Protocol):
    """What makes a digest."""

    def __call__(self, octets: bytes = b"", /, *, usedforsecurity: bool = True) -> Digest:
        """Begin a digest with these octets."""
        ...


def _find() -> Md5:
    try:
        from _md5 import md5 as own  # type: ignore[import-not-found]  # noqa: PLC0415 - CPython's, without stubs
    except ImportError:
        from hashlib import md5 as openssl  # noqa: PLC0415 - as above

        return openssl
    return own  # type: ignore[no-any-return]


md5 = _find()
