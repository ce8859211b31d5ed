"""Retransmissions: one evaluation, one audit row, the same verdict, wherever they arrive (I6, ATTACKS 7 and 8)."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import select, update

from radiusd_mfa.core.judge import RETRANSMITTED_FOR
from radiusd_mfa.passwords.local import verify
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.store import schema
from radiusd_mfa.usecases.ports import SignInStore
from tests.support.packets import SIGNATURE, build, new_authenticator, none_is_answered, password, user
from tests.support.taps import Tap, eventually
from tests.support.world import CheapPasswords, Reply, TestNas, TestUser, World


def typed_for(alice: TestUser, verdict: str) -> bytes:
    wrong = f"{(int(alice.code()) + 1) % 10**6:06}"
    return {"accept": alice.typed(), "reject": f"hunter2{wrong}".encode(), "challenge": b"hunter2"}[verdict]


REASONS = {"accept": "totp", "reject": "wrong-code", "challenge": "code-due"}
VERDICTS = pytest.mark.parametrize("verdict", REASONS)


def resend(nas: TestNas, octets: bytes, authenticator: bytes, *, to: Daemon | None = None) -> Reply:
    """Send the same octets from the same socket, to another node if one is given."""
    if to is None:
        nas.send(octets)
    else:
        host, _, port = to.addresses[0].rpartition(":")
        nas.socket.sendto(octets, (host, int(port)))
    reply = nas.receive(authenticator)
    assert reply is not None, "the retransmission was not answered"
    return reply


def assert_set(event: threading.Event) -> None:
    assert event.wait(20), "nobody let it go on"


def histories(world: World) -> list[str]:
    with world.database.reading() as connection:
        return [row.history for row in connection.execute(select(schema.throttles.c.history))]


@contextmanager
def two_nodes(world: World, *wraps: Callable[[SignInStore], SignInStore]) -> Iterator[list[Daemon]]:
    world.nas(challenge=True)
    with ExitStack() as stack:
        around = [*wraps, *[lambda store: store] * 2][:2]
        yield [stack.enter_context(world.daemon(wrap=wrap)) for wrap in around]


@VERDICTS
def test_a_retransmission_after_the_reply_gets_the_same_octets(world: World, verdict: str) -> None:
    world.nas(challenge=True)
    alice, tap = world.user(), Tap()
    with world.daemon(wrap=tap.around) as daemon:
        nas = world.client(daemon)
        octets, authenticator = nas.request("alice", typed_for(alice, verdict))
        first = resend(nas, octets, authenticator)
        again = [resend(nas, octets, authenticator).octets for _ in range(3)]
    assert again == [first.octets] * 3
    assert len(tap.opened) == 1
    assert world.audit() == [(verdict, REASONS[verdict])]


def test_a_retransmission_while_pending_is_not_evaluated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.nas()
    alice, go_on, tap = world.user(), threading.Event(), Tap()

    def wait(_: CheapPasswords, password: str, stored: str) -> bool:
        assert_set(go_on)
        return verify(password, stored)

    monkeypatch.setattr(CheapPasswords, "verify", wait)
    with world.daemon(wrap=tap.around) as daemon:
        nas = world.client(daemon)
        octets, authenticator = nas.request("alice", alice.typed())
        nas.send(octets)
        eventually(lambda: tap.opened)
        assert none_is_answered(nas, [octets] * 5)
        go_on.set()
        reply = nas.receive(authenticator)
        assert reply is not None
        assert reply.code is Code.ACCESS_ACCEPT
        assert nas.receive(authenticator, timeout=0.2) is None  # one reply for six packets
    assert len(tap.opened) == 1
    assert world.audit() == [("accept", "totp")]


@pytest.mark.parametrize("forgery", ["another secret", "no signature", "two signatures", "a short signature"])
def test_a_forged_packet_neither_pushes_out_an_answer_nor_is_given_one(world: World, forgery: str) -> None:
    """Sent from the NAS's own address and port, under the same Id: with a new authenticator, then with the same."""
    world.nas()
    alice, tap = world.user(), Tap()
    with world.daemon(wrap=tap.around) as daemon:
        nas = world.client(daemon)
        octets, authenticator = nas.request("alice", alice.typed(), identifier=7)
        first = resend(nas, octets, authenticator)
        assert none_is_answered(nas, [forged(forgery, by) for by in (new_authenticator(), authenticator)])
        assert resend(nas, octets, authenticator).octets == first.octets
    assert len(tap.opened) == 1, "the answer was forgotten for a forged packet"


def test_a_forged_packet_does_not_push_out_a_request_in_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.nas()
    alice, go_on, tap = world.user(), threading.Event(), Tap()

    def wait(_: CheapPasswords, password: str, stored: str) -> bool:
        assert_set(go_on)
        return verify(password, stored)

    monkeypatch.setattr(CheapPasswords, "verify", wait)
    with world.daemon(wrap=tap.around) as daemon:
        nas = world.client(daemon)
        octets, authenticator = nas.request("alice", alice.typed(), identifier=7)
        nas.send(octets)
        eventually(lambda: tap.opened)
        assert none_is_answered(nas, [forged("another secret", new_authenticator()), octets])
        go_on.set()
        first = nas.receive(authenticator)
        assert first is not None
        assert resend(nas, octets, authenticator).octets == first.octets
    assert len(tap.opened) == 1, "the request in work was forgotten for a forged packet"


def forged(how: str, authenticator: bytes) -> bytes:
    pairs = [user(), password(b"hunter2", authenticator)]
    match how:
        case "another secret":
            return build([*pairs, SIGNATURE], authenticator=authenticator, secret=b"a guessed secret")
        case "no signature":
            return build(pairs, authenticator=authenticator)
        case "two signatures":
            return build([SIGNATURE, *pairs, SIGNATURE], authenticator=authenticator)
        case _:
            return build([*pairs, (SIGNATURE[0], bytes(15))], authenticator=authenticator)


def test_the_same_identifier_with_a_new_authenticator_is_a_new_request(world: World, nas: TestNas) -> None:
    alice = world.user()
    assert nas.ask("alice", alice.typed(), identifier=7).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", alice.typed(), identifier=7).code is Code.ACCESS_REJECT
    assert world.audit() == [("accept", "totp"), ("reject", "code-reused")]


def test_the_same_octets_from_another_port_are_another_request(world: World, daemon: Daemon, nas: TestNas) -> None:
    alice = world.user()
    octets, authenticator = nas.request("alice", alice.typed())
    assert resend(nas, octets, authenticator).code is Code.ACCESS_ACCEPT
    assert resend(world.client(daemon), octets, authenticator).code is Code.ACCESS_REJECT
    assert world.audit() == [("accept", "totp"), ("reject", "code-reused")]


@VERDICTS
def test_another_node_gives_the_same_verdict_and_writes_nothing(world: World, verdict: str) -> None:
    alice = world.user()
    with two_nodes(world) as (one, other):
        nas = world.client(one)
        octets, authenticator = nas.request("alice", typed_for(alice, verdict))
        first = resend(nas, octets, authenticator)
        before = histories(world)
        for _ in range(2):
            assert resend(nas, octets, authenticator, to=other).octets == first.octets
    assert histories(world) == before
    assert world.audit() == [(verdict, REASONS[verdict])]


@VERDICTS
def test_two_nodes_that_work_on_one_request_at_once_give_one_verdict(world: World, verdict: str) -> None:
    """Both have read the facts before either settles."""
    alice, meeting = world.user(), threading.Barrier(2)
    met = threading.local()

    def meet(_: object) -> None:
        if not getattr(met, "once", False):
            met.once = True
            meeting.wait(20)

    with two_nodes(world, Tap(before_settle=meet).around, Tap(before_settle=meet).around) as (one, other):
        nas = world.client(one)
        octets, authenticator = nas.request("alice", typed_for(alice, verdict))
        nas.send(octets)
        replies = [resend(nas, octets, authenticator, to=other), nas.receive(authenticator)]
    assert replies[0] is not None
    assert replies[1] is not None
    assert replies[0].octets == replies[1].octets
    assert world.audit() == [(verdict, REASONS[verdict])]


def test_a_wrong_code_stays_counted_however_often_it_is_retransmitted(world: World) -> None:
    alice = world.user()
    with two_nodes(world) as (one, other):
        nas = world.client(one)
        for number in range(1, 6):
            wrong = f"{(int(alice.code()) + number) % 10**6:06}"
            octets, authenticator = nas.request("alice", f"hunter2{wrong}".encode())
            assert resend(nas, octets, authenticator).code is Code.ACCESS_REJECT
            assert resend(nas, octets, authenticator, to=other).code is Code.ACCESS_REJECT
        assert nas.ask("alice", alice.typed()).code is Code.ACCESS_REJECT
    assert world.audit() == [("reject", "wrong-code")] * 5 + [("reject", "throttled")]


def test_the_same_octets_a_minute_later_are_a_replay(world: World) -> None:
    alice = world.user()
    with two_nodes(world) as (one, other):
        nas = world.client(one)
        octets, authenticator = nas.request("alice", alice.typed())
        assert resend(nas, octets, authenticator).code is Code.ACCESS_ACCEPT
        world.execute(update(schema.audit).values(at=schema.audit.c.at - RETRANSMITTED_FOR - 1))
        replayed = resend(nas, octets, authenticator, to=other)
        assert replayed.code is Code.ACCESS_REJECT
        # The node that answered keeps its octets for its cache's short life; they reach who had them already.
        assert resend(nas, octets, authenticator, to=other).octets == replayed.octets
    assert world.audit() == [("accept", "totp"), ("reject", "replayed")]


def test_a_fault_before_the_commit_leaves_the_retransmission_to_be_worked_on(world: World) -> None:
    world.nas()
    alice, broken = world.user(), threading.Event()
    broken.set()

    def fail(_: object) -> None:
        if broken.is_set():
            raise RuntimeError("a fault of the test")

    with world.daemon(wrap=Tap(before_settle=fail).around) as daemon:
        nas = world.client(daemon)
        octets, authenticator = nas.request("alice", alice.typed())
        assert nas.is_ignored(octets, authenticator)
        broken.clear()
        assert resend(nas, octets, authenticator).code is Code.ACCESS_ACCEPT
    assert world.audit() == [("accept", "totp")]


def test_a_fault_after_the_commit_costs_neither_code_nor_row(world: World) -> None:
    """As when the connection breaks between the commit and its confirmation: the first evaluation stands."""
    world.nas()
    alice, broken = world.user(), threading.Event()
    broken.set()

    def fail(_: object) -> None:
        if broken.is_set():
            raise RuntimeError("a fault of the test")

    with world.daemon(wrap=Tap(after_settle=fail).around) as daemon:
        nas = world.client(daemon)
        octets, authenticator = nas.request("alice", alice.typed())
        assert nas.is_ignored(octets, authenticator)
        broken.clear()
        assert resend(nas, octets, authenticator).code is Code.ACCESS_ACCEPT
    assert world.audit() == [("accept", "totp")]
