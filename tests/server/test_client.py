"""Our own NAS: it retransmits the same octets, and takes nothing but the genuine reply."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from radiusd_mfa.config import Endpoint
from radiusd_mfa.radius.packet import NasRules, authenticate, encode_reply, read_request
from radiusd_mfa.radius.wire import Code, Packet, parse
from radiusd_mfa.server.client import Client, ClientProblem, Exchange, Silence, named

SECRET = b"a secret of the tests"
RULES = NasRules(secret=SECRET)
Serve = Callable[[socket.socket], None]


@contextmanager
def served(serve: Serve) -> Iterator[Endpoint]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(10)
        thread = threading.Thread(target=serve, args=(one,))
        thread.start()
        yield Endpoint("127.0.0.1", one.getsockname()[1])
        thread.join(10)


def asked(server: Endpoint, *, patience: float = 8.0) -> Exchange:
    with Client(server, source="127.0.0.1", secret=SECRET) as client:
        given = named("alice", nas="localhost", source="127.0.0.1")
        return client.sign_in(b"hunter2", attributes=given, patience=patience, retry_after=0.1)


def accepted(octets: bytes) -> bytes:
    packet = parse(octets)
    authenticate(packet, RULES)
    request = read_request(packet, RULES)
    return encode_reply(code=Code.ACCESS_ACCEPT, request=request, rules=RULES, attributes=b"")


def test_a_lost_request_comes_again_as_the_same_octets() -> None:
    seen = []

    def second_time(one: socket.socket) -> None:
        seen.append(one.recvfrom(4096))
        seen.append(one.recvfrom(4096))
        octets, source = seen[1]
        one.sendto(accepted(octets), source)

    with served(second_time) as server:
        exchange = asked(server)
    assert isinstance(exchange.reply, Packet)
    assert exchange.sent == 2
    assert seen[0] == seen[1]


def test_a_forged_reply_does_not_end_the_wait_for_the_genuine_one() -> None:
    def both(one: socket.socket) -> None:
        octets, source = one.recvfrom(4096)
        genuine = accepted(octets)
        one.sendto(genuine[:-1] + bytes([genuine[-1] ^ 1]), source)
        one.sendto(b"\x02", source)
        one.sendto(genuine, source)

    with served(both) as server:
        exchange = asked(server)
    assert isinstance(exchange.reply, Packet)
    assert exchange.reply.code == Code.ACCESS_ACCEPT


def test_a_reply_to_another_request_is_none() -> None:
    kept = []

    def keep(one: socket.socket) -> None:
        octets, source = one.recvfrom(4096)
        kept.append(accepted(octets))
        one.sendto(kept[0], source)

    def old(one: socket.socket) -> None:
        _, source = one.recvfrom(4096)
        one.sendto(kept[0], source)

    with served(keep) as server:
        assert isinstance(asked(server).reply, Packet)
    with served(old) as server:
        assert asked(server, patience=0.3).reply is Silence.NOT_GENUINE


def test_a_password_that_is_too_long_is_not_sent() -> None:
    with (
        Client(Endpoint("127.0.0.1", 9), source="127.0.0.1", secret=SECRET) as client,
        pytest.raises(ClientProblem, match="128 octets"),
    ):
        client.sign_in(b"x" * 129, attributes=[])


def test_a_source_that_is_no_address_of_this_machine_is_a_problem() -> None:
    with pytest.raises(ClientProblem, match=r"192\.0\.2\.1"):
        Client(Endpoint("127.0.0.1", 9), source="192.0.2.1", secret=SECRET)
