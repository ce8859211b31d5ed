"""More sign-ins than the server can do, for ten seconds, then a quarter of what it can: what gets in, and how soon.

Poisson arrivals at 0.5, 1, 2 and 5 times the measured peak, client timeout 3 s, two identical retransmissions, one in a
hundred with a wrong code; a cheap hash on PostgreSQL, argon2id on SQLite, FreeRADIUS with the same duties beside. P6.

Usage: python -m bench.overload [--quick] [--out DIRECTORY] [--workers N]
"""

from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any, Final

from bench.lib import accounts, freeradius, ours
from bench.lib.driver import Measured, Subject, closed, opened
from bench.lib.load import BIN, TIMEOUT, TRIES
from bench.lib.postgresql import postgresql
from bench.lib.results import Report, options, reporting, scratch
from bench.lib.tickets import CURRENT_ONLY, OURS, Ledger

FACTORS: Final = (0.5, 1.0, 2.0, 5.0)
AFTERWARDS: Final = 0.25
LAST_ASKED: Final = TIMEOUT * (TRIES - 1)
"""Seconds after which somebody whom the overload left over asks for the last time."""
TAIL: Final = LAST_ASKED + 5.0
WRONG: Final = 0.01
_WELL: Final = 0.9
_SHORT: Final = 5.0
_MOST: Final = {"cheap": 16_000.0, "argon": 200.0, "yescrypt": 200.0}
_PEAK_AT: Final = {"cheap": 256, "argon": 32, "yescrypt": 4}
_WRONG: Final = ("wrong_rejects", "wrong_accepts")
_SHOWN: Final = ("offered", "goodput_share", "got_in_share", "recovered_s", "well_again_s", *_WRONG, "lag_ms")


def main() -> None:
    """Overload each server in turn."""
    given = options(__doc__, seconds=(10.0, "of overload"), users=(300_000, "with a cheap hash"))
    seconds, users = (3.0, 30_000) if given.quick else (given.seconds, given.users)
    settings = {"seconds": seconds, "users": users, "workers": given.workers, "wrong_share": WRONG}
    cheap, slow = accounts.cheap(users), accounts.argon2id(2000 if given.quick else 10_000)
    with reporting("overload", given.out, **settings) as report, ExitStack() as stack:
        directory = stack.enter_context(scratch())
        cluster = stack.enter_context(postgresql(directory))
        report.versions["postgresql"] = cluster.version
        others = {"postgresql": cluster.pid}
        on_postgresql = ours.Installation(directory / "ours", cluster.new("ours"))
        on_sqlite = ours.on_sqlite(directory)
        for place, population in ((on_postgresql, cheap), (on_sqlite, slow)):
            place.init()
            place.take_over(population)
        cluster.run("ours", "VACUUM ANALYZE")
        # An administrator is told to say how long the clients wait.
        patience = {"request_deadline": TIMEOUT}
        with on_postgresql.serving(workers=given.workers, **patience) as server:
            _overload(report, Subject("radiusd-mfa, PostgreSQL, cheap", server, Ledger(cheap, OURS), others), seconds)
        with on_sqlite.serving(workers=given.workers, **patience) as server:
            _overload(report, Subject("radiusd-mfa, SQLite, argon2id", server, Ledger(slow, OURS)), seconds)
        if freeradius.PROGRAM:
            peer = freeradius.on_postgresql(directory, cluster, [cheap])
            with peer.serving(duties=True) as server:
                label = "FreeRADIUS, PostgreSQL, cheap, same duties"
                _overload(report, Subject(label, server, Ledger(cheap, CURRENT_ONLY), others), seconds)
            hard = accounts.yescrypt(slow.size)
            with freeradius.on_sqlite(directory, [hard]).serving(duties=True) as server:
                label = "FreeRADIUS, SQLite, yescrypt, same duties"
                _overload(report, Subject(label, server, Ledger(hard, CURRENT_ONLY)), seconds)


def _overload(report: Report, subject: Subject, seconds: float) -> None:
    """Find the peak, then go beyond it."""
    scheme = subject.ledger.population.scheme
    runs = 3 if seconds > _SHORT else 1
    span = min(4.0, seconds)
    peaks = [closed(subject, _PEAK_AT[scheme], seconds=span, most_a_second=_MOST[scheme]) for _ in range(runs)]
    peak = median(run.outcome.rate for run in peaks)
    idle = max(run.rss_mib["server"] for run in peaks)
    report.add(subject.label, {"peak": peak, "rss_mib": idle}, "peak", "rss_mib", who=subject.label, factor=None)
    for factor in FACTORS if seconds > _SHORT else FACTORS[-1:]:
        rate = max(1.0, factor * peak)
        # What the users' codes are enough for.
        held = max(1.5, min(seconds, 1.6 * subject.ledger.population.size / rate))
        run = opened(
            subject, [(rate, held), (max(2.0, AFTERWARDS * peak), TAIL)], wrong_share=WRONG, seed=int(factor * 10)
        )
        row = {**run.row(), **_judged(run, held, peak), "offered": rate, "peak": peak}
        report.add(f"{subject.label} {factor:g}x", row, *_SHOWN, who=subject.label, factor=factor)
        if factor == FACTORS[-1] and subject.label.startswith("radiusd"):
            report.ratio(f"P6 {subject.label}: goodput at 5x over the peak", row["goodput_share"], ">= 0.9")
            wrong = run.outcome.wrong_rejects + run.outcome.wrong_accepts
            report.ratio(f"P6 {subject.label}: wrong answers at 5x", float(wrong), "0")
            report.ratio(f"P6 {subject.label}: answers that came too late at 5x", float(run.outcome.foreign), "0")
            report.ratio(f"P6 {subject.label}: seconds until all is well again", row["recovered_s"], "<= 2")
            report.ratio(f"P6 {subject.label}: the same, from the last newcomer", row["well_again_s"], "as it is")
            report.ratio(f"P6 {subject.label}: memory over that at the peak", run.rss_mib["server"] / idle, "bounded")


def _judged(run: Measured, held: float, peak: float) -> dict[str, Any]:
    """Cut the overload out of the half seconds: its first fifth is the way there."""
    begin = held / 5
    inside = [one for one in run.outcome.bins if begin <= one["at"] < held - BIN / 2]
    goodput = sum(one["accepts"] for one in inside) / max(BIN, BIN * len(inside))
    offered = sum(one["offered"] for one in inside)
    # By when they came: who came in the overload and is still asking belongs to it, as load and in what is counted.
    well_again = recovered([one for one in run.outcome.bins if held <= one["at"] < held + TAIL - BIN])
    return {
        "goodput": goodput,
        "goodput_share": goodput / peak,
        "got_in_share": sum(one["got_in"] for one in inside) / max(1.0, offered),
        "well_again_s": well_again,
        "recovered_s": None if well_again is None else max(0.0, well_again - LAST_ASKED),
    }


def recovered(bins: Sequence[dict[str, float]]) -> float | None:
    """Return after how many seconds nine in ten got in at once, from then on; None: not in this time."""
    good_from = None
    for index, one in enumerate(bins):
        if one["prompt"] < _WELL * one["offered"]:
            good_from = None
        elif good_from is None:
            good_from = index * BIN
    return good_from


if __name__ == "__main__":
    main()
