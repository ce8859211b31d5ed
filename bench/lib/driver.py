"""Runs a plan against a server and measures the processes beside it: what every benchmark does most of the time."""

import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final

from bench.lib.load import TIMEOUT, TRIES, Outcome, Plan, schedule, start
from bench.lib.ours import Server
from bench.lib.processes import busy, used
from bench.lib.tickets import CURRENT_ONLY, Ledger

_BUILD: Final = 60e-6
"""Seconds to make a packet: generous, the machine may be slow."""
_SPAWN: Final = 1.5
_MARGIN: Final = 1.0
_PATIENCE: Final = 100.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A server with its users; `others` are processes that work for it, by name (a database)."""

    label: str
    server: Server
    ledger: Ledger
    others: dict[str, int] = field(default_factory=dict)
    extra: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Measured:
    """An outcome and what it cost."""

    outcome: Outcome
    cpu_us: dict[str, float]
    """CPU microseconds of each process tree for an answered request."""
    cores: dict[str, float]
    foreign_cores: float
    """What the rest of the machine used, the generator left out."""
    rss_mib: dict[str, float]
    """The most that each process tree held."""
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds after the start, MiB of the server."""

    def row(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {**asdict(self.outcome), **{name: getattr(self, name) for name in self.__slots__ if name != "outcome"}}


def closed(
    subject: Subject,
    concurrency: int,
    *,
    seconds: float,
    warm: float = 1.0,
    most_a_second: float,
    among: Sequence[int] | None = None,
    requests: int | None = None,
    again: bool = False,
) -> Measured:
    """Keep `concurrency` requests outstanding for warm + seconds, or until the given number of requests is sent.

    With `again` the codes stay good for as long as they may be sent again, which fewer are.
    """
    total = warm + seconds
    count = requests if requests is not None else int(most_a_second * total)
    good_for = total + _MARGIN + (TIMEOUT * (TRIES - 1) if again else 0.0)
    begin = _begin(subject, count, total, good_for)
    tickets = subject.ledger.take([(begin, begin + good_for)] * count, among=among)
    plan = Plan(
        subject.server.target,
        subject.ledger.population,
        tickets,
        begin,
        seconds=total,
        warm=warm,
        concurrency=concurrency,
        behind=subject.ledger.window.behind,
    )
    return _measured(subject, plan)


def opened(
    subject: Subject,
    phases: Sequence[tuple[float, float]],
    *,
    warm: float = 0.0,
    wrong_share: float = 0.0,
    seed: int = 1,
    timeout: float = TIMEOUT,
    tries: int = TRIES,
    among: Sequence[int] | None = None,
) -> Measured:
    """Send Poisson arrivals for phases of (rate, seconds); `wrong_share` of them with a wrong code."""
    chance = random.Random(seed)
    arrivals = schedule(phases, chance)
    if among is not None:
        del arrivals[len(among) :]
    total = sum(seconds for _rate, seconds in phases)
    patience = 0.0 if subject.ledger.window == CURRENT_ONLY else timeout * tries
    # A run that is longer than a step gives each request the code of its own time.
    whole = total + timeout * tries if total + timeout * tries < subject.ledger.population.period - 1 else 0.0
    begin = _begin(subject, len(arrivals), whole, patience)
    spans = [(begin + at, begin + at + patience) for at in arrivals]
    tickets = subject.ledger.take(spans, among=among)
    del arrivals[len(tickets) :]
    wrong = frozenset(number for number in range(len(tickets)) if chance.random() < wrong_share)
    plan = Plan(
        subject.server.target,
        subject.ledger.population,
        tickets,
        begin,
        seconds=total,
        warm=warm,
        schedule=arrivals,
        wrong=wrong,
        timeout=timeout,
        tries=tries,
        behind=subject.ledger.window.behind,
    )
    return _measured(subject, plan)


def _begin(subject: Subject, count: int, whole: float, good_for: float) -> float:
    """Return when to begin, so that there is time to make the packets, and enough codes are good for so long.

    Waits for the time steps to go on, at most 100 s, where the users have spent what they have. A server that takes
    the current step only gets a run of `whole` seconds inside of one.
    """
    ledger = subject.ledger
    period, window = ledger.population.period, ledger.window
    wanted = min(count, ledger.population.size * max(1, window.behind + window.ahead))
    until = time.time() + _PATIENCE
    while True:
        begin = time.time() + _SPAWN + count * _BUILD
        if not window.behind + window.ahead:
            left = period - begin % period
            begin += left + 0.2 if left < whole + _MARGIN else 0.0
        if ledger.left(begin, begin + good_for) >= wanted or time.time() > until:
            return begin
        time.sleep(1.0)


def _measured(subject: Subject, plan: Plan) -> Measured:
    process, receiver = start(plan)
    patience = 0.0
    roots = {"server": subject.server.pid, **subject.others}
    try:
        _expect(receiver.recv(), "begun")
        began, machine_before = time.monotonic(), busy()
        before = {name: used(pid) for name, pid in roots.items()}
        peak = {name: one.rss for name, one in before.items()}
        memory = []
        while not receiver.poll(0.5):
            now = {name: used(pid) for name, pid in roots.items()}
            peak = {name: max(rss, now[name].rss) for name, rss in peak.items()}
            memory.append((round(time.monotonic() - began, 1), round(now["server"].rss / (1 << 20), 1)))
        _expect(receiver.recv(), "over")
        took = time.monotonic() - began
        after = {name: used(pid) for name, pid in roots.items()}
        machine_used = busy() - machine_before
        outcome = receiver.recv()
        patience = 30.0
    finally:
        process.join(patience)  # none where this run is ended early
        if process.is_alive():
            process.terminate()
        receiver.close()
    assert isinstance(outcome, Outcome)
    subject.ledger.give_back(plan.tickets, outcome.sent)
    spent = {name: after[name].cpu - before[name].cpu for name in roots}
    answered = max(1, outcome.accepted + outcome.rejected)
    generator = outcome.generator_us * (outcome.sent + outcome.retransmissions) / 1e6
    return Measured(
        outcome=outcome,
        cpu_us={name: round(cpu / answered * 1e6, 1) for name, cpu in spent.items()},
        cores={name: round(cpu / took, 3) for name, cpu in spent.items()},
        foreign_cores=round(max(0.0, machine_used - sum(spent.values()) - generator) / took, 2),
        rss_mib={name: round(max(rss, after[name].rss) / (1 << 20), 1) for name, rss in peak.items()},
        memory=memory,
    )


def _expect(said: object, wanted: str) -> None:
    if said != wanted:
        raise RuntimeError(f"the load generator said {said!r} instead of {wanted!r}")


def middle(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each number over several runs of the same kind."""
    merged = {}
    for name, value in rows[0].items():
        if isinstance(value, int | float):
            merged[name] = median(row[name] for row in rows)
        elif isinstance(value, dict) and all(isinstance(one, int | float) for one in value.values()):
            merged[name] = {key: median(row[name][key] for row in rows) for key in value}
    return merged
