"""Threads for expensive password checks: low priority, bounded, fair between lanes, never late.

It owns the order in which jobs run and what becomes of those that don't. It knows nothing of hashes: a job is a
function, a lane is whatever must not crowd out the others (a NAS).
"""

import logging
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

# At 28 ms a job, 128 jobs a thread are 3.6 s of waiting: about what the clients of a sign-in wait.
_CAPACITY_PER_THREAD = 128

_logger = logging.getLogger(__name__)


class PoolProblem(Exception):
    """A job did not run; the class says why."""


class Expired(PoolProblem):
    """The deadline had passed before a thread was free."""


class Displaced(PoolProblem):
    """The pool was full, and this job's lane held more than its share."""


class Abandoned(PoolProblem):
    """The pool was closed before a thread was free."""


Deadline = float | Callable[[], float] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What to run and whom to tell; both may hold a password."""

    run: Callable[[], object] = field(repr=False)
    done: Callable[[Any], None] = field(repr=False)
    deadline: Deadline


class HashPool:
    """Threads at `niceness` that serve the lanes in turn; `done` is called in one of these threads.

    `threads` defaults to one a CPU, `capacity` (jobs waiting, all lanes together) to 128 a thread; `clock` gives
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
        self._capacity = capacity or _CAPACITY_PER_THREAD * count
        self._niceness = niceness
        self._clock = clock
        self._changed = threading.Condition()
        # All below is guarded by _changed. The first lane is the next to be served; an empty lane is not kept.
        self._lanes: OrderedDict[Hashable, deque[_Job]] = OrderedDict()
        self._waiting = 0
        self._closing = False
        self._complained = False
        # Daemons, so that a job that never ends can't keep the process from ending after close() gave up on it.
        self._threads = [threading.Thread(target=self._work, name=f"hash-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return self._waiting

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
        retransmission can renew it. When the pool is full, a lane with less than its share displaces the oldest
        job of the longest lane, whose client is nearest to giving up; that one's `done` is called here, in the
        thread of the caller. An optional job is refused as soon as anything waits.
        """
        with self._changed:
            if self._closing or (optional and self._waiting):
                return False
            room, displaced = self._make_room(lane)
            if not room:
                return False
            self._lanes.setdefault(lane, deque()).append(_Job(job, done, deadline))
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
        if own + 1 >= len(self._lanes[longest]):
            return False, None
        return True, self._pop(longest)

    def _pop(self, lane: Hashable) -> _Job:
        jobs = self._lanes[lane]
        job = jobs.popleft()
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
            self._lanes.move_to_end(lane)
            return self._pop(lane)

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
            deadline = job.deadline() if callable(job.deadline) else job.deadline
            if deadline is not None and deadline < self._clock():
                return Expired()
            return job.run()
        except BaseException as error:  # noqa: BLE001 - whatever a job raises belongs to the one who asked
            return error

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
