"""The wire never tells why: every Reject looks alike and leaves at the same time after its request (ATTACKS 17)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import update

from radiusd_mfa.passwords.pool import HashPool
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server import daemon as daemon_module
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.store import schema
from tests.support.clock import Clock
from tests.support.phones import add_phone
from tests.support.world import TestNas, World

IDENTIFIER = 77


@dataclass
class Case:
    """A way to be refused: who is named, what is typed, and the reason that only the audit log may know."""

    user: str
    typed: bytes
    reason: str


def cases(world: World, nas: TestNas, clock: Clock) -> list[Case]:
    """Make the users that are refused for every reason there is."""
    throttled = world.user("throttled")
    for number in range(5):
        nas.ask("throttled", f"hunter2{int(throttled.code(at=clock.at)) + 7 + number:06}"[:13].encode())
    spent = world.user("spent", codes=1)
    used = f"hunter2{spent.code(at=clock.at)}".encode()
    assert nas.ask("spent", used).code is Code.ACCESS_ACCEPT
    wrong_code = world.user("wrong-code")
    world.user("disabled", disabled=True)
    world.user("unenrolled", enrolled=False)
    world.user("wrong-password")
    # Who has a phone is told from nobody else, but by the right password alone, which sends a code (0002).
    add_phone(world, world.user("phone", enrolled=False, enrolled_before=True))
    world.user("no-password")
    world.execute(update(schema.users).where(schema.users.c.name == "no-password").values(password_hash=None))
    wrong = f"hunter2{(int(wrong_code.code(at=clock.at)) + 1) % 10**6:06}".encode()
    return [
        Case("unknown", b"hunter2000000", "unknown-user"),
        Case("\x1bstrange", b"hunter2000000", "unknown-user"),
        Case("disabled", b"hunter2000000", "disabled"),
        Case("throttled", b"hunter2000000", "throttled"),
        Case("unenrolled", b"hunter2000000", "not-enrolled"),
        Case("unenrolled", b"hunter2", "not-enrolled"),
        Case("no-password", b"hunter2000000", "no-password"),
        Case("wrong-password", b"letmein000000", "wrong-password"),
        Case("wrong-code", wrong, "wrong-code"),
        Case("wrong-code", b"hunter2ab3de-fgh4k-mnp5q", "wrong-code"),
        Case("wrong-code", wrong, "known-wrong"),
        Case("wrong-code", b"hunter2\xff", "unreadable"),
        Case("spent", used, "code-reused"),
        Case("phone", b"hunter2000000", "wrong-code"),
        Case("phone", b"letmein", "wrong-password"),
    ]


def refused(nas: TestNas, case: Case, **options: Any) -> bytes:
    """Return the reply's octets without its Authenticator and the value of its Message-Authenticator."""
    reply = nas.ask(case.user, case.typed, identifier=IDENTIFIER, **options)
    assert reply.code is Code.ACCESS_REJECT
    return reply.octets[:4] + reply.octets[20:22] + reply.octets[38:]


@pytest.mark.parametrize(
    "columns", [{}, {"challenge": True}, {"retry_grace": 30.0}], ids=["plain", "challenge", "grace"]
)
def test_every_reject_has_the_same_octets(world: World, clock: Clock, columns: dict[str, Any]) -> None:
    world.nas(**columns)
    with world.daemon() as running:
        nas = world.client(running)
        seen = {}
        # A NAS that was accepted within its grace would be accepted again; a password alone would be challenged.
        for case in cases(world, nas, clock):
            if (case.reason, columns) == ("code-reused", {"retry_grace": 30.0}):
                continue
            seen[case.user, case.reason] = refused(nas, case)
            assert world.audit()[-1] == ("reject", case.reason)
    assert len(set(seen.values())) == 1


def test_a_code_missing_is_told_like_a_code_wrong(world: World, nas: TestNas) -> None:
    world.user()
    octets = {refused(nas, Case("alice", typed, "")) for typed in (b"hunter2", b"letmein", b"hunter2000000")}
    assert len(octets) == 1


def test_a_refused_answer_looks_like_a_refused_password(world: World, clock: Clock) -> None:
    world.nas(challenge=True)
    alice = world.user()
    with world.daemon() as running:
        nas = world.client(running)
        state = nas.ask("alice", b"hunter2").state
        wrong = f"{(int(alice.code(at=clock.at)) + 1) % 10**6:06}".encode()
        octets = {
            refused(nas, Case("alice", b"letmein", "")),
            refused(nas, Case("alice", wrong, ""), state=b"foreign"),
            refused(nas, Case("alice", wrong, ""), state=state),
            refused(nas, Case("nobody", wrong, ""), state=state),
            refused(nas, Case("alice", b"", ""), state=state),
        }
        assert len(octets) == 1


@contextmanager
def dues(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[float, float]]]:
    """Record (received, due) of every reply, as the daemon computes them."""
    found: list[tuple[float, float]] = []
    hold = Daemon._hold

    def recorded(self: Daemon, told: daemon_module._Told, due: float) -> None:
        found.append((told.work.received, due))
        hold(self, told, due)

    monkeypatch.setattr(Daemon, "_hold", recorded)
    yield found
    monkeypatch.setattr(Daemon, "_hold", hold)


def test_every_reject_is_due_at_the_same_time_after_its_arrival_whatever_its_reason(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.nas()
    with world.daemon(reject_delay=0.05) as running:
        nas = world.client(running)
        made = cases(world, nas, clock)
        with dues(monkeypatch) as found:
            for case in made:
                refused(nas, case)
        assert [round(due - received, 6) for received, due in found] == [0.05] * len(made)


def test_an_accept_and_a_challenge_wait_for_nothing(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.nas(challenge=True)
    alice = world.user()
    with world.daemon(reject_delay=0.05) as running, dues(monkeypatch) as found:
        nas = world.client(running)
        nas.ask("alice", b"hunter2")
        nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode())
        assert [due - received for received, due in found] == [0.0, 0.0]


def test_a_delayed_reject_holds_up_nobody(world: World, clock: Clock) -> None:
    """A hundred Rejects wait without a thread: who asks after them is answered before them."""
    world.nas()
    alice = world.user()
    with world.daemon(reject_delay=1.5, hash_threads=1) as running:
        nas = world.client(running)
        for number in range(100):
            octets, _ = nas.request(f"nobody{number}", b"letmein", identifier=number)
            nas.send(octets)
        octets, authenticator = nas.request("alice", f"hunter2{alice.code(at=clock.at)}".encode(), identifier=200)
        nas.send(octets)
        first = nas.receive(authenticator)
        assert first is not None
        assert first.code is Code.ACCESS_ACCEPT


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_a_repeated_wrong_text_may_go_without_a_hash_whoever_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Under load it shows whether an answer waits for a hash."""
    world.nas()
    world.user()
    optional: list[bool] = []
    submit = HashPool.submit

    def noted(pool: HashPool, job: Any, **options: Any) -> bool:
        optional.append(options["optional"])
        return submit(pool, job, **options)

    monkeypatch.setattr(HashPool, "submit", noted)
    with world.daemon(reject_delay=0.05) as running:
        nas = world.client(running)
        for identifier in (2, 4):  # of two workers, both meet the same one, which alone remembers
            assert nas.ask(name, b"letmein", identifier=identifier).code is Code.ACCESS_REJECT
    assert optional == [False, True]
