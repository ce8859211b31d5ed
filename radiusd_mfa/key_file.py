"""The key file: a line for each key, read only where nobody else may read it, and replaced as a whole when it changes.

Owns the lines. Knows nothing of what keys do.
"""

import base64
import binascii
import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from radiusd_mfa.private_files import AbsentFileProblem, PrivateFileProblem, read_private

KEY_OCTETS: Final = 32
KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
_NEXT: Final = "next"
_HEADING: Final = (
    "# radiusd-mfa keys: <id> <base64 of 32 octets>, all lines open, the last one without a 'next' behind it seals.\n"
    "# Keep a copy elsewhere.\n"
)
Entropy = Callable[[int], bytes]


class KeyProblem(Exception):
    """Something about the keys is wrong; the sentence says what, and what to do."""


class KeyFileProblem(KeyProblem):
    """The key file is absent, readable by others, or not a key file."""


@dataclass(frozen=True, slots=True)
class Line:
    """A key of the file."""

    key_id: str
    secret: bytes = field(repr=False)
    waits: bool = False
    """Whether it only opens so far: it was made to be copied to all nodes before it seals."""


def read(path: Path, environ: Mapping[str, str] = os.environ) -> Sequence[Line]:
    """Return the keys of a file that nobody else may read, in its order; raises KeyFileProblem."""
    return _parse(_text(path, environ), path)


def create(path: Path, entropy: Entropy) -> None:
    """Write a new file (0600) with one key; an existing one is never overwritten."""
    try:
        _write(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), _HEADING + _new_line(entropy))
        _sync_directory(path.parent)
    except FileExistsError as error:
        raise KeyFileProblem(f"{path} exists already; a key file is never overwritten.") from error
    except OSError as error:
        raise KeyFileProblem(f"{path} cannot be written: {error.strerror}.") from error


def append(path: Path, entropy: Entropy, *, waits: bool = False) -> None:
    """Add a new key, which seals from now on unless it waits."""
    new = _new_line(entropy)
    _rewrite(path, lambda lines: [*lines, new.replace("\n", f" {_NEXT}\n") if waits else new])


def activate(path: Path) -> None:
    """Let the keys that wait seal."""
    _rewrite(path, lambda lines: [f"{' '.join(line.split()[:2])}\n" if _waits(line) else line for line in lines])


def remove(path: Path, key_id: str) -> None:
    """Remove a key; the last one that is left stays."""
    _rewrite(path, lambda lines: [line for line in lines if line.split()[:1] != [key_id]])


def restore(path: Path, line: Line) -> None:
    """Put a key back that was removed, in the first place, where it does not seal."""
    text = f"{line.key_id} {base64.b64encode(line.secret).decode('ascii')}\n"
    _rewrite(path, lambda lines: [text, *lines])


class KeyFile:
    """See `KeyFile` of the use cases: the file at a path, changed."""

    def __init__(self, path: Path, entropy: Entropy) -> None:
        self._path = path
        self._entropy = entropy
        self._removed: Line | None = None

    def append(self, *, waits: bool) -> None:
        """See `KeyFile.append`."""
        append(self._path, self._entropy, waits=waits)

    def activate(self) -> None:
        """See `KeyFile.activate`."""
        activate(self._path)

    def remove(self, key_id: str) -> None:
        """See `KeyFile.remove`."""
        self._removed = next((line for line in read(self._path) if line.key_id == key_id), None)
        remove(self._path, key_id)

    def put_back(self) -> None:
        """See `KeyFile.put_back`."""
        if self._removed is not None:
            restore(self._path, self._removed)


def _rewrite(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Replace the file as a whole: complete on disk before it takes the name, and by one process at a time."""
    try:
        with _draft(path) as (draft, descriptor):
            lines = [f"{line}\n" for line in _text(path, os.environ).splitlines()]
            text = "".join(change(lines))
            _parse(text, path)
            _take_owner(descriptor, path)
            _write(os.dup(descriptor), text)
            draft.replace(path)
            _sync_directory(path.parent)
    except OSError as error:
        raise KeyFileProblem(f"{path} cannot be changed: {error.strerror}.") from error


@contextmanager
def _draft(path: Path) -> Iterator[tuple[Path, int]]:
    """Open and lock the file that is to take the place of the key file; what a killed process left is overwritten."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise KeyFileProblem(f"{path} is being changed by another process; try again when it has ended.") from error
        # Between opening and locking the one before us may have finished: then this is the key file by now.
        if not draft.exists() or draft.stat().st_ino != os.fstat(descriptor).st_ino:
            raise KeyFileProblem(f"{path} was changed by another process just now; try again.")
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
        yield draft, descriptor
    finally:
        os.close(descriptor)


def _take_owner(descriptor: int, path: Path) -> None:
    if os.geteuid() == 0:  # what root replaces stays the service's
        owner = path.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _waits(line: str) -> bool:
    return not line.lstrip().startswith("#") and line.split()[2:] == [_NEXT]


def _text(path: Path, environ: Mapping[str, str]) -> str:
    try:
        return read_private(path, environ).decode("ascii")
    except AbsentFileProblem as error:
        raise KeyFileProblem(f"{error}; restore it, or for a new database run radiusd-mfa init.") from error
    except PrivateFileProblem as error:
        raise KeyFileProblem(str(error)) from error
    except UnicodeDecodeError as error:
        # Not chained: the message would show octets of the file.
        raise KeyFileProblem(f"{path} is not a key file: it holds octet {error.start + 1} that is not ASCII.") from None


def _parse(text: str, path: Path) -> list[Line]:
    keys: list[Line] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            key_id, encoded, *more = words
            secret = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            # Not chained: the message could show a part of a key.
            raise KeyFileProblem(f"{path} line {number} is not: <key id> <base64 of 32 octets>.") from None
        if not KEY_ID.fullmatch(key_id) or len(secret) != KEY_OCTETS or more not in ([], [_NEXT]):
            raise KeyFileProblem(f"{path} line {number} is not: <key id> <base64 of 32 octets>.")
        keys.append(Line(key_id, secret, waits=bool(more)))
    if all(key.waits for key in keys):
        raise KeyFileProblem(f"{path} holds no key that seals; restore it from your copy.")
    return keys


def _new_line(entropy: Entropy) -> str:
    # The id is chance and not a count, so that two files never use one id for two keys by habit.
    return f"{entropy(4).hex()} {base64.b64encode(entropy(KEY_OCTETS)).decode('ascii')}\n"


def _write(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    # Without it the name may be gone after a power cut, and with it every seed.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
