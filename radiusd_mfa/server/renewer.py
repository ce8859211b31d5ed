"""Renews old password hashes beside the sign-ins: one at a time, after the reply, and only while nothing waits.

Owns when; what a renewal is, the use case knows. The hash is computed in a hash thread and written by a thread of its
own: a thread of low priority must not hold the one lock of SQLite. What there is no time for is dropped, and due again
at the next sign-in.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Final

from radiusd_mfa.core.verdict import Outcome, Verdict
from radiusd_mfa.passwords.pool import HashPool, PoolProblem
from radiusd_mfa.usecases.ports import StoreFault
from radiusd_mfa.usecases.renewing import Renewal, Renewing

_log: Final = logging.getLogger(__name__)
_LANE: Final = "renewals"
WAITING: Final = 16
"""Passwords that are kept for a moment; of more the oldest are dropped."""


class Renewer:
    """Takes renewals in the loop's thread; `turn` begins one if it can, `wake` asks for another turn."""

    def __init__(self, renewing: Renewing, pool: HashPool, wake: Callable[[], None]) -> None:
        self.renewing: Final = renewing
        self._pool = pool
        self._wake = wake
        self._waiting: deque[Renewal] = deque(maxlen=WAITING)
        self._made: SimpleQueue[tuple[Renewal, str] | None] = SimpleQueue()
        self._running = False
        self._writer: Thread | None = None

    def offer(self, renewal: Renewal, verdict: Verdict) -> None:
        """Take a renewal for later, after a sign-in that was not rejected."""
        if verdict.outcome is not Outcome.REJECT:
            self._waiting.append(renewal)

    def turn(self) -> None:
        """Begin a renewal unless one is running; under load all that wait are dropped."""
        if not self._waiting or self._running:
            return
        if self._writer is None:
            self._writer = Thread(target=self._write_for_ever, name="renewals", daemon=True)
            self._writer.start()
        renewal = self._waiting.popleft()
        self._running = True
        job, done = partial(self.renewing.make, renewal), partial(self._hashed, renewal)
        if not self._pool.submit(job, lane=_LANE, done=done, optional=True):
            self._running = False
            self._waiting.clear()

    def close(self) -> None:
        """Begin nothing more; the one that is being written may end or not."""
        self._waiting.clear()
        self._made.put(None)

    def _hashed(self, renewal: Renewal, made: str | BaseException) -> None:
        """Leave the hash to the writer; called in a hash thread."""
        if isinstance(made, str):
            self._made.put((renewal, made))
            return
        self._running = False
        if not isinstance(made, PoolProblem):
            _log.error("the password hash of %s could not be renewed", renewal.name, exc_info=made)

    def _write_for_ever(self) -> None:
        while (made := self._made.get()) is not None:
            self._write(*made)
            self._wake()

    def _write(self, renewal: Renewal, made: str) -> None:
        try:
            self.renewing.save(renewal, made)
        except StoreFault as fault:
            _log.warning("the password hash of %s is renewed at the next sign-in: %s", renewal.name, fault)
        except Exception:  # noqa: BLE001 - a thread that ended would renew nothing any more
            _log.exception("the password hash of %s could not be renewed", renewal.name)
        finally:
            self._running = False
