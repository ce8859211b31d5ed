"""The answer leaves from the address and port that were asked (CLIENTS 6); who floods takes no other's place (33)."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from radiusd_mfa.config import Endpoint
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.server.udp import Datagram, Listener, ListenProblem
from tests.support.world import World


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Sockets know no database."""
    return sqlite_url


@pytest.fixture
def everywhere(world: World) -> Iterator[Daemon]:
    world.nas()
    world.nas("six", "::1/128")
    with world.daemon("0.0.0.0:0") as running:
        yield running


def port_of(daemon: Daemon) -> str:
    return daemon.addresses[0].rpartition(":")[2]


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.5", "127.200.3.4"])
@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.9"])
def test_a_reply_comes_from_the_address_that_was_asked(
    world: World, everywhere: Daemon, asked: str, source: str
) -> None:
    alice, port = world.user(), port_of(everywhere)
    nas = world.client(f"{asked}:{port}", source=source)
    nas.socket.connect((asked, int(port)))  # from now on the kernel takes replies from there alone
    octets, authenticator = nas.request("alice", alice.typed())
    for _ in range(2):  # the second is the answer to a retransmission
        nas.socket.send(octets)
        reply = nas.receive(authenticator)
        assert reply is not None
        assert reply.code is Code.ACCESS_ACCEPT
    rejected, authenticator = nas.request("alice", b"wrong")
    nas.socket.send(rejected)
    assert nas.receive(authenticator) is not None


def test_a_reply_over_ipv6_comes_from_the_address_that_was_asked(world: World) -> None:
    world.nas("six", "::1/128")
    alice = world.user()
    with world.daemon("[::]:0") as daemon:
        port = int(port_of(daemon))
        nas = world.client(f"[::1]:{port}", source="::1")
        nas.socket.connect(("::1", port))
        octets, authenticator = nas.request("alice", alice.typed())
        nas.socket.send(octets)
        reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT


def test_both_families_share_a_port_and_keep_their_addresses(world: World, everywhere: Daemon) -> None:
    """`::` must not take IPv4 too, whose clients would be seen at mapped addresses."""
    with world.daemon(f"[::]:{port_of(everywhere)}") as six:
        assert world.client(f"127.0.0.1:{port_of(everywhere)}").status() is not None
        assert world.client(f"[::1]:{port_of(six)}", source="::1").status() is not None


def test_an_address_in_use_is_named() -> None:
    one = Listener.bind(Endpoint("127.0.0.1", 0))
    try:
        host, _, port = one.shown.rpartition(":")
        with pytest.raises(ListenProblem, match=f"127.0.0.1:{port}.*in use"):
            Listener.bind(Endpoint(host, int(port)))
    finally:
        one.close()


def test_a_client_that_is_gone_disturbs_nobody(world: World, everywhere: Daemon) -> None:
    """Its port answers our reply with an ICMP error, which the kernel reports at our next call."""
    alice = world.user()
    nas = world.client(f"127.0.0.1:{port_of(everywhere)}")
    for _ in range(20):
        gone = world.client(f"127.0.0.1:{port_of(everywhere)}")
        octets, _ = gone.request("nobody", b"hunter2")
        gone.send(octets)
        gone.close()
    assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT


def test_a_datagram_longer_than_any_packet_is_no_packet(world: World, everywhere: Daemon) -> None:
    alice = world.user()
    nas = world.client(f"127.0.0.1:{port_of(everywhere)}")
    octets, authenticator = nas.request("alice", alice.typed())
    nas.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    nas.send((octets[:2] + (5000).to_bytes(2) + octets[4:]).ljust(5000, b"\0"))
    nas.send(octets.ljust(9000, b"\0"))  # padding after Length, however much, is ignored
    reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT
    assert everywhere.drops.counts.total() == 1


@contextmanager
def crowded(*senders: tuple[str, int]) -> Iterator[Listener]:
    """Give a socket to which each (address, count) has sent so many datagrams, numbered, one sender after the other."""
    listener = Listener.bind(Endpoint("127.0.0.1", 0))
    try:
        for source, count in senders:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((source, 0))
                for number in range(count):
                    sender.sendto(number.to_bytes(2), listener.socket.getsockname())
        yield listener
    finally:
        listener.close()


def numbers_from(datagrams: Sequence[Datagram], source: str) -> list[int]:
    return [int.from_bytes(one.octets) for one in datagrams if one.source[0] == source]


def some_seconds_later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


def test_what_has_just_come_is_taken_in_its_order_and_the_rest_stays_for_the_next_turn() -> None:
    with crowded(("127.0.0.1", 300)) as listener:
        assert numbers_from(listener.drain(), "127.0.0.1") == list(range(256))
        assert numbers_from(listener.drain(), "127.0.0.1") == list(range(256, 300))
        assert (listener.drain(), listener.passed_over) == ([], 0)


def test_of_what_has_waited_too_long_the_newest_is_taken_and_nothing_older_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with crowded(("127.0.0.1", 300)) as listener:
        some_seconds_later(monkeypatch, 0.6)
        assert sorted(numbers_from(listener.drain(), "127.0.0.1")) == list(range(44, 300))
        assert (listener.drain(), listener.passed_over) == ([], 44)


def test_a_nas_that_floods_takes_no_place_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with crowded(("127.0.0.3", 20), ("127.0.0.2", 300)) as listener:
        some_seconds_later(monkeypatch, 0.6)
        taken = listener.drain()
        assert sorted(numbers_from(taken, "127.0.0.3")) == list(range(20))
        assert sorted(numbers_from(taken, "127.0.0.2")) == list(range(300 - 236, 300))


def test_a_few_that_have_waited_long_are_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with crowded(("127.0.0.1", 3)) as listener:
        some_seconds_later(monkeypatch, 60)
        assert numbers_from(listener.drain(), "127.0.0.1") == [0, 1, 2]
        assert listener.passed_over == 0


def test_strangers_have_one_place_in_turn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    strangers = [(f"127.0.1.{number}", 1) for number in range(1, 251)]
    with crowded(*strangers, ("127.0.0.3", 50)) as listener:
        some_seconds_later(monkeypatch, 0.6)
        taken = listener.drain(lambda address: address if address == "127.0.0.3" else None)
        assert len(numbers_from(taken, "127.0.0.3")) == 50
