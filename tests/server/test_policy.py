"""Who is asked for a second factor, where and how often, as a team's policy says, over packets (T0-T8, R6)."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update

from radiusd_mfa.core.policy import ROLES, SURFACES
from radiusd_mfa.radius.wire import Attribute, Code
from radiusd_mfa.store import schema
from tests.support.clock import Clock
from tests.support.sites import HOUR, PER_DEVICE, PORTAL, TWELVE_HOURS, Site, limit, member
from tests.support.world import World

ACCEPT, REJECT, CHALLENGE = Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE


# T0: without any policy


@pytest.mark.parametrize("policy", [None, "", " \n", "# nothing yet\n"])
def test_without_a_policy_the_second_factor_is_asked_for_every_time_everywhere(
    world: World, site: Site, clock: Clock, policy: str | None
) -> None:
    team_id = world.team(policy=policy)
    alice = member(world, team_id)
    member(world, team_id, "bob", enrolled=False)
    for surface in SURFACES:
        nas = site(team_id, surface)
        clock.at += 60
        assert nas.ask("alice", alice.typed(at=clock.at)).code is ACCEPT
        assert nas.ask("alice", b"hunter2").code is REJECT
        assert nas.ask("bob", b"hunter2").code is REJECT
    rows = [("accept", "totp"), ("reject", "code-missing"), ("reject", "not-enrolled")]
    assert world.audit() == rows * len(SURFACES)


def test_whoever_has_set_up_mfa_is_asked_where_nobody_must(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(policy="require = []\n")
    alice = member(world, team_id)
    nas = site(team_id)
    assert nas.ask("alice", b"hunter2").code is REJECT
    accepted = nas.ask("alice", alice.typed(at=clock.at))
    assert (accepted.code, limit(accepted)) == (ACCEPT, None)
    member(world, team_id, "bob", enrolled=False)
    assert nas.ask("bob", b"hunter3").code is REJECT
    assert nas.ask("bob", b"hunter2", station="elsewhere").code is REJECT  # the wait after a wrong password
    clock.at += 30
    assert nas.ask("bob", b"hunter2", station="elsewhere").code is ACCEPT
    assert world.audit()[0] == ("reject", "code-missing")
    assert world.audit()[-1] == ("accept", "not-required")


# T1: per role and surface


@pytest.mark.parametrize("required", [("admin", "network-device"), ("member", "all"), ("all", "vpn")])
def test_mfa_is_required_of_these_roles_on_these_surfaces(world: World, site: Site, required: tuple[str, str]) -> None:
    roles, surfaces = ('"all"' if word == "all" else f'["{word}"]' for word in required)
    team_id = world.team(policy=f"[[require]]\nroles = {roles}\nsurfaces = {surfaces}\n")
    for role in ROLES:
        member(world, team_id, role, role=role, enrolled=False)
    for surface in SURFACES:
        nas = site(team_id, surface)
        for role in ROLES:
            asked = required[0] in (role, "all") and required[1] in (surface, "all")
            assert nas.ask(role, b"hunter2").code is (REJECT if asked else ACCEPT)
            assert world.audit()[-1][1] == ("not-enrolled" if asked else "not-required")


# T2: at every connection


def test_at_every_connection_means_also_right_after_the_last(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(policy='[[require]]\nevery = "connection"\n')
    alice = member(world, team_id)
    nas = site(team_id)
    typed = alice.typed(at=clock.at)
    accepted = nas.ask("alice", typed)
    assert (accepted.code, limit(accepted)) == (ACCEPT, None)
    assert nas.ask("alice", b"hunter2").code is REJECT
    assert nas.ask("alice", typed).code is REJECT
    assert world.audit() == [("accept", "totp"), ("reject", "code-missing"), ("reject", "code-reused")]


# T3: a period


def test_within_a_period_the_password_suffices_and_the_session_ends_with_it(
    world: World, site: Site, clock: Clock
) -> None:
    team_id = world.team(policy=TWELVE_HOURS)
    alice = member(world, team_id)
    nas, start = site(team_id, challenge=True), clock.at
    assert nas.ask("alice", b"hunter2").code is CHALLENGE
    accepted = nas.ask("alice", alice.typed(at=clock.at))
    assert (accepted.code, limit(accepted)) == (ACCEPT, 43_200)
    for later, left in ((0.0, 43_200), (HOUR, 39_600), (12 * HOUR - 1, 1)):
        clock.at = start + later
        accepted = nas.ask("alice", b"hunter2", station="another device")
        assert (accepted.code, limit(accepted)) == (ACCEPT, left)
    for later in (12 * HOUR, 13 * HOUR):
        clock.at = start + later
        assert nas.ask("alice", b"hunter2").code is CHALLENGE
    assert [reason for _, reason in world.audit()] == ["code-due", "totp", *["period"] * 3, *["code-due"] * 2]


def test_within_a_period_a_wrong_password_or_a_wrong_code_is_still_refused(
    world: World, site: Site, clock: Clock
) -> None:
    team_id = world.team(policy=TWELVE_HOURS)
    alice = member(world, team_id)
    nas = site(team_id)
    assert nas.ask("alice", alice.typed(at=clock.at)).code is ACCEPT
    assert nas.ask("alice", f"hunter2{alice.wrong_code(at=clock.at)}".encode()).code is REJECT
    assert nas.ask("alice", b"hunter3").code is REJECT
    assert [reason for _, reason in world.audit()] == ["totp", "wrong-code", "wrong-password"]


def test_a_code_within_a_period_begins_a_new_one(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(policy=TWELVE_HOURS)
    alice = member(world, team_id)
    nas = site(team_id)
    for _ in range(2):
        assert limit(nas.ask("alice", alice.typed(at=clock.at))) == 43_200
        clock.at += 11 * HOUR
    assert limit(nas.ask("alice", b"hunter2")) == 3_600


def test_a_period_holds_on_its_surface_only(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(policy=TWELVE_HOURS)
    alice = member(world, team_id)
    vpn, other_vpn, router = site(team_id), site(team_id), site(team_id, "network-device")
    assert vpn.ask("alice", alice.typed(at=clock.at)).code is ACCEPT
    assert router.ask("alice", b"hunter2").code is REJECT
    assert other_vpn.ask("alice", b"hunter2").code is ACCEPT


def test_a_period_of_a_device_is_of_no_other_device_or_nas_and_of_none_without_a_name(
    world: World, site: Site, clock: Clock
) -> None:
    team_id = world.team(policy=PER_DEVICE)
    alice = member(world, team_id)
    nas, other = site(team_id), site(team_id)
    assert nas.ask("alice", alice.typed(at=clock.at), station="192.0.2.7[50001]").code is ACCEPT
    assert nas.ask("alice", b"hunter2", station="192.0.2.8[50001]").code is REJECT
    assert other.ask("alice", b"hunter2", station="192.0.2.7[50001]").code is REJECT
    assert nas.ask("alice", b"hunter2").code is REJECT
    accepted = nas.ask("alice", b"hunter2", station="192.0.2.7[50002]")
    assert (accepted.code, limit(accepted)) == (ACCEPT, 43_200)
    assert nas.ask("alice", alice.typed(1, at=clock.at)).code is ACCEPT
    assert nas.ask("alice", b"hunter2").code is REJECT


def test_a_nas_that_must_not_be_sent_the_limit_is_not_sent_it(world: World, site: Site, clock: Clock) -> None:
    """CLIENTS: proftpd crashes on it."""
    team_id = world.team(policy=TWELVE_HOURS, profile='Session-Timeout = 60\nFilter-Id = "staff"')
    alice = member(world, team_id)
    nas = site(team_id, omit="Session-Timeout,Termination-Action")
    for typed in (alice.typed(at=clock.at), b"hunter2"):
        reply = nas.ask("alice", typed)
        assert (reply.code, limit(reply)) == (ACCEPT, None)
        assert [kind for kind, _ in reply.packet.attributes] == [Attribute.MESSAGE_AUTHENTICATOR, 11]


def test_a_retransmission_on_another_node_has_its_limit(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(policy=TWELVE_HOURS, profile='Filter-Id = "staff"')
    alice = member(world, team_id)
    nas = site(team_id)
    request, authenticator = nas.request("alice", alice.typed(at=clock.at))
    nas.send(request)
    first = nas.receive(authenticator)
    with world.daemon(portal_url=PORTAL) as other:
        nas.turn_to(other.addresses[0])
        nas.send(request)
        again = nas.receive(authenticator)
    assert first is not None
    assert again is not None
    assert (limit(first), again.octets) == (43_200, first.octets)
    assert world.audit() == [("accept", "totp")]


def test_a_retry_has_its_limit(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(policy='[[require]]\nevery = "connection"\n[[require]]\nevery = "12h"\n')
    alice = member(world, team_id)
    nas = site(team_id, retry_grace=10)
    typed = alice.typed(at=clock.at)
    assert limit(nas.ask("alice", typed)) == 43_200
    clock.at += 5
    again = nas.ask("alice", typed)
    assert (again.code, limit(again)) == (ACCEPT, 43_195)
    assert world.audit() == [("accept", "totp"), ("repeat", "repeat")]


# T5: several teams


def test_whoever_is_not_in_the_team_is_refused_like_everybody_else(world: World, site: Site, clock: Clock) -> None:
    ops, sales = world.team(), world.team("sales", policy="require = []\n")
    alice, bob = member(world, ops), world.user("bob")
    nas = site(sales)
    refused = [nas.ask(user.name, user.typed(at=clock.at)) for user in (alice, bob)]
    assert [reply.code for reply in refused] == [REJECT, REJECT]
    assert world.audit() == [("reject", "not-a-member")] * 2
    assert refused[0].message == nas.ask("nobody", b"hunter2").message


def test_mfa_done_for_one_team_does_not_count_for_another(world: World, site: Site, clock: Clock) -> None:
    ops, sales = world.team(policy=TWELVE_HOURS), world.team("sales", policy=TWELVE_HOURS, realms=["sales"])
    alice = member(world, ops)
    world.member(alice, sales)
    of_ops, of_sales, of_nobody = site(ops), site(sales), site()
    assert of_ops.ask("alice", alice.typed(at=clock.at)).code is ACCEPT
    for nas, name in ((of_sales, "alice"), (of_nobody, "alice"), (of_nobody, "alice@sales")):
        assert nas.ask(name, b"hunter2").code is REJECT
    assert of_ops.ask("alice", b"hunter2").code is ACCEPT
    assert of_nobody.ask("alice@sales", alice.typed(1, at=clock.at)).code is ACCEPT
    assert of_sales.ask("alice", b"hunter2").code is ACCEPT
    assert of_nobody.ask("alice", b"hunter2").code is REJECT


def test_without_a_team_the_strictest_rule_of_all_teams_holds(world: World, site: Site, clock: Clock) -> None:
    alice, bob = world.user(), world.user("bob", enrolled=False)
    for name, policy in (
        ("none", "require = []\n"),
        ("half", TWELVE_HOURS),
        ("hour", '[[require]]\nevery = "1h"\n'),
    ):
        team_id = world.team(name, policy=policy)
        world.member(alice, team_id)
        world.member(bob, team_id)
    nas = site()
    assert nas.ask("bob", b"hunter2").code is REJECT
    assert limit(nas.ask("alice", alice.typed(at=clock.at))) == 3_600
    clock.at += HOUR - 10
    assert limit(nas.ask("alice", b"hunter2")) == 10
    clock.at += 10
    assert nas.ask("alice", b"hunter2").code is REJECT
    world.member(alice, world.team("every"))
    assert limit(nas.ask("alice", alice.typed(at=clock.at))) == 3_600
    assert nas.ask("alice", b"hunter2").code is REJECT


# T7: what can't be understood


@pytest.mark.parametrize(
    "policy",
    [
        '[[require]]\nevery = "12"\n',
        '[[require]]\nevery = "12h"\nroles = []\n',
        '[[require]]\nevery = "12h"\nsurface = ["network-device"]\n',
        'mode = "reports"\n',
        'mode = "report"\nenrol_by = "tomorrow"\n',
        "enrol_by = 9999-99-99\n",
        'require = "none"\n',
        "require = []\nbackup_codes = 3\n",
        "require = [",
        "\0",
    ],
)
def test_a_policy_that_cannot_be_understood_asks_everybody_every_time(
    world: World, site: Site, clock: Clock, policy: str
) -> None:
    if "\0" in policy and world.url.startswith("postgresql"):
        pytest.skip("PostgreSQL keeps no NUL in a text")
    team_id = world.team(policy=TWELVE_HOURS)
    alice = member(world, team_id)
    member(world, team_id, "bob", enrolled=False)
    nas = site(team_id)
    assert nas.ask("alice", alice.typed(at=clock.at)).code is ACCEPT
    assert nas.ask("alice", b"hunter2").code is ACCEPT
    world.execute(update(schema.teams).values(policy=policy))
    assert nas.ask("alice", b"hunter2").code is REJECT
    assert nas.ask("bob", b"hunter2").code is REJECT
    assert [reason for _, reason in world.audit()[2:]] == ["code-missing", "not-enrolled"]


def test_a_change_of_the_policy_holds_from_the_next_sign_in_on(world: World, site: Site) -> None:
    team_id = world.team(policy="require = []\n")
    member(world, team_id, "bob", enrolled=False)
    nas = site(team_id)
    assert nas.ask("bob", b"hunter2").code is ACCEPT
    world.execute(update(schema.teams).values(policy=None))
    assert nas.ask("bob", b"hunter2").code is REJECT


# T8: rollout


def test_a_policy_that_only_reports_counts_whom_it_would_have_stopped(world: World, site: Site, clock: Clock) -> None:
    team_id = world.team(policy='mode = "report"\n')
    alice = member(world, team_id)
    member(world, team_id, "bob", enrolled=False)
    nas = site(team_id)
    assert nas.ask("bob", b"hunter3").code is REJECT
    clock.at += 30
    assert nas.ask("bob", b"hunter2").code is ACCEPT
    assert nas.ask("alice", b"hunter2").code is REJECT
    assert nas.ask("alice", alice.typed(at=clock.at)).code is ACCEPT
    assert [reason for _, reason in world.audit()] == ["wrong-password", "reported", "code-missing", "totp"]


def test_until_a_date_the_unenrolled_sign_in_and_are_told_the_days_that_are_left(
    world: World, site: Site, clock: Clock
) -> None:
    today = datetime.fromtimestamp(clock.at, UTC).date()
    team_id = world.team(policy=f"enrol_by = {today + timedelta(days=4)}\n")
    member(world, team_id, "bob", enrolled=False)
    nas = site(team_id)
    over = datetime.combine(today + timedelta(days=5), datetime.min.time(), UTC).timestamp()
    for before, left in ((5 * 24 * HOUR, "5 days"), (24 * HOUR + 1, "2 days"), (24 * HOUR, "1 day"), (1, "1 day")):
        clock.at = over - before
        accepted = nas.ask("bob", b"hunter2")
        assert accepted.code is ACCEPT
        assert accepted.message == f"You have {left} left to set up an authenticator: {PORTAL}"
    for later in (0, 1):
        clock.at = over + later
        assert nas.ask("bob", b"hunter2").code is REJECT
    assert [reason for _, reason in world.audit()] == ["enrol-later"] * 4 + ["not-enrolled"] * 2


def test_whoever_was_enrolled_before_has_no_time_to_enrol(world: World, site: Site, clock: Clock) -> None:
    tomorrow = datetime.fromtimestamp(clock.at + 24 * HOUR, UTC).date()
    team_id = world.team(policy=f"enrol_by = {tomorrow}\n")
    bob = world.user("bob", enrolled=False, enrolled_before=True)
    world.member(bob, team_id)
    assert site(team_id).ask("bob", b"hunter2").code is REJECT
    assert world.audit() == [("reject", "not-enrolled")]


# R6: unenrolled, and mandatory


@pytest.mark.parametrize("challenge", [False, True])
def test_whoever_must_enrol_is_refused_and_told_where(world: World, site: Site, challenge: bool) -> None:
    team_id = world.team(policy=TWELVE_HOURS)
    member(world, team_id, "bob", enrolled=False)
    refused = site(team_id, challenge=challenge).ask("bob", b"hunter2")
    assert refused.code is REJECT
    assert refused.message.endswith(f"Set it up at {PORTAL}")


def test_a_retransmission_after_the_membership_has_ended_is_no_accept_without_limits(
    world: World, site: Site, clock: Clock
) -> None:
    team_id = world.team(policy=TWELVE_HOURS, profile='Filter-Id = "staff"')
    alice = member(world, team_id)
    nas = site(team_id)
    request, authenticator = nas.request("alice", alice.typed(at=clock.at))
    nas.send(request)
    assert nas.receive(authenticator) is not None
    world.execute(delete(schema.memberships))
    with world.daemon(portal_url=PORTAL) as other:
        nas.turn_to(other.addresses[0])
        nas.send(request)
        again = nas.receive(authenticator)
    assert again is not None
    assert again.code is Code.ACCESS_REJECT
