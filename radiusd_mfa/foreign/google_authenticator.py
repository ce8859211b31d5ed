"""The files of pam_google_authenticator: a seed, options in lines that begin with `" `, and scratch codes.

Each file is of one user, whose name stands in no file: it is the name of the file, or of the folder it lies in.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from radiusd_mfa.foreign.numbers import whole
from radiusd_mfa.usecases.import_ports import Entry, Found, LeftOut, Misread

NAME: Final = ".google_authenticator"
"""The file in a home directory."""
_OPTION: Final = '" '
_SCRATCH: Final = re.compile(r"[0-9]{8}")
_SEED: Final = re.compile(r"[A-Za-z2-7]{16,}=*")


def looks_like_one(text: str) -> bool:
    """Whether these are the first lines of such a file."""
    lines = text.splitlines()
    return len(lines) > 1 and _SEED.fullmatch(lines[0]) is not None and lines[1].startswith(_OPTION)


def read(files: Iterable[tuple[str, str, bytes]]) -> Iterator[Found]:
    """Yield what (place, user name, content) of each file says."""
    for place, name, octets in files:
        yield from _user(place, name, octets.decode("utf-8", errors="replace").splitlines())


def _user(place: str, name: str, lines: Sequence[str]) -> Iterator[Found]:
    options = {words[0]: words[1:] for line in lines[1:] if line.startswith(_OPTION) and (words := line[2:].split())}
    if not lines or not lines[0].strip():
        yield Misread(place, "is empty; the first line of such a file is the secret")
        return
    if "HOTP_COUNTER" in options:
        yield LeftOut("authenticator that counts instead of telling the time (HOTP)")
        return
    if "TOTP_AUTH" not in options:
        yield Misread(
            place, 'has no line " TOTP_AUTH, so it is no file of pam_google_authenticator, or not a whole one'
        )
        return
    step = whole((options.get("STEP_SIZE") or ["30"])[0])
    if step is None:
        yield Misread(place, "has a STEP_SIZE that is no number")
        return
    yield Entry(place, {"username": name, "totp_secret": lines[0].strip(), "totp_period": step})
    if (options.get("TIME_SKEW") or ["0"])[0] not in ("0", "-0"):
        yield LeftOut("TIME_SKEW: the clock of this phone was wrong, and has to be set right")
    for line in lines[1:]:
        if _SCRATCH.fullmatch(line.strip()):
            yield LeftOut("scratch code: it ends in a digit and a backup code must not; make new ones")
