"""What arrives while one batch is in work is the next; one bad sign-in in a batch is nobody else's."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from radiusd_mfa.core.throttle import AT_ONCE
from radiusd_mfa.core.verdict import Verdict
from radiusd_mfa.passwords.pool import Expired, HashPool
from radiusd_mfa.radius.wire import Attribute, Cause, Code, PacketError
from radiusd_mfa.server.intake import Work
from radiusd_mfa.server.pipeline import CAPACITY, TRIES
from radiusd_mfa.server.replies import Replies
from radiusd_mfa.usecases.ports import Settlement
from tests.support.clock import Clock
from tests.support.packets import SIGNATURE, build, new_authenticator, password, user
from tests.support.taps import Tap, eventually
from tests.support.world import World


def held() -> tuple[Tap, threading.Event, list[int]]:
    """A store whose opening waits, so that what comes meanwhile is one batch; and the sizes of its batches."""
    go_on, sizes = threading.Event(), list[int]()
    tap = Tap()

    def wait(attempts: object) -> None:
        assert isinstance(attempts, list)
        sizes.append(len(attempts))
        assert go_on.wait(20)

    tap.before_open = wait
    return tap, go_on, sizes


ODD = [
    b"al\0ice",
    b"alice\r\n",
    b"\xff\xfe",
    b"\x1b[2J",
    "\u0430lice".encode(),
    b"'; --",
    b'"',
    b"\x1e\x1f",
    b"a" * 253,
]


def test_octets_that_no_database_can_hold_silence_nobody_in_their_batch(world: World) -> None:
    world.nas()
    alice = world.user()
    tap, go_on, sizes = held()
    with world.daemon(wrap=tap.around) as daemon:
        odd, nas = world.client(daemon), world.client(daemon)
        nas.send(nas.request("nobody", b"hunter2")[0])
        eventually(lambda: tap.opened)
        for identifier, octets in enumerate(ODD):
            authenticator = new_authenticator()
            station = (int(Attribute.CALLING_STATION_ID), octets)
            pairs = [SIGNATURE, user(octets), password(octets[:100], authenticator), station]
            odd.send(build(pairs, authenticator=authenticator, identifier=identifier))
        octets, authenticator = nas.request("alice", alice.typed())
        nas.send(octets)
        go_on.set()
        odd.socket.settimeout(8)
        answered = {odd.socket.recv(4097)[:2] for _ in ODD}
        assert answered == {bytes((Code.ACCESS_REJECT, identifier)) for identifier in range(len(ODD))}
    assert sizes == [1, len(ODD) + 1]
    assert world.audit().count(("accept", "totp")) == 1


def test_more_than_fits_is_dropped_before_it_costs_anything(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radiusd_mfa.server.pipeline.CAPACITY", 8)
    assert CAPACITY > 8
    world.nas()
    alice = world.user()
    tap, go_on, sizes = held()
    with world.daemon(wrap=tap.around) as daemon:
        nas = world.client(daemon)
        nas.send(nas.request("nobody", b"hunter2")[0])
        eventually(lambda: tap.opened)
        for _ in range(20):
            nas.send(nas.request("nobody", b"hunter2")[0])
        go_on.set()
        eventually(lambda: daemon.drops.counts["overload"] == 12)
        late = world.client(daemon)
        assert late.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert sizes == [1, 8, 1]


def test_requests_whose_clients_gave_up_cost_no_transaction(world: World) -> None:
    world.nas()
    world.user()
    tap, go_on, sizes = held()
    with world.daemon(wrap=tap.around, request_deadline=0.2) as daemon:
        nas = world.client(daemon)
        nas.send(nas.request("nobody", b"hunter2")[0])
        eventually(lambda: tap.opened)
        for _ in range(5):
            nas.send(nas.request("alice", b"hunter3")[0])
        time.sleep(0.4)  # longer than the clients wait
        go_on.set()
        eventually(lambda: daemon.drops.counts["late"] == 6)
        assert sizes == [1]
        assert nas.receive(bytes(16), timeout=0.1) is None


@pytest.mark.parametrize("refusal", ["full", "late"])
def test_what_the_hash_threads_never_looked_at_is_no_guess(
    world: World, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    """Who keeps them busy would close accounts for a day otherwise, without knowing any password (ATTACKS 16)."""
    world.nas()
    alice = world.user()

    def refuse(_pool: HashPool, _job: object, *, done: Callable[[object], None], **_options: object) -> bool:
        if refusal == "late":
            done(Expired())
        return refusal == "late"

    with world.daemon() as daemon:
        nas = world.client(daemon)
        with monkeypatch.context() as busy:
            busy.setattr(HashPool, "submit", refuse)
            for number in range(5):
                nas.send(nas.request("alice", b"guess %d" % number)[0])
                eventually(lambda: daemon.drops.counts.total() > number)  # noqa: B023 - is called at once
        assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT


def test_a_reply_that_cannot_be_made_leaves_the_next_sign_ins_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.nas()
    alice = world.user()
    make, broken = Replies.to, threading.Event()
    broken.set()

    def sometimes(replies: Replies, work: Work, verdict: Verdict) -> bytes:
        if broken.is_set():
            raise PacketError(Cause.PACKET_LENGTH)
        return make(replies, work, verdict)

    monkeypatch.setattr(Replies, "to", sometimes)
    with world.daemon() as daemon:
        nas = world.client(daemon)
        assert nas.is_ignored(nas.request("nobody", b"hunter2")[0], timeout=0.2)
        eventually(world.audit)
        broken.clear()
        assert nas.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT


class Thief(Tap):
    """A store in which somebody else is always first."""

    steals = True
    stolen = 0

    def settle(self, settlements: Sequence[Settlement]) -> Sequence[int | None]:
        if not self.steals:
            return super().settle(settlements)
        self.stolen += len(settlements)
        return [None] * len(settlements)


def test_a_sign_in_that_always_loses_its_claim_is_left_to_its_retransmission(world: World) -> None:
    """It must not go round for ever, and it may neither be accepted nor refused (I4)."""
    world.nas()
    alice, thief = world.user(), Thief()
    with world.daemon(wrap=thief.around) as daemon:
        nas = world.client(daemon)
        octets, authenticator = nas.request("alice", alice.typed())
        assert nas.is_ignored(octets, authenticator)
        eventually(lambda: daemon.drops.counts["fault"])
        assert thief.stolen == TRIES
        thief.steals = False
        nas.send(octets)
        reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT
    assert world.audit() == [("accept", "totp")]


@pytest.mark.parametrize("guesses", [6, AT_ONCE + 4], ids=["more than the cap", "more than are charged at once"])
def test_what_is_closed_keeps_no_owner_out_who_is_in_the_same_batch(world: World, clock: Clock, guesses: int) -> None:
    world.nas()
    alice = world.user()
    tap, go_on, _sizes = held()
    go_on.set()
    with world.daemon(wrap=tap.around) as daemon:
        owner, attacker, plug = (world.client(daemon) for _ in range(3))
        assert owner.ask("alice", alice.typed(at=clock.at), station="10.0.0.1").code is Code.ACCESS_ACCEPT
        assert attacker.ask("alice", b"guess", station="203.0.113.1").code is Code.ACCESS_REJECT
        go_on.clear()
        before = len(tap.opened)
        plug.send(plug.request("nobody", b"x")[0])
        eventually(lambda: len(tap.opened) > before)
        for number in range(guesses):
            attacker.send(attacker.request("alice", b"guess %d" % number, station="203.0.113.1")[0])
        octets, authenticator = owner.request("alice", alice.typed(1, at=clock.at), station="10.0.0.1")
        owner.send(octets)
        go_on.set()
        reply = owner.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT


def test_no_batch_gathers_while_more_waits_in_the_socket(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood that costs nothing else would fill the buffer meanwhile."""
    slept: list[float] = []
    monkeypatch.setattr("radiusd_mfa.server.daemon.sleep", slept.append)
    monkeypatch.setattr("radiusd_mfa.server.udp.AT_ONCE", 32)
    monkeypatch.setattr(HashPool, "backlog", property(lambda _pool: 1.0))
    world.nas()
    tap, go_on, _sizes = held()
    with world.daemon(wrap=tap.around) as daemon:
        nas, forger = world.client(daemon), world.client(daemon)
        nas.send(nas.request("nobody", b"hunter2")[0])
        eventually(lambda: tap.opened)
        slept.clear()
        for _ in range(320):
            forger.send(bytes(20))
        go_on.set()
        eventually(lambda: daemon.drops.counts.total() == 320)
        assert len(slept) <= 3


def test_a_request_whose_identifier_was_used_anew_costs_no_transaction(world: World) -> None:
    """Its client waits for the answer to another one, and could not read this one's."""
    world.nas()
    alice = world.user()
    tap, go_on, sizes = held()
    with world.daemon(wrap=tap.around) as daemon:
        nas, plug = world.client(daemon), world.client(daemon)
        plug.send(plug.request("nobody", b"hunter2")[0])
        eventually(lambda: tap.opened)
        nas.send(nas.request("alice", b"hunter3", identifier=255)[0])
        octets, authenticator = nas.request("alice", alice.typed(), identifier=255)
        nas.send(octets)
        go_on.set()
        reply = nas.receive(authenticator)
    assert reply is not None
    assert reply.code is Code.ACCESS_ACCEPT
    assert sizes == [1, 1]
