"""What ends or forges a period: credentials that changed, clocks that went back, names that a packet gives itself.

ATTACKS 23 and 25, on both databases.
"""

from collections.abc import Callable, Sequence
from typing import Final

import pytest
from sqlalchemy import Table, delete, update

from radiusd_mfa.passwords.local import make_hash
from radiusd_mfa.radius.wire import Attribute, Code
from radiusd_mfa.store import schema
from radiusd_mfa.usecases.ports import Settlement
from tests.support.clock import Clock
from tests.support.sites import HOUR, PER_DEVICE, PORTAL, TWELVE_HOURS, Site, limit, member
from tests.support.taps import Tap
from tests.support.world import CHEAP, TestNas, TestUser, World

ACCEPT, REJECT = Code.ACCESS_ACCEPT, Code.ACCESS_REJECT
STATION: Final = "02:00:00:00:00:01"
NAS_IP_ADDRESS: Final = 4


@pytest.fixture(params=[TWELVE_HOURS, PER_DEVICE], ids=["of the user", "of the device"])
def team_id(world: World, request: pytest.FixtureRequest) -> int:
    return world.team(policy=request.param)


@pytest.fixture
def alice(world: World, team_id: int) -> TestUser:
    return member(world, team_id)


@pytest.fixture
def nas(team_id: int, site: Site) -> TestNas:
    return site(team_id)


def begin(nas: TestNas, alice: TestUser, clock: Clock) -> bytes:
    """Sign in with a code, see that the period holds, and return the text."""
    typed = alice.typed(at=clock.at)
    assert nas.ask("alice", typed, station=STATION).code is ACCEPT
    assert nas.ask("alice", b"hunter2", station=STATION).code is ACCEPT
    assert nas.ask("alice", typed, station=STATION).code is ACCEPT
    return typed


# 23: changed credentials


def new_password(world: World, alice: TestUser, password: str = "swordfish") -> None:
    hashed = make_hash(password, profile=CHEAP)
    world.execute(update(schema.users).where(schema.users.c.id == alice.id).values(password_hash=hashed))


def disabled(world: World, alice: TestUser) -> None:
    world.execute(update(schema.users).where(schema.users.c.id == alice.id).values(disabled=True))


def no_method(world: World, alice: TestUser) -> None:
    world.execute(delete(schema.methods).where(schema.methods.c.user_id == alice.id))


def no_member(world: World, alice: TestUser) -> None:
    world.execute(delete(schema.memberships).where(schema.memberships.c.user_id == alice.id))


def another_policy(world: World, _alice: TestUser) -> None:
    world.execute(update(schema.teams).values(policy=None))


CHANGES: Final = (new_password, disabled, no_method, no_member, another_policy)
Change = Callable[[World, TestUser], None]


@pytest.mark.parametrize("change", CHANGES)
def test_no_period_outlives_what_another_program_changed(
    world: World, alice: TestUser, nas: TestNas, clock: Clock, change: Change
) -> None:
    typed = begin(nas, alice, clock)
    change(world, alice)
    with world.daemon(portal_url=PORTAL) as other:
        for server in (None, other.addresses[0]):
            if server is not None:
                nas.turn_to(server)
            for text in (b"hunter2", b"swordfish", typed, b"swordfish" + typed[7:]):
                assert nas.ask("alice", text, station=STATION).code is REJECT
    assert "period" not in {reason for _, reason in world.audit()[3:]}


def method_revoked(world: World, alice: TestUser) -> None:
    revoke(world, schema.methods, alice)


def thrown_out(world: World, alice: TestUser) -> None:
    revoke(world, schema.memberships, alice)


def revoke(world: World, table: Table, alice: TestUser) -> None:
    """Remove rows of the user, and the periods with them, as docs/schema.md asks of other programs."""
    with world.database.writing() as connection:
        for each in (table, schema.verifications):
            connection.execute(delete(each).where(each.c.user_id == alice.id))


@pytest.mark.parametrize("change", [new_password, disabled, method_revoked, thrown_out])
def test_a_change_while_the_sign_in_is_judged_ends_the_period_too(
    world: World, alice: TestUser, nas: TestNas, clock: Clock, change: Change
) -> None:
    """The period is a claim: it is looked at once more in the transaction that accepts."""
    begin(nas, alice, clock)
    changes = iter([change])

    def first(settlements: Sequence[Settlement]) -> None:
        assert settlements
        for one in changes:
            one(world, alice)

    with world.daemon(portal_url=PORTAL, wrap=Tap(before_settle=first).around) as tapped:
        nas.turn_to(tapped.addresses[0])
        assert nas.ask("alice", b"hunter2", station=STATION).code is REJECT
    assert [outcome for outcome, _ in world.audit()[3:]] == ["reject"]


def test_the_same_password_set_anew_ends_the_period(world: World, alice: TestUser, nas: TestNas, clock: Clock) -> None:
    begin(nas, alice, clock)
    new_password(world, alice, "hunter2")
    assert nas.ask("alice", b"hunter2", station=STATION).code is REJECT
    assert nas.ask("alice", alice.typed(1, at=clock.at), station=STATION).code is ACCEPT
    assert nas.ask("alice", b"hunter2", station=STATION).code is ACCEPT


# 25: time and names


def test_a_period_from_the_future_counts_for_nothing(world: World, alice: TestUser, nas: TestNas, clock: Clock) -> None:
    typed = begin(nas, alice, clock)
    for back in (1, HOUR, 24 * HOUR):
        clock.at -= back
        assert nas.ask("alice", b"hunter2", station=STATION).code is REJECT
        assert nas.ask("alice", typed, station=STATION).code is REJECT
    clock.at += 1 + 25 * HOUR
    accepted = nas.ask("alice", b"hunter2", station=STATION)
    assert (accepted.code, limit(accepted)) == (ACCEPT, 43_200)
    assert {reason for _, reason in world.audit()[3:-1]} == {"code-missing", "code-reused", "known-wrong"}


def test_a_clock_that_stands_far_ahead_ends_the_period(alice: TestUser, nas: TestNas, clock: Clock) -> None:
    begin(nas, alice, clock)
    clock.at += 2**31
    assert nas.ask("alice", b"hunter2", station=STATION).code is REJECT


@pytest.mark.parametrize(
    "station", [None, "", "0", f"{STATION} ", f" {STATION}", f"{STATION}\0", f"{STATION[:-1]}", f"{STATION}[1][2]"]
)
def test_no_spelling_of_a_station_but_its_own_is_in_the_period_of_a_device(
    world: World, site: Site, clock: Clock, station: str | None
) -> None:
    team_id = world.team(policy=PER_DEVICE)
    alice, nas = member(world, team_id), site(team_id)
    begin(nas, alice, clock)
    assert nas.ask("alice", b"hunter2", station=station).code is REJECT
    assert world.audit()[-1] == ("reject", "code-missing")


def test_two_long_stations_that_begin_alike_are_two(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(policy=PER_DEVICE)
    alice, nas = member(world, team_id), site(team_id)
    one, other = ("x" * 200 + end for end in "ab")
    assert nas.ask("alice", alice.typed(at=clock.at), station=one).code is ACCEPT
    assert nas.ask("alice", b"hunter2", station=other).code is REJECT


def test_what_a_packet_says_of_its_nas_decides_nothing(world: World, site: Site) -> None:
    lenient = world.team("lenient", policy="require = []\n")
    strict = world.team("strict", policy='[[require]]\nsurfaces = ["network-device"]\n')
    bob = member(world, strict, "bob", enrolled=False)
    world.member(bob, lenient)
    site(lenient)
    router = site(strict, "network-device")
    claims = [
        (Attribute.NAS_IDENTIFIER, b"nas 127.0.1.1"),
        (NAS_IP_ADDRESS, bytes((127, 0, 1, 1))),
        (61, (5).to_bytes(4)),  # NAS-Port-Type: Virtual
        (Attribute.SERVICE_TYPE, (2).to_bytes(4)),
        (30, b"lenient"),  # Called-Station-Id
    ]
    for number in range(len(claims) + 1):
        given = claims if number == len(claims) else [claims[number]]
        assert router.ask("bob", b"hunter2", attributes=given).code is REJECT
    assert {reason for _, reason in world.audit()} == {"not-enrolled"}
