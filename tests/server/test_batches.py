"""What gathers while one batch is in work is the next; one bad sign-in in a batch is nobody else's (server/batches)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from radiusd_mfa.server.batches import Batches

from radiusd_mfa.radius.wire import Attribute, Code
from radiusd_mfa.server.pipeline import CAPACITY
from tests.support.packets import SIGNATURE, build, new_authenticator, password, user
from tests.support.taps import Tap, eventually
from tests.support.world import World


def test_a_full_queue_returns_what_it_did_not_take() -> None:
    batches: Batches[int] = Batches(3)
    assert batches.offer([1, 2]) == []
    assert batches.offer([3, 4, 5]) == [4, 5]
    batches.put(6)  # was let in before
    assert batches.take(10) == [1, 2, 3, 6]


def test_a_batch_has_at_most_its_limit_in_the_order_of_arrival() -> None:
    batches: Batches[int] = Batches(10)
    batches.offer(range(7))
    assert [batches.take(3) for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_closed_queue_gives_out_what_it_has_and_takes_nothing() -> None:
    batches: Batches[int] = Batches(10)
    batches.offer([1])
    batches.close()
    assert batches.offer([2]) == [2]
    assert batches.take(5) == [1]
    assert batches.take(5) == []


def test_a_reader_that_waits_is_woken_by_the_first_item_and_by_the_end() -> None:
    batches: Batches[int] = Batches(10)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(batches.take, 5)
        batches.offer([1])
        assert waiting.result(10) == [1]
        waiting = threads.submit(batches.take, 5)
        batches.close()
        assert waiting.result(10) == []


def test_many_writers_lose_nothing() -> None:
    batches: Batches[int] = Batches(1_000_000)
    taken: list[int] = []

    def read() -> None:
        while batch := batches.take(7):
            taken.extend(batch)

    def write(numbers: range) -> None:
        for number in numbers:
            assert batches.offer([number]) == []

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(4) as threads:
        for start in range(0, 4000, 1000):
            threads.submit(write, range(start, start + 1000))
    batches.close()
    reader.join(10)
    assert sorted(taken) == list(range(4000))


def held() -> tuple[Tap, threading.Event]:
    """A store whose opening waits, so that what comes meanwhile is one batch."""
    go_on = threading.Event()

    def wait(_: object) -> None:
        assert go_on.wait(20)

    return Tap(before_open=wait), go_on


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
    tap, go_on = held()
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
        eventually(lambda: len(daemon._pipeline._opening) == len(ODD) + 1)
        go_on.set()
        odd.socket.settimeout(8)
        answered = {odd.socket.recv(4097)[:2] for _ in ODD}
        assert answered == {bytes((Code.ACCESS_REJECT, identifier)) for identifier in range(len(ODD))}
    assert world.audit().count(("accept", "totp")) == 1


def test_more_than_fits_is_dropped_before_it_costs_anything(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radiusd_mfa.server.pipeline.CAPACITY", 8)
    assert CAPACITY > 8
    world.nas()
    alice = world.user()
    tap, go_on = held()
    with world.daemon(wrap=tap.around) as daemon:
        nas = world.client(daemon)
        nas.send(nas.request("nobody", b"hunter2")[0])
        eventually(lambda: tap.opened)
        for _ in range(20):
            nas.send(nas.request("nobody", b"hunter2")[0])
        eventually(lambda: daemon.drops.counts["overload"] == 12)
        go_on.set()
        eventually(lambda: len(daemon._pipeline._opening) == 0)
        late = world.client(daemon)
        assert late.ask("alice", alice.typed()).code is Code.ACCESS_ACCEPT
    assert len(tap.opened) == 1 + 8 + 1


def test_requests_whose_clients_gave_up_cost_no_transaction(world: World) -> None:
    world.nas()
    world.user()
    tap, go_on = held()
    with world.daemon(wrap=tap.around, request_deadline=0.2) as daemon:
        nas = world.client(daemon)
        nas.send(nas.request("nobody", b"hunter2")[0])
        eventually(lambda: tap.opened)
        for _ in range(5):
            nas.send(nas.request("alice", b"hunter3")[0])
        eventually(lambda: len(daemon._pipeline._opening) == 5)
        threading.Event().wait(0.4)  # longer than the clients
        go_on.set()
        eventually(lambda: daemon.drops.counts["late"] == 6)
        assert len(tap.opened) == 1
        assert nas.receive(bytes(16), timeout=0.1) is None
