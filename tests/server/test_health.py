"""Who asks with Status-Server is answered only while a sign-in could be, too (RFC 5997 4.2, I4)."""

import pytest

from radiusd_mfa.server import health
from radiusd_mfa.server.health import Health

DEADLINE = 1.5


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(health, "monotonic", lambda: made.now)
    return made


def test_before_anything_was_asked_of_the_database_nothing_is_good(clock: Clock) -> None:
    assert not Health(DEADLINE).good
    assert clock.now == 100.0


def test_a_transaction_that_hangs_is_bad_though_the_one_before_it_was_good(clock: Clock) -> None:
    watched = Health(DEADLINE)
    with watched.watched():
        pass
    with watched.watched():
        assert watched.good
        clock.now += DEADLINE + 0.1
        assert not watched.good


def test_one_that_hangs_is_bad_whatever_another_thread_gets_done(clock: Clock) -> None:
    watched = Health(DEADLINE)
    with watched.watched():
        clock.now += DEADLINE + 0.1
        with watched.watched():
            pass
        assert not watched.good


def test_what_came_too_late_is_bad_until_the_next_is_in_time(clock: Clock) -> None:
    watched = Health(DEADLINE)
    with watched.watched():
        clock.now += DEADLINE + 0.1
    assert not watched.good
    with watched.watched():
        pass
    assert watched.good


def test_a_failure_is_bad_until_the_next_success(clock: Clock) -> None:
    watched = Health(DEADLINE)
    with watched.watched():
        clock.now += 0.1
    with pytest.raises(RuntimeError), watched.watched():
        raise RuntimeError("a fault of the test")
    assert not watched.good
