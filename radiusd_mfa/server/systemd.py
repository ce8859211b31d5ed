"""What the service manager is told: ready, reloading, stopping, how it goes, and that the loop turns (sd_notify(3)).

Knows no socket of RADIUS and no store. Where nobody asked to be told, nobody is. The watchdog is about the loop alone:
a database that is away is said in the status, and does not stop the beat, since a restart brings no database back.
"""

import os
import socket
from collections.abc import Callable, MutableMapping
from math import inf
from time import monotonic
from typing import Final

_STATUS_EVERY: Final = 5.0
"""Seconds between two beats where there is no watchdog to be fed."""
_SPARE: Final = 3.0
"""So many beats fit into the time after which a watchdog bites."""


class Pulse:
    """Beats while a loop turns; `every` is the most seconds that an idle loop may wait, None: as long as it likes."""

    def __init__(self, every: float | None, say: Callable[[bool], None]) -> None:
        self.every: Final = every
        self.due = inf if every is None else 0.0
        """When the next beat is to be, in monotonic seconds: the loop compares, and calls only then."""
        self._say = say

    def beat(self, now: float, *, good: bool = True) -> None:
        """Say that the loop turns, and whether the database does its work."""
        if self.every is not None:
            self.due = now + self.every
            self._say(good)

    def beat_if_due(self) -> None:
        """Say that a loop turns that does not look at the clock itself."""
        if (now := monotonic()) >= self.due:
            self.beat(now)


class Manager:
    """The service manager that started this process, or nobody."""

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog: Final = watchdog
        """Seconds of silence after which the manager ends this process; None: never."""
        every = watchdog / _SPARE if watchdog else _STATUS_EVERY
        self.pulse: Final = Pulse(every if address else None, self._beat)
        self._serves = ""
        self._complaint = ""

    @classmethod
    def of(cls, environ: MutableMapping[str, str], pid: int) -> "Manager":
        """Take it out of the environment: what this process starts is not to speak in its name."""
        address = environ.pop("NOTIFY_SOCKET", None)
        microseconds, asked = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", str(pid))
        watched = address and microseconds.isdigit() and int(microseconds) > 0 and asked == str(pid)
        return cls(address, int(microseconds) / 1e6 if watched else None)

    def ready(self, serves: str) -> None:
        """Say that it serves, and what: one sentence without its stop."""
        self._serves = serves
        self._tell("READY=1", f"STATUS={serves}.")

    def reloading(self) -> None:
        """Say that the settings are read anew."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(monotonic() * 1e6)}")

    def reloaded(self, complaint: str = "") -> None:
        """Say that this is over; with a complaint everything is as before."""
        self._complaint = complaint
        self._tell("READY=1", f"STATUS={self._status(good=True)}")

    def stopping(self) -> None:
        """Say that what was taken is finished, and nothing new begun. Safe in a signal handler."""
        self._tell("STOPPING=1", "STATUS=Finishes what was taken.")

    def _beat(self, good: bool) -> None:
        fed = ["WATCHDOG=1"] if self.watchdog else []
        self._tell(*fed, f"STATUS={self._status(good=good)}")

    def _status(self, *, good: bool) -> str:
        database = "" if good else " The database does not do its work: nobody is answered until it does."
        return f"{self._serves}.{database}{self._complaint and f' Not reloaded: {self._complaint}'}"

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        text = "\n".join(" ".join(line.splitlines()) for line in lines)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as one:
            try:
                one.sendto(text.encode(errors="replace"), self._address)
            except OSError:
                return  # a manager that does not listen is no reason to turn users away; a watchdog draws its own


NOBODY: Final = Manager()


def manager() -> Manager:
    """Return who started this process."""
    return Manager.of(os.environ, os.getpid())
