"""What has been counted: whole numbers in memory that the workers of a server and their parent share.

A worker adds to its own tally, and whoever answers for all of them adds the tallies up. So nobody asks a worker, a
worker that hangs or dies takes no count with it, and the one in its place goes on from where it was. To add one costs
less than 0.1 us: there is no lock, since only one thread at a time adds to a number (the interpreter changes threads
between two additions, never within one).

Times are added as whole microseconds.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from enum import StrEnum
from mmap import mmap
from typing import Final

from radiusd_mfa.core.verdict import Outcome, Reason
from radiusd_mfa.radius.wire import Cause
from radiusd_mfa.server.drops import FAULT, LATE, OVERLOAD, UNKNOWN_NAS

Words = MutableSequence[int] | memoryview
NASES: Final = 256
"""NAS entries that are counted apart; the sign-ins of all further ones are counted together, as `(others)`."""
OTHERS: Final = "(others)"
SECONDS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the buckets of stages; what takes longer is in one more."""
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Upper bounds of the buckets of batches, in sign-ins."""
_MICRO: Final = 1e6
_WORD: Final = 8
_NAME: Final = 16
"""Words of a name: 128 octets."""


class Stage(StrEnum):
    """Where the time of a sign-in goes."""

    WAIT = "wait"
    OPEN = "open"
    HASH = "hash"
    SETTLE = "settle"
    TOTAL = "total"


class Count(StrEnum):
    """What only grows."""

    DUPLICATES_ANSWERED = "duplicates-answered"
    DUPLICATES_IN_WORK = "duplicates-in-work"
    CLOCK_BEHIND = "clock-behind"
    DATABASE_FAILURES = "database-failures"
    DATABASE_LATE = "database-late"
    HASHES = "hashes"
    HASH_TIME = "hash-time"
    """Microseconds that hash threads were busy."""
    LOG_LINES_LOST = "log-lines-lost"
    STARTS = "starts"
    """How often this worker was started."""


class Level(StrEnum):
    """What rises and falls."""

    PROCESS = "process"
    """Its id."""
    STARTED = "started"
    """Unix seconds at which it was started."""
    OPENING = "opening"
    HASHING = "hashing"
    """Sign-ins that wait for a hash thread, or have one."""
    SETTLING = "settling"
    REPLIES = "replies"
    """Replies that wait for their second."""
    HASH_THREADS = "hash-threads"
    HASH_THREADS_BUSY = "hash-threads-busy"
    HEALTHY = "healthy"
    NAS_ENTRIES = "nas-entries"
    NAS_OVERLAPS = "nas-overlaps"
    """NAS entries whose range lies within another's."""
    SOCKET_DROPS = "socket-drops"
    """Datagrams that the kernel dropped because the sockets' buffers were full: a count, but the kernel's."""
    SOCKET_OCTETS = "socket-octets"


PAIRS: Final = {pair: at for at, pair in enumerate((outcome, reason) for outcome in Outcome for reason in Reason)}
CAUSES: Final = (*(cause.value for cause in Cause), UNKNOWN_NAS, OVERLOAD, LATE, FAULT)


class Histogram:
    """Counts by bucket, and the sum, somewhere among the words."""

    __slots__ = ("_bounds", "_first", "_sum", "_words")

    def __init__(self, words: Words, first: int, bounds: Sequence[float]) -> None:
        self._words = words
        self._first = first
        self._bounds = bounds
        self._sum = first + len(bounds) + 1

    def add(self, value: float, times: int = 1) -> None:
        """Count a value, in seconds or sign-ins, as often as it was met."""
        words = self._words
        words[self._first + bisect_left(self._bounds, value)] += times
        words[self._sum] += int(value * _MICRO) * times

    @property
    def buckets(self) -> Sequence[tuple[float, int]]:
        """Upper bound and count of each bucket, not cumulative; the last bound is infinite."""
        found = [int(self._words[at]) for at in range(self._first, self._sum)]
        return list(zip((*self._bounds, float("inf")), found, strict=True))

    @property
    def sum(self) -> float:
        """All values together."""
        return int(self._words[self._sum]) / _MICRO


_STAGE_WORDS: Final = len(SECONDS) + 2
_BATCH_WORDS: Final = len(SIZES) + 2
_CAUSES_AT: Final = len(PAIRS)
_COUNTS_AT: Final = _CAUSES_AT + len(CAUSES)
_LEVELS_AT: Final = _COUNTS_AT + len(Count)
_STAGES_AT: Final = _LEVELS_AT + len(Level)
_BATCHES_AT: Final = _STAGES_AT + len(Stage) * _STAGE_WORDS
_NASES_AT: Final = _BATCHES_AT + 2 * _BATCH_WORDS
_NAS_WORDS: Final = _NAME + len(Outcome) + 2
"""A name, the sign-ins by outcome, the packets that were dropped, and the Unix second of the last sign-in."""
_DROPPED: Final = _NAME + len(Outcome)
_LAST: Final = _DROPPED + 1
SIZE: Final = _NASES_AT + (NASES + 1) * _NAS_WORDS
"""Words of a tally."""

_COUNT: Final = {count: _COUNTS_AT + at for at, count in enumerate(Count)}
_LEVEL: Final = {level: _LEVELS_AT + at for at, level in enumerate(Level)}
_CAUSE: Final = {cause: _CAUSES_AT + at for at, cause in enumerate(CAUSES)}
_OUTCOME: Final = {outcome: _NAME + at for at, outcome in enumerate(Outcome)}


@dataclass(frozen=True, slots=True)
class NasCounts:
    """What came from one NAS entry; `last` is the Unix second of its last sign-in, 0: none."""

    name: str
    sign_ins: Mapping[Outcome, int]
    dropped: int
    last: int


class Tally:
    """The counts of one worker, or of all of them together; without memory that is shared, its own."""

    def __init__(self, words: Words | None = None) -> None:
        self.words: Final[Words] = [0] * SIZE if words is None else words
        self.stages: Final = {
            stage: Histogram(self.words, _STAGES_AT + at * _STAGE_WORDS, SECONDS) for at, stage in enumerate(Stage)
        }
        self.opened: Final = Histogram(self.words, _BATCHES_AT, SIZES)
        self.settled: Final = Histogram(self.words, _BATCHES_AT + _BATCH_WORDS, SIZES)
        self._nas_at: dict[str, int] = {name: at for at, name in self._named()}

    def add(self, count: Count, number: int = 1) -> None:
        """Count something."""
        self.words[_COUNT[count]] += number

    def drop(self, cause: str, number: int) -> None:
        """Count packets and sign-ins that were left unanswered."""
        self.words[_CAUSE[cause]] += number

    def set(self, level: Level, number: float) -> None:
        """Say how high something stands."""
        self.words[_LEVEL[level]] = int(number)

    def nas(self, name: str) -> int:
        """Return where the counts of a NAS entry are, for `seen`."""
        at = self._nas_at.get(name)
        if at is None:
            at = self._nas_at[name] = self._place(name) if len(self._nas_at) < NASES else self._place(OTHERS)
        return at

    def told(self, verdict: int, nas: int, outcome: Outcome, at: int) -> None:
        """Count a sign-in by the place of its verdict and of its NAS; `at` is the Unix second."""
        words = self.words
        words[verdict] += 1
        words[nas + _OUTCOME[outcome]] += 1
        words[nas + _LAST] = at

    def drop_of(self, nas: str, number: int) -> None:
        """Count packets of a NAS that were dropped."""
        self.words[self.nas(nas) + _DROPPED] += number

    def include(self, counts: NasCounts) -> None:
        """Add what another tally has about a NAS."""
        at = self.nas(counts.name)
        for outcome, number in counts.sign_ins.items():
            self.words[at + _OUTCOME[outcome]] += number
        self.words[at + _DROPPED] += counts.dropped
        self.words[at + _LAST] = max(int(self.words[at + _LAST]), counts.last)

    def __getitem__(self, wanted: Count | Level) -> int:
        return int(self.words[_COUNT[wanted] if isinstance(wanted, Count) else _LEVEL[wanted]])

    @property
    def verdicts(self) -> Mapping[tuple[Outcome, Reason], int]:
        """Sign-ins by outcome and reason, those that were met."""
        return {pair: number for pair, at in PAIRS.items() if (number := int(self.words[at]))}

    @property
    def drops(self) -> Mapping[str, int]:
        """Packets and sign-ins without an answer, by cause."""
        return {cause: int(self.words[at]) for cause, at in _CAUSE.items()}

    @property
    def nases(self) -> Sequence[NasCounts]:
        """The NAS entries that were met, and `(others)`."""
        return [self._nas_counts(at, name) for at, name in self._named()]

    def _named(self) -> Iterator[tuple[int, str]]:
        for at in range(_NASES_AT, SIZE, _NAS_WORDS):
            if not self.words[at]:
                return
            octets = b"".join(int(word).to_bytes(_WORD, "little") for word in self.words[at : at + _NAME])
            yield at, octets.rstrip(b"\0").decode(errors="replace")

    def _nas_counts(self, at: int, name: str) -> NasCounts:
        sign_ins = {outcome: int(self.words[at + offset]) for outcome, offset in _OUTCOME.items()}
        return NasCounts(name, sign_ins, int(self.words[at + _DROPPED]), int(self.words[at + _LAST]))

    def _place(self, name: str) -> int:
        """Give a name its place; of a long one the beginning is kept, and two that begin alike are one."""
        kept = _kept(name)
        placed = {known: at for at, known in self._named()}
        if (found := placed.get(kept.decode())) is not None:
            return found
        at = _NASES_AT + len(placed) * _NAS_WORDS
        padded = kept.ljust(_NAME * _WORD, b"\0")
        # From the end: who reads meanwhile sees a name when its first word is there.
        for offset in reversed(range(_NAME)):
            self.words[at + offset] = int.from_bytes(padded[offset * _WORD : (offset + 1) * _WORD], "little")
        return at


def _kept(name: str) -> bytes:
    octets = name.encode(errors="replace")[: _NAME * _WORD]
    return octets.decode(errors="ignore").encode()  # not half a character


class Tallies:
    """The tallies of all workers, in memory that their processes share once they are forked."""

    def __init__(self, workers: int = 1) -> None:
        self._memory: Final = memoryview(mmap(-1, SIZE * _WORD * workers)).cast("Q")
        self._workers: Final = workers

    def __len__(self) -> int:
        return self._workers

    def of(self, worker: int) -> Tally:
        """Return the tally of a worker by its number; one object for all who add to it in one process."""
        return Tally(self._memory[worker * SIZE : (worker + 1) * SIZE])

    def total(self) -> Tally:
        """Add them up as they are now."""
        tallies = [self.of(worker) for worker in range(self._workers)]
        words = [sum(map(int, same)) for same in zip(*(each.words[:_NASES_AT] for each in tallies), strict=True)]
        total = Tally([*words, *[0] * (SIZE - _NASES_AT)])
        for tally in tallies:
            for counts in tally.nases:
                total.include(counts)
        return total
