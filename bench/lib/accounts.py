"""Who signs in: users that follow from their number, and the hashes of their passwords.

Owns names, passwords, seeds and the cache of expensive hashes. Knows no server: each takes over what it needs.
"""

import base64
import ctypes
import ctypes.util
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bcrypt

from radiusd_mfa.core.totp import Algorithm, code_at
from radiusd_mfa.passwords.local import make_hash

CACHE: Final = Path(__file__).parent.parent / ".cache"
_SALT_LETTERS: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Population:
    """`size` users; the password of each is one of `passwords`, so that an expensive hash is made only once."""

    scheme: str
    size: int
    passwords: int
    period: int = 30

    def name(self, number: int) -> str:
        """Return the user name; the scheme is in it, so that several populations share a database."""
        return f"{self.scheme}{number:07}"

    def password(self, number: int) -> str:
        """Return the password: with a code of six digits it fits in one block of RFC 2865 5.2."""
        return f"horse-{number % self.passwords:04}"

    def seed(self, number: int) -> bytes:
        """Return the 20 octets in the authenticator."""
        return hashlib.sha1(self.name(number).encode()).digest()

    def code(self, number: int, step: int) -> str:
        """Return the code of a time step."""
        return code_at(step, self.seed(number), 6, Algorithm.SHA1)

    def wrong_code(self, number: int, step: int) -> str:
        """Return a code that is none of the steps around this one."""
        near = {self.code(number, step + offset) for offset in range(-3, 4)}
        return next(code for code in ("000000", *(f"{digit}" * 6 for digit in range(1, 10))) if code not in near)


def cheap(size: int, period: int = 30) -> Population:
    """Users whose passwords are salted SHA-256."""
    return Population("cheap", size, 1000, period)


def argon2id(size: int, *, passwords: int = 1000, period: int = 30) -> Population:
    """Users whose passwords are argon2id at the cost that the project makes; 13 ms each when made for the first time.

    Where a cache of passwords is measured, every user needs one's own: a hash that two users share would be found.
    """
    return Population("argon", size, passwords, period)


def bcrypt10(size: int) -> Population:
    """Users whose passwords are bcrypt with cost 10."""
    return Population("bcrypt", size, 60)


def yescrypt(size: int) -> Population:
    """Users whose passwords are yescrypt at Debian's cost; only crypt(3) knows it."""
    return Population("yescrypt", size, 60)


def hashes(population: Population) -> list[str]:
    """Return the hash of each password, made once for this machine and kept in bench/.cache."""
    kept = CACHE / f"{population.scheme}-{population.passwords}.json"
    if kept.exists():
        found: list[str] = json.loads(kept.read_text())
        return found
    make = _MAKERS[population.scheme]
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        made = list(threads.map(make, map(population.password, range(population.passwords))))
    CACHE.mkdir(exist_ok=True)
    new = kept.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(made))
    new.replace(kept)
    return made


def lines(population: Population, *, first: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Yield the JSON lines that `user import` takes over."""
    made = hashes(population)
    for number in range(first, population.size if stop is None else stop):
        fields = {
            "username": population.name(number),
            "password_hash": made[number % population.passwords],
            "totp_secret": base64.b32encode(population.seed(number)).decode(),
            "totp_period": population.period,
        }
        yield json.dumps(fields).encode() + b"\n"


def _ssha256(password: str) -> str:
    salt = os.urandom(8)
    return "{SSHA256}" + base64.b64encode(hashlib.sha256(password.encode() + salt).digest() + salt).decode()


def _bcrypt10(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()


def _yescrypt(password: str) -> str:
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    # crypt(3) keeps its answer in one place for all threads; crypt_r does not.
    library.crypt_r.restype = ctypes.c_char_p
    salt = "".join(_SALT_LETTERS[octet % 64] for octet in os.urandom(21)) + "."
    made = library.crypt_r(password.encode(), f"$y$j9T${salt}".encode(), ctypes.create_string_buffer(32_768))
    if not made or not made.startswith(b"$y$"):
        raise RuntimeError("This libcrypt knows no yescrypt.")
    return str(made.decode())


_MAKERS: Final[dict[str, Callable[[str], str]]] = {
    "cheap": _ssha256,
    "argon": make_hash,
    "bcrypt": _bcrypt10,
    "yescrypt": _yescrypt,
}
