"""A clock that a test sets: what the daemons of this process take for the time of day."""

import time

import pytest

from radiusd_mfa.server import daemon as daemon_module


class Clock:
    """Stands in the middle of a time step until it is moved, so that no test meets the edge of one."""

    def __init__(self) -> None:
        self.at = time.time() // 60 * 60 + 15.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stands = Clock()
    monkeypatch.setattr(daemon_module, "time", stands)
    return stands
