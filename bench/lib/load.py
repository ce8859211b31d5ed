"""The load itself, in a process of its own: closed loop (N outstanding) or open loop (arrivals by a schedule).

Everything is made before the clock runs; afterwards the numbers are made from what was written down.
"""

import gc
import math
import multiprocessing
import random
import resource
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from time import monotonic, sleep, time
from typing import Final

from bench.lib.accounts import Population
from bench.lib.client import GIVEN_UP, WAITING, Client
from bench.lib.packets import SECRET, requests
from bench.lib.tickets import OURS, Tickets
from radiusd_mfa.radius.wire import Code

TIMEOUT: Final = 3.0
TRIES: Final = 3
BIN: Final = 0.5
PROMPT: Final = 1.0
"""Seconds in which a person notices no wait."""
_GRACE: Final = 0.5
_MOST_PORTS: Final = 3000


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `schedule` (seconds after the start, ascending) makes it an open loop, else `concurrency` counts."""

    target: tuple[str, int]
    population: Population
    tickets: Tickets
    begin: float
    """Unix seconds; the packets are made before."""
    seconds: float
    """How long requests are sent, the warm-up included."""
    warm: float = 0.0
    concurrency: int = 1
    schedule: "array[float] | None" = None
    wrong: frozenset[int] = frozenset()
    timeout: float = TIMEOUT
    tries: int = TRIES
    behind: int = OURS.behind
    """Steps before the current one whose code the server takes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run; times are milliseconds, rates are per second of the measured span."""

    begun: float
    sent: int
    accepted: int
    rejected: int
    unanswered: int
    wrong_rejects: int
    """Right users who were rejected, with a code that was still good when the answer came."""
    wrong_accepts: int
    overtaken: int
    """Rejected because a later code of the same user was there first: right by RFC 6238 5.2."""
    too_old: int
    """Rejected, and by then the step of the code was over: it was sent again so late, or the run began so late."""
    foreign: int
    """Replies to nobody who waited: late ones, above all."""
    retransmissions: int
    rate: float
    """Answers a second in the measured span."""
    goodput: float
    """Right answers a second in the measured span."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    lag_ms: float
    """How late the generator sent, at worst."""
    generator_us: float
    """Its CPU for a request."""
    bins: list[dict[str, float]] = field(default_factory=list)


def schedule(phases: Sequence[tuple[float, float]], chance: random.Random) -> "array[float]":
    """Return Poisson arrivals for phases of (rate, seconds)."""
    at, start, arrivals = 0.0, 0.0, array("d")
    for rate, seconds in phases:
        at = start
        while (at := at - math.log(1.0 - chance.random()) / rate) < start + seconds:
            arrivals.append(at)
        start += seconds
    return arrivals


def start(plan: Plan) -> tuple[multiprocessing.process.BaseProcess, "Connection[object, object]"]:
    """Start a run in a new process; the connection gives "begun", "over", and then the Outcome."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(plan, sender), daemon=True)
    process.start()
    sender.close()
    return process, receiver


def _run(plan: Plan, sender: "Connection[object, object]") -> None:
    datagrams = list(requests(plan.population, plan.tickets, plan.wrong))
    wanted = math.ceil(len(datagrams) / 256)
    ports = min(wanted, _most_ports() if plan.schedule else 32) or 1
    client = Client(plan.target, datagrams, SECRET, ports=ports, timeout=plan.timeout)
    gc.collect()
    gc.freeze()
    gc.disable()
    sleep(max(0.0, plan.begin - time()))
    begun = time()
    sender.send("begun")
    before = _cpu()
    began = monotonic()
    lag, stop = _open(plan, client) if plan.schedule is not None else _closed(plan, client)
    sender.send("over")
    patience = stop + plan.timeout * plan.tries
    while client.outstanding and monotonic() < patience:
        client.receive(min(0.05, client.next_timer() - monotonic()))
        client.retransmit(monotonic(), plan.tries)
    sender.send(_outcome(plan, client, begun=begun, began=began, stop=stop, lag=lag, cpu=_cpu() - before))
    client.close()


def _most_ports() -> int:
    """Return how many sockets this process may have; an open loop needs an Identifier for all that waits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = hard if hard != resource.RLIM_INFINITY else max(soft, _MOST_PORTS * 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return min(_MOST_PORTS, allowed - 64)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _closed(plan: Plan, client: Client) -> tuple[float, float]:
    """Keep so many outstanding until the time or the tickets are over; return when that was."""
    count, upcoming = len(plan.tickets), 0
    now = monotonic()
    end = now + plan.seconds
    while now < end and upcoming < count:
        free = min(plan.concurrency - client.outstanding, count - upcoming)
        if free > 0:
            client.send(upcoming, upcoming + free, now)
            upcoming += free
        client.receive(min(client.next_timer(), end) - now)
        now = monotonic()
        client.retransmit(now, plan.tries)
    return 0.0, now


def _open(plan: Plan, client: Client) -> tuple[float, float]:
    """Send by the schedule, whatever comes back; return the worst delay of our own."""
    arrivals = plan.schedule or array("d")
    count, upcoming, lag = len(plan.tickets), 0, 0.0
    start_at = now = monotonic()
    while upcoming < count:
        due = min(count, bisect_right(arrivals, now - start_at, upcoming), upcoming + 256)
        if due > upcoming:
            lag = max(lag, now - start_at - arrivals[upcoming])
            client.send(upcoming, due, now)
            upcoming = due
        following = start_at + arrivals[upcoming] if upcoming < count else now
        client.receive(min(following, client.next_timer()) - monotonic())
        now = monotonic()
        client.retransmit(now, plan.tries)
    for number in range(count):
        client.sent_at[number] = start_at + arrivals[number]  # what a user waits begins when the user came
    return lag, max(now, start_at + plan.seconds)


def _outcome(plan: Plan, client: Client, *, begun: float, began: float, stop: float, lag: float, cpu: float) -> Outcome:
    state, sent_at, answered_at = client.state, client.sent_at, client.answered_at
    sent = [number for number in range(len(state)) if state[number]]
    low = began + plan.warm
    answered = [number for number in sent if state[number] not in (WAITING, GIVEN_UP)]
    inside = [number for number in answered if low <= answered_at[number] < stop]
    # Without the wrong codes, whose Reject waits for a second by design.
    asked = [number for number in answered if sent_at[number] >= low and number not in plan.wrong]
    waits = sorted((answered_at[number] - sent_at[number]) * 1e3 for number in asked)
    refused = [n for n in answered if state[n] == Code.ACCESS_REJECT and n not in plan.wrong]
    last = {user: index for index, user in enumerate(plan.tickets.users)} if refused else {}
    overtaken = {number for number in refused if last[plan.tickets.users[number]] > number}
    too_old = {n for n in refused if n not in overtaken and _is_old(plan, n, begun + answered_at[n] - began)}
    wrong = {n for n in answered if state[n] == Code.ACCESS_ACCEPT and n in plan.wrong} | set(refused)
    span = max(stop - low, 1e-9)
    return Outcome(
        begun=begun,
        sent=len(sent),
        accepted=sum(state[number] == Code.ACCESS_ACCEPT for number in answered),
        rejected=sum(state[number] == Code.ACCESS_REJECT for number in answered),
        unanswered=len(sent) - len(answered),
        wrong_rejects=len(refused) - len(overtaken) - len(too_old),
        wrong_accepts=len(wrong) - len(refused),
        overtaken=len(overtaken),
        too_old=len(too_old),
        foreign=client.foreign,
        retransmissions=client.retransmissions,
        rate=len(inside) / span,
        goodput=sum(number not in wrong for number in inside) / span,
        p50_ms=percentile(waits, 0.50),
        p99_ms=percentile(waits, 0.99),
        max_ms=waits[-1] if waits else math.nan,
        lag_ms=lag * 1e3,
        generator_us=cpu / max(1, len(sent) + client.retransmissions) * 1e6,
        bins=_bins(plan, client, began, sent) if plan.schedule is not None else [],
    )


def _is_old(plan: Plan, number: int, answered: float) -> bool:
    """Whether the code was past its time when the answer came, in Unix seconds; what is sent again grows older."""
    return plan.tickets.steps[number] < int(answered // plan.population.period) - plan.behind


def _bins(plan: Plan, client: Client, began: float, sent: list[int]) -> list[dict[str, float]]:
    """Count right sign-ins by the half second: offered, got in at last, got in at once, and Accepts that came then."""
    count = int((plan.seconds + plan.timeout * plan.tries + _GRACE) / BIN) + 1
    bins = [{"at": index * BIN, "offered": 0.0, "got_in": 0.0, "prompt": 0.0, "accepts": 0.0} for index in range(count)]
    for number in sent:
        if number in plan.wrong:
            continue
        at = min(count - 1, int((client.sent_at[number] - began) / BIN))
        bins[at]["offered"] += 1
        if client.state[number] == Code.ACCESS_ACCEPT:
            bins[at]["got_in"] += 1
            bins[at]["prompt"] += client.answered_at[number] - client.sent_at[number] <= PROMPT
            bins[min(count - 1, int((client.answered_at[number] - began) / BIN))]["accepts"] += 1
    return bins


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the value below which this share lies; NaN of nothing."""
    return ascending[int(share * (len(ascending) - 1) + 0.5)] if ascending else math.nan
