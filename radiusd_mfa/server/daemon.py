"""The daemon: one loop that owns the sockets, the duplicates, the pipeline and the clock of delayed replies.

Other threads only hash passwords and read the NAS entries; so nothing here needs a lock.
"""

import heapq
import logging
import os
import selectors
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import count
from threading import Event, Thread
from time import monotonic, sleep, time
from typing import Final

from radiusd_mfa.config import Config
from radiusd_mfa.core.verdict import Outcome, Verdict
from radiusd_mfa.passwords.pool import HashPool
from radiusd_mfa.radius.exchange import Exchanges
from radiusd_mfa.server.drops import LATE, OVERLOAD, Drops
from radiusd_mfa.server.health import Health
from radiusd_mfa.server.intake import Again, Intake, Status, Work
from radiusd_mfa.server.nas_table import KindOf, NasTable
from radiusd_mfa.server.pipeline import Pipeline
from radiusd_mfa.server.probe import Parts as Probed
from radiusd_mfa.server.probe import Probe
from radiusd_mfa.server.renewer import Renewer
from radiusd_mfa.server.replies import EncodeProfile, Replies, alive
from radiusd_mfa.server.sightings import Note, Sightings, hand_on_for_ever
from radiusd_mfa.server.sign_in_log import SignInLog
from radiusd_mfa.server.systemd import NOBODY, Pulse
from radiusd_mfa.server.tally import Count, Tally
from radiusd_mfa.server.udp import AT_ONCE, Listener
from radiusd_mfa.server.witness import Witness
from radiusd_mfa.usecases.ports import NasStore, SignInStore, StoreFault
from radiusd_mfa.usecases.renewing import Renewing
from radiusd_mfa.usecases.sign_in import SignIn

_log: Final = logging.getLogger(__name__)
EXCHANGES: Final = 65_536
PROFILES: Final = 4_096
"""Texts of reply profiles that stay encoded."""
REFRESH: Final = 1.0
"""Seconds between two readings of the NAS entries; a change works within 2 s (R8)."""
TIDY: Final = 60.0
"""Seconds between two removals of expired rows."""
_GOLDEN: Final = 0.618
"""The golden ratio: its multiples, without their whole part, lie evenly."""
SEAL: Final = 1.0
"""Seconds between two seals over the audit log: so long a row can be changed without a trace."""
LOOK: Final = 1.0
"""Seconds between two looks at queues, threads and sockets."""
_INSTANT: Final = 0.0001
_WAITED: Final = 0.0005
"""Seconds: a select that took longer did wait, so what it found has just come."""
PATIENCE: Final = 5.0
"""Seconds in which SIGTERM lets the sign-ins that were taken finish."""


@dataclass(frozen=True)
class Parts:
    """What a daemon is made of, bound in app.py."""

    config: Config
    sign_ins: SignInStore
    nas: NasStore
    sign_in: SignIn
    kind_of: KindOf
    encode_profile: EncodeProfile
    tidy: Callable[[float], None] = lambda _now: None
    """Removes rows that have expired by then (Unix seconds); raises StoreFault."""
    seal: Callable[[float], str | None] = lambda _now: None
    """Seals what was recorded in the audit log by then; returns what is wrong with the log. Raises StoreFault."""
    tally: Tally = field(default_factory=Tally)
    """Where it counts; it goes on from what the daemon before has counted."""
    note: Note = lambda _sightings, _strangers, _now: None
    """Records what the NASes were seen to do; raises StoreFault."""
    sign_in_log: SignInLog | None = None
    """Where a line for each sign-in goes; None: nowhere."""
    renewing: Renewing | None = None
    """Renews old password hashes; None: they stay as they are."""


@dataclass(frozen=True, slots=True)
class _Told:
    work: Work
    octets: bytes


class Daemon:
    """Serves on sockets that are bound already: `run` returns after `stop`."""

    def __init__(self, parts: Parts, listeners: Sequence[Listener]) -> None:
        self._config: Final = parts.config
        self._nas = parts.nas
        self._tidy = parts.tidy
        self._seal = parts.seal
        self.drops: Final = Drops()
        self.sightings: Final = Sightings()
        self._health = Health(parts.config.database_deadline)
        self._table = NasTable(parts.kind_of)
        self._exchanges = Exchanges(EXCHANGES)
        self.tally: Final = parts.tally
        self._intake = Intake(self._table, self._exchanges, parts.sign_in, self.drops, self.sightings, tally=self.tally)
        encode_profile = lru_cache(PROFILES)(parts.encode_profile)
        self._replies = Replies(parts.sign_in, parts.config.portal_url, encode_profile)
        self._listeners = listeners
        self._pool = HashPool(parts.config.hash_threads)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Closed with the last reference, not with the sockets: `stop` and a late hash thread may still write to it, and
        # a number that is free again belongs to somebody else.
        weakref.finalize(self, os.close, self._wake)
        self._late: list[tuple[float, int, _Told]] = []
        self._numbers = count()
        self._looked = monotonic()
        self._pace = 0.0
        """Datagrams a second, at the last look."""
        self._stopping = Event()
        self._succeeded = False
        self._recorder = Thread(
            target=hand_on_for_ever, args=(self.sightings, parts.note, self._stopping), name="sightings", daemon=True
        )
        self._renewer = None if parts.renewing is None else Renewer(parts.renewing, self._pool, self._awake)
        self._pipeline = Pipeline(
            store=parts.sign_ins,
            sign_in=parts.sign_in,
            pool=self._pool,
            renewer=self._renewer,
            health=self._health,
            drops=self.drops,
            witness=Witness(self.tally, parts.sign_in_log),
            deadline=self._deadline,
            wake=partial(os.eventfd_write, self._wake, 1),
            obstacle=self._replies.obstacle,
            tell=self._tell,
            silence=self._silence,
        )
        probed = Probed(self.drops, self._health, self._pool, listeners, self._depths, self._table.counted)
        self._probe = Probe(self.tally, probed)

    @property
    def addresses(self) -> list[str]:
        """Where it listens, as `host:port`."""
        return [listener.shown for listener in self._listeners]

    def run(self, ready: Callable[[], None] = lambda: None, pulse: Pulse = NOBODY.pulse) -> bool:
        """Serve; `ready` is called once, when a packet would be answered. Raises StoreFault if there is no database.

        True: it was told to stand down, and what it has taken is still to be finished.
        """
        self.refresh()
        refresher = Thread(target=self._refresh_for_ever, name="refresh", daemon=True)
        refresher.start()
        Thread(target=self._tidy_for_ever, name="tidy", daemon=True).start()
        Thread(target=self._seal_for_ever, name="seal", daemon=True).start()
        Thread(target=self._look_for_ever, name="probe", daemon=True).start()
        self._recorder.start()
        with selectors.DefaultSelector() as selector:
            for listener in self._listeners:
                selector.register(listener.socket, selectors.EVENT_READ, listener)
            selector.register(self._wake, selectors.EVENT_READ)
            ready()
            self._serve(selector, pulse)
            if self._succeeded:
                return True
            self._turn(selector, patience=0.0)  # what has arrived by now is taken too
        self.finish()
        for listener in self._listeners:
            listener.close()
        refresher.join(timeout=REFRESH)
        return False

    def stand_down(self) -> None:
        """End `run` at once, for another one on the same sockets; `finish` is then to be called, in any thread."""
        self._succeeded = True
        self.stop()

    def finish(self) -> None:
        """Finish what was taken, within 5 seconds."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            until = monotonic() + PATIENCE
            while not (self._pipeline.idle and not self._late) and (left := until - monotonic()) > 0:
                self._turn(selector, left)
        self._pool.close(timeout=1.0)
        if self._renewer is not None:
            self._renewer.close()
        self._probe.count()
        self._recorder.join(timeout=REFRESH)

    def stop(self) -> None:
        """Take nothing more, finish what was taken, and end `run`. Safe in a signal handler and in any thread."""
        self._stopping.set()
        os.eventfd_write(self._wake, 1)

    def _awake(self) -> None:
        # A method, and not the bare descriptor: whoever may still call it keeps it from being closed.
        os.eventfd_write(self._wake, 1)

    def _serve(self, selector: selectors.BaseSelector, pulse: Pulse) -> None:
        while not self._stopping.is_set():
            self._turn(selector, pulse.every)
            if self._looked >= pulse.due:
                pulse.beat(self._looked, good=self._health.good)

    def _turn(self, selector: selectors.BaseSelector, patience: float | None = None) -> None:
        self._gather()
        taken, last = self._taken, self._looked
        before = monotonic()
        ready = selector.select(0.0 if self._pipeline.busy else self._until_next_reply(patience))
        now = monotonic()
        # What was there when we looked may have come as early as we looked last, and a late answer helps nobody.
        received = now if now - before > _WAITED else self._looked
        for key, _events in ready:
            if key.data is None:
                os.eventfd_read(self._wake)
            elif self._pipeline.has_room:  # else it waits where the newest can be chosen
                self._receive(key.data, received=received)
        self._looked = monotonic()
        self._pace = (self._taken - taken) / max(self._looked - last, _INSTANT)
        if self._pipeline.busy:
            self._pipeline.turn()
        self._send_what_is_due()
        if self._renewer is not None:
            self._renewer.turn()

    def _gather(self) -> None:
        """Let a batch gather while the hash threads have enough to do and nothing waits in a socket.

        For no longer than half of what is taken at once arrives at the latest pace: a flood would fill the buffer
        meanwhile, and take the places of others there.
        """
        # Opened and settled one by one, what comes would cost the hash threads a third of the machine.
        spare = self._pipeline.time_to_gather
        if spare and not any(listener.has_more for listener in self._listeners):
            sleep(min(spare, AT_ONCE / 2 / max(self._pace, 1.0)))

    @property
    def _taken(self) -> int:
        return sum([listener.taken for listener in self._listeners])

    def _lane(self, address: str) -> int | None:
        """Name the NAS at an address; all strangers together are one."""
        known = self._table.find(address)
        return None if known is None else known.entry.nas.id

    def _receive(self, listener: Listener, *, received: float) -> None:
        at = time()
        works, passed_over = [], listener.passed_over
        for datagram in listener.drain(self._lane):
            match self._intake.read(datagram, now=received, at=at):
                case Work() as work:
                    works.append(work)
                case Status() as status:
                    if self._health.good:  # RFC 5997 4.2: silence tells the NAS to ask the next server
                        listener.send(alive(status), datagram)
                case Again(_, octets):
                    self.tally.add(Count.DUPLICATES_ANSWERED)
                    listener.send(octets, datagram)
                case None:
                    pass
        if listener.passed_over > passed_over:
            self.drops.counts[OVERLOAD] += listener.passed_over - passed_over
        self._pipeline.offer(works)

    def _depths(self) -> tuple[int, int, int, int]:
        return (*self._pipeline.depths, len(self._late))

    def _deadline(self, work: Work) -> float:
        """Return when the client must have given up, in monotonic seconds; a retransmission renews it."""
        seen = self._exchanges.last_seen(*work.exchange)
        return (work.received if seen is None else seen) + self._config.request_deadline

    def _tell(self, work: Work, verdict: Verdict) -> None:
        """Keep a reply until it is due: a Reject takes a second whatever its reason, and no thread waits for it."""
        if verdict.outcome is Outcome.CHALLENGE:
            self.sightings.challenge(work.known.entry.nas.id)
        wait = self._config.reject_delay if verdict.outcome is Outcome.REJECT else 0.0
        self._hold(_Told(work, self._replies.to(work, verdict)), work.received + wait)

    def _hold(self, told: _Told, due: float) -> None:
        now = monotonic()
        if due <= now:  # like every Accept: what waits for nothing need not stand in a queue
            self._send(told, now)
        else:
            heapq.heappush(self._late, (due, next(self._numbers), told))

    def _silence(self, work: Work) -> None:
        """Let the retransmission be worked on as if it were the first."""
        self._exchanges.forget(*work.exchange)

    def _until_next_reply(self, patience: float | None) -> float | None:
        if not self._late:
            return patience
        due = max(0.0, self._late[0][0] - monotonic())
        return due if patience is None else min(due, patience)

    def _send_what_is_due(self) -> None:
        now = monotonic()
        while self._late and self._late[0][0] <= now:
            _due, _number, told = heapq.heappop(self._late)
            self._send(told, now)

    def _send(self, told: _Told, now: float) -> None:
        work = told.work
        if now > self._deadline(work):
            self.drops.counts[LATE] += 1
            self._exchanges.forget(*work.exchange)
            return
        self._exchanges.answer(*work.exchange, told.octets, now)
        work.datagram.listener.send(told.octets, work.datagram)

    def refresh(self) -> None:
        """Read the NAS entries now, and prove that the database takes writes."""
        with self._health.watched():
            self._table.replace(self._nas.read())
            self._nas.touch()

    def _refresh_for_ever(self) -> None:
        while not self._stopping.wait(REFRESH):
            try:
                self.refresh()
            except StoreFault as fault:
                _log.error("the database can't be read and written, the NAS entries stay as they are: %s", fault)
            except Exception:  # noqa: BLE001 - as the next line says
                # A thread that ended would keep removed entries and old secrets valid without a word.
                _log.exception("the NAS entries stay as they are")

    def _tidy_for_ever(self) -> None:
        while not self._stopping.wait(TIDY):
            try:
                self._tidy(time())
            except Exception as fault:  # noqa: BLE001 - whatever it is, the next time may do better
                _log.warning("expired rows are left for the next time: %s", fault)

    def _look_for_ever(self) -> None:
        self._probe.look()
        while not self._stopping.wait(LOOK):
            self._probe.look()

    def _seal_for_ever(self) -> None:
        quiet_until = 0.0
        # Workers start together, with numbers in a row; spread over the second, they don't all do what one has to.
        self._stopping.wait(os.getpid() * _GOLDEN % 1 * SEAL)
        while not self._stopping.wait(SEAL):
            try:
                complaint = self._seal(time())
            except Exception as fault:  # noqa: BLE001 - whatever it is, the next time may do better
                complaint = (
                    f"the seals over the audit log, or the mark of how far they are, could not be written: {fault}"
                )
            if complaint and monotonic() >= quiet_until:
                _log.error("%s", complaint)
                quiet_until = monotonic() + TIDY
