"""Sign-ins a second and their latency in closed loop, beside FreeRADIUS with and without the same duties.

1, 32 and 256 outstanding with a cheap hash, 1, 2 and 32 with argon2id and bcrypt 10, on SQLite and PostgreSQL; medians
of three rounds, in which all servers take turns. `--workers` is for PostgreSQL, `--sqlite-workers` for SQLite, and
both for the cheap hash: with an expensive one a single process keeps all processors busy. P1, P2, P3, P4, P5.

Usage: python -m bench.sign_ins [--quick] [--out DIRECTORY] [--workers N] [--sqlite-workers N]
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from argon2 import PasswordHasher

from bench.lib import accounts, freeradius, ours
from bench.lib.accounts import Population
from bench.lib.driver import Subject, closed, middle
from bench.lib.postgresql import PostgreSql, postgresql
from bench.lib.results import Report, options, reporting, scratch
from bench.lib.tickets import CURRENT_ONLY, OURS, Ledger
from radiusd_mfa.passwords.local import PROFILE

CHEAP: Final = (1, 32, 256)
EXPENSIVE: Final = (1, 2, 32)
_MOST: Final = {"cheap": 16_000.0, "argon": 200.0, "bcrypt": 100.0}
"""Sign-ins a second that nobody reaches; after the first run of each kind it is known better."""
_SHOWN: Final = ("rate", "p50_ms", "p99_ms", "cpu_us", "wrong_rejects", "unanswered", "foreign_cores")


Rows = dict[tuple[str, str, str, int], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Job:
    """One figure to measure: which server, which users, how many outstanding."""

    who: str
    database: str
    scheme: str
    concurrency: int
    subject: Subject

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Name the figure."""
        return self.who, self.database, self.scheme, self.concurrency


def argon2_alone(threads: int, seconds: float) -> float:
    """Return argon2id verifications a second by argon2-cffi and nothing else."""
    hasher = PasswordHasher(PROFILE.time_cost, PROFILE.memory_kib, PROFILE.parallelism)
    stored = hasher.hash("horse-0001123456")
    end = time.monotonic() + seconds

    def work(_number: int) -> int:
        done = 0
        while time.monotonic() < end:
            hasher.verify(stored, "horse-0001123456")
            done += 1
        return done

    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(work, range(threads)))
    return done / (time.monotonic() - began)


def main() -> None:
    """Measure all jobs in turn, three times."""
    given = options(
        __doc__,
        rounds=(3, "rounds"),
        seconds=(4.0, "of each run"),
        users=(100_000, "with a cheap hash"),
        sqlite_workers=(2, "passed to serve on SQLite, which lets one write at a time"),
    )
    rounds, seconds, users = (1, 1.5, 20_000) if given.quick else (given.rounds, given.seconds, given.users)
    populations = [accounts.cheap(users), accounts.argon2id(3000), accounts.bcrypt10(3000)]
    workers = {"postgresql": given.workers, "sqlite": given.sqlite_workers}
    settings = {"users": users, "seconds": seconds, "rounds": rounds, "workers": workers}
    with reporting("sign_ins", given.out, **settings) as report, ExitStack() as stack:
        directory = stack.enter_context(scratch())
        cluster = stack.enter_context(postgresql(directory))
        report.versions["postgresql"] = cluster.version
        jobs = _our_jobs(stack, directory, cluster, populations, workers, report)
        if freeradius.PROGRAM:
            jobs += _their_jobs(stack, directory, cluster, populations)
        else:
            report.notes.append("FreeRADIUS is not installed: no ratios to it")
        # What is compared stands side by side in time.
        jobs.sort(key=lambda job: (job.scheme, job.database, job.concurrency))
        rows: Rows = {job.key: [] for job in jobs}
        alone: list[float] = []
        try:
            for number in range(rounds):
                _round(f"round {number + 1} of {rounds}", jobs, seconds, rows)
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    alone.append(pool.apply(argon2_alone, (2, seconds)))
        finally:
            _tell(report, {key: found for key, found in rows.items() if found}, alone)


def _round(name: str, jobs: list[Job], seconds: float, rows: Rows) -> None:
    for job in jobs:
        before = rows[job.key]
        limit = 1.5 * before[-1]["rate"] + 100 if before else _first_guess(job)
        row = closed(job.subject, job.concurrency, seconds=seconds, most_a_second=limit).row()
        before.append(row)
        print(f"{name}: {job.key}: {row['rate']:.0f}/s", flush=True)


def _tell(report: Report, rows: Rows, alone: list[float]) -> None:
    for (who, database, scheme, concurrency), found in rows.items():
        label = f"{who} {database} {scheme} {concurrency} outstanding"
        keys: dict[str, object] = {"who": who, "database": database, "scheme": scheme, "concurrency": concurrency}
        report.add(label, {**middle(found), "rates": [row["rate"] for row in found]}, *_SHOWN, **keys)
    if alone:
        report.add("argon2-cffi alone, two threads", {"rate": median(alone)}, "rate", who="argon2-cffi")
        _ratios(report, {key: middle(found) for key, found in rows.items()}, median(alone))


def _first_guess(job: Job) -> float:
    """Return a rate that is not reached; FreeRADIUS takes one code of a user in 30 s, so its are spent with care."""
    most = _MOST[job.scheme]
    if job.concurrency == 1:
        most /= 3
    return most / 3 if job.who == "FreeRADIUS, same duties" else most


def _our_jobs(
    stack: ExitStack,
    directory: Path,
    cluster: PostgreSql,
    populations: list[Population],
    workers: Mapping[str, int | None],
    report: Report,
) -> list[Job]:
    places = {
        "postgresql": ours.Installation(directory / "ours", cluster.new("ours")),
        "sqlite": ours.on_sqlite(directory),
    }
    jobs = []
    for database, place in places.items():
        place.init()
        place.take_over(*populations)
        report.add(f"import, {database}", {"imports": place.imports}, "imports", who="import", database=database)
        many = stack.enter_context(place.serving(workers=workers[database]))
        one = stack.enter_context(place.serving())
        others = {"postgresql": cluster.pid} if database == "postgresql" else {}
        for population in populations:
            server = many if population.scheme == "cheap" else one
            subject = Subject("radiusd-mfa", server, Ledger(population, OURS), others)
            jobs += _jobs("radiusd-mfa", database, population, subject)
    cluster.run("ours", "VACUUM ANALYZE")
    return jobs


def _their_jobs(stack: ExitStack, directory: Path, cluster: PostgreSql, populations: list[Population]) -> list[Job]:
    known = [population for population in populations if population.scheme != "argon"]
    peers = {
        "postgresql": freeradius.on_postgresql(directory, cluster, known),
        "sqlite": freeradius.on_sqlite(directory, known),
    }
    jobs = []
    for database, peer in peers.items():
        others = {"postgresql": cluster.pid} if database == "postgresql" else {}
        ledgers = [Ledger(population, CURRENT_ONLY) for population in known]
        for duties in (True, False):
            who = "FreeRADIUS, same duties" if duties else "FreeRADIUS, no duties"
            server = stack.enter_context(peer.serving(duties=duties))
            for ledger in ledgers:
                if ledger.population.scheme == "cheap" or (duties and database == "sqlite"):
                    jobs += _jobs(who, database, ledger.population, Subject(who, server, ledger, others))
    return jobs


def _jobs(who: str, database: str, population: Population, subject: Subject) -> list[Job]:
    levels = CHEAP if population.scheme == "cheap" else EXPENSIVE
    return [Job(who, database, population.scheme, level, subject) for level in levels]


def _ratios(report: Report, rows: dict[tuple[str, str, str, int], dict[str, Any]], alone: float) -> None:
    """Compare what the bars compare."""

    def of(who: str, database: str, scheme: str, level: int, field: str = "rate") -> float | None:
        row = rows.get((who, database, scheme, level))
        return None if row is None else float(row[field])

    def over(one: float | None, other: float | None) -> float | None:
        return one / other if one and other else None

    us, same, none = "radiusd-mfa", "FreeRADIUS, same duties", "FreeRADIUS, no duties"
    ratio: Callable[[str, float | None, str], None] = report.ratio
    for level in (32, 256):
        mine = of(us, "postgresql", "cheap", level)
        peer = of(same, "postgresql", "cheap", level)
        ratio(f"P1 {level} outstanding, same duties", over(mine, peer), ">= 4")
        ratio(f"P1 {level} outstanding, it without duties", over(mine, of(none, "postgresql", "cheap", level)), "> 1")
    ratio("P2", over(of(us, "sqlite", "cheap", 256), of(same, "sqlite", "cheap", 256)), ">= 8")
    for database in ("sqlite", "postgresql"):
        best = max(of(us, database, "argon", level) or 0.0 for level in EXPENSIVE)
        ratio(f"P3 {database}", over(best, alone), ">= 0.95")
    best = max(of(us, "sqlite", "bcrypt", level) or 0.0 for level in EXPENSIVE)
    theirs = max(of(same, "sqlite", "bcrypt", level) or 0.0 for level in EXPENSIVE)
    ratio("P4", over(best, theirs), ">= 1.9")
    mine = of(us, "postgresql", "cheap", 1, "p50_ms")
    ratio("P5", over(mine, of(same, "postgresql", "cheap", 1, "p50_ms")), "<= 1.3")


if __name__ == "__main__":
    main()
