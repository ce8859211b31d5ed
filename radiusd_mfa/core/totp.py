"""TOTP (RFC 6238): from a code to its time steps, seeds and their URIs; knows no clock and remembers no step."""

import base64
import hashlib
import struct
from collections.abc import Callable
from enum import StrEnum
from hmac import compare_digest
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from hashlib import _Hash

NEW_SEED_OCTETS = 20  # RFC 4226 4 R6: 160 bits are recommended
LEAST_SEED_OCTETS = 10  # what Google Authenticator's early servers gave out, and what still gets imported
CODE_LENGTHS = (6, 7, 8)  # RFC 4226 5.3: at least 6 digits, and possibly 7 and 8
MOST_SEED_OCTETS = 128  # one block of SHA-512: HMAC hashes longer keys down

_COUNTER = struct.Struct(">Q")  # RFC 4226 5.1: the moving factor has 8 octets
# RFC 2104 2: the octets of the key, each exclusive or 0x36 and 0x5c.
_INNER = bytes(octet ^ 0x36 for octet in range(256))
_OUTER = bytes(octet ^ 0x5C for octet in range(256))


class Algorithm(StrEnum):
    """The hash of the HMAC, spelled as in an otpauth URI (RFC 6238 1.2)."""

    SHA1 = "SHA1"
    SHA256 = "SHA256"
    SHA512 = "SHA512"


_HASHES: Final = {
    Algorithm.SHA1: hashlib.sha1,
    Algorithm.SHA256: hashlib.sha256,
    Algorithm.SHA512: hashlib.sha512,
}


class SeedProblem(ValueError):
    """A text that can't be a seed; the message never holds any of it."""


def step_at(now: float, period: int) -> int:
    """Return the time step at `now` (seconds since 1970) for steps of `period` seconds."""
    return int(now // period)


def code_at(step: int, seed: bytes, digits: int, algorithm: Algorithm) -> str:
    """Return the code of a time step, with leading zeros (RFC 4226 5.3)."""
    return f"{_number_at(step, _keyed(seed, algorithm)) % 10**digits:0{digits}d}"


def _keyed(seed: bytes, algorithm: Algorithm) -> "tuple[_Hash, _Hash]":
    """Return both hashes of RFC 2104 2 with the key's block already in them."""
    make = _HASHES[algorithm]
    bare = make()
    key = (seed if len(seed) <= bare.block_size else make(seed).digest()).ljust(bare.block_size, b"\0")
    return make(key.translate(_INNER)), make(key.translate(_OUTER))


def _number_at(step: int, keyed: "tuple[_Hash, _Hash]") -> int:
    """Return the 31 bits of which a code is the last digits (RFC 4226 5.3)."""
    # By hand because pyotp refuses seeds under 112 bits and decodes base32 for every code: for a code that is compared
    # with three steps 25 us there and 4.1 us here, and 6.5 us with hmac.digest, which sets the key up for each of them.
    # The tests hold the two equal.
    inner, outer = keyed[0].copy(), keyed[1].copy()
    inner.update(_COUNTER.pack(step))
    outer.update(inner.digest())
    mac = outer.digest()
    offset = mac[-1] & 0xF
    return int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF


def matching_steps(
    code: str, *, seed: bytes, digits: int, period: int, algorithm: Algorithm, now: float, window: int = 1
) -> tuple[int, ...]:
    """Return the steps within `window` of `now` whose code this is, ascending; none for what isn't ASCII digits."""
    # str.isdigit alone is true for full-width and Arabic digits.
    if len(code) != digits or not (code.isascii() and code.isdigit()):
        return ()
    step = step_at(now, period)
    keyed, modulus = _keyed(seed, algorithm), 10**digits
    typed = int(code).to_bytes(digits)
    # No early return: the time taken tells neither whether nor which step matched.
    return tuple(
        [
            candidate
            for candidate in range(max(0, step - window), step + window + 1)
            if compare_digest((_number_at(candidate, keyed) % modulus).to_bytes(digits), typed)
        ]
    )


def new_seed(entropy: Callable[[int], bytes]) -> bytes:
    """Draw a seed of 160 bits; `entropy(n)` gives n random octets."""
    return entropy(NEW_SEED_OCTETS)


def seed_to_base32(seed: bytes) -> str:
    """Return the seed as authenticator apps take it: base32 (RFC 4648) without padding."""
    return base64.b32encode(seed).decode("ascii").rstrip("=")


def seed_from_base32(text: str) -> bytes:
    """Read a seed of 80 to 1024 bits in any case, with or without spaces, dashes and padding, or raise SeedProblem."""
    tidy = "".join(text.split()).replace("-", "").rstrip("=")
    seed = _b32decode(tidy + "=" * (-len(tidy) % 8))
    if seed is None:
        raise SeedProblem("A seed is base32: letters A to Z and digits 2 to 7 (RFC 4648 section 6).")
    if not LEAST_SEED_OCTETS <= len(seed) <= MOST_SEED_OCTETS:
        raise SeedProblem(
            f"A seed has {8 * LEAST_SEED_OCTETS} to {8 * MOST_SEED_OCTETS} bits, this one has {8 * len(seed)}."
        )
    return seed


def otpauth_uri(seed: bytes, *, issuer: str, account: str, digits: int, period: int, algorithm: Algorithm) -> str:
    """Return the URI that a QR code carries to the authenticator app (Google's Key URI Format)."""
    # The format forbids a colon in the issuer: apps take the label apart at the first one, some after unquoting it.
    plain_issuer = " ".join(issuer.replace(":", " ").split())
    account_part = quote(account, safe="")
    label = f"{quote(plain_issuer, safe='')}:{account_part}" if plain_issuer else account_part
    fields = {"secret": seed_to_base32(seed)}
    if plain_issuer:
        fields["issuer"] = plain_issuer
    # Defaults are spelled out too: apps differ in what they take for granted.
    fields |= {"algorithm": algorithm.value, "digits": str(digits), "period": str(period)}
    # A space is %20: apps show the plus sign of urlencode's default as a plus sign.
    return f"otpauth://totp/{label}?{urlencode(fields, quote_via=quote, safe='')}"


def _b32decode(padded: str) -> bytes | None:
    # An outcome, not a chained exception, so that no message of binascii about the seed travels along.
    try:
        return base64.b32decode(padded, casefold=True)
    except ValueError:
        return None
