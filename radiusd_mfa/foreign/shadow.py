"""/etc/shadow of Linux (shadow(5)): name, hash, and when the account expires."""

from collections.abc import Iterator
from typing import Final

from radiusd_mfa.foreign.numbers import whole
from radiusd_mfa.usecases.import_ports import Entry, Found, LeftOut, Misread

FIELDS: Final = 9
_EXPIRES: Final = 7
_DAY: Final = 86_400


def read(text: str, now: float) -> Iterator[Found]:
    """Yield an entry for each account that could sign in there; `now` in Unix seconds tells which have expired."""
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"line {number}"
        if not line.strip():
            continue
        fields = line.split(":")
        if len(fields) != FIELDS:
            yield Misread(place, f"is no line of a shadow file: it has {len(fields)} fields, not {FIELDS}")
            continue
        yield _account(place, fields[0], fields[1], fields[_EXPIRES], now)


def _account(place: str, name: str, stored: str, expires: str, now: float) -> Found:
    if not stored:
        return LeftOut("account without a password")
    if stored.startswith(("!", "*")):
        return LeftOut("account that is locked or has no password to sign in with (! or *)")
    if expires:
        day = whole(expires)
        if day is None:
            # Not to be taken for an account that never expires.
            return Misread(place, "has a day of expiry (the eighth field) that is no number of days since 1970")
        if day * _DAY <= now:
            return LeftOut("account that has expired")
    return Entry(place, {"username": name, "password_hash": stored})
