"""What the load generator itself can do, against a responder that answers everything at once.

A figure of a server near this ceiling is a figure of the generator. Both share the machine, as with a real server.

Usage: python -m bench.ceiling [--quick] [--out DIRECTORY]
"""

import multiprocessing
import socket
from hashlib import md5
from multiprocessing.connection import Connection
from typing import Final

from bench.lib import accounts
from bench.lib.driver import Subject, closed, middle, opened
from bench.lib.ours import Server
from bench.lib.packets import SECRET
from bench.lib.results import options, reporting
from bench.lib.tickets import OURS, Ledger

LEVELS: Final = (1, 32, 256)
OPEN: Final = (20_000, 40_000)
_MOST: Final = 60_000.0
_ACCEPT: Final = bytes((2,))
_LENGTH: Final = (20).to_bytes(2)


def respond(ready: "Connection[object, object]") -> None:
    """Accept whatever comes, with a right Response Authenticator; ends when the other end is closed."""
    port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    port.bind(("127.0.0.1", 0))
    port.settimeout(0.5)
    ready.send(port.getsockname()[1])
    while not ready.poll():
        try:
            for _ in range(10_000):
                octets, source = port.recvfrom(4096)
                head = _ACCEPT + octets[1:2] + _LENGTH
                port.sendto(head + md5(head + octets[4:20] + SECRET).digest(), source)
        except TimeoutError:
            continue


def main() -> None:
    """Measure closed and open loop."""
    given = options(__doc__, rounds=(3, "rounds"), seconds=(3.0, "of each run"))
    rounds, seconds = (1, 1.0) if given.quick else (given.rounds, given.seconds)
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=respond, args=(far,), daemon=True)
    process.start()
    target = ("127.0.0.1", int(str(near.recv())))
    assert process.pid is not None
    server = Server(process.pid, target, 0.0)
    subject = Subject("trivial responder", server, Ledger(accounts.cheap(400_000), OURS))
    with reporting("ceiling", given.out, rounds=rounds, seconds=seconds) as report:
        for level in LEVELS:
            runs = [closed(subject, level, seconds=seconds, warm=0.5, most_a_second=_MOST).row() for _ in range(rounds)]
            report.add(f"closed loop, {level} outstanding", middle(runs), "rate", "p50_ms", "p99_ms", "generator_us")
        for rate in OPEN:
            run = opened(subject, [(rate, seconds)], warm=0.5)
            report.add(f"open loop, {rate:,} a second", run.row(), "rate", "p50_ms", "p99_ms", "generator_us", "lag_ms")
    near.send("stop")
    process.join(10)


if __name__ == "__main__":
    main()
