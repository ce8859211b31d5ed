"""The key ring that seals seeds and shared secrets: AES-256-GCM under keys that live outside the database.

It owns the shape of a sealed value; the file is `key_file`'s. It knows no SQL: a table, a column and a row are words
that a value is bound to, so that a ciphertext that was moved to another row does not open.

Digests are made by a root of their own and not by a key that seals, since they can't be made anew: a rotation would
otherwise leave every earlier key in use for good. The root follows from the first key until there is a second one;
then it is kept in the database, sealed like everything else.
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from radiusd_mfa import key_file
from radiusd_mfa.key_file import KEY_ID, KEY_OCTETS, KeyFileProblem, KeyProblem, Line

__all__ = [
    "KeyFileProblem",
    "KeyProblem",
    "KeyRing",
    "MovedRowProblem",
    "TamperedProblem",
    "UnknownKeyProblem",
    "WrongKeyProblem",
    "key_id_of",
    "sealed_by",
]

_VERSION = 1
_NONCE_OCTETS = 12
_TAG_OCTETS = 16
_CHECK_OCTETS = 4
_DIGEST_OCTETS = 16
_CANARY_PLACE = ("meta", "key_canary", "1")
_ROOT_PLACE = ("meta", "digest_root", "1")


class UnknownKeyProblem(KeyProblem):
    """The value was sealed by a key whose id is not in the ring."""


class WrongKeyProblem(KeyProblem):
    """The ring has a key of that id, but with other octets."""


class MovedRowProblem(KeyProblem):
    """The value was sealed for another table, column or row."""


class TamperedProblem(KeyProblem):
    """The octets are not what was sealed."""


@dataclass(frozen=True, slots=True)
class _Key:
    """One line of the key file and what is derived from it; nothing of it prints but the id."""

    key_id: str
    secret: bytes = field(repr=False)
    cipher: AESGCM = field(repr=False)
    check: bytes = field(repr=False)
    place_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A sealed value in its parts; `header` is everything before the nonce and is authenticated with the place."""

    header: bytes
    key_id: str
    key_check: bytes
    place_check: bytes
    nonce: bytes
    body: bytes


class KeyRing:
    """All keys that may open, the one that seals, and keyed digests; safe to share between threads.

    A ring that was read from a file takes up what is added to the file while it is in use.
    """

    __slots__ = (
        "_active",
        "_by_beginning",
        "_digest_bases",
        "_entropy",
        "_file",
        "_keys",
        "_root",
        "_seen",
        "_waiting",
    )

    def __init__(
        self,
        keys: Iterable[tuple[str, bytes]],
        *,
        entropy: Callable[[int], bytes] = os.urandom,
        root: bytes | None = None,
    ) -> None:
        """Take (key id, 32 octets) in the order of the file: the last seals, the root of digests is of the first."""
        lines = [Line(key_id, secret) for key_id, secret in keys]
        if not lines:
            raise KeyFileProblem("There is no key; `radiusd-mfa init` makes one.")
        self._take(lines)
        self._root = _derive(lines[0].secret, "digests") if root is None else root
        self._entropy = entropy
        self._digest_bases: dict[str, hashlib.blake2b] = {}
        self._file: Path | None = None
        self._seen: tuple[int, int] | None = None

    def _take(self, lines: Iterable[Line]) -> None:
        made = [(_make_key(line.key_id, line.secret), line.waits) for line in lines]
        keys = {key.key_id: key for key, _waits in made}
        if len(keys) != len(made):
            raise KeyFileProblem("Two keys have the same id; every line needs its own.")
        self._keys = keys
        self._by_beginning = {sealed_by(key_id): key for key_id, key in keys.items()}
        self._waiting = tuple(key.key_id for key, waits in made if waits)
        self._active = [key for key, waits in made if not waits][-1]

    @classmethod
    def load(cls, path: Path, *, environ: Mapping[str, str] = os.environ) -> "KeyRing":
        """Read a key file that nobody else may read; raises KeyFileProblem."""
        seen = _version(path)
        lines = key_file.read(path, environ)
        ring = cls((line.key_id, line.secret) for line in lines)
        ring._take(lines)
        ring._file, ring._seen = path, seen
        return ring

    @classmethod
    def create(cls, path: Path, *, entropy: Callable[[int], bytes] = os.urandom) -> "KeyRing":
        """Write a new key file (0600) with one key; an existing file is never overwritten."""
        key_file.create(path, entropy)
        return cls.load(path)

    @classmethod
    def rotate(cls, path: Path, *, entropy: Callable[[int], bytes] = os.urandom, waits: bool = False) -> "KeyRing":
        """Append a key, which seals unless it waits; the old keys stay, since they still open what they sealed."""
        key_file.append(path, entropy, waits=waits)
        return cls.load(path)

    def rooted(self, sealed_root: bytes) -> "KeyRing":
        """Return this ring with the root of digests that the database keeps; raises KeyProblem."""
        table, column, row = _ROOT_PLACE
        try:
            root = self.open(sealed_root, table=table, column=column, row=row)
        except KeyProblem as error:
            raise type(error)(f"The key file does not belong to this database. {error}") from error
        ring = KeyRing([("any", bytes(KEY_OCTETS))], entropy=self._entropy, root=root)
        ring._keys, ring._by_beginning = self._keys, self._by_beginning
        ring._active, ring._waiting = self._active, self._waiting
        ring._file, ring._seen = self._file, self._seen
        return ring

    def sealed_root(self) -> bytes:
        """Seal the root of digests for the meta table."""
        table, column, row = _ROOT_PLACE
        return self.seal(self._root, table=table, column=column, row=row)

    def refresh(self) -> None:
        """Take up what was added to the key file; what was removed from it is known until the process ends."""
        if self._file is None or (seen := _version(self._file)) == self._seen:
            return
        try:
            lines = key_file.read(self._file)
            known = {line.key_id for line in lines}
            gone = [Line(key.key_id, key.secret) for key in self._keys.values() if key.key_id not in known]
            self._take([*gone, *lines])
        except KeyFileProblem:
            return  # in the middle of being replaced by hand, say; what is known still opens
        self._seen = seen

    @property
    def active_id(self) -> str:
        """The id of the key that seals."""
        return self._active.key_id

    @property
    def waiting(self) -> tuple[str, ...]:
        """The ids of the keys that open and don't seal yet."""
        return self._waiting

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys in the order of the file."""
        return tuple(self._keys)

    def __repr__(self) -> str:
        return f"KeyRing(ids={self.ids!r}, active_id={self.active_id!r})"

    def seal(self, plain: bytes, *, table: str, column: str, row: int | str) -> bytes:
        """Encrypt for one place: version, id length, key id, key check, place check, nonce, ciphertext with tag."""
        self.refresh()
        key, place = self._active, _place(table, column, row)
        header = sealed_by(key.key_id) + key.check + _place_check(key, place)
        nonce = self._entropy(_NONCE_OCTETS)
        return header + nonce + key.cipher.encrypt(nonce, plain, header + place)

    def open(self, sealed: bytes, *, table: str, column: str, row: int | str) -> bytes:
        """Decrypt what was sealed for this place; raises the KeyProblem that says what is wrong."""
        place = _place(table, column, row)
        return self._quickly_opened(sealed, place) or self._opened(sealed, place, f"{table}.{column} of row {row}")

    def _quickly_opened(self, sealed: bytes, place: bytes) -> bytes | None:
        """Decrypt what is in order, as at every sign-in: the way that can say what is wrong takes twice as long."""
        begin = 2 + sealed[1] if len(sealed) > 1 else 0
        key = self._by_beginning.get(sealed[:begin])
        nonce = begin + 2 * _CHECK_OCTETS
        body = nonce + _NONCE_OCTETS
        if key is None or len(sealed) < body + _TAG_OCTETS:
            return None
        try:
            plain = key.cipher.decrypt(sealed[nonce:body], sealed[body:], sealed[:nonce] + place)
        except InvalidTag:
            return None
        if key.key_id in self._waiting:
            self._seal_with(key)
        return plain

    def _seal_with(self, key: _Key) -> None:
        """Seal by a key that waits here and seals elsewhere: a copy of the file, a credential say, never tells so.

        Else what is sealed until the next start would be lost with the old key.
        """
        self._waiting = tuple(key_id for key_id in self._waiting if key_id != key.key_id)
        self._active = key

    def _opened(self, sealed: bytes, place: bytes, where: str) -> bytes:
        """Decrypt with a look at each part; raises the KeyProblem that says what is wrong."""
        parts = _take_apart(sealed)
        key = self._keys.get(parts.key_id)
        if key is None:
            self.refresh()  # another process may have begun to seal with a new one
            key = self._keys.get(parts.key_id)
        if key is None:
            raise UnknownKeyProblem(
                f"This value was sealed by key {parts.key_id!r}, which is not in the key file; restore that line."
            )
        try:
            return key.cipher.decrypt(parts.nonce, parts.body, parts.header + place)
        except InvalidTag as error:
            raise _diagnose(parts, key, place, where) from error

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        """Keyed BLAKE2b of the parts, 16 octets; equal only for the same purpose, parts and root."""
        base = self._digest_bases.get(purpose)
        if base is None:
            base = self._digest_bases[purpose] = self._digest_base(purpose)
        state = base.copy()
        for part in parts:
            state.update(len(part).to_bytes(8, "big"))
            state.update(part)
        return state.digest()

    def mac(self, purpose: str, *parts: bytes) -> bytes:
        """Return HMAC-SHA256 over the parts, 32 octets; under the root of digests."""
        framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._purpose_key(f"mac:{purpose}"), framed, "sha256")

    def canary(self) -> bytes:
        """Seal a value for the meta table that only this ring opens, and that knows the root of digests."""
        table, column, row = _CANARY_PLACE
        return self.seal(self.digest("canary"), table=table, column=column, row=row)

    def check_canary(self, sealed: bytes) -> None:
        """Raise KeyProblem unless this is the ring that the database was made with."""
        table, column, row = _CANARY_PLACE
        try:
            known = self.open(sealed, table=table, column=column, row=row)
        except KeyProblem as error:
            raise type(error)(f"The key file does not belong to this database. {error}") from error
        if not hmac.compare_digest(known, self.digest("canary")):
            raise WrongKeyProblem(
                "The first key of the key file is not the one this database was made with; restore its first line."
            )

    def _digest_base(self, purpose: str) -> hashlib.blake2b:
        return hashlib.blake2b(key=self._purpose_key(f"digest:{purpose}"), digest_size=_DIGEST_OCTETS)

    def _purpose_key(self, purpose: str) -> bytes:
        return _derive(self._root, purpose)


def key_id_of(sealed: bytes) -> str:
    """Name the key that sealed a value; raises TamperedProblem when it is not a sealed value."""
    return _take_apart(sealed).key_id


def sealed_by(key_id: str) -> bytes:
    """Return the octets with which everything begins that a key has sealed."""
    return bytes((_VERSION, len(key_id))) + key_id.encode("ascii")


def _version(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _make_key(key_id: str, secret: bytes) -> _Key:
    if not KEY_ID.fullmatch(key_id):
        raise KeyFileProblem("A key id is 1 to 32 ASCII letters, digits, dots, dashes or underscores.")
    if len(secret) != KEY_OCTETS:
        raise KeyFileProblem(f"Key {key_id!r} has {len(secret)} octets; a key has {KEY_OCTETS}.")
    return _Key(
        key_id=key_id,
        secret=secret,
        cipher=AESGCM(_derive(secret, "seal")),
        check=_derive(secret, "check")[:_CHECK_OCTETS],
        place_key=_derive(secret, "place"),
    )


def _derive(secret: bytes, purpose: str) -> bytes:
    # RFC 5869: one key for each purpose, so that a digest tells nothing about what is sealed.
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"radiusd-mfa {purpose}".encode()).derive(secret)


def _place(table: str, column: str, row: int | str) -> bytes:
    # Lengths in front: ("ab", "c") and ("a", "bc") are two places.
    return _framed_column(table, column) + _framed(str(row))


@lru_cache(64)
def _framed_column(table: str, column: str) -> bytes:
    return _framed(table) + _framed(column)


def _framed(word: str) -> bytes:
    octets = word.encode()
    return len(octets).to_bytes(4) + octets


def _place_check(key: _Key, place: bytes) -> bytes:
    return hashlib.blake2b(place, key=key.place_key, digest_size=_CHECK_OCTETS).digest()


def _take_apart(sealed: bytes) -> _Sealed:
    id_length = sealed[1] if len(sealed) > 1 else 0
    checks = 2 + id_length
    header_end = checks + 2 * _CHECK_OCTETS
    nonce_end = header_end + _NONCE_OCTETS
    key_id = sealed[2:checks].decode("ascii", errors="replace")
    if sealed[:1] != bytes((_VERSION,)) or not KEY_ID.fullmatch(key_id) or len(sealed) < nonce_end + _TAG_OCTETS:
        raise TamperedProblem("This is not a sealed value: it was cut off, changed, or written by something else.")
    return _Sealed(
        header=sealed[:header_end],
        key_id=key_id,
        key_check=sealed[checks : checks + _CHECK_OCTETS],
        place_check=sealed[checks + _CHECK_OCTETS : header_end],
        nonce=sealed[header_end:nonce_end],
        body=sealed[nonce_end:],
    )


def _diagnose(parts: _Sealed, key: _Key, place: bytes, where: str) -> KeyProblem:
    # GCM says only "no". The two checks are hints for the administrator and decide nothing: they are forgeable here.
    if not hmac.compare_digest(parts.key_check, key.check):
        return WrongKeyProblem(
            f"The value in {where} was sealed by another key that was also called {key.key_id!r}; restore that key."
        )
    if not hmac.compare_digest(parts.place_check, _place_check(key, place)):
        return MovedRowProblem(f"The value in {where} was sealed for another place; it was moved or copied there.")
    return TamperedProblem(f"The value in {where} was changed after it was sealed.")
