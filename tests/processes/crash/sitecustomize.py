"""Ends a daemon as kill -9 does, at a point that the test has named by a flag file; on its PYTHONPATH only in tests."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from radiusd_mfa.store.sign_ins import SignIns

_flags = Path(os.environ["CRASH_FLAGS"])


def _between(method: Callable[..., Any], before: str, after: str) -> Callable[..., Any]:
    def wrapped(store: SignIns, batch: Sequence[object]) -> Any:
        _crash_if_told(before)
        result = method(store, batch)
        _crash_if_told(after)
        return result

    return wrapped


def _crash_if_told(point: str) -> None:
    if (_flags / point).exists():
        os.kill(os.getpid(), signal.SIGKILL)


SignIns.open = _between(SignIns.open, "before-open", "after-open")  # type: ignore[method-assign]
SignIns.settle = _between(SignIns.settle, "before-settle", "after-settle")  # type: ignore[method-assign]
