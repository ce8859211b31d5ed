"""Packets that get no answer: counted, and named in the log with what mends it, but never as fast as they come."""

import logging
from collections import Counter
from time import monotonic
from typing import Final

from radiusd_mfa.radius.wire import Cause

_log: Final = logging.getLogger(__name__)
_QUIET: Final = 30.0
"""Seconds between two lines about the same cause and address."""
_LINES: Final = 32
"""Lines about one cause in that time, whoever it comes from: the addresses of a flood may be forged, each another."""
_REMEMBERED: Final = 4096

UNKNOWN_NAS: Final = "unknown-nas"
OVERLOAD: Final = "overload"
LATE: Final = "late"
FAULT: Final = "fault"

_GIVEN_UP: Final = (OVERLOAD, LATE)

_REMEDIES: Final = {
    UNKNOWN_NAS: "no NAS entry covers this address: radiusd-mfa nas add NAME --address {address} ...",
    Cause.MESSAGE_AUTHENTICATOR_MISSING: (
        "it sends no Message-Authenticator; turn it on there, or allow it with: "
        "radiusd-mfa nas set {nas} --message-authenticator optional"
    ),
    Cause.MESSAGE_AUTHENTICATOR_WRONG: (
        "the Message-Authenticator is wrong: the shared secrets differ; compare them, or set a new one with: "
        "radiusd-mfa nas set {nas} --secret-stdin"
    ),
    Cause.PROXY_STATE: (
        "it sends a Proxy-State without a Message-Authenticator; allow it with: "
        "radiusd-mfa nas set {nas} --allow-proxy-state on"
    ),
    Cause.CODE: "it is no Access-Request; accounting belongs on another port",
}


class Drops:
    """Counts by cause; the log has at most one line per cause and address in 30 s, and 32 per cause."""

    def __init__(self) -> None:
        self.counts: Final[Counter[str]] = Counter()
        self.by_nas: Final[Counter[str]] = Counter()
        """Of the packets from addresses of NAS entries; strangers have no name here."""
        self._last: dict[tuple[str, str], float] = {}
        self._lines: Counter[str] = Counter()
        self._lines_since = -_QUIET
        self._given_up = 0
        self._given_up_told = -_QUIET

    def note(self, cause: str, *, address: str, nas: str = "") -> None:
        """Count a dropped packet."""
        self.counts[cause] += 1
        if nas:
            self.by_nas[nas] += 1
        now = monotonic()
        key = (cause, address)
        if now - self._last.get(key, -_QUIET) < _QUIET:
            return
        if now - self._lines_since >= _QUIET:
            self._lines_since = now
            self._lines.clear()
        if self._lines[cause] >= _LINES:
            return
        self._lines[cause] += 1
        if len(self._last) >= _REMEMBERED:
            self._last.clear()
        self._last[key] = now
        remedy = _REMEDIES.get(cause, "the packet is malformed").format(nas=nas, address=address)
        fields = {"cause": str(cause), "address": address, "nas": nas or None}
        _log.warning("dropped a packet from %s (%s): %s", address, cause, remedy, extra={"fields": fields})

    def tell_of_what_was_given_up(self) -> None:
        """Say in the log, at most every 30 s, how many sign-ins found no room or no time; to be called now and then.

        Their users see a sign-in that hangs, and whoever looks for the reason must not find silence here too.
        """
        given_up, now = sum([self.counts[cause] for cause in _GIVEN_UP]), monotonic()
        number = given_up - self._given_up
        if not number or now - self._given_up_told < _QUIET:
            return
        self._given_up, self._given_up_told = given_up, now
        _log.warning(
            "left %d sign-ins unanswered, for their clients had given up or there was no room: more comes than this "
            "machine can hash or its database can take; see hash_threads, password_cache and workers in the settings",
            number,
            extra={"fields": {"number": number}},
        )
