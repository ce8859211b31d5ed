"""What an Access-Accept carries of its team: the same with a code and within a period, and nothing by half (R7)."""

import logging

import pytest
from sqlalchemy import select, update

from radiusd_mfa.radius.wire import Attribute, Code
from radiusd_mfa.store import schema
from tests.support.clock import Clock
from tests.support.sites import HOUR, PORTAL, TWELVE_HOURS, Site, limit, member
from tests.support.world import DICTIONARY, Reply, TestNas, World

ACCEPT, REJECT, CHALLENGE = Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE
VLAN = 'Tunnel-Type:1 = "VLAN"\nTunnel-Medium-Type:1 = "IEEE-802"\nTunnel-Private-Group-Id:1 = "20"'
ALL_OF_IT = (
    f'{VLAN}\nFilter-Id = "staff"\nClass = "group-a"\nCisco-AVPair = "shell:priv-lvl=15"\nFramed-IP-Address = 192.0.2.9'
)
ALL_OF_IT_SENT = [
    ("Tunnel-Type:1", "VLAN"),
    ("Tunnel-Medium-Type:1", "IEEE-802"),
    ("Tunnel-Private-Group-ID:1", "20"),
    ("Filter-Id", "staff"),
    ("Class", "group-a"),
    ("Cisco-AVPair", "shell:priv-lvl=15"),
    ("Framed-IP-Address", "192.0.2.9"),
]


def carried(reply: Reply) -> list[tuple[str, str]]:
    """Return what the reply carries behind its Message-Authenticator, readable."""
    return DICTIONARY.describe(reply.octets[20:])[1:]


def filters(reply: Reply) -> list[str]:
    assert reply.code is ACCEPT
    return [value for name, value in carried(reply) if name == "Filter-Id"]


def test_only_an_accept_carries_it(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(profile=ALL_OF_IT)
    alice = member(world, team_id)
    nas = site(team_id, challenge=True)
    challenged, refused = (
        nas.ask("alice", b"hunter2"),
        nas.ask("alice", f"hunter2{alice.wrong_code(at=clock.at)}".encode()),
    )
    assert (challenged.code, [name for name, _ in carried(challenged)]) == (CHALLENGE, ["Reply-Message", "State"])
    assert (refused.code, [name for name, _ in carried(refused)]) == (REJECT, ["Reply-Message"])
    accepted = nas.ask("alice", alice.code(at=clock.at).encode(), state=challenged.state)
    assert (accepted.code, carried(accepted)) == (ACCEPT, ALL_OF_IT_SENT)


def test_it_is_the_same_whether_or_not_a_code_was_typed(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(policy=TWELVE_HOURS, profile=f"{ALL_OF_IT}\nSession-Timeout = 3600")
    alice = member(world, team_id, codes=1)
    nas = site(team_id)
    texts = (alice.typed(at=clock.at), b"hunter2", b"hunter2" + alice.backup_codes[0].shown.encode(), b"hunter2")
    replies = [nas.ask("alice", typed) for typed in texts]
    limits = [("Session-Timeout", "3600"), ("Termination-Action", "RADIUS-Request")]
    assert [carried(reply) for reply in replies] == [ALL_OF_IT_SENT + limits] * 4
    clock.at += 12 * HOUR - 60
    assert limit(nas.ask("alice", b"hunter2")) == 60


def test_the_most_specific_profile_is_sent_alone(world: World, site: Site) -> None:
    team_id = world.team(policy="require = []\n")
    for role, surface in ((None, None), (None, "vpn"), ("admin", None), ("admin", "vpn")):
        world.profile(team_id, f'Filter-Id = "{role} {surface}"', role=role, surface=surface)
    for role in ("admin", "member"):
        member(world, team_id, role, role=role, enrolled=False)
    vpn, router = site(team_id), site(team_id, "network-device")
    assert [filters(nas.ask("admin", b"hunter2")) for nas in (vpn, router)] == [["admin vpn"], ["admin None"]]
    assert [filters(nas.ask("member", b"hunter2")) for nas in (vpn, router)] == [["None vpn"], ["None None"]]


def test_a_profile_for_the_role_goes_before_one_for_the_surface(world: World, site: Site) -> None:
    team_id = world.team(policy="require = []\n")
    for role, surface in ((None, "vpn"), ("member", None)):
        world.profile(team_id, f'Filter-Id = "{role} {surface}"', role=role, surface=surface)
    member(world, team_id, enrolled=False)
    assert filters(site(team_id).ask("alice", b"hunter2")) == ["member None"]


def test_a_profile_of_another_role_or_surface_is_not_sent(world: World, site: Site) -> None:
    team_id = world.team(policy="require = []\n")
    world.profile(team_id, 'Filter-Id = "owners"', role="owner")
    world.profile(team_id, 'Filter-Id = "routers"', surface="network-device")
    member(world, team_id, enrolled=False)
    assert carried(site(team_id).ask("alice", b"hunter2")) == []


def test_the_team_that_is_signed_in_to_decides_and_of_several_none(world: World, site: Site) -> None:
    teams = {
        name: world.team(name, policy="require = []\n", realms=[name], profile=f'Filter-Id = "{name}"')
        for name in ("ops", "sales")
    }
    alice = world.user(enrolled=False)
    world.member(alice, teams["ops"])
    nas = site()
    assert filters(nas.ask("alice", b"hunter2")) == ["ops"]
    world.member(alice, teams["sales"])
    assert filters(nas.ask("alice", b"hunter2")) == []
    assert filters(nas.ask("alice@sales", b"hunter2")) == ["sales"]
    assert filters(site(teams["ops"]).ask("alice", b"hunter2")) == ["ops"]


def test_what_the_nas_must_not_be_sent_is_left_out_of_it(world: World, site: Site) -> None:
    team_id = world.team(policy="require = []\n", profile=ALL_OF_IT)
    member(world, team_id, enrolled=False)
    reply = site(team_id, omit="Filter-Id,Cisco-AVPair,Tunnel-Medium-Type").ask("alice", b"hunter2")
    left = ["Tunnel-Type:1", "Tunnel-Private-Group-ID:1", "Class", "Framed-IP-Address"]
    assert [name for name, _ in carried(reply)] == left


def test_the_days_that_are_left_to_enrol_stand_behind_it(world: World, site: Site) -> None:
    team_id = world.team(policy="enrol_by = 2999-12-31\n", profile='Reply-Message = "Welcome"\nFilter-Id = "staff"')
    member(world, team_id, enrolled=False)
    reply = site(team_id).ask("alice", b"hunter2")
    assert [name for name, _ in carried(reply)] == ["Reply-Message", "Filter-Id", "Reply-Message"]
    assert reply.message.startswith("WelcomeYou have ")
    assert reply.message.endswith(PORTAL)


def test_the_longest_profile_fits_beside_the_longest_proxy_states(world: World, site: Site) -> None:
    profile = "\n".join(f'Class = "{number:x>248}"' for number in range(5))
    team_id = world.team(policy="enrol_by = 2999-12-31\n", profile=profile)
    member(world, team_id, enrolled=False)
    reply = site(team_id).ask("alice", b"hunter2", attributes=[(Attribute.PROXY_STATE, bytes(253))] * 8)
    assert reply.code is ACCEPT
    assert len(reply.values(Attribute.PROXY_STATE)) == 8
    assert len(carried(reply)) == 5 + 1 + 8


def test_a_profile_that_cannot_be_encoded_leaves_the_sign_in_unanswered_and_nothing_spent(
    world: World, site: Site, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its VLAN an Accept would put people into another network."""
    team_id = world.team(profile='Tunnel-Private-Group-Id:1 = "20"\nFilter-Idd = "staff"')
    alice = member(world, team_id)
    nas = site(team_id)
    with caplog.at_level(logging.ERROR):
        for _ in range(7):  # more than the throttle lets be guessed
            assert unanswered(nas, alice.typed(at=clock.at))
        assert nas.ask("alice", b"hunter2").code is REJECT
    told = [record.getMessage() for record in caplog.records if "left unanswered" in record.getMessage()]
    assert len(told) == 7
    assert "team ops" in told[0]
    assert "line 2" in told[0]
    assert "did you mean Filter-Id?" in told[0]
    assert "radiusd-mfa profile" in told[0]
    assert world.audit() == [("reject", "code-missing")]
    world.execute(update(schema.reply_profiles).values(attributes='Filter-Id = "staff"'))
    assert filters(nas.ask("alice", alice.typed(at=clock.at))) == ["staff"]
    with world.database.reading() as connection:
        assert connection.execute(select(schema.throttles.c.history)).scalar_one() == ""


def unanswered(nas: TestNas, typed: bytes) -> bool:
    return nas.is_ignored(*nas.request("alice", typed), timeout=0.3)


def test_a_nas_with_a_broken_profile_is_still_told_that_the_server_is_well(
    world: World, site: Site, clock: Clock
) -> None:
    team_id = world.team(profile="Filter-Idd = x")
    alice = member(world, team_id)
    nas = site(team_id)
    assert unanswered(nas, alice.typed(at=clock.at))
    assert nas.status() is not None
