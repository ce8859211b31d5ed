"""30,000 forged packets a second beside real sign-ins: from an unknown address, and with a bad Message-Authenticator.

Each kind alone shows what a forged packet costs, and that it reaches neither the database nor a hash; together with
sign-ins it shows what those lose. A process of its own forges. P8.

Usage: python -m bench.flood [--quick] [--out DIRECTORY] [--workers N]
"""

import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from bench.lib import accounts, ours
from bench.lib.driver import Subject, closed, middle
from bench.lib.mmsg import Outgoing
from bench.lib.packets import SECRET
from bench.lib.postgresql import PostgreSql, postgresql
from bench.lib.processes import used
from bench.lib.results import Report, options, reporting, scratch
from bench.lib.tickets import OURS, Ledger
from radiusd_mfa.radius.client import encode_request
from radiusd_mfa.radius.wire import Attribute, Code

RATE: Final = 30_000
KINDS: Final = {"unknown source": "127.0.0.{number}", "bad Message-Authenticator": "127.0.0.1"}
_PACKETS: Final = 2048
_TICK: Final = 0.002
_LATE: Final = 2.0
"""Seconds after which PostgreSQL has told its statistics."""
_OUTSTANDING: Final = 256
_MOST: Final = 16_000.0


@dataclass(frozen=True, slots=True)
class Forged:
    """What was sent and what it took to send it."""

    packets: int
    seconds: float
    cpu: float


def flood(target: tuple[str, int], source: str, stop: "Connection[object, object]") -> None:
    """Send forged Access-Requests until told to stop, then tell what was sent."""
    ports = []
    for number in range(2, 10):
        port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        port.bind((source.format(number=number), 0))
        port.connect(target)
        ports.append(port)
    outgoing = Outgoing([_forged(number) for number in range(_PACKETS)])
    began, sent, at = time.monotonic(), 0, 0
    stop.send("begun")
    while not stop.poll(_TICK):
        due = int((time.monotonic() - began) * RATE) - sent
        while due > 0:
            count = min(due, 64, _PACKETS - at)
            outgoing.send(ports[(sent >> 6) % len(ports)].fileno(), at, count)
            sent, due, at = sent + count, due - count, (at + count) % _PACKETS
    times = os.times()
    stop.send(Forged(sent, time.monotonic() - began, times.user + times.system))


def _forged(number: int) -> bytes:
    return encode_request(
        code=Code.ACCESS_REQUEST,
        identifier=number & 255,
        authenticator=os.urandom(16),
        secret=SECRET[::-1],
        password=b"horse-0001123456",
        attributes=[(Attribute.USER_NAME, f"cheap{number:07}".encode()), (Attribute.NAS_IDENTIFIER, b"bench")],
    )


class Flood:
    """A flood that runs; `forged` is known when it is over."""

    forged: Forged


@contextmanager
def _flooding(target: tuple[str, int], source: str) -> Iterator[Flood]:
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=flood, args=(target, source, far), daemon=True)
    process.start()
    near.recv()
    running = Flood()
    try:
        yield running
    finally:
        near.send("stop")
        said = near.recv()
        assert isinstance(said, Forged)
        running.forged = said
        process.join(10)


def main() -> None:
    """Measure sign-ins alone, each flood alone, and both together."""
    given = options(__doc__, rounds=(3, "rounds"), seconds=(5.0, "of each run"), users=(100_000, "with a cheap hash"))
    rounds, seconds, users = (1, 2.0, 30_000) if given.quick else (given.rounds, given.seconds, given.users)
    settings = {"rate": RATE, "seconds": seconds, "users": users, "workers": given.workers, "rounds": rounds}
    people = accounts.cheap(users)
    with (
        reporting("flood", given.out, **settings) as report,
        scratch() as directory,
        postgresql(directory) as cluster,
    ):
        report.versions["postgresql"] = cluster.version
        place = ours.Installation(directory / "ours", cluster.new("ours"))
        place.init()
        place.take_over(people)
        with place.serving(workers=given.workers) as server:
            subject = Subject("radiusd-mfa", server, Ledger(people, OURS), {"postgresql": cluster.pid})
            _measure(report, subject, cluster, rounds, seconds)


def _measure(report: Report, subject: Subject, cluster: PostgreSql, rounds: int, seconds: float) -> None:
    alone: list[dict[str, Any]] = []
    both: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    idle = _transactions(cluster, seconds)  # before anything: statistics of sign-ins come in late
    closed(subject, _OUTSTANDING, seconds=1.0, most_a_second=_MOST)
    for _ in range(rounds):
        alone.append(closed(subject, _OUTSTANDING, seconds=seconds, most_a_second=_MOST).row())
        print(f"sign-ins alone: {alone[-1]['rate']:.0f}/s", flush=True)
        for kind, source in KINDS.items():
            lost = _lost(subject.server.target[1])
            with _flooding(subject.server.target, source) as running:
                row = closed(subject, _OUTSTANDING, seconds=seconds, most_a_second=_MOST).row()
            lost = _lost(subject.server.target[1]) - lost
            share = {"lost_by_the_socket": lost / max(1, running.forged.packets)}
            print(f"sign-ins beside, {kind}: {row['rate']:.0f}/s", flush=True)
            both[kind].append(row | share | {"forged_a_second": running.forged.packets / running.forged.seconds})
    base = middle(alone)
    report.add("sign-ins alone", base, "rate", "p99_ms", "cores", kind="alone")
    for kind, source in KINDS.items():
        only = _only_forged(subject, cluster, source, seconds) | {"idle_transactions_a_second": idle}
        report.add(f"forged only, {kind}", only, *only, kind=kind)
        together = middle(both[kind])
        shown = ("rate", "p99_ms", "wrong_rejects", "forged_a_second", "lost_by_the_socket", "cores")
        report.add(f"sign-ins beside, {kind}", together, *shown, kind=kind)
        kept = together["rate"] / base["rate"]
        report.ratio(f"P8 {kind}: sign-ins kept", kept)
        server = only["server_cores"] / max(0.1, base["cores"]["server"])
        report.ratio(
            f"P8 {kind}: explained by the server's CPU for them", 1 - min(1.0, server), "sign-ins kept at least"
        )
        # The forger works on the same processors, which no server can help.
        both_cores = only["server_cores"] + only["forger_cores"]
        all_cores = both_cores / max(0.1, base["cores"]["server"] + _database(base))
        report.ratio(f"P8 {kind}: explained, the forger's own CPU counted too", 1 - min(1.0, all_cores))
        extra = only["transactions_a_second"] - idle
        report.ratio(f"P8 {kind}: SQL transactions for a forged packet", extra / RATE, "0")


def _database(row: dict[str, Any]) -> float:
    return float(row["cores"].get("postgresql", 0.0))


def _only_forged(subject: Subject, cluster: PostgreSql, source: str, seconds: float) -> dict[str, Any]:
    """Flood a server that has nothing else to do."""
    time.sleep(_LATE)
    transactions, lost = cluster.transactions("ours"), _lost(subject.server.target[1])
    with _flooding(subject.server.target, source) as running:
        before, began = used(subject.server.pid), time.monotonic()
        time.sleep(seconds)
        after, took = used(subject.server.pid), time.monotonic() - began
    forged = running.forged
    lost = _lost(subject.server.target[1]) - lost
    cores = (after.cpu - before.cpu) / took
    rate = forged.packets / forged.seconds
    time.sleep(_LATE)
    return {
        "forged_a_second": rate,
        "lost_by_the_socket": lost / max(1, forged.packets),
        "server_cores": cores,
        "forger_cores": forged.cpu / forged.seconds,
        "server_us_a_packet": cores / max(1.0, rate * (1 - lost / max(1, forged.packets))) * 1e6,
        "transactions_a_second": (cluster.transactions("ours") - transactions) / (forged.seconds + _LATE),
    }


def _transactions(cluster: PostgreSql, seconds: float) -> float:
    """Count what the daemon does when nobody asks: it reads the NAS entries and proves that it can write."""
    time.sleep(_LATE)
    before = cluster.transactions("ours")
    time.sleep(seconds + _LATE)
    return (cluster.transactions("ours") - before) / (seconds + _LATE)


def _lost(port: int) -> int:
    """Count the datagrams that the server's socket had no room for."""
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(row[-1]) for row in rows if int(row[1].rpartition(":")[2], 16) == port)


if __name__ == "__main__":
    main()
