"""A network between client and server that loses what it is told to lose, and remembers what passed."""

import selectors
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

LARGEST: Final = 4096
_TURN: Final = 0.05


@dataclass(frozen=True, slots=True)
class Passed:
    """A datagram from a client: from which port, and the two fields that tell requests apart."""

    port: int
    identifier: int
    authenticator: bytes


class Relay:
    """Passes UDP on between many clients and one server, each client by a port of its own.

    The server sees the client's address, so that the NAS entry stays the same.
    """

    def __init__(self, server: tuple[str, int], listen: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listener.bind(listen)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._upstream: dict[tuple[str, int], socket.socket] = {}
        self._stopping = Event()
        self.replies_to_lose = 0
        self.requests: Final[list[Passed]] = []
        self.replies: Final[list[bytes]] = []
        """Those that were lost too."""

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        """Pass on until `stop`; all sockets belong to the network namespace of the thread that runs this."""
        while not self._stopping.is_set():
            for key, _events in self._selector.select(_TURN):
                if key.data is None:
                    self._request()
                else:
                    self._reply(self._upstream[key.data], key.data)

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        self._selector.close()
        for each in (self._listener, *self._upstream.values()):
            each.close()

    def _request(self) -> None:
        octets, client = self._listener.recvfrom(LARGEST)
        self.requests.append(Passed(client[1], octets[1], octets[4:20]))
        if client not in self._upstream:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((client[0], 0))
            self._upstream[client] = made
            self._selector.register(made, selectors.EVENT_READ, client)
        self._upstream[client].sendto(octets, self._server)

    def _reply(self, upstream: socket.socket, client: tuple[str, int]) -> None:
        octets = upstream.recv(LARGEST)
        self.replies.append(octets)
        if self.replies_to_lose > 0:
            self.replies_to_lose -= 1
            return
        self._listener.sendto(octets, client)


@contextmanager
def relaying(
    server: tuple[str, int], listen: tuple[str, int], *, enter: Callable[[], None] = lambda: None
) -> Iterator[Relay]:
    """Run a relay in a thread; `enter` moves the thread into a network namespace first."""
    made: list[Relay] = []
    ready = Event()

    def run() -> None:
        try:
            enter()
            made.append(Relay(server, listen))
        finally:
            ready.set()
        made[0].run()

    thread = Thread(target=run, name="relay")
    thread.start()
    ready.wait()
    relay = made[0]
    try:
        yield relay
    finally:
        relay.stop()
        thread.join(10)
        relay.close()
