"""Codes that are sent to a phone: how one is drawn, how long it is good, and how often one may be sent.

Owns the rules. Knows no phone, gateway or database; the history of what was sent is a text that the store keeps.
"""

from collections.abc import Callable
from typing import Final

DIGITS: Final = 6
WORD: Final = "sms"
"""What is typed in the place of a code to have one sent."""
PURPOSE: Final = "sms-code"
"""Of the key under which codes are digested."""
LIFETIME: Final = 600.0
"""Seconds in which a code is good."""
PAUSE: Final = 30.0
"""Seconds between two codes for one user: an SMS takes a while, and the older code is worthless then."""
MOST_AN_HOUR: Final = 5
"""Codes for one user within any hour: each costs money, and phones are called names with them."""
_HOUR: Final = 3600.0
_LAST_DIGITS: Final = 3
_FAIR: Final = 4_294_000_000
"""The most even multiple of a million below 2^32: above it a draw is drawn again, so that no code is likelier."""


def draw(entropy: Callable[[int], bytes]) -> str:
    """Draw a code; `entropy(n)` gives n random octets."""
    while (number := int.from_bytes(entropy(4), "big")) >= _FAIR:
        pass
    return f"{number % 10**DIGITS:0{DIGITS}}"


def bound(user_id: int, method_id: int, sent_at: float, code: str) -> tuple[bytes, ...]:
    """Return what the digest of a code is made of: user, method and moment, so that no two of one code are alike."""
    return str(user_id).encode(), str(method_id).encode(), sent_at.hex().encode(), code.encode()


def ending(number: str) -> str:
    """Return what of a number may be shown: it tells its owner which phone is meant, and nobody else a number."""
    return number[-_LAST_DIGITS:]


def wait(history: str, now: float) -> float:
    """Return the seconds until another code may be sent; 0: now. `history` is what `sent` returned last."""
    times = _within_an_hour(history, now)
    until = [times[-1] + PAUSE] if times else []
    if len(times) >= MOST_AN_HOUR:
        until.append(times[-MOST_AN_HOUR] + _HOUR)
    return max([0.0, *(at - now for at in until)])


def sent(history: str, now: float) -> str:
    """Return the history with a code that is sent now, and without what no limit remembers."""
    return " ".join(f"{at:.3f}" for at in (*_within_an_hour(history, now), now))


def _within_an_hour(history: str, now: float) -> list[float]:
    # A time in the future counts as now: a clock that went back must not close a phone for long.
    return [min(at, now) for at in map(float, history.split()) if at > now - _HOUR]
