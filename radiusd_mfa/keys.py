"""The key ring that seals seeds and shared secrets: AES-256-GCM under keys that live outside the database.

It owns the key file and the shape of a sealed value. It knows no SQL: a table, a column and a row are words that
a value is bound to, so that a ciphertext that was moved to another row does not open.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from radiusd_mfa.private_files import AbsentFileProblem, PrivateFileProblem, read_private

_VERSION = 1
_KEY_OCTETS = 32
_NONCE_OCTETS = 12
_TAG_OCTETS = 16
_CHECK_OCTETS = 4
_DIGEST_OCTETS = 16
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
_HEADING = (
    "# radiusd-mfa keys: <id> <base64 of 32 octets>, the last line seals, all lines open. Keep a copy elsewhere.\n"
)
_CANARY_PLACE = ("meta", "key_canary", "1")


class KeyProblem(Exception):
    """Something about the keys is wrong; the sentence says what, and what to do."""


class KeyFileProblem(KeyProblem):
    """The key file is absent, readable by others, or not a key file."""


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
    """All keys that may open, the one that seals, and keyed digests; safe to share between threads."""

    __slots__ = ("_active", "_digest_bases", "_entropy", "_keys")

    def __init__(self, keys: Iterable[tuple[str, bytes]], *, entropy: Callable[[int], bytes] = os.urandom) -> None:
        """Take (key id, 32 octets) in the order of the file: the first makes digests, the last seals."""
        made = [_make_key(key_id, secret) for key_id, secret in keys]
        if not made:
            raise KeyFileProblem("There is no key; `radiusd-mfa init` makes one.")
        self._keys = {key.key_id: key for key in made}
        if len(self._keys) != len(made):
            raise KeyFileProblem("Two keys have the same id; every line needs its own.")
        self._active = made[-1]
        self._entropy = entropy
        self._digest_bases: dict[str, hashlib.blake2b] = {}

    @classmethod
    def load(cls, path: Path, *, environ: Mapping[str, str] = os.environ) -> "KeyRing":
        """Read a key file that nobody else may read; raises KeyFileProblem."""
        return cls(_parse(_read_private(path, environ), path))

    @classmethod
    def create(cls, path: Path, *, entropy: Callable[[int], bytes] = os.urandom) -> "KeyRing":
        """Write a new key file (0600) with one key; an existing file is never overwritten."""
        try:
            _write_new(path, _HEADING + _new_line(entropy))
        except FileExistsError as error:
            raise KeyFileProblem(f"{path} exists already; a key file is never overwritten.") from error
        except OSError as error:
            raise KeyFileProblem(f"{path} cannot be written: {error.strerror}.") from error
        return cls.load(path)

    @classmethod
    def rotate(cls, path: Path, *, entropy: Callable[[int], bytes] = os.urandom) -> "KeyRing":
        """Append a new active key; the old keys stay, since they still open what they sealed."""
        text = _read_private(path, os.environ)
        _parse(text, path)
        # The new file is complete on disk before it takes the name; O_EXCL on the draft keeps a second rotation out.
        draft = path.with_name(path.name + ".new")
        try:
            _write_new(draft, text.rstrip("\n") + "\n" + _new_line(entropy))
            draft.replace(path)
            _sync_directory(path.parent)
        except FileExistsError as error:
            raise KeyFileProblem(
                f"{draft} is there: another rotation is running, or one broke off. If none runs, remove it."
            ) from error
        except OSError as error:
            raise KeyFileProblem(f"{path} cannot be rotated: {error.strerror}.") from error
        return cls.load(path)

    @property
    def active_id(self) -> str:
        """The id of the key that seals."""
        return self._active.key_id

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys in the order of the file."""
        return tuple(self._keys)

    def __repr__(self) -> str:
        return f"KeyRing(ids={self.ids!r}, active_id={self.active_id!r})"

    def seal(self, plain: bytes, *, table: str, column: str, row: int | str) -> bytes:
        """Encrypt for one place: version, id length, key id, key check, place check, nonce, ciphertext with tag."""
        key, place = self._active, _place(table, column, row)
        key_id = key.key_id.encode("ascii")
        header = bytes((_VERSION, len(key_id))) + key_id + key.check + _place_check(key, place)
        nonce = self._entropy(_NONCE_OCTETS)
        return header + nonce + key.cipher.encrypt(nonce, plain, header + place)

    def open(self, sealed: bytes, *, table: str, column: str, row: int | str) -> bytes:
        """Decrypt what was sealed for this place; raises the KeyProblem that says what is wrong."""
        parts, place = _take_apart(sealed), _place(table, column, row)
        key = self._keys.get(parts.key_id)
        if key is None:
            raise UnknownKeyProblem(
                f"This value was sealed by key {parts.key_id!r}, which is not in the key file; restore that line."
            )
        try:
            return key.cipher.decrypt(parts.nonce, parts.body, parts.header + place)
        except InvalidTag as error:
            raise _diagnose(parts, key, place, f"{table}.{column} of row {row}") from error

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        """Keyed BLAKE2b of the parts, 16 octets; equal only for the same purpose, the same parts and the first key.

        The first key and not the active one, so that a rotation changes no digest that is kept.
        """
        base = self._digest_bases.get(purpose)
        if base is None:
            base = self._digest_bases[purpose] = self._digest_base(purpose)
        state = base.copy()
        for part in parts:
            state.update(len(part).to_bytes(8, "big"))
            state.update(part)
        return state.digest()

    def mac(self, purpose: str, *parts: bytes) -> bytes:
        """Return HMAC-SHA256 over the parts, 32 octets; under the first key, as a digest is."""
        framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._purpose_key(f"mac:{purpose}"), framed, "sha256")

    def canary(self) -> bytes:
        """Seal a value for the meta table that only this ring opens, and that knows the first key."""
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
        first = next(iter(self._keys.values()))
        return _derive(first.secret, purpose)


def key_id_of(sealed: bytes) -> str:
    """Name the key that sealed a value; raises TamperedProblem when it is not a sealed value."""
    return _take_apart(sealed).key_id


def _make_key(key_id: str, secret: bytes) -> _Key:
    if not _KEY_ID.fullmatch(key_id):
        raise KeyFileProblem("A key id is 1 to 32 ASCII letters, digits, dots, dashes or underscores.")
    if len(secret) != _KEY_OCTETS:
        raise KeyFileProblem(f"Key {key_id!r} has {len(secret)} octets; a key has {_KEY_OCTETS}.")
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
    words = [word.encode() for word in (table, column, str(row))]
    return b"".join(len(word).to_bytes(4, "big") + word for word in words)


def _place_check(key: _Key, place: bytes) -> bytes:
    return hashlib.blake2b(place, key=key.place_key, digest_size=_CHECK_OCTETS).digest()


def _take_apart(sealed: bytes) -> _Sealed:
    id_length = sealed[1] if len(sealed) > 1 else 0
    checks = 2 + id_length
    header_end = checks + 2 * _CHECK_OCTETS
    nonce_end = header_end + _NONCE_OCTETS
    key_id = sealed[2:checks].decode("ascii", errors="replace")
    if sealed[:1] != bytes((_VERSION,)) or not _KEY_ID.fullmatch(key_id) or len(sealed) < nonce_end + _TAG_OCTETS:
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


def _read_private(path: Path, environ: Mapping[str, str]) -> str:
    try:
        return read_private(path, environ).decode("ascii")
    except AbsentFileProblem as error:
        raise KeyFileProblem(f"{error}; restore it, or for a new database run radiusd-mfa init.") from error
    except PrivateFileProblem as error:
        raise KeyFileProblem(str(error)) from error
    except UnicodeDecodeError as error:
        # Not chained: the message would show octets of the file.
        raise KeyFileProblem(f"{path} is not a key file: it holds octet {error.start + 1} that is not ASCII.") from None


def _parse(text: str, path: Path) -> list[tuple[str, bytes]]:
    keys: list[tuple[str, bytes]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            key_id, encoded = words
            secret = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            # Not chained: the message could show a part of a key.
            raise KeyFileProblem(f"{path} line {number} is not: <key id> <base64 of 32 octets>.") from None
        if not _KEY_ID.fullmatch(key_id) or len(secret) != _KEY_OCTETS:
            raise KeyFileProblem(f"{path} line {number} is not: <key id> <base64 of 32 octets>.")
        keys.append((key_id, secret))
    if not keys:
        raise KeyFileProblem(f"{path} holds no key; restore it from your copy.")
    return keys


def _new_line(entropy: Callable[[int], bytes]) -> str:
    # The id is chance and not a count, so that two files never use one id for two keys by habit.
    return f"{entropy(4).hex()} {base64.b64encode(entropy(_KEY_OCTETS)).decode('ascii')}\n"


def _write_new(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    # Without it the name may be gone after a power cut, and with it every seed.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
