"""The worker: claims what is due in the outbox, has it delivered, takes down how it went, and tries again later.

Owns when. Any number of workers may run, on any number of nodes: each row is claimed by one of them for a while. What
was handed over and could not be noted any more, because the process was killed in between, is handed over again when
the claim has run out: once more, never a third time unless that one is killed too, and never not at all.
"""

import logging
import traceback
from collections.abc import Mapping
from threading import Event
from typing import Final, Protocol

from radiusd_mfa.delivery.problems import DeliveryProblem, UnreachableProblem
from radiusd_mfa.usecases.outbox_ports import Channel, Claimed, OutboxStore
from radiusd_mfa.usecases.ports import Clock, StoreFault

_log: Final = logging.getLogger(__name__)
CLAIM: Final = 300.0
"""Seconds for which a row is one worker's: longer than the slowest conversation, which has about ten steps of 20 s."""
POLL: Final = 1.0
"""Seconds between two looks for something due: somebody may be waiting for a code."""
GATHER: Final = 5.0
"""Seconds between two looks into the audit log."""
TIDY: Final = 3600.0
FIRST_PAUSE: Final = 10.0
LONGEST_PAUSE: Final = 3600.0
"""Seconds until a message is tried again: twice as many after each try."""
LONGEST_CLOSURE: Final = 60.0
"""Seconds for which a server that can't be reached is left alone, at most: then some other message is tried."""


class Carrier(Protocol):
    """Hands messages over by one channel."""

    def deliver(self, claimed: Claimed) -> None:
        """Hand a message over; raises DeliveryProblem."""
        ...

    def rest(self) -> None:
        """There is nothing to deliver for now."""
        ...


class Worker:
    """Delivers by the channels that it has carriers for; one thread's own."""

    def __init__(self, store: OutboxStore, carriers: Mapping[Channel, Carrier], clock: Clock) -> None:
        self._store = store
        self._carriers = carriers
        self._clock = clock
        self._failures = dict.fromkeys(carriers, 0)
        self._closed_until = dict.fromkeys(carriers, 0.0)
        self._next_gather = 0.0
        self._next_tidy = 0.0

    def run(self, stop: Event) -> None:
        """Deliver until `stop` is set; what is being handed over then is finished."""
        while not stop.is_set():
            self.round(stop)
            stop.wait(POLL)

    def round(self, stop: Event) -> int:
        """Deliver what is due now and return how much of it was; a database that is gone is waited for."""
        try:
            self._look_after()
            return self._deliver_due(stop)
        except StoreFault as fault:
            _log.error("the outbox can't be read or written: %s", fault)
            return 0
        finally:
            for carrier in self._carriers.values():
                carrier.rest()

    def _look_after(self) -> None:
        now = self._clock()
        if _is_over(self._next_gather, now, GATHER):
            self._next_gather = now + GATHER
            self._store.gather(now=now)
        for row in self._store.give_up(now=now):
            _log.error("given up after %d tries: %s, id %d: %s", row.tries, row.kind, row.id, row.last_error)
        if _is_over(self._next_tidy, now, TIDY):
            self._next_tidy = now + TIDY
            self._store.tidy(now=now)

    def _deliver_due(self, stop: Event) -> int:
        delivered = 0
        while not stop.is_set():
            now = self._clock()
            closed = self._closed_until.items()
            channels = [channel for channel, until in closed if _is_over(until, now, LONGEST_CLOSURE)]
            claimed = self._store.claim(channels, now=now, until=now + CLAIM) if channels else None
            if claimed is None:
                break
            delivered += self._deliver(claimed, stop)
        return delivered

    def _deliver(self, claimed: Claimed, stop: Event) -> bool:
        try:
            self._hand_over(claimed)
        except UnreachableProblem as problem:
            self._close(claimed.channel)
            self._put_off(claimed, str(problem))
        except DeliveryProblem as problem:
            self._put_off(claimed, str(problem))
        except Exception as error:  # noqa: BLE001 - one message that can't be written must not keep the others
            # Without its message, which may show what was to be sent.
            _log.error("a defect: %s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            self._put_off(claimed, f"a defect, see the log: {type(error).__name__}")
        else:
            self._failures[claimed.channel] = 0
            self._note(claimed, stop)
            return True
        return False

    def _hand_over(self, claimed: Claimed) -> None:
        if claimed.values is None:
            raise DeliveryProblem("what it says does not open: was it sealed by another key?")
        self._carriers[claimed.channel].deliver(claimed)

    def _note(self, claimed: Claimed, stop: Event) -> None:
        """Take down that it was delivered; as long as that can't be done, it would be delivered twice."""
        while True:
            try:
                self._store.sent(claimed, at=self._clock())
            except StoreFault as fault:
                _log.error("%s, id %d, was sent and can't be marked so: %s", claimed.kind, claimed.id, fault)
                if self._clock() >= claimed.until or stop.wait(POLL):
                    return
            else:
                _log.info("sent: %s, id %d", claimed.kind, claimed.id)
                return

    def _put_off(self, claimed: Claimed, why: str) -> None:
        _log.warning("not sent, try %d: %s, id %d: %s", claimed.tries, claimed.kind, claimed.id, why)
        self._store.failed(claimed, why, due_at=self._clock() + pause(claimed.tries))

    def _close(self, channel: Channel) -> None:
        """Leave a server alone for a while that can't be reached: each message would only wait for it in turn."""
        self._failures[channel] += 1
        self._closed_until[channel] = self._clock() + min(LONGEST_CLOSURE, pause(self._failures[channel]))


def pause(tries: int) -> float:
    """Return the seconds to wait after so many tries."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(tries - 1, 20)))


def _is_over(until: float, now: float, longest: float) -> bool:
    """Whether a wait is over; one that has longer to go than any lasts began before the clock was set back."""
    return until <= now or until - now > longest
