"""What systemd does without systemd: sockets that are held while programs come and go, and an ear for what they say."""

import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.processes import PATIENCE, Process, running

# Puts descriptors where sd_listen_fds(3) says they are, and becomes the program.
_LAUNCH = """
import os, sys
numbers, command = [int(number) for number in sys.argv[1].split(",") if number], sys.argv[2:]
for place, number in enumerate(numbers):
    os.dup2(number, 500 + place)
for place in range(len(numbers)):
    os.dup2(500 + place, 3 + place)
os.closerange(3 + len(numbers), 1000)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.environ["LISTEN_FDS"] = str(len(numbers))
os.execv(command[0], command)
"""


def launched(descriptors: Sequence[int], command: Sequence[str]) -> list[str]:
    """Return the command that starts another one with these descriptors from 3 on."""
    return [sys.executable, "-c", _LAUNCH, ",".join(map(str, descriptors)), *command]


def udp(number: int = 1, *, host: str = "127.0.0.1") -> list[socket.socket]:
    """Bind that many sockets to one port."""
    made: list[socket.socket] = []
    for _ in range(number):
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        if number > 1:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((host, made[0].getsockname()[1] if made else 0))
        made.append(one)
    return made


def shown(one: socket.socket) -> str:
    """Return where a socket listens."""
    host, port = one.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass
class Ear:
    """A manager's end of NOTIFY_SOCKET."""

    address: str
    socket: socket.socket
    heard: list[str] = field(default_factory=list)

    def listen(self) -> list[str]:
        """Take what has been said by now; return all of it."""
        self.socket.setblocking(False)
        while True:
            try:
                self.heard.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def wait_for(self, pattern: str, *, after: int = 0) -> int:
        """Return the number of messages up to the first one that matches; that it does not come is a failure."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for place, message in enumerate(self.listen()[after:], start=after):
                if re.search(pattern, message):
                    return place + 1
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} was not said: {self.heard}")


@contextmanager
def ear(*, abstract: bool = False) -> Iterator[Ear]:
    """Listen at a path, or at an abstract address."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        address = f"@radiusd-mfa-tests-{os.getpid()}-{time.monotonic_ns()}" if abstract else f"{directory}/notify"
        one.bind("\0" + address[1:] if abstract else address)
        yield Ear(address, one)


@dataclass
class Service:
    """Starts one program after the other with the same descriptors: of sockets, or of what is none."""

    environ: Mapping[str, str]
    directory: Path
    descriptors: Sequence[int] = ()
    stack: ExitStack = field(default_factory=ExitStack)
    started: int = 0

    def hold(self, number: int = 1, *, host: str = "127.0.0.1") -> str:
        """Bind that many UDP sockets to one port, for all that is started from now on; return their address."""
        sockets = [self.stack.enter_context(one) for one in udp(number, host=host)]
        self.descriptors = [one.fileno() for one in sockets]
        return shown(sockets[0])

    def start(self, *arguments: str, **environ: str) -> Process:
        """Start `radiusd-mfa` with these arguments; it may or may not get ready."""
        self.started += 1
        command = launched(self.descriptors, [sys.executable, "-m", "radiusd_mfa", *arguments])
        log = self.directory / f"service-{self.started}.log"
        return self.stack.enter_context(
            running(command, log=log, env=dict(self.environ) | environ, inherit=self.descriptors)
        )
