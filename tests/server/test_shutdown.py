"""SIGTERM: what was taken is finished, nothing that was committed stays unanswered (ATTACKS 34)."""

import threading
from threading import Thread

import pytest

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server import daemon as daemon_module
from radiusd_mfa.server.daemon import Daemon
from tests.support.taps import Tap, eventually
from tests.support.world import CheapPasswords, TestNas, World


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Stopping is the loop's and the threads' affair, whichever database it is."""
    return sqlite_url


def send_sign_ins(world: World, nas: TestNas, number: int) -> dict[int, bytes]:
    """Send one sign-in of each of so many users; return the request authenticator by identifier."""
    sent = {}
    for identifier in range(number):
        user = world.user(f"user{identifier}")
        octets, authenticator = nas.request(user.name, user.typed(), identifier=identifier)
        nas.send(octets)
        sent[identifier] = authenticator
    return sent


def accepted(nas: TestNas, sent: dict[int, bytes]) -> int:
    """Count the Accepts that come until there is silence."""
    nas.socket.settimeout(0.3)
    got: set[int] = set()
    while True:
        try:
            octets = nas.socket.recv(4097)
        except TimeoutError:
            return len(got)
        assert octets[0] == Code.ACCESS_ACCEPT
        assert octets[1] in sent
        got.add(octets[1])


def test_sign_ins_that_were_taken_are_finished(world: World) -> None:
    world.nas()
    go_on = threading.Event()

    def wait(_: object) -> None:
        assert go_on.wait(20)

    tap = Tap(before_settle=wait)
    with world.daemon(wrap=tap.around) as running:
        nas = world.client(running)
        sent = send_sign_ins(world, nas, 20)
        eventually(lambda: tap.opened)
        running.stop()
        go_on.set()
    assert accepted(nas, sent) == 20
    assert world.audit() == [("accept", "totp")] * 20


def test_what_was_committed_is_answered(world: World) -> None:
    """Stopped in the moment between the commit and the reply."""
    world.nas()
    running: list[Daemon] = []
    tap = Tap(after_settle=lambda _: running[0].stop())
    with world.daemon(wrap=tap.around) as one:
        running.append(one)
        nas = world.client(one)
        sent = send_sign_ins(world, nas, 1)
        assert accepted(nas, sent) == 1
    assert world.audit() == [("accept", "totp")]


def test_a_reject_that_waits_for_its_second_is_still_sent(world: World) -> None:
    world.nas()
    world.user()
    tap = Tap()
    with world.daemon(wrap=tap.around, reject_delay=0.3) as one:
        nas = world.client(one)
        octets, authenticator = nas.request("alice", b"wrong")
        nas.send(octets)
        eventually(lambda: tap.settled)
        one.stop()
        reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_REJECT


def test_an_idle_daemon_ends_without_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_module, "PATIENCE", 60.0)
    with world.daemon() as one:
        one.stop()
        eventually(lambda: not any(thread.name == "daemon" for thread in threading.enumerate()))


def test_a_hash_that_hangs_does_not_keep_it_from_ending(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_module, "PATIENCE", 0.2)
    go_on, hanging = threading.Event(), threading.Event()

    def hang(*_: object) -> bool:
        hanging.set()
        return go_on.wait(20)

    monkeypatch.setattr(CheapPasswords, "verify", hang)
    world.nas()
    world.user()
    with world.daemon() as one:
        nas = world.client(one)
        octets, authenticator = nas.request("alice", b"hunter2")
        nas.send(octets)
        assert hanging.wait(10)
        one.stop()
        eventually(lambda: not any(thread.name == "daemon" for thread in threading.enumerate()))
        assert nas.receive(authenticator, timeout=0.1) is None
        go_on.set()  # the thread ends by itself, writing to nothing that was closed under it


def test_stopping_from_many_threads_is_stopping_once(world: World) -> None:
    for _ in range(20):
        with world.daemon() as one:
            threads = [Thread(target=one.stop) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
