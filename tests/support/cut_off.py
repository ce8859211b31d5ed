"""A NAS that takes Disconnect-Requests, of few words: it checks nothing that a test does not ask for."""

import hashlib
import hmac
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Says = Callable[[bytes, int], bytes | None]
"""What is answered to a request, the how-manieth it is given too; None: nothing."""


@dataclass
class Taking:
    """Where it listens, and the requests that came."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def users(self) -> list[bytes]:
        """The User-Name of each request."""
        return [_attribute(request, 1) for request in self.requests]


def ack(secret: bytes) -> Says:
    return lambda request, _count: _answer(41, request, b"", secret)


def nak(secret: bytes, cause: int) -> Says:
    return lambda request, _count: _answer(42, request, b"\x65\x06" + cause.to_bytes(4), secret)


def is_genuine(request: bytes, secret: bytes) -> bool:
    """Check as RFC 5176 3.4 asks a NAS to, with hashlib and hmac alone."""
    rest = request[20:]
    right = hashlib.md5(request[:4] + bytes(16) + rest + secret).digest()
    at = 20 + rest.index(b"\x50\x12") + 2
    zeroed = request[:4] + bytes(16) + request[20:at] + bytes(16) + request[at + 16 :]
    signed = hmac.new(secret, zeroed, "md5").digest()
    return request[4:20] == right and request[at : at + 16] == signed


@contextmanager
def taking(says: Says) -> Iterator[Taking]:
    """Listen at 127.0.0.1 as long as the block lasts."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        made = Taking(listening.getsockname()[1])
        thread = threading.Thread(target=_answer_all, args=(listening, made, says), name="taking")
        thread.start()
        try:
            yield made
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
                ending.sendto(b"", ("127.0.0.1", made.port))
            thread.join(10)


def _answer_all(listening: socket.socket, made: Taking, says: Says) -> None:
    while True:
        request, asking = listening.recvfrom(4097)
        if not request:
            return
        made.requests.append(request)
        answer = says(request, len(made.requests))
        if answer is not None:
            listening.sendto(answer, asking)


def _answer(code: int, request: bytes, attributes: bytes, secret: bytes) -> bytes:
    start = bytes((code, request[1])) + (20 + len(attributes)).to_bytes(2)
    return start + hashlib.md5(start + request[4:20] + attributes + secret).digest() + attributes


def _attribute(request: bytes, wanted: int) -> bytes:
    at = 20
    while at < len(request):
        if request[at] == wanted:
            return request[at + 2 : at + request[at + 1]]
        at += request[at + 1]
    return b""
