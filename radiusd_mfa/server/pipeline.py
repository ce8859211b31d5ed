"""The way of many sign-ins at once: open, examine, answer, decide, settle; two transactions for all of them.

    intake --> [open: one transaction] --> examine --+--> cheap hash ------------+--> [settle: one transaction] --> out
                        ^                            +--> hash threads, fair ----+            |
                        +--------------------- a claim was lost: judged again ----------------+

All of it runs in the loop's thread, except the expensive hashes. While a batch commits, the next one gathers in the
socket: at low load a batch is one sign-in and waits for nobody, under load batches grow by themselves. Threads for the
stages were tried: they spent their time waiting for the interpreter's lock (docs/decisions/0007).

A verdict leaves only after its commit; where the database fails, nothing leaves, and the client's retransmission is
worked on as if it were the first (I4).
"""

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Final, TypeVar

from radiusd_mfa.core.facts import Attempt, Facts
from radiusd_mfa.core.judge import Question, Right, decide, examine
from radiusd_mfa.core.verdict import Verdict
from radiusd_mfa.passwords.pool import Displaced, HashPool, PoolProblem
from radiusd_mfa.server.drops import FAULT, LATE, OVERLOAD, Drops
from radiusd_mfa.server.health import Health
from radiusd_mfa.server.intake import Work
from radiusd_mfa.server.nobodies import Nobodies
from radiusd_mfa.server.renewer import Renewer
from radiusd_mfa.server.witness import Witness
from radiusd_mfa.usecases.ports import Settlement, SignInStore, StoreFault
from radiusd_mfa.usecases.sign_in import SignIn

_log: Final = logging.getLogger(__name__)
Item = TypeVar("Item")
CAPACITY: Final = 4096
"""Sign-ins that may wait to be opened."""
BATCH: Final = 256
HURRY: Final = 0.1
"""Seconds of hashing that must wait for the loop to take its time."""
LONGEST_GATHERING: Final = 0.1
"""Seconds: with ten expensive hashes in them, what a batch costs however small it is has become little for each."""
TRIES: Final = 4
"""How often a sign-in is judged again after it lost a claim, before it is left to its retransmission."""


class Pipeline:
    """Runs sign-ins; `tell` gets each verdict after its commit, `silence` each sign-in that ends without one.

    `obstacle` says what keeps a verdict from being told, if anything does. `deadline` says when a client must have
    given up, `wake` ends the loop's wait; both may be called in hash threads.
    """

    def __init__(
        self,
        *,
        store: SignInStore,
        sign_in: SignIn,
        pool: HashPool,
        renewer: Renewer | None = None,
        health: Health,
        drops: Drops,
        witness: Witness,
        deadline: Callable[[Work], float],
        wake: Callable[[], None],
        obstacle: Callable[[Work, Verdict], str],
        tell: Callable[[Work, Verdict], None],
        silence: Callable[[Work], None],
    ) -> None:
        self._store = store
        self._sign_in = sign_in
        self._pool = pool
        self._renewer = renewer
        self._health = health
        self._drops = drops
        self._witness = witness
        self._deadline = deadline
        self._wake = wake
        self._obstacle = obstacle
        self._tell = tell
        self._silence = silence
        self._opening: deque[Work] = deque()
        self._answers: deque[tuple[Work, Question, Right | BaseException | None]] = deque()
        self._settling: deque[tuple[Work, Settlement]] = deque()
        self._unchecked: deque[Work] = deque()
        self._hashing = 0
        self._nobodies = Nobodies()

    @property
    def busy(self) -> bool:
        """Whether a turn has something to do now."""
        return bool(self._opening or self._answers or self._settling or self._unchecked)

    @property
    def idle(self) -> bool:
        """Whether everything that was taken is told or silenced."""
        return not self.busy and not self._hashing

    @property
    def depths(self) -> tuple[int, int, int]:
        """How many wait to be opened, for the hash threads, and to be settled."""
        return len(self._opening), self._hashing, len(self._settling)

    @property
    def has_room(self) -> bool:
        """Whether what comes now is in the next batch."""
        return len(self._opening) < BATCH

    @property
    def time_to_gather(self) -> float:
        """How many seconds a batch may gather: what comes now waits for the hash threads, however soon it is opened.

        A part of what they have to do, so that they never wait for the loop.
        """
        backlog = self._pool.backlog
        return min(LONGEST_GATHERING, backlog / 4) if backlog > HURRY else 0.0

    def offer(self, works: Iterable[Work]) -> None:
        """Take in what there is room for; the rest is dropped before it has cost anything."""
        for work in works:
            if len(self._opening) < CAPACITY:
                self._opening.append(work)
            else:
                self._drop(work, OVERLOAD)

    def turn(self) -> None:
        """Open a batch, take the answers of the hash threads, settle a batch, refund what was not even checked."""
        self._open(_taken(self._opening))
        while self._answers:
            self._hashing -= 1
            self._take_answer(*self._answers.popleft())
        self._settle(_taken(self._settling))
        self._refund(_taken(self._unchecked))

    def _open(self, works: Sequence[Work]) -> None:
        in_time = [work for work in works if self._in_time(work)]
        self._read([work for work in in_time if work.tries == 0], self._store.open)
        self._read([work for work in in_time if work.tries > 0], self._store.reread)

    def _read(self, works: list[Work], read: Callable[[Sequence[Attempt]], Sequence[Facts]]) -> None:
        if not works:
            return
        began = monotonic()
        try:
            with self._health.watched():
                found = read([work.attempt for work in works])
        except Exception as fault:  # noqa: BLE001 - whatever it is, the thread goes on and nobody is answered
            self._fail(works, fault)
            return
        self._witness.opened(works, began)
        closed: defaultdict[int, list[str]] = defaultdict(list)
        for work, facts in zip(works, found, strict=True):
            work.facts, work.renewal, work.closed = _without(closed, facts) if closed else facts, None, False
            self._guarded(self._examine, work)
            if work.closed and facts.user is not None:
                closed[facts.user.id].append(str(work.attempt.charge))

    def _guarded(self, step: Callable[..., None], work: Work, *rest: object) -> None:
        """Keep a defect to the one sign-in that met it; its retransmission is tried anew."""
        try:
            step(work, *rest)
        except Exception as fault:  # noqa: BLE001 - as above
            self._fail([work], fault)

    def _examine(self, work: Work) -> None:
        if work.facts.fault:
            self._fail([work], work.facts.fault)
            return
        examined = examine(work.attempt, work.facts)
        if isinstance(examined, Verdict):
            self._conclude(work, examined)
            return
        work.closed = examined.optional
        if work.facts.user is None and work.tries == 0:
            examined = self._nobodies.weighed(work.attempt, examined)
        if self._sign_in.is_cheap(examined):
            self._decide(work, examined, self._sign_in.answer(examined))
        else:
            self._ask(work, examined)

    def _ask(self, work: Work, question: Question) -> None:
        """Hand an expensive question to the hash threads; no database connection is held meanwhile."""
        taken = self._pool.submit(
            partial(self._sign_in.answer, question),
            lane=work.known.entry.nas.id,
            done=partial(self._answered, work, question),
            deadline=partial(self._deadline, work),
            optional=question.optional,
        )
        if taken:
            self._hashing += 1
            if question.optional:
                # Closed already, and hashed for the time it takes: meanwhile its charge must not close the owner out.
                self._unchecked.append(work)
            return
        if question.optional:
            self._decide(work, question, None)
        else:
            self._leave_unchecked(work, OVERLOAD)

    def _leave_unchecked(self, work: Work, cause: str) -> None:
        """Drop a sign-in that is no guess, for nobody looked at its password: a flood must not close accounts."""
        self._drop(work, cause)
        if work.tries == 0:  # later ones were checked before they lost a claim
            self._unchecked.append(work)

    def _answered(self, work: Work, question: Question, answer: Right | BaseException | None) -> None:
        """Leave the answer to the loop; called in a hash thread."""
        self._answers.append((work, question, answer))
        self._wake()

    def _take_answer(self, work: Work, question: Question, answer: Right | BaseException | None) -> None:
        if isinstance(answer, PoolProblem):
            self._leave_unchecked(work, OVERLOAD if isinstance(answer, Displaced) else LATE)
        elif isinstance(answer, BaseException):
            self._fail([work], answer)
        else:
            self._witness.hashed(work)
            self._guarded(self._decide, work, question, answer)

    def _decide(self, work: Work, question: Question, answer: Right | None) -> None:
        if self._renewer is not None:
            work.renewal = self._renewer.renewing.due(work.facts.user, question, answer)
        self._conclude(work, decide(work.attempt, work.facts, question, answer))

    def _conclude(self, work: Work, verdict: Verdict) -> None:
        if verdict.clock_is_behind:
            self._witness.clock_was_behind()
            _log.error("the clock is behind the codes that user %s spent: it was set back", work.attempt.shown_name)
        if obstacle := self._obstacle(work, verdict):
            # Before anything is written: a code must not be spent on an Accept that nobody gets, and nobody guessed.
            _log.error("the sign-in of user %s is left unanswered: %s", work.attempt.shown_name, obstacle)
            self._leave_unchecked(work, FAULT)
            return
        self._settling.append((work, self._sign_in.settlement(work.attempt, work.facts, verdict)))

    def _settle(self, batch: Sequence[tuple[Work, Settlement]]) -> None:
        if not batch:
            return
        works = [work for work, _settlement in batch]
        began = monotonic()
        try:
            with self._health.watched():
                audit_ids = self._store.settle([settlement for _work, settlement in batch])
        except Exception as fault:  # noqa: BLE001 - nothing was committed, whatever it is
            self._fail(works, fault)
            return
        self._witness.settled(batch, audit_ids, began)
        for (work, settlement), audit_id in zip(batch, audit_ids, strict=True):
            if audit_id is None:
                self._judge_again(work)
            else:
                self._guarded(self._tell, work, settlement.verdict)
                if work.renewal is not None and self._renewer is not None:
                    self._renewer.offer(work.renewal, settlement.verdict)

    def _refund(self, works: Sequence[Work]) -> None:
        if not works:
            return
        try:
            with self._health.watched():
                self._store.refund([(work.attempt, work.facts) for work in works])
        except Exception as fault:  # noqa: BLE001 - as above; the charges stand, and count as guesses (I3)
            _log.error("%d sign-ins that were not checked count as guesses: %s", len(works), fault)

    def _judge_again(self, work: Work) -> None:
        """Another sign-in was first, or the user was changed meanwhile: what is true now decides."""
        work.tries += 1
        if work.tries < TRIES:
            self._opening.append(work)
        else:
            self._drop(work, FAULT)

    def _in_time(self, work: Work) -> bool:
        if monotonic() <= self._deadline(work):
            return True
        self._drop(work, LATE)
        return False

    def _fail(self, works: Sequence[Work], fault: object) -> None:
        """Our own fault is answered with silence, so that the NAS asks the next server (I4)."""
        defect = fault if isinstance(fault, Exception) and not isinstance(fault, StoreFault) else None
        _log.error("%d sign-ins are left unanswered: %s", len(works), fault, exc_info=defect)
        for work in works:
            self._drop(work, FAULT)

    def _drop(self, work: Work, cause: str) -> None:
        self._drops.counts[cause] += 1
        self._silence(work)


def _taken(waiting: deque[Item]) -> list[Item]:
    """Take a batch off the front."""
    return [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]


def _without(closed: Mapping[int, Sequence[str]], facts: Facts) -> Facts:
    """Leave out the charges that this batch has found closed: they hold nobody else up (ATTACKS 16)."""
    charges = closed.get(facts.user.id, ()) if facts.user is not None else ()
    history = facts.history
    for charge in charges:
        history = history.replace(charge, "")
    return replace(facts, history=history) if charges else facts
