"""Resident memory over 1,000,000 sign-ins of 10,000 users. P9.

A code is good once, so the authenticators have steps of 10 s: in every step each of the 10,000 users signs in once, all
at full speed with 256 outstanding; 1,000,000 sign-ins take 17 minutes. Memory is that of the server's processes.

Usage: python -m bench.memory [--quick] [--out DIRECTORY] [--workers N]
"""

import time
from contextlib import ExitStack
from typing import Final

from bench.lib import accounts, ours
from bench.lib.driver import Subject, closed
from bench.lib.postgresql import postgresql
from bench.lib.processes import used
from bench.lib.results import Report, options, scratch
from bench.lib.tickets import OURS, Ledger

PERIOD: Final = 10
SECONDS: Final = 5.0
"""At most, for 10,000 sign-ins: a code must stay good so long."""
BAR_MIB: Final = 150.0
_OUTSTANDING: Final = 256
_FAULTS: Final = 20


def main() -> None:
    """Sign in until it is enough, and write down the memory after each step."""
    given = options(
        __doc__, sign_ins=(1_000_000, "all in all"), users=(10_000, "users"), database=("postgresql", "or sqlite")
    )
    wanted, users = (20_000, 5_000) if given.quick else (given.sign_ins, given.users)
    report = Report("memory", {"sign_ins": wanted, "users": users, "database": given.database, "period": PERIOD})
    people = accounts.cheap(users, PERIOD)
    with ExitStack() as stack:
        directory = stack.enter_context(scratch())
        place, others = ours.on_sqlite(directory), {}
        if given.database == "postgresql":
            cluster = stack.enter_context(postgresql(directory))
            report.versions["postgresql"] = cluster.version
            place, others = ours.Installation(directory / "ours", cluster.new("ours")), {"postgresql": cluster.pid}
        place.init()
        place.take_over(people)
        server = stack.enter_context(place.serving(workers=given.workers))
        _sign_in(report, Subject("radiusd-mfa", server, Ledger(people, OURS), others), wanted)
    report.write(given.out)


def _sign_in(report: Report, subject: Subject, wanted: int) -> None:
    began, done, wrong, faults = time.monotonic(), 0, 0, 0
    curve = [(0, used(subject.server.pid).rss / (1 << 20))]
    size = subject.ledger.population.size
    while done < wanted:
        count = min(size, wanted - done)
        run = closed(subject, _OUTSTANDING, seconds=SECONDS, warm=0.0, most_a_second=0, requests=count)
        faults += run.outcome.accepted == 0
        if faults > _FAULTS:
            raise RuntimeError("the server accepts nothing any more")
        done += run.outcome.accepted
        wrong += run.outcome.wrong_rejects
        curve.append((done, max(run.rss_mib["server"], used(subject.server.pid).rss / (1 << 20))))
        if len(curve) % 10 == 2:
            print(f"{done:,} sign-ins: {curve[-1][1]:.1f} MiB", flush=True)
    most = max(mib for _done, mib in curve)
    # Flat: what the last half adds to what the first half had reached.
    half = max(mib for count, mib in curve if count <= done / 2)
    row = {"sign_ins": done, "seconds": time.monotonic() - began, "mib": most, "wrong_rejects": wrong, "curve": curve}
    report.add(subject.label, row, "sign_ins", "seconds", "mib", "wrong_rejects")
    report.ratio("P9 MiB at most", most, f"< {BAR_MIB:g}")
    report.ratio("P9 growth in the second half", most / half, "1")


if __name__ == "__main__":
    main()
