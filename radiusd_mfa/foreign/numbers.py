"""Numbers in files of others: a few digits and nothing else, or none at all."""

from typing import Final

_MOST_DIGITS: Final = 6
"""The most that any of them needs: days since 1970. Python reads no number of thousands of digits."""


def whole(text: str) -> int | None:
    """Read a whole number of at most six digits; None: it is no such number."""
    tidy = text.strip()
    return int(tidy) if tidy.isascii() and tidy.isdigit() and len(tidy) <= _MOST_DIGITS else None
