"""Resident memory over 1,000,000 sign-ins of 10,000 users. P9.

A code is good once, so the authenticators have steps of 10 s: in every step each of the 10,000 users signs in once, all
at full speed with 256 outstanding; 1,000,000 sign-ins take 17 minutes. Memory is that of the server's processes.

Usage: python -m bench.memory [--quick] [--out DIRECTORY] [--workers N]
"""

import time
from contextlib import ExitStack
from typing import Final

from bench.lib import accounts
from bench.lib.driver import Subject, closed
from bench.lib.places import place_on
from bench.lib.processes import used
from bench.lib.results import Report, options, reporting, scratch
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
    settings = {"sign_ins": wanted, "users": users, "database": given.database, "period": PERIOD}
    people = accounts.cheap(users, PERIOD)
    with reporting("memory", given.out, **settings) as report, ExitStack() as stack:
        directory = stack.enter_context(scratch())
        place, others = place_on(given.database, directory, stack, report)
        place.init()
        place.take_over(people)
        server = stack.enter_context(place.serving(workers=given.workers))
        sign_ins = SignIns(Subject("radiusd-mfa", server, Ledger(people, OURS), others))
        try:
            sign_ins.run(wanted)
        finally:
            sign_ins.tell(report)


class SignIns:
    """Signs in, and keeps the memory after each step, for as long as it goes well."""

    def __init__(self, subject: Subject) -> None:
        self.subject: Final = subject
        self.began: Final = time.monotonic()
        self.done = 0
        self.wrong = 0
        self.too_old = 0
        self.curve = [(0, self._mib())]

    def _mib(self) -> float:
        return used(self.subject.server.pid).rss / (1 << 20)

    def run(self, wanted: int) -> None:
        """Sign in so often; raises RuntimeError when nobody gets in any more."""
        faults, size = 0, self.subject.ledger.population.size
        while self.done < wanted:
            count = min(size, wanted - self.done)
            run = closed(
                self.subject, _OUTSTANDING, seconds=SECONDS, warm=0.0, most_a_second=0, requests=count, again=True
            )
            faults += run.outcome.accepted == 0
            if faults > _FAULTS:
                raise RuntimeError("the server accepts nothing any more")
            self.done += run.outcome.accepted
            self.wrong += run.outcome.wrong_rejects
            self.too_old += run.outcome.too_old
            self.curve.append((self.done, max(run.rss_mib["server"], self._mib())))
            if len(self.curve) % 5 == 2:
                took = time.monotonic() - self.began
                print(f"{self.done:,} of {wanted:,} after {took:.0f} s: {self.curve[-1][1]:.1f} MiB", flush=True)

    def tell(self, report: Report) -> None:
        """Report what there is."""
        most = max(mib for _done, mib in self.curve)
        # Flat: what the last half adds to what the first half had reached.
        half = max(mib for count, mib in self.curve if count <= self.done / 2)
        took = time.monotonic() - self.began
        row = {
            "sign_ins": self.done,
            "seconds": took,
            "mib": most,
            "wrong_rejects": self.wrong,
            "too_old": self.too_old,
            "curve": self.curve,
        }
        report.add(self.subject.label, row, "sign_ins", "seconds", "mib", "wrong_rejects", "too_old")
        report.ratio("P9 MiB at most", most, f"< {BAR_MIB:g}")
        report.ratio("P9 growth in the second half", most / half, "1")


if __name__ == "__main__":
    main()
