"""What is kept of sign-ins on their way and at their end: counts, by batch where a batch has them in common, and lines.

Runs in the loop, once for a batch and shortly for each sign-in.
"""

from collections.abc import Sequence
from time import monotonic, time
from typing import Final

from radiusd_mfa.server.intake import Work
from radiusd_mfa.server.sign_in_log import SignInLog
from radiusd_mfa.server.tally import PAIRS, Count, Stage, Tally
from radiusd_mfa.usecases.ports import Settlement


class Witness:
    """Counts what a pipeline does; times are monotonic seconds."""

    def __init__(self, tally: Tally, log: SignInLog | None = None) -> None:
        self.tally: Final = tally
        self._log: Final = log
        self._wait: Final = tally.stages[Stage.WAIT]
        self._open: Final = tally.stages[Stage.OPEN]
        self._hash: Final = tally.stages[Stage.HASH]
        self._settle: Final = tally.stages[Stage.SETTLE]
        self._total: Final = tally.stages[Stage.TOTAL]

    def opened(self, works: Sequence[Work], began: float) -> None:
        """Take note of a batch whose facts were read just now."""
        ended = monotonic()
        for work in works:
            work.opening, work.opened = began, ended
            self._wait.add(began - work.received)
        self._open.add(ended - began, len(works))
        self.tally.opened.add(len(works))

    def hashed(self, work: Work) -> None:
        """Take note of a sign-in that comes from the hash threads."""
        work.hashed = monotonic() - work.opened
        self._hash.add(work.hashed)

    def settled(self, batch: Sequence[tuple[Work, Settlement]], audit_ids: Sequence[int | None], began: float) -> None:
        """Take note of a batch that was committed just now; without an id, a sign-in is judged again."""
        ended, at, tally = monotonic(), int(time()), self.tally
        for (work, settlement), audit_id in zip(batch, audit_ids, strict=True):
            if audit_id is not None:
                verdict = settlement.verdict
                pair = PAIRS[verdict.outcome, verdict.reason]
                tally.told(pair, tally.nas(work.known.entry.nas.name), verdict.outcome, at)
                self._total.add(ended - work.received)
        self._settle.add(ended - began, len(batch))
        tally.settled.add(len(batch))
        if self._log is not None:
            self._log.told(batch, audit_ids, began=began, ended=ended)

    def clock_was_behind(self) -> None:
        """Take note of a clock that was set back."""
        self.tally.add(Count.CLOCK_BEHIND)
