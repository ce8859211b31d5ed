"""A reconnect storm: 10,000 users come back within a minute, argon2id, client timeout 5 s with 3 tries.

With and without the password cache (warm: each user has signed in once before), against FreeRADIUS with yescrypt: how
many get in, and how fast. Every user has a hash of one's own; the first run makes them, about two minutes.

Usage: python -m bench.storm [--quick] [--out DIRECTORY] [--workers N]
"""

import random
import time
from contextlib import ExitStack
from typing import Final

from bench.lib import accounts, freeradius
from bench.lib.accounts import Population
from bench.lib.driver import Subject, closed, opened
from bench.lib.load import BIN
from bench.lib.ours import Installation
from bench.lib.postgresql import PostgreSql, postgresql
from bench.lib.results import Report, options, reporting, scratch
from bench.lib.tickets import CURRENT_ONLY, OURS, Ledger
from radiusd_mfa.config import KEYS

TIMEOUT: Final = 5.0
TRIES: Final = 3
CACHE: Final = "password_cache"
_CACHE_SECONDS: Final = 3600
_FRESH: Final = 95.0
_WAITS: Final = ("p50_ms", "p99_ms", "last_s")
_SHOWN: Final = ("users", "got_in", "got_in_share", *_WAITS, "wrong_rejects", "retransmissions", "cpu_us")


def main() -> None:
    """Let the storm come over each server."""
    given = options(__doc__, users=(10_000, "users"), span=(60.0, "seconds within which they come"))
    users, span = (400, 3.0) if given.quick else (given.users, given.span)
    settings = {"users": users, "span": span, "timeout": TIMEOUT, "tries": TRIES, "workers": given.workers}
    people = accounts.argon2id(users, passwords=users, period=10 if given.quick else 30)
    with reporting("storm", given.out, **settings) as report, ExitStack() as stack:
        directory = stack.enter_context(scratch())
        cluster = stack.enter_context(postgresql(directory))
        report.versions["postgresql"] = cluster.version
        place = Installation(directory / "ours", cluster.new("ours"))
        place.init()
        place.take_over(people)
        _ours(report, place, cluster, people, span, given.workers)
        if freeradius.PROGRAM:
            hard = accounts.yescrypt(users)
            with freeradius.on_postgresql(directory, cluster, [hard]).serving(duties=True) as server:
                others = {"postgresql": cluster.pid}
                subject = Subject("FreeRADIUS, yescrypt", server, Ledger(hard, CURRENT_ONLY), others)
                _storm(report, subject, span)


def _ours(
    report: Report, place: Installation, cluster: PostgreSql, people: Population, span: float, workers: int | None
) -> None:
    ledger, others = Ledger(people, OURS), {"postgresql": cluster.pid}
    with place.serving(workers=workers) as server:
        _storm(report, Subject("radiusd-mfa, argon2id", server, ledger, others), span)
    if CACHE not in {key.name for key in KEYS}:
        report.notes.append(f"this version has no {CACHE}")
        return
    with place.serving(workers=workers, **{CACHE: _CACHE_SECONDS}) as server:
        cold = Subject(f"radiusd-mfa, argon2id, {CACHE} cold", server, ledger, others)
        _wait_for_codes(people, span)
        _storm(report, cold, span)
    with place.serving(workers=workers, **{CACHE: _CACHE_SECONDS}) as server:
        warm = Subject(f"radiusd-mfa, argon2id, {CACHE} warm", server, ledger, others)
        _wait_for_codes(people, span)
        warmed = _sign_everybody_in(warm)
        _wait_for_codes(people, span)
        _storm(report, warm, span, warmed=warmed)


def _wait_for_codes(people: Population, span: float) -> None:
    """Let three steps pass, so that every user has a code that nothing has spent."""
    time.sleep(_FRESH if span > 10 else 3.1 * people.period)


def _sign_everybody_in(subject: Subject) -> int:
    """Sign in each user once, at the pace that the hash allows, in pieces that a time step can hold; count them."""
    size = subject.ledger.population.size
    order, piece, done = list(range(size)), 800, 0
    for first in range(0, size, piece):
        among = order[first : first + piece]
        run = closed(subject, 32, seconds=25.0, warm=0.0, most_a_second=0, requests=len(among), among=among)
        done += run.outcome.accepted
        print(f"{done:,} of {size:,} users signed in once", flush=True)
    return done


def _storm(report: Report, subject: Subject, span: float, **more: object) -> None:
    size = subject.ledger.population.size
    chance = random.Random(3)
    order = chance.sample(range(size), size)
    run = opened(subject, [(size / span, span * 1.2)], among=order, timeout=TIMEOUT, tries=TRIES, seed=3)
    outcome = run.outcome
    row = {**run.row(), "users": outcome.sent, "got_in": outcome.accepted, **more}
    row["last_s"] = max((one["at"] + BIN for one in outcome.bins if one["accepts"]), default=None)
    row["got_in_share"] = outcome.accepted / max(1, outcome.sent)
    report.add(subject.label, row, *_SHOWN, who=subject.label)
    report.ratio(f"{subject.label}: share that got in", row["got_in_share"])


if __name__ == "__main__":
    main()
