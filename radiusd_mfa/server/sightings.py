"""What each NAS was seen to do, counted in memory and handed on every few seconds, for `doctor` to look at.

The loop counts, another thread hands on; neither waits for the other. A packet costs a few additions and no SQL, also
one of a flood from forged addresses, of which only a few are remembered.
"""

import logging
from collections.abc import Callable, Mapping
from threading import Event
from time import time
from typing import Final

from radiusd_mfa.core.facts import Attempt
from radiusd_mfa.core.names import escaped
from radiusd_mfa.core.typed import Answer, Typed
from radiusd_mfa.radius.packet import AccessRequest, Refusal
from radiusd_mfa.radius.wire import Attribute, Cause, Packet
from radiusd_mfa.usecases.sighting_ports import STRANGERS, Sighting, Stranger

_log: Final = logging.getLogger(__name__)
HAND_ON: Final = 5.0
"""Seconds between two records of what the NASes were seen to do; so much of it a crash may lose."""
_IDENTIFIER_LIMIT: Final = 64
_VENDOR_SPECIFIC: Final = Attribute.VENDOR_SPECIFIC.value
_MICROSOFT: Final = (311).to_bytes(4)
"""RFC 2548: MS-CHAP is made of this vendor's attributes."""
Note = Callable[[Mapping[int, Sighting], Mapping[str, Stranger], float], None]
"""Adds what was seen to what is known, at a Unix time; raises StoreFault."""


class Sightings:
    """Counts by NAS id; `at` is Unix seconds."""

    def __init__(self) -> None:
        self._seen: dict[int, Sighting] = {}
        self._identifiers: dict[int, bytes] = {}
        self._strangers = _Strangers()
        self._unwritten: dict[int, Sighting] = {}
        self._unwritten_strangers: dict[str, Stranger] = {}

    def request(self, nas_id: int, packet: Packet, request: AccessRequest, attempt: Attempt) -> None:
        """Count a new Access-Request."""
        seen = self._of(nas_id)
        seen.requests += 1
        seen.seen_at = attempt.at
        if request.message_authenticator:
            seen.signed += 1
        elif request.refusal is None and _is_no_text(attempt.typed):
            seen.unreadable += 1
        if request.state is not None:
            seen.answers += 1
        if request.proxy_states:
            seen.proxied += 1
        if request.nas_identifier is not None:
            self._identifiers[nas_id] = request.nas_identifier
        if request.refusal is not None:
            _count_refused(seen, packet, request.refusal)

    def challenge(self, nas_id: int) -> None:
        """Count an Access-Challenge that is sent."""
        self._of(nas_id).challenges += 1

    def retransmission(self, nas_id: int, *, after: float, at: float) -> None:
        """Count a packet that came again, so many seconds after it was sent before."""
        seen = self._of(nas_id)
        seen.retransmissions += 1
        seen.retransmitted_after += after
        seen.seen_at = at

    def dropped(self, nas_id: int, cause: Cause, *, at: float) -> None:
        """Count a packet of a known NAS that gets no answer."""
        seen = self._of(nas_id)
        seen.dropped_at = at
        if cause is Cause.MESSAGE_AUTHENTICATOR_WRONG:
            seen.wrong_signature += 1
        elif cause is Cause.MESSAGE_AUTHENTICATOR_MISSING:
            seen.unsigned_dropped += 1
        elif cause is Cause.PROXY_STATE:
            seen.proxy_state_dropped += 1
        else:
            seen.malformed += 1

    def stranger(self, address: str, *, at: float) -> None:
        """Count a packet from an address that no NAS entry covers."""
        self._strangers.note(address, at)

    def hand_on(self, note: Note, now: float) -> None:
        """Give `note` what was seen since the last time; what it raises on is kept for the next."""
        for nas_id, seen in self._taken().items():
            self._unwritten.setdefault(nas_id, Sighting()).add(seen)
        for address, stranger in self._strangers.taken().items():
            known = self._unwritten_strangers.pop(address, Stranger(0, 0.0))
            self._unwritten_strangers[address] = Stranger(known.packets + stranger.packets, stranger.seen_at)
        while len(self._unwritten_strangers) > STRANGERS:
            del self._unwritten_strangers[next(iter(self._unwritten_strangers))]
        if self._unwritten or self._unwritten_strangers:
            note(self._unwritten, self._unwritten_strangers, now)
            self._unwritten, self._unwritten_strangers = {}, {}

    def _of(self, nas_id: int) -> Sighting:
        seen = self._seen.get(nas_id)
        if seen is None:
            seen = self._seen[nas_id] = Sighting()
        return seen

    def _taken(self) -> dict[int, Sighting]:
        """Take what was counted; the loop may add a packet to it just then, which is lost."""
        taken, self._seen = self._seen, {}
        identifiers, self._identifiers = self._identifiers, {}
        for nas_id, raw in identifiers.items():
            taken.setdefault(nas_id, Sighting()).nas_identifier = escaped(raw, _IDENTIFIER_LIMIT)
        return taken


def hand_on_for_ever(sightings: Sightings, note: Note, stopping: Event) -> None:
    """Hand on what was seen every few seconds, and once more at the end."""
    stopped = False
    while not stopped:
        stopped = stopping.wait(HAND_ON)
        try:
            sightings.hand_on(note, time())
        except Exception as fault:  # noqa: BLE001 - whatever it is, the next time may do better
            _log.warning("what the NASes were seen to do is recorded the next time: %s", fault)


class _Strangers:
    """The addresses that asked last, a few of them: who asks again outlasts a flood of which each comes once."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        """In the order in which they are to be forgotten."""

    def note(self, address: str, at: float) -> None:
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= STRANGERS:
                self._make_room()
            known = self._known[address] = _Known()
        else:
            known.came_again = True
        known.packets += 1
        known.seen_at = at

    def taken(self) -> dict[str, Stranger]:
        """Return who asked since the last time, the one who asked last at the end."""
        asked = [(address, known) for address, known in self._known.copy().items() if known.packets]
        taken = {}
        for address, known in sorted(asked, key=lambda pair: pair[1].seen_at):
            taken[address] = Stranger(known.packets, known.seen_at)
            known.packets = 0
        return taken

    def _make_room(self) -> None:
        while True:
            address, oldest = next(iter(self._known.items()))
            del self._known[address]
            if not oldest.came_again:
                return
            oldest.came_again = False  # a second chance, at the end of the queue
            self._known[address] = oldest


class _Known:
    __slots__ = ("came_again", "packets", "seen_at")

    def __init__(self) -> None:
        self.packets = 0
        self.seen_at = 0.0
        self.came_again = False


def _is_no_text(typed: Typed | Answer) -> bool:
    return isinstance(typed, Typed) and typed.refusal == "not-text"


def _count_refused(seen: Sighting, packet: Packet, refusal: Refusal) -> None:
    """Count the ways of proving a password that are not PAP."""
    if refusal is Refusal.EAP:
        seen.eap += 1
    elif refusal is Refusal.CHAP:
        seen.chap += 1
    elif any(kind == _VENDOR_SPECIFIC and value.startswith(_MICROSOFT) for kind, value in packet.attributes):
        seen.ms_chap += 1
