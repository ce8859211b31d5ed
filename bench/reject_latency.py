"""Whether the time of a Reject tells its reason: latencies by reason, and a rank test of each against the others.

Usage: python -m bench.reject_latency [--requests N] [--reject-delay SECONDS] [--rate PER_SECOND] [--quick]

One daemon in this process on a throw-away SQLite file, argon2id as in production, one client on the loopback. Requests
of all reasons come mixed, at an even rate. Mann-Whitney's U of each reason against all others together, with ties and
Bonferroni's correction: a p below 0.05 says that somebody who asks often enough could tell them apart.

The rate must stay below what the machine hashes (two hashes a request): where a hash waits longer than the reject
delay, the delay hides nothing, and a closed account, which is not hashed then, stands out.
"""

import argparse
import math
import random
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, insert, update

from radiusd_mfa.app import App
from radiusd_mfa.config import Config, Endpoint
from radiusd_mfa.installation import initialise
from radiusd_mfa.passwords.local import make_hash
from radiusd_mfa.radius.client import encode_request
from radiusd_mfa.radius.wire import Attribute, Code
from radiusd_mfa.store import schema

SECRET = b"a secret of the bench"
REASONS = ("unknown-user", "disabled", "not-enrolled", "wrong-password", "wrong-code", "throttled")
DEADLINE = 5.0


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--reject-delay", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--quick", action="store_true", help="120 requests: shows that it runs")
    given = parser.parse_args()
    if given.quick:
        given.requests = 120
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory), given) as address:
        latencies = measure(address, given.requests, given.rate)
    report(latencies)


@contextmanager
def serving(directory: Path, given: argparse.Namespace) -> Iterator[str]:
    """Run a daemon with one user for each request that needs one of its own; yield its address."""
    environ = {"RADIUSD_MFA_STATE_DIR": str(directory), "RADIUSD_MFA_LISTEN": "127.0.0.1:0"}
    config = replace(Config.load(None, environ), reject_delay=given.reject_delay)
    initialise(config)
    app = App.open(config)
    fill(app, given.requests)
    daemon = app.daemon([Endpoint.parse("127.0.0.1:0")])
    ready = threading.Event()
    thread = threading.Thread(target=lambda: daemon.run(ready=ready.set))
    thread.start()
    ready.wait(10)
    try:
        yield daemon.addresses[0]
    finally:
        daemon.stop()
        thread.join()
        app.close()


def fill(app: App, requests: int) -> None:
    """Make users in the state that each reason needs; the one hash is shared, since its cost is what counts."""
    stored = make_hash("hunter2")
    now = time.time()
    with app.database.writing() as connection:
        connection.execute(
            insert(schema.nas).values(
                id=1, name="bench", address="127.0.0.0/8", secret=b"", surface="vpn", created_at=now
            )
        )
        sealed = app.keys.seal(SECRET, table="nas", column="secret", row=1)
        connection.execute(update(schema.nas).values(secret=sealed))
        for number in range(requests):
            reason = REASONS[number % len(REASONS)]
            if reason == "unknown-user":
                continue
            user = {"id": number + 1, "name": f"user{number}", "password_hash": stored, "created_at": now}
            connection.execute(insert(schema.users).values(user | {"disabled": reason == "disabled"}))
            if reason != "not-enrolled":
                enrol(app, connection, number + 1, now)
            if reason == "throttled":
                history = "".join(f"{now + 600:.3f}/c/1/00000000/{n:016x}/{n:032x};" for n in range(5))
                connection.execute(insert(schema.throttles).values(user_id=number + 1, history=history))


def enrol(app: App, connection: Connection, user_id: int, now: float) -> None:
    """Give a user a confirmed authenticator."""
    seed = app.keys.seal(random.randbytes(20), table="methods", column="seed", row=user_id)
    row = {"id": user_id, "user_id": user_id, "kind": "totp", "seed": seed, "created_at": now, "confirmed_at": now}
    connection.execute(insert(schema.methods).values(row))


def measure(address: str, requests: int, rate: float) -> dict[str, list[float]]:
    """Send the requests mixed and at an even rate; return the latencies in seconds by reason."""
    host, _, port = address.rpartition(":")
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect((host, int(port)))
    sender.settimeout(DEADLINE)
    order = random.sample(range(requests), requests)
    sent: dict[int, tuple[str, float]] = {}
    latencies: dict[str, list[float]] = defaultdict(list)
    receiver = threading.Thread(target=receive, args=(sender, sent, latencies, requests))
    receiver.start()
    start = time.perf_counter()
    for place, number in enumerate(order):
        octets = request(number, place % 256)
        time.sleep(max(0.0, start + place / rate - time.perf_counter()))
        sent[place % 256] = (REASONS[number % len(REASONS)], time.perf_counter())
        sender.send(octets)
    receiver.join()
    sender.close()
    return latencies


def request(number: int, identifier: int) -> bytes:
    """Build the request that is refused for the reason of this number."""
    reason = REASONS[number % len(REASONS)]
    password = b"letmein" if reason == "wrong-password" else b"hunter2"
    name = f"nobody{number}" if reason == "unknown-user" else f"user{number}"
    return encode_request(
        code=Code.ACCESS_REQUEST,
        identifier=identifier,
        authenticator=random.randbytes(16),
        secret=SECRET,
        attributes=[(int(Attribute.USER_NAME), name.encode())],
        password=password + b"000000",
    )


def receive(
    sender: socket.socket, sent: dict[int, tuple[str, float]], latencies: dict[str, list[float]], requests: int
) -> None:
    """Note the latency of each reply, until all have come or nothing comes any more."""
    codes: Counter[int] = Counter()
    for _ in range(requests):
        try:
            reply = sender.recv(4096)
        except TimeoutError:
            break
        now = time.perf_counter()
        codes[reply[0]] += 1
        reason, since = sent.pop(reply[1])
        latencies[reason].append(now - since)
    lost = requests - codes.total()
    print(f"{requests} requests, {codes[Code.ACCESS_REJECT]} Access-Reject, {lost} without a reply")


def report(latencies: dict[str, list[float]]) -> None:
    """Print the distribution of each reason, and what the rank test says."""
    print(f"{'reason':16} {'n':>5} {'median ms':>10} {'p5 ms':>9} {'p95 ms':>9} {'p (rank)':>9}")
    for reason in REASONS:
        mine = latencies[reason]
        others = [each for other, values in latencies.items() if other != reason for each in values]
        p = min(1.0, mann_whitney(mine, others) * len(REASONS))
        low, *_, high = statistics.quantiles(mine, n=20)
        middle = statistics.median(mine)
        print(f"{reason:16} {len(mine):5} {middle * 1e3:10.3f} {low * 1e3:9.3f} {high * 1e3:9.3f} {p:9.3f}")


def mann_whitney(mine: Sequence[float], others: Sequence[float]) -> float:
    """Return the two-sided p of the hypothesis that both are drawn alike, by the normal approximation with ties."""
    pooled = sorted([(value, True) for value in mine] + [(value, False) for value in others])
    ranks, ties, at = 0.0, 0.0, 0
    while at < len(pooled):
        end = at
        while end < len(pooled) and pooled[end][0] == pooled[at][0]:
            end += 1
        ranks += sum(own for _, own in pooled[at:end]) * (at + end + 1) / 2
        ties += (end - at) ** 3 - (end - at)
        at = end
    n, m = len(mine), len(others)
    total = n + m
    mean = n * m / 2
    deviation = math.sqrt(n * m / 12 * (total + 1 - ties / (total * (total - 1))))
    z = (ranks - n * (n + 1) / 2 - mean) / deviation
    return math.erfc(abs(z) / math.sqrt(2))


if __name__ == "__main__":
    main()
