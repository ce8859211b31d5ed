"""The watchdog is fed by the loop alone, and only while it turns (O4)."""

from threading import Event

import pytest

from radiusd_mfa.server.systemd import Manager, Pulse
from tests.support.taps import Tap, eventually
from tests.support.world import World


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Which database the loop waits for does not matter."""
    return sqlite_url


def test_a_loop_that_hangs_does_not_beat(world: World) -> None:
    world.nas()
    reached, over = Event(), Event()
    beats: list[bool] = []

    def hang(_attempts: object) -> None:
        reached.set()
        assert over.wait(30)

    with world.daemon(wrap=Tap(before_open=hang).around, pulse=Pulse(0.05, beats.append)) as daemon:
        eventually(lambda: len(beats) > 2)  # an idle loop wakes for it
        nas = world.client(daemon)
        nas.send(nas.request("alice", b"x")[0])
        assert reached.wait(10)
        before = len(beats)
        assert not Event().wait(0.5)
        assert len(beats) == before
        over.set()
        eventually(lambda: len(beats) > before)


def test_nobody_is_told_where_nobody_asked() -> None:
    silent = Manager.of({"WATCHDOG_USEC": "1000000"}, pid=1)
    assert silent.pulse.every is None
    assert silent.watchdog is None
    silent.pulse.beat_if_due()
    silent.ready("Serves")


@pytest.mark.parametrize("value", ["", "0", "soon", "-5"])
def test_a_watchdog_that_is_none_is_not_fed(value: str) -> None:
    told = Manager.of({"NOTIFY_SOCKET": "/run/nobody", "WATCHDOG_USEC": value}, pid=1)
    assert told.watchdog is None


def test_what_the_manager_has_said_is_taken_out_of_the_environment() -> None:
    environ = {"NOTIFY_SOCKET": "/run/nobody", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1", "HOME": "/"}
    assert Manager.of(environ, pid=1).watchdog == 30
    assert environ == {"HOME": "/"}


def test_a_loop_beats_three_times_before_the_watchdog_bites() -> None:
    told = Manager("/run/nobody", watchdog=30)
    assert told.pulse.every == 10
