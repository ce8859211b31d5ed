"""Network namespaces: a gateway and a client on a cable of their own, away from the machine's network."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from tests.interop.requirements import give_up, need, need_root

T = TypeVar("T")
GATEWAY: Final = "10.66.0.1"
CLIENT: Final = "10.66.0.2"
_CLONE_NEWNET: Final = 0x40000000
_PATIENCE: Final = 10.0
_TURN: Final = 0.1
_numbers = count(1)


@dataclass(frozen=True)
class Namespace:
    """A network of its own, with a loopback."""

    name: str

    @property
    def prefix(self) -> list[str]:
        """What a command line starts with to run in here."""
        return ["ip", "netns", "exec", self.name]

    def run(self, *command: str) -> None:
        _ip_command(*self.prefix, *command)

    def enter(self) -> None:
        """Move the calling thread into this namespace, for good."""
        descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(descriptor)

    def within(self, function: Callable[[], T]) -> T:
        """Call a function in a thread inside of the namespace; its sockets stay there."""
        with ThreadPoolExecutor(1, initializer=self.enter) as thread:
            return thread.submit(function).result()

    def close(self) -> None:
        """End what still runs in here, which the test has started, and take the namespace away."""
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        for number in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", self.name], check=False)


@dataclass(frozen=True)
class Site:
    """A gateway and a client, connected by a cable."""

    gateway: Namespace
    client: Namespace

    def carries(self, address: str) -> bool:
        """Whether the client reaches an address of the gateway by TCP, once its end of the tunnel is set up."""
        with self.gateway.within(lambda: socket.create_server((address, 0))) as listener:
            listener.settimeout(_PATIENCE)
            with self.client.within(lambda: _connected(address, listener.getsockname()[1])) as connection:
                connection.sendall(b"through the tunnel")
                accepted, _peer = listener.accept()
                with accepted:
                    accepted.settimeout(_PATIENCE)
                    return accepted.recv(64) == b"through the tunnel"


def _connected(address: str, port: int) -> socket.socket:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return socket.create_connection((address, port), timeout=_PATIENCE)
        except OSError:
            # "Connected" is said a moment before the tunnel's address and route are there.
            if time.monotonic() > until:
                raise
            time.sleep(_TURN)


@contextmanager
def cabled() -> Iterator[Site]:
    """Lay the cable; skips, or fails in CI, where the machine does not let us."""
    need_root()
    need("iproute2", programs=("ip",))
    if not Path("/dev/net/tun").exists():
        give_up("/dev/net/tun is missing: no tunnel can be made here")
    label = f"rmfa{os.getpid()}n{next(_numbers)}"
    site = Site(Namespace(f"{label}g"), Namespace(f"{label}c"))
    try:
        _lay(site)
        yield site
    finally:
        site.client.close()
        site.gateway.close()


def _lay(site: Site) -> None:
    try:
        for namespace in (site.gateway, site.client):
            _ip_command("ip", "netns", "add", namespace.name)
            namespace.run("ip", "link", "set", "lo", "up")
        ends = ("name", "cable", "netns", site.gateway.name, "type", "veth")
        _ip_command("ip", "link", "add", *ends, "peer", "name", "cable", "netns", site.client.name)
        for namespace, address in ((site.gateway, GATEWAY), (site.client, CLIENT)):
            namespace.run("ip", "address", "add", f"{address}/30", "dev", "cable")
            namespace.run("ip", "link", "set", "cable", "up")
    except subprocess.CalledProcessError as error:
        give_up(f"no network namespace can be made here: {error.stderr}")


def _ip_command(*command: str) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)


def on_a_terminal(*command: str) -> list[str]:
    """Return the command line that runs a program on a terminal of its own: it asks people, not pipes."""
    return [sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)", *command]
