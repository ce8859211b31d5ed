"""The values that a policy's TOML may hold, one reader each; knows no key, no rule and no line."""

import re
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Final

from radiusd_mfa.core.names import escaped

EVERYTHING: Final = ("all", "any")
CONNECTION: Final = "connection"
SHORTEST_PERIOD: Final = 60.0
LONGEST_PERIOD: Final = 90 * 86_400.0
FIRST_YEAR: Final = 2000
LARGEST_SHOWN: Final = 10**12

_SECONDS: Final = {"m": 60.0, "h": 3_600.0, "d": 86_400.0}
_PERIOD: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Wrong(Exception):
    """A value that can't be used; the message says in a sentence what can."""


def meant(word: object, known: Collection[str]) -> str:
    """Return the end of a sentence about a word that is not known, with the one that is closest to it."""
    close = get_close_matches(word.lower(), known, n=1) if isinstance(word, str) else ()
    return f"; did you mean “{close[0]}”?" if close else "."


def one_of(value: object, known: Sequence[str]) -> str:
    """Read one of the known words."""
    if isinstance(value, str) and value in known:
        return value
    raise Wrong(f"{_quoted(known)}, not {_shown(value)}{meant(value, known)}")


def names(value: object, known: Sequence[str]) -> frozenset[str]:
    """Read a list of known names, or "all" of them, with brackets around it or without."""
    if value in EVERYTHING or (isinstance(value, list) and len(value) == 1 and value[0] in EVERYTHING):
        return frozenset(known)
    return frozenset(listed(value, known, beside=', or "all"'))


def listed(value: object, known: Sequence[str], beside: str = "") -> list[str]:
    """Read a list of known words; an empty one is refused, for it reads like "none" and like "not said"."""
    expected = f"a list of {_quoted(known)}{beside}"
    if not isinstance(value, list) or not value:
        raise Wrong(f"{expected}, not {_shown(value)}.")
    strange = [each for each in value if not isinstance(each, str) or each not in known]
    if strange:
        raise Wrong(f"{expected}, not {', '.join(map(_shown, strange[:3]))}{meant(strange[0], known)}")
    return value


def period(value: object) -> float | None:
    """Read a period in seconds; None: none, it is at every connection."""
    if value == CONNECTION:
        return None
    written = _PERIOD.fullmatch(value) if isinstance(value, str) else None
    seconds = int(written[1]) * _SECONDS[written[2]] if written else 0.0
    if not SHORTEST_PERIOD <= seconds <= LONGEST_PERIOD:
        periods = '"connection" or a period from "1m" to "90d", such as "12h"'
        raise Wrong(f"{periods}, not {_shown(value)}{meant(value, (CONNECTION,))}")
    return seconds


def moment(value: object) -> float:
    """Read a point in time as Unix time; a day means its end in UTC."""
    if isinstance(value, date) and value.year >= FIRST_YEAR:
        if not isinstance(value, datetime):
            # By arithmetic: 9999-12-31 has no next day in `datetime`.
            return (value.toordinal() + 1 - _EPOCH.toordinal()) * _SECONDS["d"]
        if value.tzinfo is not None:
            return (value - _EPOCH).total_seconds()
    raise Wrong(f"a date (2026-12-31), or a time with its zone (2026-12-31T18:00:00Z), not {_shown(value)}.")


def switch(value: object) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    raise Wrong(f"true or false, not {_shown(value)}.")


def number(value: object, most: int) -> int:
    """Read a whole number from 1 to `most`."""
    # In Python a bool is an int, in TOML it is none.
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    raise Wrong(f"a number from 1 to {most}, not {_shown(value)}.")


def _quoted(known: Sequence[str]) -> str:
    *first, last = (f'"{word}"' for word in known)
    return f"{', '.join(first)} or {last}" if first else last


def _shown(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{escaped(value)}"'
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table"
        case int():
            # Not every int has decimal digits: Python refuses more than 4,300 of them, and 0xfff... may be longer.
            return str(value) if abs(value) < LARGEST_SHOWN else "a number of that size"
        case _:
            return f"“{escaped(str(value))}”"
