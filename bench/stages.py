"""What each stage of a sign-in costs: CPU microseconds of this process, and of nothing else, by batch size.

Usage: stages.py [DATABASE_URL] [--json FILE]     default: a throw-away SQLite file

Runs the real stages one after the other in one thread: read the datagram, open, examine and check a cheap hash,
settle, count, log, encode the reply. The database's own CPU is not in these figures unless it is SQLite.
"""

import argparse
import base64
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import insert

from radiusd_mfa.core.facts import Facts
from radiusd_mfa.core.judge import Question, decide, examine
from radiusd_mfa.core.totp import Algorithm, code_at, step_at
from radiusd_mfa.core.verdict import Outcome, Verdict
from radiusd_mfa.keys import KeyRing
from radiusd_mfa.logs import Lines
from radiusd_mfa.passwords.hashing import LocalHashing
from radiusd_mfa.passwords.local import PROFILE
from radiusd_mfa.radius.client import encode_request
from radiusd_mfa.radius.exchange import Exchanges
from radiusd_mfa.radius.profiles import EncodedProfile
from radiusd_mfa.radius.wire import Attribute, Code
from radiusd_mfa.server.drops import Drops
from radiusd_mfa.server.intake import Intake, Work
from radiusd_mfa.server.nas_table import NasTable
from radiusd_mfa.server.replies import Replies
from radiusd_mfa.server.sightings import Sightings
from radiusd_mfa.server.sign_in_log import SignInLog
from radiusd_mfa.server.tally import Tallies
from radiusd_mfa.server.udp import Datagram
from radiusd_mfa.server.witness import Witness
from radiusd_mfa.store import schema
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.nas_table import NasTableReader
from radiusd_mfa.store.sign_ins import SignIns
from radiusd_mfa.store.upgrade import upgrade
from radiusd_mfa.usecases.ports import Settlement
from radiusd_mfa.usecases.sign_in import SignIn

SECRET = b"bench-secret-0123456789"
PASSWORD = "correcthorse"
Result = TypeVar("Result")
BATCHES = (1, 32, 256)
ROUNDS = 12


class Listening:
    """Stands where a datagram says on which socket it came."""

    shown = "127.0.0.1:1812"


def ssha256(password: str) -> str:
    """Return a cheap hash of the password."""
    salt = b"saltsalt"
    return "{SSHA256}" + base64.b64encode(hashlib.sha256(password.encode() + salt).digest() + salt).decode()


def fill(database: Database, keys: KeyRing, users: int) -> list[bytes]:
    """Write users with authenticators and one NAS; return the seeds."""
    seeds = [os.urandom(20) for _ in range(users)]
    stored = ssha256(PASSWORD)
    with database.writing() as connection:
        connection.execute(
            insert(schema.users),
            [{"id": n, "name": f"user{n:06}", "password_hash": stored, "created_at": 0.0} for n in range(1, users + 1)],
        )
        connection.execute(
            insert(schema.methods),
            [
                {
                    "id": n,
                    "user_id": n,
                    "kind": "totp",
                    "seed": keys.seal(seeds[n - 1], table="methods", column="seed", row=n),
                    "created_at": 0.0,
                    "confirmed_at": 0.0,
                }
                for n in range(1, users + 1)
            ],
        )
        sealed = keys.seal(SECRET, table="nas", column="secret", row=1)
        values = {"id": 1, "name": "bench", "address": "127.0.0.1/32", "surface": "vpn", "created_at": 0.0}
        connection.execute(insert(schema.nas), [{**values, "secret": sealed}])
    return seeds


class Bench:
    """The stages, each with the CPU time that it has used."""

    def __init__(self, url: str, users: int) -> None:
        self.keys = KeyRing([("bench", bytes(32))])
        admin, database = Database(url, deadline=60), Database(url, for_sign_ins=True)
        upgrade(admin)
        self.seeds = fill(admin, self.keys, users)
        admin.close()
        self.close = database.close
        table = NasTable(lambda _name: 0)
        table.replace(NasTableReader(database, self.keys).read())
        self.sign_in = SignIn(self.keys, LocalHashing(PROFILE), os.urandom)
        self.intake = Intake(table, Exchanges(65_536), self.sign_in, Drops(), Sightings())
        self.store = SignIns(database, self.keys)
        self.replies = Replies(self.sign_in, None, lambda _text: EncodedProfile())
        self.witness = Witness(Tallies().of(0))
        self.log = SignInLog(Lines(os.open(os.devnull, os.O_WRONLY), lambda _number: b"").write, as_json=True)
        self.spent: dict[str, float] = {}
        self.next_user = 0

    def run(self, size: int, rounds: int = ROUNDS) -> dict[str, float]:
        """Return CPU microseconds a sign-in by stage, for batches of this size."""
        self.spent = {}
        for _ in range(rounds):
            self._batch([self._datagram() for _ in range(size)])
        return {stage: seconds / (rounds * size) * 1e6 for stage, seconds in self.spent.items()}

    def _batch(self, datagrams: list[Datagram]) -> None:
        at = time.time()
        read = self._timed("intake", lambda: [self.intake.read(one, now=at, at=at) for one in datagrams])
        works = [work for work in read if isinstance(work, Work)]
        attempts = [work.attempt for work in works]
        facts = self._timed("open", lambda: self.store.open(attempts))
        verdicts = self._timed("judge", lambda: [self._judge(work, of) for work, of in zip(works, facts, strict=True)])
        rows = zip(works, facts, verdicts, strict=True)
        settled = [(work, self.sign_in.settlement(work.attempt, of, verdict)) for work, of, verdict in rows]
        ids = self._timed("settle", lambda: self.store.settle([settlement for _work, settlement in settled]))
        assert None not in ids
        self._timed("count", lambda: self._count(works, settled, ids))
        began = time.monotonic()
        self._timed("log", lambda: self.log.told(settled, ids, began=began, ended=began))
        self._timed("reply", lambda: [self.replies.to(work, of) for work, of in zip(works, verdicts, strict=True)])

    def _judge(self, work: Work, facts: Facts) -> Verdict:
        question = examine(work.attempt, facts)
        assert isinstance(question, Question)
        verdict = decide(work.attempt, facts, question, self.sign_in.answer(question))
        assert verdict.outcome is Outcome.ACCEPT
        return verdict

    def _count(self, works: list[Work], settled: list[tuple[Work, Settlement]], ids: Sequence[int | None]) -> None:
        for work in works:
            work.received = time.monotonic()
        self.witness.opened(works, time.monotonic())
        self.witness.settled(settled, ids, time.monotonic())

    def _timed(self, stage: str, work: Callable[[], Result]) -> Result:
        start = time.process_time()
        result = work()
        self.spent[stage] = self.spent.get(stage, 0.0) + time.process_time() - start
        return result

    def _datagram(self) -> Datagram:
        number = self.next_user
        self.next_user += 1
        code = code_at(step_at(time.time(), 30), self.seeds[number], 6, Algorithm.SHA1)
        octets = encode_request(
            code=Code.ACCESS_REQUEST,
            identifier=number % 256,
            authenticator=os.urandom(16),
            secret=SECRET,
            attributes=[
                (Attribute.USER_NAME, f"user{number + 1:06}".encode()),
                (Attribute.CALLING_STATION_ID, b"192.0.2.7"),
                (Attribute.NAS_IDENTIFIER, b"vpn1"),
            ],
            password=(PASSWORD + code).encode(),
        )
        return Datagram(octets, ("127.0.0.1", 1024 + number // 256), None, Listening())  # type: ignore[arg-type]


def main() -> None:
    """Print a table of stages by batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="three batches of each size")
    given = parser.parse_args()
    rounds = 3 if given.quick else ROUNDS
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(given.url or f"sqlite:///{directory}/bench.sqlite3", ROUNDS * (sum(BATCHES) + BATCHES[-1]) + 10)
        bench.run(BATCHES[-1], rounds)  # warm
        figures = {size: bench.run(size, rounds) for size in BATCHES}
        bench.close()
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    stages = list(figures[BATCHES[0]])
    print("CPU us a sign-in".ljust(18) + "".join(f"batch {size}".rjust(12) for size in BATCHES))
    for stage in stages:
        print(stage.ljust(18) + "".join(f"{figures[size][stage]:12.1f}" for size in BATCHES))
    print("all".ljust(18) + "".join(f"{sum(figures[size].values()):12.1f}" for size in BATCHES))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
