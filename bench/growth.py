"""What a sign-in costs with 1,000,000 users against 1,000, and how soon a server with 1,000,000 answers. P7, P10.

Two servers take turns, 2,000 sign-ins each, of users chosen at random, 32 outstanding. Codes are of 10 s, so that 1,000
users have enough of them. The cost is CPU: of the server, and of its database.

Usage: python -m bench.growth [--quick] [--out DIRECTORY] [--workers N]
"""

import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.lib import accounts, ours
from bench.lib.driver import Subject, closed
from bench.lib.ours import Installation
from bench.lib.packets import requests
from bench.lib.postgresql import PostgreSql, postgresql
from bench.lib.results import Report, options, reporting, scratch
from bench.lib.tickets import OURS, Ledger

SMALL: Final = 1000
PERIOD: Final = 10
A_ROUND: Final = 2 * SMALL
SECONDS: Final = 4.0
"""At most, for a round: of the three steps that are good, two stay good so long."""
OUTSTANDING: Final = 32


def main() -> None:
    """Measure PostgreSQL, then SQLite."""
    given = options(__doc__, users=(1_000_000, "of the large server"), rounds=(10, "rounds of 2,000 sign-ins"))
    users, rounds = (20_000, 1) if given.quick else (given.users, given.rounds)
    settings = {"users": [SMALL, users], "rounds": rounds, "workers": given.workers}
    with reporting("growth", given.out, **settings) as report, scratch() as directory:
        with _on_postgresql(directory, report) as cluster:
            sizes = {size: _filled(_on(cluster, directory, size), size) for size in (SMALL, users)}
            for size in sizes:
                cluster.run(f"users{size}", "VACUUM ANALYZE")
            _compare(report, "postgresql", sizes, rounds, given.workers, {"postgresql": cluster.pid})
        sizes = {size: _filled(ours.on_sqlite(directory, f"sqlite{size}"), size) for size in (SMALL, users)}
        _compare(report, "sqlite", sizes, rounds, given.workers, {})


@contextmanager
def _on_postgresql(directory: Path, report: Report) -> Iterator[PostgreSql]:
    with postgresql(directory) as cluster:
        report.versions["postgresql"] = cluster.version
        yield cluster


def _on(cluster: PostgreSql, directory: Path, size: int) -> Installation:
    return Installation(directory / f"postgresql{size}", cluster.new(f"users{size}"))


def _filled(place: Installation, size: int) -> Installation:
    place.init()
    place.take_over(accounts.cheap(size, PERIOD))
    print(f"{place.directory.name}: {size:,} users imported: {place.imports[-1]}", flush=True)
    return place


def _compare(
    report: Report,
    database: str,
    places: dict[int, Installation],
    rounds: int,
    workers: int | None,
    others: dict[str, int],
) -> None:
    chance = random.Random(7)
    found: dict[int, list[dict[str, Any]]] = {size: [] for size in places}
    with ExitStack() as stack:
        subjects = {}
        for size, place in places.items():
            server = stack.enter_context(place.serving(workers=workers))
            ledger = Ledger(accounts.cheap(size, PERIOD), OURS)
            subjects[size] = Subject(f"{database}, {size:,} users", server, ledger, others)
        for number in range(rounds + 1):
            for size, subject in subjects.items():
                among = None if size <= A_ROUND else chance.sample(range(size), A_ROUND)
                run = closed(
                    subject, OUTSTANDING, seconds=SECONDS, warm=0.0, most_a_second=1, requests=A_ROUND, among=among
                )
                if number:  # the first round warms the caches of both
                    found[size].append(run.row())
                print(f"{subject.label}: round {number} of {rounds}: {run.cpu_us}", flush=True)
    costs = {}
    for size, rows in found.items():
        signed_in = sum(row["accepted"] for row in rows)
        spent = [{name: us * (row["accepted"] + row["rejected"]) for name, us in row["cpu_us"].items()} for row in rows]
        cost = {name: sum(one[name] for one in spent) / max(1, signed_in) for name in spent[0]}
        costs[size] = sum(cost.values())
        row = {
            "sign_ins": signed_in,
            "cost_us": costs[size],
            "cpu_us": cost,
            "rate": median(row["rate"] for row in rows),
            "wrong_rejects": sum(row["wrong_rejects"] for row in rows),
            "starts_s": _starts(places[size], size, workers),
            "imports": places[size].imports,
        }
        shown = ("cost_us", "cpu_us", "rate", "wrong_rejects", "starts_s")
        report.add(f"{database} {size:,} users", row, *shown, database=database, users=size)
    small, large = sorted(costs)
    report.ratio(f"P7 {database}", costs[large] / costs[small], "<= 1.15")
    report.ratio(f"P10 {database}", median(report.rows[-1]["starts_s"]), "< 1 s")


def _starts(place: Installation, size: int, workers: int | None) -> list[float]:
    """Return the seconds from the start of the program to its first Access-Accept, for several starts."""
    ledger = Ledger(accounts.cheap(size, PERIOD), OURS)
    chance = random.Random(time.time())
    starts = []
    time.sleep(3 * PERIOD)  # whoever is chosen has a code that nothing has spent
    for number in chance.sample(range(size), 5):
        now = time.time()
        tickets = ledger.take([(now + PERIOD, now + PERIOD)], among=[number])
        datagram = next(requests(ledger.population, tickets))
        with (
            place.serving(workers=workers) as server,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port,
        ):
            port.settimeout(5)
            before = time.monotonic()
            port.sendto(datagram, server.target)
            reply = port.recv(4096)
            starts.append(round(server.started + time.monotonic() - before, 3))
            if reply[0] != 2:
                raise RuntimeError(f"the first answer was a packet with code {reply[0]}")
    return starts


if __name__ == "__main__":
    main()
