"""Password hashes that we make (argon2id) or take over from other systems until the next sign-in upgrades them.

It owns which hashes are recognised and what each may cost. It knows no user, no store and no thread: whoever calls
an expensive check brings the thread. Passwords come as the prepared text (RFC 8265 OpaqueString), hashed as UTF-8.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError, VerifyMismatchError
from argon2.low_level import Type, verify_secret
from passlib.hash import bcrypt, sha512_crypt

from radiusd_mfa.passwords import system_crypt

# No sign-in can wait longer than a few seconds: a hash that takes longer locks its user out and starves the others.
_ARGON2_MEMORY_LIMIT_KIB = 1 << 20
_ARGON2_WORK_LIMIT_KIB = 4 << 20  # memory times passes; about 3 s here
_ARGON2_LANES_LIMIT = 16
_BCRYPT_COSTS = range(4, 16)  # 15 is about 2 s
_SHA512_ROUNDS = range(1000, 2_000_001)  # 2,000,000 are about 1.1 s
_SHA512_DEFAULT_ROUNDS = 5000

_BCRYPT_LIMIT = 72
_SHA256_OCTETS = 32
_SSHA256 = "{SSHA256}"
_SSHA256_SALT_OCTETS = range(4, 65)
_ARGON2_DIGEST_OCTETS = range(16, 65)
_ARGON2_SALT_OCTETS = range(8, 65)
_STORED_LIMIT = 512

_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
# The last character of bcrypt's salt and digest, and of sha512-crypt's digest, carries fewer than six bits. A hash
# with others set was damaged on its way; libpass would mend it with a warning, the bcrypt package would not.
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]")
_SHA512_CRYPT = re.compile(r"\$6\$(?:rounds=([1-9][0-9]{3,9})\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{85}[./01]")
# The costs 1 to 10 of crypt(5), from 1 MiB and 4 ms to 512 MiB and 1 s; 11 would keep a thread for two.
_YESCRYPT = re.compile(r"\$y\$(j75|j85|j[789ABCDE]T)\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}")


class HashProblem(Exception):
    """A stored hash is not one that we can check; the sentence says why and never shows the hash."""


class MachineProblem(HashProblem):
    """The hash is in order, and this machine can't compute it: no password was found wrong."""


class Scheme(StrEnum):
    """The ways of hashing a password that are recognised."""

    ARGON2ID = "argon2id"
    BCRYPT = "bcrypt"
    SHA512_CRYPT = "sha512-crypt"
    YESCRYPT = "yescrypt"
    """What Debian's passwd has made since 2021; checked by the crypt(3) of the machine, or not at all."""
    SSHA256 = "ssha256"


@dataclass(frozen=True, slots=True)
class Profile:
    """What an argon2id hash costs: passes, memory in KiB, lanes (RFC 9106 3.1)."""

    time_cost: int
    memory_kib: int
    parallelism: int


PROFILE = Profile(time_cost=2, memory_kib=19456, parallelism=1)


def make_hash(password: str, *, profile: Profile = PROFILE) -> str:
    """Hash a prepared password as argon2id in the PHC string format; expensive (about 28 ms with PROFILE)."""
    hasher = PasswordHasher(
        time_cost=profile.time_cost, memory_cost=profile.memory_kib, parallelism=profile.parallelism
    )
    return hasher.hash(password.encode())


def dummy_for(profile: Profile = PROFILE) -> str:
    """Take a stored hash that costs what a real one costs and that no password matches: for unknown users.

    The same text for the life of the process; its digest is chance, so that making it costs no hash.
    """
    return _dummy(profile)


@lru_cache(maxsize=8)
def _dummy(profile: Profile) -> str:
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    cost = f"m={profile.memory_kib},t={profile.time_cost},p={profile.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"


def recognise(stored: str) -> Scheme:
    """Tell the scheme of a hash that verify() can check at bearable cost; raises HashProblem with a sentence."""
    if len(stored) > _STORED_LIMIT:
        raise HashProblem(f"The password hash is longer than {_STORED_LIMIT} characters.")
    if _is_ssha256(stored):
        _split_ssha256(stored)
        return Scheme.SSHA256
    for prefix, check, scheme in _MODULAR:
        if stored.startswith(prefix):
            check(stored)
            return scheme
    raise HashProblem(
        "The password hash is of no known kind; known are argon2id ($argon2id$), bcrypt ($2a$, $2b$, $2y$), "
        "sha512-crypt ($6$), yescrypt ($y$) and {SSHA256}."
    )


def verify(password: str, stored: str) -> bool:
    """Whether the prepared password is the one that was hashed; False for a hash that recognise() refuses.

    Expensive unless is_cheap(stored). Raises HashProblem only when the machine fails, for want of memory or
    of a library: that is no wrong password.
    """
    try:
        if _is_ssha256(stored):
            return _verify_ssha256(password.encode(), *_split_ssha256(stored))
        scheme = recognise(stored)
    except MachineProblem:
        raise
    except HashProblem:
        return False
    return _VERIFIED_BY[scheme](password.encode(), stored)


def is_cheap(stored: str) -> bool:
    """Whether verify() takes microseconds; anything else belongs into the pool."""
    return _is_ssha256(stored)


def needs_upgrade(stored: str, *, profile: Profile = PROFILE) -> bool:
    """Whether the next right password should be hashed anew: any other scheme, or argon2id below the profile."""
    found = _ARGON2ID.fullmatch(stored)
    if found is None:
        return True
    return int(found[1]) < profile.memory_kib or int(found[2]) < profile.time_cost


def _check_argon2id(stored: str) -> None:
    found = _ARGON2ID.fullmatch(stored)
    if found is None:
        raise HashProblem("The argon2id hash is not of the form $argon2id$v=19$m=..,t=..,p=..$salt$digest.")
    memory, passes, lanes = int(found[1]), int(found[2]), int(found[3])
    if memory > _ARGON2_MEMORY_LIMIT_KIB or memory * passes > _ARGON2_WORK_LIMIT_KIB or lanes > _ARGON2_LANES_LIMIT:
        raise HashProblem(f"The argon2id hash costs too much for a sign-in (m={memory}, t={passes}, p={lanes}).")
    if memory < 8 * lanes:
        raise HashProblem("The argon2id hash names less memory than argon2 allows (RFC 9106 3.1).")
    if len(_unpadded(found[4])) not in _ARGON2_SALT_OCTETS or len(_unpadded(found[5])) not in _ARGON2_DIGEST_OCTETS:
        raise HashProblem("The argon2id hash has a salt or a digest of a wrong length.")


def _check_bcrypt(stored: str) -> None:
    found = _BCRYPT.fullmatch(stored)
    if found is None:
        raise HashProblem("The bcrypt hash is damaged: it is not $2b$, two digits, $ and 53 characters.")
    if int(found[1]) not in _BCRYPT_COSTS:
        raise HashProblem(f"The bcrypt hash has cost {found[1]}; 04 to {_BCRYPT_COSTS[-1]} can be checked.")


def _check_sha512_crypt(stored: str) -> None:
    found = _SHA512_CRYPT.fullmatch(stored)
    if found is None:
        raise HashProblem("The sha512-crypt hash is damaged: it is not $6$salt$ and 86 characters.")
    if int(found[1] or _SHA512_DEFAULT_ROUNDS) not in _SHA512_ROUNDS:
        raise HashProblem(f"The sha512-crypt hash has {found[1]} rounds; at most {_SHA512_ROUNDS[-1]} can be checked.")


def _check_yescrypt(stored: str) -> None:
    if not _YESCRYPT.fullmatch(stored):
        raise HashProblem("The yescrypt hash is damaged, or costs more than a sign-in can wait for (cost 11).")
    if not system_crypt.knows_yescrypt():
        raise MachineProblem("The crypt library of this machine (libcrypt.so.1) knows no yescrypt.")


_MODULAR: tuple[tuple[str, Callable[[str], None], Scheme], ...] = (
    ("$argon2id$", _check_argon2id, Scheme.ARGON2ID),
    ("$2", _check_bcrypt, Scheme.BCRYPT),
    ("$6$", _check_sha512_crypt, Scheme.SHA512_CRYPT),
    ("$y$", _check_yescrypt, Scheme.YESCRYPT),
)


def _verify_argon2id(password: bytes, stored: str) -> bool:
    try:
        return verify_secret(stored.encode("ascii"), password, Type.ID)
    except VerifyMismatchError:
        return False
    except VerificationError as error:
        raise HashProblem(f"The argon2id hash could not be computed: {error}.") from error


def _verify_bcrypt(password: bytes, stored: str) -> bool:
    # bcrypt reads 72 octets and stops at NUL: beyond that it would take a prefix for the whole. bcrypt 5 raises,
    # bcrypt 4 accepts in silence; we refuse with both.
    if len(password) > _BCRYPT_LIMIT or b"\0" in password:
        return False
    # $2a$ and $2y$ are the same computation (crypt(5)); libxcrypt would take more care with $2a$ than its maker did.
    of_today = "$2b$" + stored[4:]
    # 52 ms at cost 10, the bcrypt package 61 ms (bench/sign_ins.py).
    made = _by_system(password, of_today)
    return bool(bcrypt.verify(password, stored)) if made is None else hmac.compare_digest(made, of_today)


def _verify_sha512_crypt(password: bytes, stored: str) -> bool:
    if b"\0" in password:
        return False  # crypt(3) ends a password at NUL, so no such password was ever hashed
    made = _by_system(password, stored)
    return bool(sha512_crypt.verify(password, stored)) if made is None else hmac.compare_digest(made, stored)


def _verify_yescrypt(password: bytes, stored: str) -> bool:
    if b"\0" in password:
        return False
    made = _by_system(password, stored)
    return made is not None and hmac.compare_digest(made, stored)


def _by_system(password: bytes, stored: str) -> str | None:
    try:
        return system_crypt.digest(password, stored)
    except MemoryError as error:
        raise HashProblem(f"The hash could not be computed: {error}.") from error


def _verify_ssha256(password: bytes, digest: bytes, salt: bytes) -> bool:
    # By hand: on the packet loop 2.9 us with the check of its form, libpass 3.9 us (Python 3.11, libpass 1.9.4).
    return hmac.compare_digest(hashlib.sha256(password + salt).digest(), digest)


_VERIFIED_BY: dict[Scheme, Callable[[bytes, str], bool]] = {
    Scheme.ARGON2ID: _verify_argon2id,
    Scheme.BCRYPT: _verify_bcrypt,
    Scheme.SHA512_CRYPT: _verify_sha512_crypt,
    Scheme.YESCRYPT: _verify_yescrypt,
}
"""All but {SSHA256}, which takes the short way."""


def _is_ssha256(stored: str) -> bool:
    # RFC 2307 5.3: scheme names are read without regard to case.
    return stored[: len(_SSHA256)].upper() == _SSHA256


def _split_ssha256(stored: str) -> tuple[bytes, bytes]:
    try:
        octets = base64.b64decode(stored[len(_SSHA256) :], validate=True)
    except (ValueError, binascii.Error):
        # Not chained: nothing of a hash belongs into a message.
        raise HashProblem("The {SSHA256} hash is not base64.") from None
    if len(octets) - _SHA256_OCTETS not in _SSHA256_SALT_OCTETS:
        raise HashProblem("The {SSHA256} hash is not a digest of 32 octets and a salt of 4 to 64.")
    return octets[:_SHA256_OCTETS], octets[_SHA256_OCTETS:]


def _unpadded(text: str) -> bytes:
    """Decode base64 without padding; b"" unless it is the one right spelling of its octets."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        return b""
    return octets if base64.b64encode(octets).decode("ascii").rstrip("=") == text else b""
