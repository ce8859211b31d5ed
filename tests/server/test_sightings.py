"""What each NAS was seen to do, by real packets: how it asks, what is wrong with it, and who it is not."""

import time
from collections.abc import Callable, Mapping

import pytest

from radiusd_mfa.radius.wire import Attribute, Cause, Code
from radiusd_mfa.server import sightings as sightings_module
from radiusd_mfa.server.daemon import Daemon
from radiusd_mfa.server.sightings import Sightings
from radiusd_mfa.store.sightings import SightingTable
from radiusd_mfa.usecases.ports import StoreFault
from radiusd_mfa.usecases.sighting_ports import STRANGERS, Seen, Sighting, Stranger
from tests.support.world import Lead, World

NOW = 1_800_000_000.0
MS_CHAP = (int(Attribute.VENDOR_SPECIFIC), (311).to_bytes(4) + bytes((25, 52)) + bytes(50))


def seen(world: World, daemon: Daemon) -> Seen:
    """Hand on what was counted so far, and read it back from the table."""
    workers = [daemon, *(daemon.others if isinstance(daemon, Lead) else [])]
    for worker in workers:
        worker.sightings.hand_on(SightingTable(world.database).add, time.time())
    return SightingTable(world.database).read(time.time() - 60)


def test_a_wrong_secret_is_seen_with_a_signature_and_without(world: World) -> None:
    nas_id = world.nas(message_authenticator="optional")
    world.user()
    with world.daemon() as daemon:
        stranger = world.client(daemon, secret=b"another secret")
        assert stranger.is_ignored(stranger.request("alice", b"hunter2")[0])
        octets, _ = stranger.request("alice", b"hunter2", message_authenticator=False)
        stranger.send(octets)
        stranger.socket.settimeout(8)
        assert stranger.socket.recv(4096)[0] == Code.ACCESS_REJECT
        found = seen(world, daemon).nases[nas_id]
    assert (found.requests, found.signed, found.unreadable, found.wrong_signature) == (1, 0, 1, 1)
    assert found.dropped_at <= found.seen_at


def test_a_missing_signature_is_seen_where_it_is_dropped(world: World) -> None:
    nas_id = world.nas()
    with world.daemon() as daemon:
        nas = world.client(daemon)
        assert nas.is_ignored(nas.request("alice", b"hunter2", message_authenticator=False)[0])
        assert nas.is_ignored(b"too short")
        found = seen(world, daemon).nases[nas_id]
    assert (found.requests, found.unsigned_dropped, found.malformed) == (0, 1, 1)
    assert found.seen_at == 0.0


def test_what_is_right_is_seen_too(world: World) -> None:
    nas_id = world.nas()
    alice = world.user()
    with world.daemon() as daemon:
        nas = world.client(daemon)
        named = [(int(Attribute.NAS_IDENTIFIER), b"gate\x1b[1m"), (int(Attribute.PROXY_STATE), b"1")]
        assert nas.ask("alice", alice.typed(), attributes=named).code == Code.ACCESS_ACCEPT
        found = seen(world, daemon).nases[nas_id]
        again = seen(world, daemon).nases[nas_id]
    assert (found.requests, found.signed, found.proxied) == (1, 1, 1)
    assert found.nas_identifier == r"gate\x1b[1m", "a terminal shows it"
    assert again == found, "nothing is handed on twice"


def test_a_challenge_and_its_answer_are_seen(world: World) -> None:
    nas_id = world.nas(challenge=True)
    alice = world.user()
    with world.daemon() as daemon:
        nas = world.client(daemon)
        reply = nas.ask("alice", b"hunter2")
        unanswered = seen(world, daemon).nases[nas_id]
        assert nas.ask("alice", alice.code().encode(), state=reply.state).code == Code.ACCESS_ACCEPT
        found = seen(world, daemon).nases[nas_id]
    assert (unanswered.challenges, unanswered.answers) == (1, 0)
    assert (found.challenges, found.answers, found.requests) == (1, 1, 2)


def test_a_retransmission_is_seen_with_its_gap(world: World) -> None:
    nas_id = world.nas()
    with world.daemon(reject_delay=0.0) as daemon:
        nas = world.client(daemon)
        octets, authenticator = nas.request("alice", b"hunter2")
        for _ in range(2):
            nas.send(octets)
            assert nas.receive(authenticator) is not None
        found = seen(world, daemon).nases[nas_id]
    assert (found.requests, found.retransmissions) == (1, 1)
    assert found.retransmitted_after > 0


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ((int(Attribute.CHAP_PASSWORD), bytes(17)), "chap"),
        ((int(Attribute.EAP_MESSAGE), b"\x02\x00\x00\x05\x01"), "eap"),
        (MS_CHAP, "ms_chap"),
    ],
)
def test_a_way_that_is_not_pap_is_seen(world: World, attribute: tuple[int, bytes], name: str) -> None:
    nas_id = world.nas(message_authenticator="optional")
    with world.daemon(reject_delay=0.0) as daemon:
        nas = world.client(daemon)
        assert nas.ask("alice", None, attributes=[attribute], message_authenticator=False).code == Code.ACCESS_REJECT
        found = seen(world, daemon).nases[nas_id]
    counts = {each: getattr(found, each) for each in ("chap", "eap", "ms_chap", "unreadable")}
    assert counts == dict.fromkeys(counts, 0) | {name: 1}


def test_a_stranger_is_seen_and_the_running_server_writes_it_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings_module, "HAND_ON", 0.05)
    world.nas(address="127.0.0.1/32")
    with world.daemon() as daemon:
        stranger = world.client(daemon, source="127.0.0.9")
        assert stranger.is_ignored(stranger.request("alice", b"hunter2")[0])
        until = time.monotonic() + 20
        while not (found := SightingTable(world.database).read(0).strangers) and time.monotonic() < until:
            time.sleep(0.05)
    assert [(address, each.packets) for address, each in found] == [("127.0.0.9", 1)]


def test_what_could_not_be_written_is_written_the_next_time() -> None:
    sightings = Sightings()

    def fail(*_: object) -> None:
        raise StoreFault("the disk is full")

    for count in (1, 2):
        sightings.dropped(7, Cause.MESSAGE_AUTHENTICATOR_WRONG, at=NOW + count)
        sightings.stranger("192.0.2.1", at=NOW + count)
        with pytest.raises(StoreFault):
            sightings.hand_on(fail, NOW)
    assert taken(sightings.hand_on) == (
        {7: Sighting(wrong_signature=2, dropped_at=NOW + 2)},
        {"192.0.2.1": Stranger(2, NOW + 2)},
    )
    assert taken(sightings.hand_on) == ({}, {}), "nothing to write, nothing written"


def test_a_flood_of_forged_addresses_is_remembered_in_part_only_and_hides_nobody_who_asks_again() -> None:
    sightings = Sightings()
    for number in range(20_000):
        sightings.stranger(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}", at=NOW + number)
        if number % 30 == 0:
            sightings.stranger("192.0.2.1", at=NOW + number)
    _, strangers = taken(sightings.hand_on)
    assert len(strangers) == STRANGERS
    assert strangers["192.0.2.1"].packets > 2


def test_a_database_that_is_gone_lets_nothing_pile_up() -> None:
    sightings = Sightings()

    def fail(*_: object) -> None:
        raise StoreFault("gone")

    for number in range(1_000):
        sightings.stranger(f"10.0.{number // 256}.{number % 256}", at=NOW + number)
        if number % 50 == 0:
            with pytest.raises(StoreFault):
                sightings.hand_on(fail, NOW)
    _, strangers = taken(sightings.hand_on)
    assert len(strangers) == STRANGERS
    assert f"10.0.{999 // 256}.{999 % 256}" in strangers


Taken = tuple[Mapping[int, Sighting], Mapping[str, Stranger]]


def taken(hand_on: Callable[..., None]) -> Taken:
    """Return what is handed on."""
    found: list[Taken] = [({}, {})]
    hand_on(lambda sightings, strangers, _now: found.append((dict(sightings), dict(strangers))), NOW)
    return found[-1]
