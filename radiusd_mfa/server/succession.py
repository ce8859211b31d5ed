"""One daemon after another on the same sockets: SIGHUP starts the next one, with what the settings say now.

The one before finishes in a thread what it has taken. A packet that comes again meanwhile is one that comes again to
another node: the database knows it (I6). Where the next one can't be opened, the one that serves goes on.
"""

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Final

from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.server.systemd import NOBODY, Manager, Pulse

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Incumbent:
    """A daemon and what is closed after it."""

    daemon: Daemon
    leave: Callable[[], None]
    """Lets go of what belongs to the thread that ran it."""
    close: Callable[[], None]


class RenewalProblem(Exception):
    """There can be no next daemon; `problems` holds a sentence for each reason."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Succession:
    """Runs daemons until SIGTERM; `renew` makes the next one and raises RenewalProblem.

    `told` hears of reloads and of the end; `pulse` beats with the loop, and is its own where nothing else is given.
    """

    def __init__(
        self, first: Incumbent, renew: Callable[[], Incumbent], told: Manager = NOBODY, pulse: Pulse | None = None
    ) -> None:
        self._current = first
        self._renew = renew
        self._told = told
        self._pulse = pulse or told.pulse
        self._next: Incumbent | None = None
        self._stopped = Event()
        self._renewing = Lock()
        self._changing = Lock()
        """Guards who is next and who is current; nothing slow is done with it."""
        self._finishing: list[Thread] = []

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve in the main thread; `ready` is called once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._stop())
        signal.signal(signal.SIGHUP, lambda _number, _frame: self._begin_renewal())
        try:
            stood_down = self._current.daemon.run(ready, self._pulse)
            while stood_down and self._hand_over():
                _log.info("reloaded: the settings of now are in force")
                self._told.reloaded()
                stood_down = self._current.daemon.run(pulse=self._pulse)
        finally:
            if self._next is not None:
                self._next.close()
            self._current.close()
            for thread in self._finishing:
                thread.join()

    def _stop(self) -> None:
        self._told.stopping()
        self._stopped.set()
        self._current.daemon.stop()

    def _begin_renewal(self) -> None:
        Thread(target=self._prepare, name="reload", daemon=True).start()

    def _prepare(self) -> None:
        """Open the next one beside the one that serves."""
        with self._renewing:
            self._told.reloading()
            try:
                made = self._renew()
            except RenewalProblem as problem:
                for sentence in problem.problems:
                    _log.error("not reloaded, the settings stay as they were: %s", sentence)
                self._told.reloaded("; ".join(problem.problems))
                return
            except Exception as fault:  # noqa: BLE001 - whatever it is, the one that serves goes on
                _log.exception("not reloaded, the settings stay as they were")
                self._told.reloaded(type(fault).__name__)
                return
            with self._changing:
                unused, self._next = self._next, made
                self._current.daemon.stand_down()
            if unused is not None:
                unused.close()

    def _hand_over(self) -> bool:
        """Put the next one in the place of who stood down; False if meanwhile it was to stop."""
        with self._changing:
            following, self._next = self._next, None
            if following is None or self._stopped.is_set():
                self._next = following
                self._current.daemon.finish()
                return False
            before, self._current = self._current, following
        before.leave()
        thread = Thread(target=_finish, args=(before,), name="finish")
        thread.start()
        self._finishing = [each for each in self._finishing if each.is_alive()] + [thread]
        if self._stopped.is_set():  # the signal came between the two, and was told to who had stopped already
            following.daemon.stop()
        return True


def _finish(before: Incumbent) -> None:
    try:
        before.daemon.finish()
    finally:
        before.close()
