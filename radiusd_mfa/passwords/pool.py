"""Threads for expensive password checks: low priority, bounded, fair between lanes, never late.

It owns the order in which jobs run and what becomes of those that don't. It knows nothing of hashes: a job is a
function, a lane is whatever must not crowd out the others (a NAS).

A lane that keeps up is served in the order of its coming. One that doesn't is served newest first: in the old order
everybody would wait until just before giving up, and half of the work would be for those who had given up. Whoever is
passed over stays, and has a chance as long as the deadline is renewed; so whoever comes after the rush is served at
once, and those whom the rush left over are served in between.
"""

import logging
import math
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

T = TypeVar("T")

# What comes at five times of what a thread can do at 25 ms a job, in the 10 s for which a client asks again. To forget
# one sooner would make it look new when it asks again, and it costs two transactions each time.
_CAPACITY_PER_THREAD: Final = 2048
_MOST: Final = 8192
_CALM: Final = 1.0
"""Seconds of waiting from which a lane is served newest first."""
_WEIGHT: Final = 0.125
"""Of the latest job in the running mean of what a job takes."""
_KNOWN_FOR: Final = 5.0
"""Seconds after a job in which that mean says whether another can end in time."""

_logger = logging.getLogger(__name__)


class PoolProblem(Exception):
    """A job did not run; the class says why."""


class Expired(PoolProblem):
    """The deadline had passed, or would have before the end of the job, when a thread was free."""


class Displaced(PoolProblem):
    """The pool was full, and this job was the oldest of a lane that held more than its share."""


class Abandoned(PoolProblem):
    """The pool was closed before a thread was free."""


Deadline = float | Callable[[], float] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What to run and whom to tell; both may hold a password."""

    run: Callable[[], object] = field(repr=False)
    done: Callable[[Any], None] = field(repr=False)
    deadline: Deadline
    since: float

    def must_end_by(self) -> float:
        """Return the deadline as it is now."""
        if self.deadline is None:
            return math.inf
        return self.deadline() if callable(self.deadline) else self.deadline


class HashPool:
    """Threads at `niceness` that serve the lanes in turn; `done` is called in one of these threads.

    `threads` defaults to one a CPU, `capacity` (jobs waiting, all lanes together) to 2048 a thread; `clock` gives
    seconds as time.monotonic does. At nice +15 two hash threads cost the packet loop 8 %, at nice 0 37 %.
    """

    def __init__(
        self,
        threads: int | None = None,
        niceness: int = 15,
        *,
        capacity: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        count = threads or os.cpu_count() or 1
        self._capacity = capacity or min(_MOST, _CAPACITY_PER_THREAD * count)
        self._niceness = niceness
        self._clock = clock
        self._changed = threading.Condition()
        # All below is guarded by _changed. The first lane is the next to be served; an empty lane is not kept.
        self._lanes: OrderedDict[Hashable, deque[_Job]] = OrderedDict()
        self._waiting = 0
        self._expected = 0.0
        self._ended = -math.inf
        self.busy = 0
        """Threads that run a job now."""
        self.done = 0
        """Jobs that were run."""
        self.spent = 0.0
        """Seconds that all of them took."""
        self._closing = False
        self._complained = False
        # Daemons, so that a job that never ends can't keep the process from ending after close() gave up on it.
        self._threads = [threading.Thread(target=self._work, name=f"hash-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return self._waiting

    @property
    def backlog(self) -> float:
        """How many seconds the threads need for what waits, as long as jobs take what they took lately."""
        return self._waiting * self._expected / len(self._threads)

    def submit(
        self,
        job: Callable[[], T],
        *,
        lane: Hashable,
        done: Callable[[T | BaseException], None],
        deadline: Deadline = None,
        optional: bool = False,
    ) -> bool:
        """Queue a job; False, and `done` is never called, when there is no room for it.

        `deadline` is in seconds of the clock, or a function that is asked when the job's turn has come, so that a
        retransmission can renew it. When the pool is full, the oldest job of the longest lane goes, or of its own
        where that is about as long; its `done` is called here, in the thread of the caller. An optional job is refused
        as soon as anything waits.
        """
        with self._changed:
            if self._closing or (optional and self._waiting):
                return False
            room, displaced = self._make_room(lane)
            if not room:
                return False
            self._lanes.setdefault(lane, deque()).append(_Job(job, done, deadline, self._clock()))
            self._waiting += 1
            self._changed.notify()
        if displaced is not None:
            _tell(displaced, Displaced())
        return True

    def close(self, timeout: float) -> bool:
        """Take nothing more, finish what waits; after `timeout` seconds abandon it. True when all was finished.

        A job that runs at that moment still reports when it ends, if the process lives that long.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        with self._changed:
            left = [job for lane in self._lanes.values() for job in lane]
            self._lanes.clear()
            self._waiting = 0
        for job in left:
            _tell(job, Abandoned())
        return not any(thread.is_alive() for thread in self._threads)

    def _make_room(self, lane: Hashable) -> tuple[bool, _Job | None]:
        """Whether a job of this lane may wait, and which job had to go for it; the caller holds the lock."""
        if self._waiting < self._capacity:
            return True, None
        own = len(self._lanes.get(lane, ()))
        longest = max(self._lanes, key=lambda name: len(self._lanes[name]))
        # Only a lane that stays no longer than the one it takes from: two equal lanes never push each other out.
        if own + 1 < len(self._lanes[longest]):
            return True, self._pop(longest)
        return (True, self._pop(lane)) if own else (False, None)

    def _pop(self, lane: Hashable, *, newest: bool = False) -> _Job:
        jobs = self._lanes[lane]
        job = jobs.pop() if newest else jobs.popleft()
        self._waiting -= 1
        if not jobs:
            del self._lanes[lane]
        return job

    def _take(self) -> _Job | None:
        """Wait for the next job in turn; None when the pool is closed and empty."""
        with self._changed:
            while not self._lanes:
                if self._closing:
                    return None
                self._changed.wait()
            lane = next(iter(self._lanes))
            oldest = self._lanes[lane][0]
            if self._is_done_with(oldest):
                return self._pop(lane)  # costs nothing, so it was not the turn of this lane
            self._lanes.move_to_end(lane)
            return self._pop(lane, newest=self._clock() - oldest.since > _CALM)

    def _work(self) -> None:
        self._lower_priority()
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        # One job a call: while the thread waits for the next, nothing here keeps the last one's password alive.
        job = self._take()
        if job is None:
            return False
        _tell(job, self._outcome(job))
        return True

    def _outcome(self, job: _Job) -> object:
        try:
            return Expired() if self._is_late(job) else self._timed(job)
        except BaseException as error:  # noqa: BLE001 - whatever a job raises belongs to the one who asked
            return error

    def _is_done_with(self, job: _Job) -> bool:
        """Whether a job needs no turn any more: it is late, or nobody can say whether it is."""
        try:
            return self._is_late(job)
        except Exception:  # noqa: BLE001 - met again and told in _outcome; here it would end the thread
            return True

    def _is_late(self, job: _Job) -> bool:
        """Whether it would end after its deadline if it ran now."""
        now = self._clock()
        # Forgotten after a while, or one job that took very long would keep all others from ever running.
        expected = self._expected if now - self._ended < _KNOWN_FOR else 0.0
        return job.must_end_by() < now + expected

    def _timed(self, job: _Job) -> object:
        began = self._clock()
        with self._changed:
            self.busy += 1
        try:
            return job.run()
        finally:
            with self._changed:
                self._ended = self._clock()
                took = self._ended - began
                self._expected += _WEIGHT * (took - self._expected)
                self.busy -= 1
                self.done += 1
                self.spent += took

    def _lower_priority(self) -> None:
        try:
            # On Linux a "process" of setpriority(2) is a thread. Going back up would need a privilege.
            own = threading.get_native_id()
            lower = max(self._niceness, os.getpriority(os.PRIO_PROCESS, own))
            os.setpriority(os.PRIO_PROCESS, own, lower)
        except (AttributeError, OSError) as error:
            self._complain_once(error)

    def _complain_once(self, error: Exception) -> None:
        with self._changed:
            complained, self._complained = self._complained, True
        if not complained:
            _logger.warning("hash threads run at normal priority and may delay replies: %s", error)


def _tell(job: _Job, outcome: object) -> None:
    try:
        job.done(outcome)
    except Exception:
        _logger.exception("the receiver of a password check failed")
