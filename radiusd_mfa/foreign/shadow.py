"""/etc/shadow of Linux (shadow(5)): name, hash, and when the account expires."""

from collections.abc import Iterator
from typing import Final

from radiusd_mfa.usecases.import_ports import Entry, Found, LeftOut, Misread

FIELDS: Final = 9
_EXPIRES: Final = 7
_DAY: Final = 86_400


def read(text: str, now: float) -> Iterator[Found]:
    """Yield an entry for each account that could sign in there; `now` in Unix seconds tells which have expired."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        fields = line.split(":")
        if len(fields) != FIELDS:
            yield Misread(f"line {number}", f"is no line of a shadow file: it has {len(fields)} fields, not {FIELDS}")
            continue
        yield _account(number, fields[0], fields[1], fields[_EXPIRES], now)


def _account(number: int, name: str, stored: str, expires: str, now: float) -> Found:
    if not stored:
        return LeftOut("account without a password")
    if stored.startswith(("!", "*")):
        return LeftOut("account that is locked or has no password to sign in with (! or *)")
    if expires.isascii() and expires.isdigit() and int(expires) * _DAY <= now:
        return LeftOut("account that has expired")
    return Entry(f"line {number}", {"username": name, "password_hash": stored})
