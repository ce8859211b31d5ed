"""The fault run: sign-ins at two daemons while everything fails in turn, then the packet log against the database.

    python -m tests.faults.run [--short] [--sign-ins N] [--seed N] [--database postgresql|sqlite|both] [--out DIRECTORY]

A run is drawn from its seed: the order of faults, who signs in and how, what the wire loses. Processes and packets keep
their own time, so two runs of one seed are alike and not the same. Exit 1: a promise was broken.
"""

import argparse
import asyncio
import random
import secrets
import signal
import sys
import time
from base64 import b32encode
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench.lib.results import RESULTS, Report
from radiusd_mfa.radius.wire import Code
from tests.faults import gather
from tests.faults.changes import Changes
from tests.faults.check import check
from tests.faults.evidence import Evidence, Probe
from tests.faults.explain import right
from tests.faults.probing import lateness, probe
from tests.faults.scene import GRACES, STATION, Scene, scene
from tests.faults.schedule import Faults
from tests.faults.traffic import Traffic
from tests.support.world import SECRET

_SOME: Final = (
    "kill -9 during-settle",
    "kill -9 after-settle",
    "kill -9 after-send",
    "clock an hour back",
    "database stopped, immediate",
    "database frozen",
    "database read-only",
    "database locked by another program",
    "disk full",
)
_LAST_WORD: Final = 3.0
"""Seconds after the last sign-in in which late replies are still written down."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it; the schedule of faults is gone through as often as it takes, and at least once."""

    sign_ins: int
    users: int
    abreast: int
    """Sign-ins at once."""
    faults: tuple[str, ...] | None = None
    """None: every one."""
    most: int | None = None
    """Faults in a cycle; None: all of them."""
    pace: float = 1.0


SHORT: Final = Size(250, 250, 80, _SOME, most=3, pace=0.6)
LONG: Final = Size(10_000, 2_000, 120)


def main() -> int:
    """Run, check, write the result down; return 1 where a promise was broken."""
    given = _options()
    # What was started is ended also when this program is told to end.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit("told to end"))
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    size = SHORT if given.short else LONG
    if given.sign_ins is not None:
        size = replace(size, sign_ins=given.sign_ins, users=max(100, given.sign_ins // 5))
    dialects = ("postgresql", "sqlite") if given.database == "both" else (given.database,)
    print(f"seed {seed}", flush=True)
    report = Report("faults", {"seed": seed, "short": given.short})
    # SQLite is one file for both daemons, which wait for each other: a fifth of it meets as much.
    fifth = replace(size, sign_ins=size.sign_ins // 5, users=size.users // 2, abreast=size.abreast // 2)
    broken = sum(_one(each, fifth if each == "sqlite" else size, seed, report) for each in dialects)
    report.ratio("violations", broken, "0")
    report.write(given.out)
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="250 sign-ins and three faults of chance")
    parser.add_argument("--sign-ins", type=int, help="at least so many (10000)")
    parser.add_argument("--seed", type=int, help="what to draw from; printed where it is not given")
    parser.add_argument("--database", choices=("postgresql", "sqlite", "both"), default="both")
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory for the JSON (default: bench/results)")
    return parser.parse_args()


def _one(dialect: str, size: Size, seed: int, report: Report) -> int:
    """Run on one database; return how many promises were broken."""
    chance = random.Random(f"{seed} {dialect}")
    began = time.time()
    with scene(dialect, size.users, chance) as playing:
        faults = Faults(playing.base, playing.nodes, chance, size.pace)
        traffic = Traffic(playing.people, playing.devices, playing.challenging, chance)
        changes = Changes(playing.app, playing.people, traffic)
        probes, lag = asyncio.run(_everything(playing, size, faults, traffic, changes))
        for node in playing.nodes:
            node.clear()
        endings = [node.stop() for node in playing.nodes]
        evidence = _evidence(playing, faults, changes, probes, lag)
    violations = [str(each) for each in check(evidence)]
    violations += [f"a daemon ended with {ending} when it was told to end" for ending in endings if ending]
    report.versions[dialect] = playing.version
    row = {
        **_counted(evidence),
        "users": size.users,
        "seconds": time.time() - began,
        "lag_s": lag,
        "kinds": dict(traffic.begun.most_common()),
        "faults": dict(sorted(faults.happened.items())),
        "right": traffic.right,
        "got_in": traffic.got_in,
        "silent": traffic.silent,
        "changes": len(changes.done),
        "sign_ins": sum(traffic.begun.values()),
        "violations": violations,
    }
    report.add(dialect, row, "sign_ins", "sent", "replies", "verdicts", "faults", "reasons", "seconds")
    for violation in violations:
        print(f"  VIOLATED {violation}", flush=True)
    return len(violations)


async def _everything(
    playing: Scene, size: Size, faults: Faults, traffic: Traffic, changes: Changes
) -> tuple[list[Probe], float]:
    """Let everything happen at once, until there was enough of it.

    Return what the daemons said of themselves, and by how many seconds the machine was late at most.
    """
    over, probes, lags = asyncio.Event(), list[Probe](), list[float]()
    async with asyncio.TaskGroup() as group:
        for node in playing.nodes:
            group.create_task(probe(node, probes, over, source=STATION))
        group.create_task(lateness(lags, over))
        group.create_task(changes.flow(over))
        group.create_task(traffic.flow(over.is_set, abreast=size.abreast))
        while not faults.happened or sum(traffic.begun.values()) < size.sign_ins:
            await faults.cycle(size.faults, size.most)
        await asyncio.sleep(_LAST_WORD)  # some calm, in which everybody gets in again
        over.set()
    await asyncio.sleep(_LAST_WORD)
    for nas in (*playing.devices, playing.challenging):
        nas.close()
    return probes, max(lags, default=0.0)


def _evidence(playing: Scene, faults: Faults, changes: Changes, probes: Sequence[Probe], lag: float) -> Evidence:
    database = playing.world.database
    return Evidence(
        requests=playing.log.requests,
        sent=playing.log.sent,
        replies=playing.log.replies,
        rows=gather.rows(database),
        probes=probes,
        away=faults.away,
        shifts=faults.shifts,
        lag=lag,
        charges=gather.charges(database),
        changes=changes.done,
        graces=GRACES,
        fallen=gather.fallen(database),
        generations=gather.generations(database),
        chain=gather.chain(playing.environ),
        leaks=gather.leaks([node.log for node in playing.nodes], _secrets(playing)),
    )


def _secrets(playing: Scene) -> Iterator[str]:
    yield SECRET.decode()
    for person in playing.people.persons:
        yield person.user.password
        yield b32encode(person.user.seed).decode()
        for code in person.user.backup_codes:
            yield code.shown
            yield code.canonical


def _counted(evidence: Evidence) -> dict[str, Any]:
    """Count what the document tells."""
    verified = [reply for reply in evidence.replies if reply.verified]
    verdicts: dict[bytes, str] = {}
    for reply in verified:
        verdicts.setdefault(reply.digest, Code(reply.code).name.removeprefix("ACCESS_").lower())
    refused = Counter(
        row.reason
        for digest, verdict in verdicts.items()
        if verdict == "reject" and right(evidence.requests[digest])
        for row in evidence.by_request.get(digest, ())
    )
    return {
        "requests": len(evidence.requests),
        "sent": len(evidence.sent),
        "replies": len(evidence.replies),
        "verdicts": dict(Counter(verdicts.values()).most_common()),
        "answered_again": len(verified) - len(verdicts),
        "reasons": dict(Counter(row.reason for row in evidence.rows).most_common()),
        "right_refused": dict(refused.most_common()),
        "rows": len(evidence.rows),
        "probes": len(evidence.probes),
        "probes_answered": sum(each.answered_at is not None for each in evidence.probes),
        "away_s": sum(span.ended - span.began for span in evidence.away),
    }


if __name__ == "__main__":
    sys.exit(main())
