"""Guessing against a running server: at most the caps are ever evaluated (ATTACKS 15 and 16)."""

import random
import selectors
import threading
from collections import Counter
from collections.abc import Sequence

import pytest
from sqlalchemy import func, select

from radiusd_mfa.core.throttle import parse
from radiusd_mfa.passwords.local import dummy_for, verify
from radiusd_mfa.radius.wire import Code
from radiusd_mfa.store import schema
from tests.support.clock import Clock
from tests.support.taps import Tap, eventually
from tests.support.world import CHEAP, CheapPasswords, TestNas, TestUser, World

ACCEPT, REJECT, CHALLENGE = Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE
GUESSES = 5_000
NASES = 50
IN_FLIGHT = 250
"""Requests that wait for a reply at any time: as many as the socket's buffer and the NASes' Ids allow without loss."""


def wrong_codes(alice: TestUser, clock: Clock, number: int) -> list[str]:
    """Return distinct codes that are none of the steps near the clock."""
    near = {alice.code(offset, at=clock.at) for offset in range(-3, 4)}
    drawn = random.Random(number).sample(range(10**6), number + len(near))
    return [code for code in (f"{digits:06}" for digits in drawn) if code not in near][:number]


def reasons(world: World) -> Counter[str]:
    return Counter(reason for _, reason in world.audit())


def flood(nases: Sequence[TestNas], texts: Sequence[bytes]) -> Counter[Code]:
    """Ask with all the texts, each NAS in turn, as many at once as get no packet lost; count the replies."""
    waiting: dict[TestNas, dict[int, bytes]] = {nas: {} for nas in nases}
    replies: Counter[Code] = Counter()
    with selectors.DefaultSelector() as selector:
        for nas in nases:
            selector.register(nas.socket, selectors.EVENT_READ, nas)
        for number, text in enumerate(texts):
            nas = nases[number % len(nases)]
            octets, authenticator = nas.request("alice", text, identifier=number // len(nases) % 256)
            waiting[nas][octets[1]] = authenticator
            nas.send(octets)
            while sum(map(len, waiting.values())) >= IN_FLIGHT:
                _receive(selector, waiting, replies)
        while any(waiting.values()):
            _receive(selector, waiting, replies)
    return replies


def _receive(
    selector: selectors.BaseSelector, waiting: dict[TestNas, dict[int, bytes]], replies: Counter[Code]
) -> None:
    ready = selector.select(timeout=10)
    assert ready, "a guess got no reply"
    for key, _ in ready:
        octets = key.data.socket.recv(4097)
        waiting[key.data].pop(octets[1])
        replies[Code(octets[0])] += 1


def test_5000_guesses_from_50_nases_at_once_are_five(world: World, clock: Clock) -> None:
    for number in range(NASES):
        world.nas(f"vpn{number}", f"127.0.1.{number}/32")
    alice = world.user()
    texts = [f"hunter2{code}".encode() for code in wrong_codes(alice, clock, GUESSES)]
    with world.daemon() as running:
        nases = [world.client(running, source=f"127.0.1.{number}") for number in range(NASES)]
        assert flood(nases, texts) == {REJECT: GUESSES}
        # And the right one, in the middle of it.
        assert nases[7].ask("alice", f"hunter2{alice.code(at=clock.at)}".encode()).code is REJECT
    assert reasons(world) == {"wrong-code": 5, "throttled": GUESSES - 4}
    assert marks(world) == ["c"] * 5


def marks(world: World) -> list[str]:
    with world.database.reading() as connection:
        (history,) = connection.execute(select(schema.throttles.c.history)).scalars()
    return [entry.mark for entry in parse(history)]


def test_a_flood_of_distinct_wrong_codes_costs_no_hash_threads_their_time(world: World, clock: Clock) -> None:
    """Bob signs in at once while somebody guesses at alice: what is closed anyway need not be hashed."""
    world.nas()
    alice, bob = world.user(), world.user("bob")
    with world.daemon() as running:
        nas, other = world.client(running), world.client(running, source="127.0.0.2")
        flood([nas], [f"hunter2{code}".encode() for code in wrong_codes(alice, clock, 200)])
        assert other.ask("bob", f"hunter2{bob.code(at=clock.at)}".encode()).code is ACCEPT


def test_guesses_that_are_all_in_flight_on_two_nodes_are_five(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No guess is hashed before all are opened: what is pending counts."""
    world.nas()
    alice = world.user()
    taps = [Tap(), Tap()]
    number = 40

    def wait_for_all(_: CheapPasswords, password: str, stored: str) -> bool:
        eventually(lambda: sum(len(tap.opened) for tap in taps) == number, within=20)
        return verify(password, stored)

    monkeypatch.setattr(CheapPasswords, "verify", wait_for_all)
    texts = [f"hunter2{code}".encode() for code in wrong_codes(alice, clock, number)]
    with world.daemon(wrap=taps[0].around) as one, world.daemon(wrap=taps[1].around) as other:
        assert flood([world.client(one), world.client(other)], texts) == {REJECT: number}
    assert reasons(world) == {"wrong-code": 5, "throttled": number - 5}


def test_a_new_challenge_resets_nothing(world: World, clock: Clock) -> None:
    world.nas(challenge=True)
    alice = world.user()
    with world.daemon() as running:
        nas = world.client(running)
        for code in wrong_codes(alice, clock, 5):
            state = nas.ask("alice", b"hunter2").state
            assert nas.ask("alice", code.encode(), state=state).code is REJECT
        assert nas.ask("alice", b"hunter2").code is REJECT
        assert nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode()).code is REJECT
        clock.at += 301
        state = nas.ask("alice", b"hunter2").state
        assert nas.ask("alice", alice.code(at=clock.at).encode(), state=state).code is ACCEPT
    assert reasons(world) == {"code-due": 6, "wrong-code": 5, "throttled": 2, "totp": 1}


def test_challenges_that_were_collected_before_are_answered_five_times(world: World, clock: Clock) -> None:
    world.nas(challenge=True)
    alice = world.user()
    with world.daemon() as running:
        nas = world.client(running)
        states = [nas.ask("alice", b"hunter2").state for _ in range(12)]
        assert len(set(states)) == 12
        for state, code in zip(states, wrong_codes(alice, clock, 12), strict=True):
            assert nas.ask("alice", code.encode(), state=state).code is REJECT
    assert reasons(world) == {"code-due": 12, "wrong-code": 5, "throttled": 7}
    with world.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(schema.challenges)).scalar_one() == 0


def test_backup_codes_and_totp_codes_are_guessed_from_one_cap(world: World, nas: TestNas, clock: Clock) -> None:
    alice = world.user(codes=1)
    selector = alice.backup_codes[0].selector
    for number, code in enumerate(wrong_codes(alice, clock, 6)):
        guess = code if number % 2 else f"{selector}abc-defgh-ijk{number + 2}m"
        assert nas.ask("alice", f"hunter2{guess}".encode()).code is REJECT
    assert reasons(world) == {"wrong-code": 5, "throttled": 1}


def test_a_client_that_reconnects_with_the_same_wrong_text_counts_once(
    world: World, nas: TestNas, clock: Clock
) -> None:
    alice = world.user()
    (code,) = wrong_codes(alice, clock, 1)
    for _ in range(10):
        clock.at += 1
        assert nas.ask("alice", f"hunter2{code}".encode()).code is REJECT
    assert nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode()).code is ACCEPT
    assert reasons(world) == {"wrong-code": 1, "known-wrong": 9, "totp": 1}


def test_wrong_passwords_wait_longer_and_longer_and_the_owner_gets_in_after_the_delay(
    world: World, nas: TestNas, clock: Clock
) -> None:
    alice = world.user()
    for number, wait in enumerate((1, 2, 4, 8)):
        assert nas.ask("alice", f"guess{number}".encode()).code is REJECT
        clock.at += wait - 0.1
        assert nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode()).code is REJECT
        clock.at += 0.1
    assert reasons(world) == {"wrong-password": 4, "throttled": 4}
    assert nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode()).code is ACCEPT


def test_the_owner_on_a_known_device_gets_in_while_somebody_guesses_elsewhere(world: World, clock: Clock) -> None:
    world.nas()
    alice = world.user()
    with world.daemon() as running:
        nas = world.client(running)
        assert nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode(), station="10.0.0.1[4711]").code is ACCEPT
        for number in range(50):
            clock.at += 1
            assert nas.ask("alice", f"guess{number}".encode(), station=f"203.0.113.{number}").code is REJECT
        assert nas.ask("alice", b"guess again", station="10.9.9.9").code is REJECT
        assert world.audit()[-1] == ("reject", "throttled")
        # The same device, from another port.
        assert nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode(), station="10.0.0.1[4712]").code is ACCEPT


def test_nobody_is_locked_out_for_good(world: World, nas: TestNas, clock: Clock) -> None:
    alice = world.user()
    for number in range(100):
        clock.at += 60
        nas.ask("alice", f"guess{number}".encode())
    clock.at += 3_600
    assert nas.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode()).code is ACCEPT


def test_what_is_closed_and_hashed_for_the_time_it_takes_keeps_no_owner_out(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong passwords from elsewhere hang in the hash threads; the owner signs in from a device that is known."""
    world.nas()
    alice = world.user()
    go_on = threading.Event()
    tap = Tap()

    def slow_for_nobody(_: CheapPasswords, password: str, stored: str) -> bool:
        if stored == dummy_for(CHEAP):
            assert go_on.wait(20)
        return verify(password, stored)

    monkeypatch.setattr(CheapPasswords, "verify", slow_for_nobody)
    with world.daemon(wrap=tap.around, hash_threads=16) as running:
        home, elsewhere = world.client(running), world.client(running)
        assert home.ask("alice", f"hunter2{alice.code(at=clock.at)}".encode(), station="home").code is ACCEPT
        assert elsewhere.ask("alice", b"letmein", station="elsewhere").code is REJECT
        for number in range(8):
            octets, _ = elsewhere.request("alice", b"letmein-%d!" % number, station="elsewhere")
            elsewhere.send(octets)
            eventually(lambda number=number: len(tap.opened) == number + 3)  # type: ignore[misc]
        typed = f"hunter2{alice.code(1, at=clock.at)}".encode()
        assert home.ask("alice", typed, station="home").code is ACCEPT
        go_on.set()
