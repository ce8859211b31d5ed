"""An hour at half of the peak: does memory grow, do answers become slower, is anybody refused? For reliability.md.

Minute after minute sign-ins come at random times (Poisson) at half of the rate that was measured just before. A code is
good once, so there are users enough for one code of each in 30 s. Between two minutes the generator makes the packets
of the next one, for some seconds without load. Needs nobody beside it.

Usage: python -m bench.soak [--minutes N] [--quick] [--out DIRECTORY] [--workers N]
"""

import math
import time
from contextlib import ExitStack
from typing import Any, Final

from bench.lib import accounts
from bench.lib.driver import Measured, Subject, closed, opened
from bench.lib.places import place_on
from bench.lib.processes import used
from bench.lib.results import Report, options, reporting, scratch
from bench.lib.tickets import OURS, Ledger

MINUTE: Final = 60.0
SHARE: Final = 0.5
_OUTSTANDING: Final = 256
_PEAK_SECONDS: Final = 6.0
_MOST: Final = 12_000
_PERIOD: Final = 30
_SHOWN: Final = ("rate", "p50_ms", "p99_ms", "max_ms", "mib", "wrong_rejects", "unanswered")


def main() -> None:
    """Find the peak, then go on at half of it for so many minutes."""
    given = options(
        __doc__,
        minutes=(60, "how long"),
        users=(120_000, "users: 30 times the sign-ins a second, at least"),
        database=("postgresql", "or sqlite"),
    )
    minutes, users = (3, 20_000) if given.quick else (given.minutes, given.users)
    people = accounts.cheap(users, _PERIOD)
    settings = {"minutes": minutes, "users": users, "database": given.database, "workers": given.workers}
    with reporting("soak", given.out, **settings) as report, ExitStack() as stack:
        directory = stack.enter_context(scratch())
        place, others = place_on(given.database, directory, stack, report)
        place.init()
        place.take_over(people)
        server = stack.enter_context(place.serving(workers=given.workers))
        subject = Subject("radiusd-mfa", server, Ledger(people, OURS), others)
        rate = _rate(subject, report)
        try:
            for minute in range(minutes):
                report.add(f"minute {minute + 1}", _minute(subject, rate, minute), *_SHOWN)
        finally:
            _tell(report)


def _rate(subject: Subject, report: Report) -> float:
    """Return half of the peak, or what the users' codes are enough for."""
    peak = closed(subject, _OUTSTANDING, seconds=_PEAK_SECONDS, most_a_second=_MOST).outcome.rate
    # A twentieth less than all codes of a step: who comes at random times does not come evenly.
    most = 0.95 * subject.ledger.population.size / _PERIOD
    report.ratios["peak a second"] = peak
    report.ratios["sign-ins a second"] = rate = min(SHARE * peak, most)
    print(f"peak {peak:,.0f}/s, goes on at {rate:,.0f}/s", flush=True)
    return rate


def _minute(subject: Subject, rate: float, minute: int) -> dict[str, Any]:
    measured: Measured = opened(subject, [(rate, MINUTE)], seed=minute)
    outcome = measured.outcome
    return {
        "minute": minute + 1,
        "at": time.time(),
        "sent": outcome.sent,
        "accepted": outcome.accepted,
        "rate": outcome.accepted / MINUTE,
        "p50_ms": outcome.p50_ms,
        "p99_ms": outcome.p99_ms,
        "max_ms": outcome.max_ms,
        "retransmissions": outcome.retransmissions,
        "unanswered": outcome.unanswered,
        "wrong_rejects": outcome.wrong_rejects,
        "overtaken": outcome.overtaken,
        "too_old": outcome.too_old,
        "mib": used(subject.server.pid).rss / (1 << 20),
        "most_mib": measured.rss_mib["server"],
        "cores": measured.cores,
        "foreign_cores": measured.foreign_cores,
    }


def _tell(report: Report) -> None:
    """Compare the first tenth with the last one: what grows, grows between them."""
    if not report.rows:
        return
    tenth = math.ceil(len(report.rows) / 10)
    first, last = report.rows[:tenth], report.rows[-tenth:]
    for name, key in (("memory", "mib"), ("p50", "p50_ms"), ("p99", "p99_ms")):
        before, after = (sum(row[key] for row in rows) / len(rows) for rows in (first, last))
        report.ratio(f"{name}, last tenth to first", after / before, "1")
    report.ratio("sign-ins", sum(row["accepted"] for row in report.rows))
    report.ratio("right users rejected", sum(row["wrong_rejects"] for row in report.rows), "0")
    report.ratio("unanswered", sum(row["unanswered"] for row in report.rows), "0")


if __name__ == "__main__":
    main()
