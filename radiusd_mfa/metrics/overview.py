"""What `top` shows: rates, times, queues and NASes, out of two readings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from radiusd_mfa.metrics.reading import Between

_STAGES = ("wait", "open", "hash", "settle", "total")
_UNANSWERED = ("fault", "late", "overload")


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker of the server."""

    number: int
    healthy: bool
    starts: int
    resident_memory: float | None


@dataclass(frozen=True, slots=True)
class NasRates:
    """One NAS entry: sign-ins a second by outcome, dropped packets a second, Unix seconds of its last sign-in."""

    name: str
    sign_ins: Mapping[str, float]
    dropped: float
    last: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """A server between two readings; rates are a second, times are seconds."""

    seconds: float
    version: str
    started: float | None
    """When the first of its workers was started, Unix seconds."""
    clock: float
    workers: Sequence[Worker]
    outcomes: Mapping[str, float]
    reasons: Sequence[tuple[str, str, float]]
    """Outcome, reason, rate; the most frequent first."""
    dropped: Mapping[str, float]
    times: Mapping[str, tuple[float, ...] | None]
    """p50 and p99 by stage; None: nothing came."""
    queues: Mapping[str, float]
    hash_threads: float
    hash_threads_busy: float
    """How many were busy, on the mean."""
    nases: Sequence[NasRates]
    unsealed: float | None
    outbox_waiting: float | None

    @property
    def unanswered(self) -> float:
        """Sign-ins a second that got no answer."""
        return sum(self.dropped.get(cause, 0.0) for cause in _UNANSWERED)


def overview(between: Between) -> Overview:
    """Put together what there is to be seen."""
    now = between.after
    verdicts = between.rates("sign_ins_total", "outcome", "reason")
    started = now.by("worker_start_time_seconds", "worker")
    return Overview(
        seconds=between.seconds,
        version=next(iter(now.by("build_info", "version")), ""),
        started=min(started.values(), default=None),
        clock=now.value("clock_seconds") or 0.0,
        workers=_workers(between),
        outcomes={
            outcome: sum(rate for (of, _), rate in verdicts.items() if of == outcome)
            for outcome in ("accept", "reject", "challenge")
        },
        reasons=sorted(
            ((outcome, reason, rate) for (outcome, reason), rate in verdicts.items() if rate),
            key=lambda each: -each[2],
        ),
        dropped={cause: rate for (cause,), rate in between.rates("dropped_total", "cause").items() if rate},
        times={stage: between.quantiles("sign_in_stage_seconds", (0.5, 0.99), stage=stage) for stage in _STAGES},
        queues=now.by("queue_depth", "queue"),
        hash_threads=now.value("hash_threads") or 0.0,
        hash_threads_busy=sum(between.rates("hash_seconds_total").values()),
        nases=_nases(between),
        unsealed=now.value("audit_unsealed_rows"),
        outbox_waiting=now.value("outbox_waiting"),
    )


def _workers(between: Between) -> Sequence[Worker]:
    now = between.after
    memory, starts = now.by("worker_resident_memory_bytes", "worker"), now.by("worker_starts_total", "worker")
    healthy = now.by("worker_healthy", "worker")
    return [Worker(int(name), bool(healthy[name]), int(starts.get(name, 0)), memory.get(name)) for name in healthy]


def _nases(between: Between) -> Sequence[NasRates]:
    """Put those first that ask most, then those that asked last."""
    rates = between.rates("nas_sign_ins_total", "nas", "outcome")
    dropped = between.rates("nas_dropped_packets_total", "nas")
    last = between.after.by("nas_last_sign_in_timestamp_seconds", "nas")
    found = [
        NasRates(
            name, {outcome: rate for (of, outcome), rate in rates.items() if of == name}, dropped[name,], last.get(name)
        )
        for (name,) in dropped
    ]
    return sorted(found, key=lambda each: (-sum(each.sign_ins.values()) - each.dropped, -(each.last or 0), each.name))
