"""An accounting server that says yes to everything: some clients end a session that nobody wants to account for."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import md5
from threading import Event, Thread
from typing import Final

from tests.interop.relay import LARGEST

_ACCOUNTING_REQUEST: Final = 4
_ACCOUNTING_RESPONSE: Final = 5
_TURN: Final = 0.05


def acknowledged(request: bytes, secret: bytes) -> bytes | None:
    """Return the Accounting-Response to a genuine Accounting-Request (RFC 2866 3), None for anything else."""
    rest = request[20:]
    genuine = md5(request[:4] + bytes(16) + rest + secret, usedforsecurity=False).digest()
    if request[0] != _ACCOUNTING_REQUEST or request[4:20] != genuine:
        return None
    header = bytes([_ACCOUNTING_RESPONSE, request[1], 0, 20])
    return header + md5(header + genuine + secret, usedforsecurity=False).digest()


@contextmanager
def accounting(address: tuple[str, int], secret: str, *, enter: Callable[[], None]) -> Iterator[None]:
    """Answer in a thread, which `enter` moves into a network namespace first."""
    ready, stopping = Event(), Event()

    def run() -> None:
        try:
            enter()
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            listener.bind(address)
            listener.settimeout(_TURN)
        finally:
            ready.set()
        with listener:
            while not stopping.is_set():
                _answer(listener, secret.encode())

    thread = Thread(target=run, name="accounting")
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        stopping.set()
        thread.join(10)


def _answer(listener: socket.socket, secret: bytes) -> None:
    try:
        request, client = listener.recvfrom(LARGEST)
    except TimeoutError:
        return
    response = acknowledged(request, secret)
    if response is not None:
        listener.sendto(response, client)
