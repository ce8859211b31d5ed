"""Whether the database does its work: Status-Server is answered only then, so that a NAS fails over in time."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Lock
from time import monotonic


class Health:
    """Watches the database work of all threads. Healthy: the last of it succeeded, and none hangs."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._lock = Lock()
        self._numbers = count()
        self._running: dict[int, float] = {}
        self._last_succeeded = False
        self.failures = 0
        """Transactions that failed."""
        self.late = 0
        """Transactions that succeeded after their deadline."""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note the beginning and the end of one transaction."""
        number = next(self._numbers)
        with self._lock:
            self._running[number] = monotonic()
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            with self._lock:
                took = monotonic() - self._running.pop(number)
                self._last_succeeded = succeeded and took <= self._deadline
                self.failures += not succeeded
                self.late += succeeded and took > self._deadline

    @property
    def good(self) -> bool:
        """Whether a sign-in that came now could be answered."""
        with self._lock:
            hangs = any(monotonic() - since > self._deadline for since in self._running.values())
            return self._last_succeeded and not hangs
