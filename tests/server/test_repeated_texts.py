"""A rekey or a browser sends the very same text again, whose code is spent (R11, CLIENTS 5)."""

from base64 import b64encode
from collections.abc import Iterator

import pytest

from radiusd_mfa.radius.wire import Code
from radiusd_mfa.server.daemon import Daemon
from tests.support.clock import Clock
from tests.support.sites import HOUR, PER_DEVICE, PORTAL, TWELVE_HOURS, Site, limit, member
from tests.support.world import TestNas, TestUser, World

ACCEPT, REJECT = Code.ACCESS_ACCEPT, Code.ACCESS_REJECT
STATION = "192.0.2.7[50001]"
REKEY = "192.0.2.7[50002]"


@pytest.fixture
def team_id(world: World) -> int:
    return world.team(policy=PER_DEVICE)


@pytest.fixture
def alice(world: World, team_id: int) -> TestUser:
    return member(world, team_id, codes=2)


@pytest.fixture
def nas(team_id: int, site: Site) -> TestNas:
    return site(team_id)


@pytest.fixture
def other_node(world: World, nas: TestNas) -> Iterator[Daemon]:
    with world.daemon(portal_url=PORTAL) as other:
        assert len(other._table) == 1, f"this node does not know {nas}"
        yield other


@pytest.mark.parametrize("kind", ["totp", "backup-code"])
def test_the_very_same_text_passes_while_the_period_lasts_and_no_longer(
    world: World, alice: TestUser, nas: TestNas, clock: Clock, kind: str
) -> None:
    typed = alice.typed(at=clock.at) if kind == "totp" else b"hunter2" + alice.backup_codes[0].shown.encode()
    assert nas.ask("alice", typed, station=STATION).code is ACCEPT
    for hour in range(1, 12):
        clock.at += HOUR
        reply = nas.ask("alice", typed, station=REKEY)
        assert (reply.code, limit(reply)) == (ACCEPT, (12 - hour) * HOUR)
    clock.at += HOUR
    assert nas.ask("alice", typed, station=REKEY).code is REJECT
    last = ("reject", "code-reused") if kind == "backup-code" else ("reject", "wrong-code")
    assert world.audit() == [("accept", kind), *[("accept", "period")] * 11, last]


def test_it_passes_on_another_node(
    world: World, alice: TestUser, nas: TestNas, other_node: Daemon, clock: Clock
) -> None:
    typed = alice.typed(at=clock.at)
    assert nas.ask("alice", typed, station=STATION).code is ACCEPT
    nas.turn_to(other_node.addresses[0])
    for later in (0, 10, HOUR):
        clock.at += later
        assert nas.ask("alice", typed, station=REKEY).code is ACCEPT
    assert world.audit() == [("accept", "totp"), *[("accept", "period")] * 3]


def test_scrv1_passes_again_too(alice: TestUser, nas: TestNas, clock: Clock) -> None:
    typed = b"SCRV1:aHVudGVyMg==:" + b64encode(alice.code(at=clock.at).encode())
    assert [nas.ask("alice", typed, station=STATION).code for _ in range(2)] == [ACCEPT, ACCEPT]


def test_another_spent_code_does_not_pass(world: World, alice: TestUser, nas: TestNas, clock: Clock) -> None:
    first, second = alice.typed(at=clock.at), alice.typed(1, at=clock.at)
    assert nas.ask("alice", first, station=STATION).code is ACCEPT
    assert nas.ask("alice", second, station=STATION).code is ACCEPT
    assert nas.ask("alice", first, station=STATION).code is REJECT
    assert world.audit()[-1] == ("reject", "code-reused")
    assert nas.ask("alice", second, station=STATION).code is ACCEPT


def test_on_another_device_it_does_not_pass(world: World, alice: TestUser, nas: TestNas, clock: Clock) -> None:
    typed = alice.typed(at=clock.at)
    assert nas.ask("alice", typed, station=STATION).code is ACCEPT
    for station in ("192.0.2.8[50001]", None):
        assert nas.ask("alice", typed, station=station).code is REJECT
    assert world.audit()[1:] == [("reject", "code-reused"), ("reject", "known-wrong")]


def test_with_a_wrong_password_the_spent_code_does_not_pass(
    world: World, alice: TestUser, nas: TestNas, clock: Clock
) -> None:
    typed = alice.typed(at=clock.at)
    assert nas.ask("alice", typed, station=STATION).code is ACCEPT
    assert nas.ask("alice", b"hunter3" + typed[7:], station=STATION).code is REJECT
    assert world.audit()[-1] == ("reject", "wrong-password")


def test_where_the_period_is_the_users_it_passes_from_another_device_of_the_same_surface(
    world: World, site: Site, clock: Clock
) -> None:
    team_id = world.team(policy=TWELVE_HOURS)
    alice = member(world, team_id)
    vpn, router = site(team_id), site(team_id, "network-device")
    typed = alice.typed(at=clock.at)
    assert vpn.ask("alice", typed, station=STATION).code is ACCEPT
    assert vpn.ask("alice", typed, station="another").code is ACCEPT
    assert router.ask("alice", typed, station=STATION).code is REJECT


def test_without_a_period_it_is_a_spent_code(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team()
    alice = member(world, team_id)
    nas, typed = site(team_id), alice.typed(at=clock.at)
    assert [nas.ask("alice", typed, station=STATION).code for _ in range(2)] == [ACCEPT, REJECT]


def test_repeating_a_text_all_day_costs_no_guesses(world: World, alice: TestUser, nas: TestNas, clock: Clock) -> None:
    typed = alice.typed(at=clock.at)
    assert {nas.ask("alice", typed, station=STATION).code for _ in range(60)} == {ACCEPT}
    assert nas.ask("alice", f"hunter2{alice.wrong_code(at=clock.at)}".encode(), station=STATION).code is REJECT
    assert world.audit()[-1] == ("reject", "wrong-code")


def test_a_text_that_was_refused_elsewhere_passes_where_its_period_lasts(
    world: World, alice: TestUser, nas: TestNas, clock: Clock
) -> None:
    typed = alice.typed(at=clock.at)
    assert nas.ask("alice", typed, station=STATION).code is ACCEPT
    assert nas.ask("alice", typed, station="192.0.2.8[50001]").code is REJECT
    clock.at += HOUR
    assert nas.ask("alice", typed, station=REKEY).code is ACCEPT
    assert world.audit() == [("accept", "totp"), ("reject", "code-reused"), ("accept", "period")]
