"""Who answers is checked: a reply that nobody with the secret has made is no answer."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from time import monotonic

from bench.lib.client import GIVEN_UP, WAITING, Client

SECRET = b"a-secret-of-the-test"
REQUESTS = [bytes((1, number)) + (20).to_bytes(2) + bytes((number,)) * 16 for number in range(3)]


def reply(octets: bytes, code: int, secret: bytes = SECRET) -> bytes:
    head = bytes((code, octets[1])) + (20).to_bytes(2)
    return head + md5(head + octets[4:20] + secret).digest()


@contextmanager
def client() -> Iterator[tuple[Client, socket.socket]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        one = Client(server.getsockname(), REQUESTS, SECRET, ports=1, timeout=1.0)
        yield one, server
        one.close()


def test_a_reply_without_the_secret_leaves_the_request_waiting() -> None:
    with client() as (one, server):
        one.send(0, 1, monotonic())
        octets, source = server.recvfrom(4096)
        server.sendto(reply(octets, 2, b"not-the-secret"), source)
        one.receive(5)
        assert (one.state[0], one.foreign, one.outstanding) == (WAITING, 1, 1)
        server.sendto(reply(octets, 2), source)
        one.receive(5)
        assert (one.state[0], one.outstanding) == (2, 0)


def test_a_retransmission_has_the_same_octets_from_the_same_port_and_is_not_for_the_answered() -> None:
    with client() as (one, server):
        now = monotonic()
        one.send(0, 3, now)
        first = [server.recvfrom(4096) for _ in range(3)]
        server.sendto(reply(first[1][0], 3), first[1][1])
        one.receive(5)
        one.retransmit(now + 1.5, tries=2)
        again = [server.recvfrom(4096) for _ in range(2)]
        assert again == [first[0], first[2]]
        one.retransmit(now + 2.5, tries=2)
        assert list(one.state) == [GIVEN_UP, 3, GIVEN_UP]
        assert (one.outstanding, one.retransmissions) == (0, 2)
