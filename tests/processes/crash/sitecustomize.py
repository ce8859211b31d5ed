"""Faults inside a daemon, on its PYTHONPATH only in tests: flag files name where kill -9 ends it, and shift its clock.

A file named like a point ends the process there: `before-open`, `after-settle` and so on around the two transactions,
`during-open` and `during-settle` at some moment while the database has the statement, `before-send` with a verdict that
is committed and not told, `after-send` with one of a batch told and the rest not. The file `clock` holds seconds that
are added to the time of day.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Timer
from typing import Any

_flags = Path(os.environ["CRASH_FLAGS"])
_SOON = 0.004
"""Seconds, about what a transaction takes: where in it the process ends is left to chance."""
_true_time = time.time


def _time() -> float:
    try:
        return _true_time() + float((_flags / "clock").read_text())
    except FileNotFoundError:
        return _true_time()


# Before anything of the product is imported, which takes the function itself: `from time import time`.
time.time = _time

from radiusd_mfa.server.udp import Listener  # noqa: E402 - as the line above says
from radiusd_mfa.store.sign_ins import SignIns  # noqa: E402


def _crash_if_told(point: str) -> None:
    if (_flags / point).exists():
        _crash()


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _around(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    def wrapped(store: SignIns, batch: Sequence[object]) -> Any:
        _crash_if_told(f"before-{name}")
        if (_flags / f"during-{name}").exists():
            Timer(random.random() * _SOON, _crash).start()
        result = method(store, batch)
        _crash_if_told(f"after-{name}")
        return result

    return wrapped


def _around_sending(method: Callable[..., None]) -> Callable[..., None]:
    def wrapped(listener: Listener, *arguments: object) -> None:
        _crash_if_told("before-send")
        method(listener, *arguments)
        _crash_if_told("after-send")

    return wrapped


SignIns.open = _around(SignIns.open, "open")  # type: ignore[method-assign]
SignIns.settle = _around(SignIns.settle, "settle")  # type: ignore[method-assign]
Listener.send = _around_sending(Listener.send)  # type: ignore[method-assign]
