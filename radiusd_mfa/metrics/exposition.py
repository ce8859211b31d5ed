"""The tallies as text for Prometheus: their names, their meanings, and nothing that grows with users or strangers.

docs/monitoring.md has the same list for people; a test holds them together.
"""

import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from radiusd_mfa import __version__
from radiusd_mfa.metrics.processes import process_figures
from radiusd_mfa.server.tally import Count, Histogram, Level, Tallies, Tally
from radiusd_mfa.usecases.figures import Figures

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_PREFIX: Final = "radiusd_mfa_"
_QUEUES: Final = (Level.OPENING, Level.HASHING, Level.SETTLING, Level.REPLIES)
_DUPLICATES: Final = {"resent": Count.DUPLICATES_ANSWERED, "in-work": Count.DUPLICATES_IN_WORK}
_MICRO: Final = 1e6


def exposition(tallies: Tallies, figures: Figures | None) -> bytes:
    """Return everything that is known now; `figures`: what was read from the database last, None: nothing yet."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([*_families(tallies.total()), *_of_workers(tallies), *_of_database(figures)]))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(total: Tally) -> Iterator[Metric]:
    yield from _of_sign_ins(total)
    yield from _of_nases(total)
    dropped = _counter("dropped", "Packets and sign-ins that were left unanswered, by cause.", ["cause"])
    for cause, number in total.drops.items():
        dropped.add_metric([cause], number)
    duplicates = _counter("duplicates", "Retransmissions: answered with the same octets, or in work already.", ["kind"])
    for kind, count in _DUPLICATES.items():
        duplicates.add_metric([kind], total[count])
    yield from (dropped, duplicates)
    yield _counter("clock_behind", "Sign-ins that showed the clock to be behind codes that were spent.").of(
        total[Count.CLOCK_BEHIND]
    )
    yield _gauge("clock_seconds", "The time of the server, Unix seconds.").of(time.time())
    yield from _of_resources(total)


def _of_sign_ins(total: Tally) -> Iterator[Metric]:
    sign_ins = _counter("sign_ins", "Sign-ins that were answered, by outcome and reason.", ["outcome", "reason"])
    for (outcome, reason), number in total.verdicts.items():
        sign_ins.add_metric([outcome, reason], number)
    yield sign_ins
    stages = _histogram("sign_in_stage_seconds", "Where the time of a sign-in goes; total: until its commit.", "stage")
    for stage, histogram in total.stages.items():
        _add(stages, stage, histogram)
    yield stages
    batches = _histogram("batch_sign_ins", "Sign-ins that shared a transaction.", "transaction")
    _add(batches, "open", total.opened)
    _add(batches, "settle", total.settled)
    yield batches


def _of_nases(total: Tally) -> Iterator[Metric]:
    sign_ins = _counter("nas_sign_ins", "Sign-ins that were answered, by NAS entry and outcome.", ["nas", "outcome"])
    dropped = _counter("nas_dropped_packets", "Malformed or unsigned packets from the address of an entry.", ["nas"])
    last = _gauge("nas_last_sign_in_timestamp_seconds", "When the last sign-in of a NAS entry was answered.", ["nas"])
    for counts in total.nases:
        for outcome, number in counts.sign_ins.items():
            sign_ins.add_metric([counts.name, outcome], number)
        dropped.add_metric([counts.name], counts.dropped)
        if counts.last:
            last.add_metric([counts.name], counts.last)
    yield from (sign_ins, dropped, last)


def _of_resources(total: Tally) -> Iterator[Metric]:
    depth = _gauge("queue_depth", "Sign-ins and replies that wait, by what they wait for.", ["queue"])
    for level in _QUEUES:
        depth.add_metric([level], total[level])
    yield depth
    yield _gauge("hash_threads", "Threads that check passwords.").of(total[Level.HASH_THREADS])
    yield _gauge("hash_threads_busy", "Threads that check a password now.").of(total[Level.HASH_THREADS_BUSY])
    yield _counter("hashes", "Password checks that were run in threads.").of(total[Count.HASHES])
    yield _counter("hash_seconds", "Seconds that threads took for them.").of(total[Count.HASH_TIME] / _MICRO)
    failures = "Transactions that failed; nobody whose sign-in was in them was answered."
    yield _counter("database_failures", failures).of(total[Count.DATABASE_FAILURES])
    late = "Transactions that succeeded after database_deadline."
    yield _counter("database_late", late).of(total[Count.DATABASE_LATE])
    kernel = "Datagrams that the kernel dropped because the buffer of a socket was full."
    yield _counter("socket_dropped_datagrams", kernel).of(total[Level.SOCKET_DROPS])
    yield _gauge("socket_queue_bytes", "What waits in the buffers of the sockets.").of(total[Level.SOCKET_OCTETS])
    lost = "Lines of the log that were left out because nobody read it fast enough."
    yield _counter("log_lines_lost", lost).of(total[Count.LOG_LINES_LOST])


def _of_workers(tallies: Tallies) -> Iterator[Metric]:
    info = _gauge("build_info", "Always 1; the labels say what runs.", ["version", "python"])
    info.add_metric([__version__, platform.python_version()], 1)
    starts = _counter("worker_starts", "How often a worker was started; a second time: it had died.", ["worker"])
    healthy = _gauge("worker_healthy", "Whether the last work of a worker with the database succeeded.", ["worker"])
    entries = _gauge("worker_nas_entries", "NAS entries that a worker serves.", ["worker"])
    overlaps = _gauge("worker_nas_overlaps", "NAS entries whose range lies within that of another.", ["worker"])
    started = _gauge("worker_start_time_seconds", "When a worker was started.", ["worker"])
    cpu = _counter("worker_cpu_seconds", "Processor time of a worker.", ["worker"])
    memory = _gauge("worker_resident_memory_bytes", "Resident memory of a worker.", ["worker"])
    files = _gauge("worker_open_fds", "Open files and sockets of a worker.", ["worker"])
    for number in range(len(tallies)):
        tally, name = tallies.of(number), [str(number)]
        starts.add_metric(name, tally[Count.STARTS])
        healthy.add_metric(name, tally[Level.HEALTHY])
        entries.add_metric(name, tally[Level.NAS_ENTRIES])
        overlaps.add_metric(name, tally[Level.NAS_OVERLAPS])
        started.add_metric(name, tally[Level.STARTED])
        if (found := process_figures(tally[Level.PROCESS])) is not None:
            cpu.add_metric(name, found.cpu_seconds)
            memory.add_metric(name, found.resident_memory)
            files.add_metric(name, found.open_files)
    yield from (info, starts, healthy, entries, overlaps, started, cpu, memory, files)


def _of_database(figures: Figures | None) -> Iterator[Metric]:
    read = _gauge("database_read_timestamp_seconds", "When what follows was read from the database.")
    seal = _gauge("audit_last_seal_timestamp_seconds", "When the newest seal over the audit log was made.")
    unsealed = _gauge("audit_unsealed_rows", "Rows of the audit log behind the newest seal.")
    waiting = _gauge("outbox_waiting", "Mails and messages that are to be delivered.")
    oldest = _gauge("outbox_oldest_waiting_timestamp_seconds", "When the oldest of them was written.")
    given_up = _gauge("outbox_given_up", "Mails and messages that were given up and are still kept.")
    if figures is not None:
        read.of(figures.at)
        unsealed.of(figures.unsealed)
        waiting.of(figures.waiting)
        given_up.of(figures.given_up)
        if figures.last_seal is not None:
            seal.of(figures.last_seal)
        if figures.oldest_waiting is not None:
            oldest.of(figures.oldest_waiting)
    yield from (read, seal, unsealed, waiting, oldest, given_up)


class _Counter(CounterMetricFamily):
    def of(self, value: float) -> "_Counter":
        self.add_metric([], value)
        return self


class _Gauge(GaugeMetricFamily):
    def of(self, value: float) -> "_Gauge":
        self.add_metric([], value)
        return self


def _counter(name: str, meaning: str, labels: Sequence[str] = ()) -> _Counter:
    return _Counter(_PREFIX + name, meaning, labels=labels)


def _gauge(name: str, meaning: str, labels: Sequence[str] = ()) -> _Gauge:
    return _Gauge(_PREFIX + name, meaning, labels=labels)


def _histogram(name: str, meaning: str, label: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(_PREFIX + name, meaning, labels=[label])


def _add(family: HistogramMetricFamily, label: str, histogram: Histogram) -> None:
    """Add buckets as Prometheus has them: each counts what is in those before it too."""
    reached, buckets = 0, []
    for bound, number in histogram.buckets:
        reached += number
        buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(reached)))
    family.add_metric([label], buckets, histogram.sum)
