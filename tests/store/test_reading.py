"""What a sign-in's facts say of people, realms, teams and verifications, on both databases (T5, R10, X5)."""

import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update

from radiusd_mfa.core.facts import Attempt, Facts, Nas, ReplyProfile
from radiusd_mfa.core.names import Username
from radiusd_mfa.core.verification import Verification
from radiusd_mfa.store import schema
from tests.support.attempts import Desk
from tests.support.world import TestUser, World

NOW = time.time()


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world, world.sign_in_store(), Nas(world.nas(), "vpn", "vpn"))


@pytest.fixture
def alice(world: World) -> TestUser:
    return world.user()


def with_realm(desk: Desk, whole: str, **given: Any) -> Attempt:
    """An attempt of `local@realm`, as the server reads it."""
    local, _, realm = whole.partition("@")
    return replace(desk.attempt(whole, b"hunter2", **given), realm=realm, local=Username.parse(local))


def read(desk: Desk, *attempts: Attempt) -> list[Facts]:
    """Open a batch, and see that a second look tells the same, but for charges that came later in the batch."""
    facts = list(desk.store.open(attempts))
    assert [replace(each, history="") for each in desk.store.reread(attempts)] == [
        replace(each, history="") for each in facts
    ]
    return facts


def user_name(facts: Facts) -> str | None:
    return facts.user.name if facts.user else None


def teams_of(facts: Facts) -> dict[str, str]:
    return {each.team.name: each.role for each in facts.memberships}


def verified(world: World, user: TestUser, at: float, **columns: Any) -> None:
    values = {"user_id": user.id, "team_id": 0, "nas_id": 1, "device": "", "surface": "vpn", "text": b"x"}
    granted_to = read_hash(world, user)
    world.execute(insert(schema.verifications).values(**values | {"granted_to": granted_to, "at": at} | columns))


def read_hash(world: World, user: TestUser) -> str:
    with world.database.reading() as connection:
        found = connection.execute(text("SELECT password_hash FROM users WHERE id = :id"), {"id": user.id})
        return str(found.scalar_one())


# Who it is.


@pytest.mark.usefixtures("alice")
def test_a_realm_that_nobody_configured_makes_another_name(desk: Desk) -> None:
    (facts,) = read(desk, with_realm(desk, "alice@elsewhere.example"))
    assert facts.user is None
    assert facts.history == ""


def test_a_known_realm_is_cut_off_and_the_throttle_is_that_of_the_user(
    world: World, desk: Desk, alice: TestUser
) -> None:
    world.execute(insert(schema.realms).values(name="corp.example"))
    attempts = [desk.attempt(alice, b"x"), with_realm(desk, "alice@corp.example")]
    plain, qualified = read(desk, *attempts)
    assert (user_name(plain), user_name(qualified)) == ("alice", "alice")
    assert qualified.history == "".join(str(attempt.charge) for attempt in attempts)
    assert qualified.team_id == 0


@pytest.mark.usefixtures("alice")
def test_whoever_has_the_whole_name_is_meant_by_it(world: World, desk: Desk) -> None:
    team = world.team(realms=["corp.example"])
    world.user("alice@corp.example")
    (facts,) = read(desk, with_realm(desk, "alice@corp.example"))
    assert user_name(facts) == "alice@corp.example"
    assert facts.team_id == team


@pytest.mark.usefixtures("alice")
def test_a_name_that_has_nothing_before_its_realm_is_nobody(world: World, desk: Desk) -> None:
    world.execute(insert(schema.realms).values(name="corp.example"))
    attempt = replace(desk.attempt("@corp.example", b"x"), realm="corp.example", local=None)
    (facts,) = read(desk, attempt)
    assert facts.user is None


def test_who_has_enrolled_before_is_known_also_without_a_method(world: World, desk: Desk) -> None:
    never, before = world.user("never", enrolled=False), world.user("before", enrolled=False, enrolled_before=True)
    facts = read(desk, desk.attempt(never, b"x"), desk.attempt(before, b"x"))
    assert [each.user.enrolled_before for each in facts if each.user] == [False, True]


# Which team, and what it asks for.


def test_without_a_team_all_memberships_are_read(world: World, desk: Desk, alice: TestUser) -> None:
    world.member(alice, world.team("ops"), "owner")
    world.member(alice, world.team("dev"))
    (facts,) = read(desk, desk.attempt(alice, b"x"))
    assert facts.team_id == 0
    assert teams_of(facts) == {"ops": "owner", "dev": "member"}


def test_a_realms_team_leaves_no_other_membership(world: World, desk: Desk, alice: TestUser) -> None:
    ops = world.team("ops", realms=["ops"])
    world.member(alice, ops, "admin")
    world.member(alice, world.team("dev"))
    (facts,) = read(desk, with_realm(desk, "alice@ops"))
    assert facts.team_id == ops
    assert teams_of(facts) == {"ops": "admin"}


def test_the_team_of_the_nas_goes_before_that_of_the_realm(world: World, desk: Desk, alice: TestUser) -> None:
    dev = world.team("dev")
    for team in (world.team("ops", realms=["ops"]), dev):
        world.member(alice, team)
    there = replace(desk.nas, team_id=dev)
    (facts,) = read(desk, with_realm(desk, "alice@ops", nas=there))
    assert facts.team_id == dev
    assert teams_of(facts) == {"dev": "member"}
    assert user_name(facts) == "alice"


def test_a_stranger_to_the_team_has_no_membership(world: World, desk: Desk, alice: TestUser) -> None:
    world.member(alice, world.team("ops"))
    world.team("dev", realms=["dev"])
    (facts,) = read(desk, with_realm(desk, "alice@dev"))
    assert user_name(facts) == "alice"
    assert facts.memberships == ()


def test_a_batch_shares_its_teams_with_policies_and_profiles(world: World, desk: Desk) -> None:
    policy = 'mode = "report"\n# "quotes", \\ and ё'
    ops, dev = world.team("ops", policy=policy, plan="no-mfa", profile='Class = "x"'), world.team("dev")
    world.profile(ops, 'Filter-Id = "vpn"', role="owner", surface="vpn")
    users = [world.user(f"user{number}") for number in range(5)]
    for user in users[1:]:  # so that the first of the batch has none
        world.member(user, ops)
    world.member(users[2], dev)
    facts = read(desk, *[desk.attempt(user, b"x") for user in users], desk.attempt("nobody", b"x"))
    assert [len(each.memberships) for each in facts] == [0, 1, 2, 1, 1, 0]
    teams = {membership.team.name: membership.team for each in facts for membership in each.memberships}
    assert len({id(membership.team) for each in facts for membership in each.memberships}) == 2
    assert (teams["ops"].id, teams["ops"].policy, teams["ops"].plan, teams["ops"].version) == (ops, policy, "no-mfa", 1)
    assert teams["ops"].profiles == (
        ReplyProfile(None, None, 'Class = "x"'),
        ReplyProfile("owner", "vpn", 'Filter-Id = "vpn"'),
    )
    assert (teams["dev"].policy, teams["dev"].profiles) == (None, ())


def test_a_policy_holds_from_its_commit_on(world: World, desk: Desk, alice: TestUser) -> None:
    ops = world.team("ops", policy="one")
    world.member(alice, ops)
    attempt = desk.attempt(alice, b"x")
    for policy in ("two", None, "one"):
        world.execute(update(schema.teams).where(schema.teams.c.id == ops).values(policy=policy))
        (facts,) = desk.store.reread([attempt])
        assert facts.memberships[0].team.policy == policy


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_policy_that_is_no_text_is_none_that_can_be_understood(world: World, desk: Desk, alice: TestUser) -> None:
    """SQLite keeps whatever another program writes into a column; no policy at all would ask for less."""
    world.member(alice, world.team("ops"))
    world.execute(text("UPDATE teams SET policy = x'ff00'"))
    (facts,) = read(desk, desk.attempt(alice, b"x"))
    assert facts.memberships[0].team.policy == "?"


@pytest.mark.parametrize("dialect", ["sqlite"])  # PostgreSQL keeps nothing in a column that does not belong there
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE teams SET name = x'ff00'",
        "UPDATE teams SET plan = CAST('no-mfa' AS blob)",
        "UPDATE verifications SET at = 'yesterday'",
    ],
)
def test_a_row_that_another_program_spoilt_keeps_nobody_else_from_an_answer(
    world: World, desk: Desk, alice: TestUser, damage: str
) -> None:
    bob = world.user("bob")
    world.member(bob, world.team("dev"))
    verified(world, bob, NOW)
    world.execute(text(damage))
    attempts = [desk.attempt(bob, b"wrong"), desk.attempt(alice, alice.typed())]
    pairs = list(zip(attempts, desk.store.open(attempts), strict=True))
    assert [each.team.plan == "no-mfa" for each in pairs[0][1].memberships] in ([], [False])
    judged = [desk.judged(*pair) for pair in pairs if not pair[1].fault]
    assert None not in desk.store.settle(judged)
    assert world.audit()[-1] == ("accept", "totp")


def test_memberships_don_t_multiply_methods_and_codes(world: World, desk: Desk) -> None:
    alice = world.user(codes=3)
    for name in ("ops", "dev", "lab"):
        world.member(alice, world.team(name))
    values = {"user_id": alice.id, "kind": "totp", "created_at": NOW, "confirmed_at": NOW, "id": 99}
    sealed = world.keys.seal(b"another seed", table="methods", column="seed", row=99)
    world.execute(insert(schema.methods).values(**values, seed=sealed))
    typed = f"hunter2{alice.backup_codes[0].canonical}".encode()
    (facts,) = read(desk, desk.attempt(alice, typed))
    assert (len(facts.methods), len(facts.backup_codes), len(facts.memberships)) == (2, 1, 3)


# When a second factor was given.


def test_a_verification_is_that_of_team_nas_and_device(world: World, desk: Desk, alice: TestUser) -> None:
    ops = world.team("ops", realms=["ops"])
    world.member(alice, ops)
    here: dict[str, Any] = {"team_id": ops, "nas_id": desk.nas.id, "device": "phone"}
    others: list[dict[str, Any]] = [{"team_id": 0}, {"nas_id": 77}, {"device": "laptop"}]
    for number, other in enumerate(others):
        verified(world, alice, NOW - number, **here | other)
    attempt = with_realm(desk, "alice@ops", device="phone")
    assert read(desk, attempt)[0].verification is None
    verified(world, alice, NOW - 9, **here)
    assert read(desk, attempt)[0].verification == Verification(NOW - 9, b"x", desk.nas.id, "phone")


def test_the_latest_is_on_any_device_but_on_this_surface_and_for_this_team(
    world: World, desk: Desk, alice: TestUser
) -> None:
    ops = world.team("ops", realms=["ops"])
    world.member(alice, ops)
    wheres: list[tuple[float, dict[str, Any]]] = [
        (NOW - 50, {"team_id": ops, "device": "old"}),
        (NOW - 40, {"team_id": ops, "device": "phone", "nas_id": 77}),
        (NOW - 45, {"team_id": ops, "device": "laptop"}),
        (NOW - 10, {"team_id": ops, "device": "panel", "surface": "control-panel"}),
        (NOW - 5, {"team_id": 0, "device": "elsewhere"}),
    ]
    for at, where in wheres:
        verified(world, alice, at, **where)
    (facts,) = read(desk, with_realm(desk, "alice@ops", device="new"))
    assert facts.verification is None
    assert facts.latest == Verification(NOW - 40, b"x", 77, "phone")


def test_with_another_password_nothing_was_verified(world: World, desk: Desk, alice: TestUser) -> None:
    """Whoever changes the password, the periods need not be deleted (X5, ATTACKS 23)."""
    verified(world, alice, NOW)
    attempt = desk.attempt(alice, b"x")
    assert read(desk, attempt)[0].verification is not None
    world.execute(update(schema.users).values(password_hash="another"))
    (facts,) = read(desk, attempt)
    assert (facts.verification, facts.latest) == (None, None)


def test_whoever_has_no_password_here_is_verified_by_the_code_alone(world: World, desk: Desk, alice: TestUser) -> None:
    """An OTP-only NAS has checked the password itself."""
    world.execute(update(schema.users).values(password_hash=None))
    verified(world, alice, NOW, granted_to="")
    (facts,) = read(desk, desk.attempt(alice, b"x"))
    assert facts.verification is not None
    assert facts.latest is not None


def test_a_code_is_remembered_for_the_team_that_was_signed_in_to(world: World, desk: Desk, alice: TestUser) -> None:
    ops = world.team("ops", realms=["ops"])
    world.member(alice, ops)
    typed = desk.attempt(alice, alice.typed(), device="phone")
    desk.signed_in(replace(typed, realm="ops", local=typed.user))
    (there,) = read(desk, with_realm(desk, "alice@ops", device="phone"))
    (elsewhere,) = read(desk, desk.attempt(alice, b"x", device="phone"))
    assert there.verification is not None
    assert there.verification == there.latest
    assert (elsewhere.verification, elsewhere.latest) == (None, None)


def test_a_team_that_is_gone_asks_for_nothing(world: World, desk: Desk, alice: TestUser) -> None:
    ops = world.team("ops", realms=["ops"])
    world.member(alice, ops)
    world.execute(delete(schema.teams).where(schema.teams.c.id == ops))
    (facts,) = read(desk, with_realm(desk, "alice@ops"))
    assert facts.user is None, "its realm is gone, too"
    (facts,) = read(desk, desk.attempt(alice, b"x"))
    assert facts.memberships == ()
