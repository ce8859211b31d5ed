"""Network namespaces: a gateway and a client on a cable of their own, away from the machine's network."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Final, TypeVar

from tests.interop.requirements import give_up, need, need_root

T = TypeVar("T")
GATEWAY: Final = "10.66.0.1"
CLIENT: Final = "10.66.0.2"
_CLONE_NEWNET: Final = 0x40000000
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
        results: list[T] = []

        def run() -> None:
            self.enter()
            results.append(function())

        thread = Thread(target=run, name=self.name)
        thread.start()
        thread.join()
        return results[0]

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
        """Whether the client reaches an address of the gateway by TCP."""
        with self.gateway.within(lambda: socket.create_server((address, 0))) as listener:
            port = listener.getsockname()[1]
            with self.client.within(lambda: socket.create_connection((address, port), timeout=10)) as connection:
                connection.sendall(b"through the tunnel")
                accepted, _peer = listener.accept()
                with accepted:
                    accepted.settimeout(10)
                    return accepted.recv(64) == b"through the tunnel"


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
