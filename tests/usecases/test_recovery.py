"""Recovery codes that must be recorded first (E3), and what holds after a sign-in with a backup code (K3, K4, K5)."""

from collections.abc import Callable

import pytest
from sqlalchemy import event

from radiusd_mfa.core.backup_codes import tidy
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import codes, enrol, people, policies, removal, teams
from radiusd_mfa.usecases.acting import NOBODY
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.codes import CodeSet, Revealed
from radiusd_mfa.usecases.enrol import Confirmed
from radiusd_mfa.usecases.removal import Removed
from tests.support.acting import VOLUNTARY, Colleague, code_of, colleague, join, team
from tests.support.administered import Refuses, World

SINGLE = "[[require]]\n[backup_codes]\ncount = 1"
REVEALING = "[[require]]\n[backup_codes]\ncount = 3\nreveal = true"


@pytest.fixture
def alice(world: World) -> Colleague:
    return colleague(world)


def _counts(world: World) -> list[bool]:
    with world.app.database.reading() as connection:
        rows = connection.execute(schema.methods.select().order_by(schema.methods.c.id))
        return [row.confirmed_at is not None for row in rows]


def test_with_a_single_recovery_code_nothing_counts_before_it_is_recorded(world: World, refuses: Refuses) -> None:
    user = world.user("carol")
    join(world, team(world, policy=SINGLE), user, "member")
    made = world.start(user)
    refuses(enrol.acknowledge(user, **world.needs), "no recovery code to be acknowledged")
    done = world.confirm(user, world.code(made))
    assert isinstance(done, Confirmed)
    assert done.codes is not None
    assert (len(done.codes.shown), done.counts) == (1, False)
    assert _counts(world) == [False]
    assert people.show(user, **world.needs).backup_codes_left == 0  # type: ignore[union-attr]  # not refused
    counts = enrol.acknowledge(user, **world.needs)
    assert isinstance(counts, Confirmed)
    assert counts.counts
    assert _counts(world) == [True]
    assert people.show(user, **world.needs).backup_codes_left == 1  # type: ignore[union-attr]  # not refused
    refuses(enrol.acknowledge(user, **world.needs), "no recovery code to be acknowledged")


def test_what_was_acknowledged_of_an_abandoned_set_up_lets_no_other_one_count(world: World, refuses: Refuses) -> None:
    user = world.user("carol")
    join(world, team(world, policy=SINGLE), user, "member")
    world.confirm(user, world.code(world.start(user)))
    world.start(user)
    refuses(enrol.acknowledge(user, **world.needs), "no recovery code to be acknowledged")
    assert _counts(world) == [False]


def test_a_recovery_code_that_was_shown_again_makes_the_first_one_worthless(world: World) -> None:
    user = world.user("carol")
    join(world, team(world, policy=SINGLE), user, "member")
    made = world.start(user)
    world.confirm(user, world.code(made))
    world.clock.now += 30
    world.confirm(user, world.code(made))
    enrol.acknowledge(user, **world.needs)
    assert world.count(schema.backup_codes) == 1


def test_the_strictest_team_says_how_many_codes_there_are(world: World) -> None:
    user = world.user("carol")
    join(world, team(world, "ops", "[backup_codes]\ncount = 7"), user, "member")
    join(world, team(world, "lab", "[backup_codes]\ncount = 4"), user, "member")
    done = world.confirm(user, world.code(world.start(user)))
    assert isinstance(done, Confirmed)
    assert done.codes is not None
    assert len(done.codes.shown) == 4
    fresh = codes.regenerate(user, None, **world.hashing_needs)
    assert isinstance(fresh, CodeSet)
    assert len(fresh.shown) == 4


# K3, K4


def test_codes_are_made_with_a_code_that_was_just_spent_by_acting(alice: Colleague) -> None:
    world = alice.world
    fresh = codes.regenerate(alice.name, None, **world.hashing_needs, actor=alice.person())
    assert isinstance(fresh, CodeSet)
    assert alice.prove(alice.backup_codes[0].encode()) is NOBODY


def test_after_a_backup_code_no_codes_are_made_in_any_door(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    person = alice.recovers()
    refuses(codes.regenerate(alice.name, None, **world.hashing_needs, actor=person), "with a backup code")
    code = alice.new_code().decode()
    refuses(codes.regenerate(alice.name, code, **world.hashing_needs), "with a backup code")
    assert world.count(schema.backup_codes, user_id=world.user_id(alice.name)) == 10
    assert isinstance(codes.regenerate(alice.name, None, **world.hashing_needs), CodeSet), "the operator vouches"


def test_a_sign_in_with_the_authenticator_ends_that(alice: Colleague) -> None:
    alice.recovers()
    person = alice.person()
    assert isinstance(codes.regenerate(alice.name, None, **alice.world.hashing_needs, actor=person), CodeSet)


def test_a_new_second_factor_ends_that(alice: Colleague) -> None:
    world = alice.world
    person = alice.recovers()
    made = world.start(alice.name, "new phone")
    world.clock.now += 30
    assert isinstance(world.confirm(alice.name, code_of(made.uri, world.clock.now)), Confirmed)
    assert isinstance(codes.regenerate(alice.name, None, **world.hashing_needs, actor=person), CodeSet)


@pytest.mark.parametrize("take", [removal.delete, removal.revoke])
def test_it_does_not_begin_again_when_the_authenticator_that_ended_it_goes(
    alice: Colleague, take: Callable[..., object]
) -> None:
    """Otherwise an old backup code would let the password alone take the other method, too."""
    world = alice.world
    world.confirm(alice.name, world.code(world.start(alice.name, "tablet")))
    alice.recovers()
    alice.person()
    assert not isinstance(take(alice.name, alice.made.method, **world.needs), Refusal)
    assert not removal.password_suffices(alice.name, store=world.app.administration)
    world.clock.now += 1
    assert removal.disable(alice.name, **world.needs, actor=alice.claimant()) is NOBODY


def test_it_lasts_when_another_method_goes(alice: Colleague) -> None:
    world = alice.world
    world.confirm(alice.name, world.code(world.start(alice.name, "tablet")))
    alice.recovers()
    removal.delete(alice.name, alice.made.method, **world.needs)
    assert removal.password_suffices(alice.name, store=world.app.administration)


def test_making_new_codes_as_the_operator_does_not_end_it(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    person = alice.recovers()
    codes.regenerate(alice.name, None, **world.hashing_needs)
    refuses(codes.regenerate(alice.name, None, **world.hashing_needs, actor=person), "with a backup code")


def test_the_password_alone_disables_nothing_of_who_used_the_authenticator(alice: Colleague) -> None:
    assert not removal.password_suffices(alice.name, store=alice.world.app.administration)
    assert removal.disable(alice.name, **alice.world.needs, actor=alice.claimant()) is NOBODY
    assert _counts(alice.world) == [True]
    assert [outcome for outcome, _ in alice.world.audit("mfa-disable")] == ["refused"]


def test_after_a_backup_code_the_password_alone_disables_the_own_second_factor_also_where_it_is_mandatory(
    alice: Colleague,
) -> None:
    world = alice.world
    join(world, team(world), alice.name, "member")
    alice.recovers()
    assert removal.password_suffices(alice.name, store=world.app.administration)
    world.clock.now += 1
    assert removal.disable(alice.name, **world.needs, actor=alice.claimant()) == Removed("alice", 1, mandatory=True)
    assert world.count(schema.methods) == 0


def test_after_a_backup_code_the_password_is_good_for_nothing_else(alice: Colleague, refuses: Refuses) -> None:
    world, bob = alice.world, colleague(alice.world, "bob")
    alice.recovers()
    bob.recovers()
    world.clock.now += 1
    claimant = alice.claimant()
    assert removal.disable(bob.name, **world.needs, actor=claimant) is NOBODY
    refuses(enrol.confirm(bob.name, "123456", **world.hashing_needs, actor=claimant), "only for “alice”")
    assert _counts(world) == [True, True]


def test_what_a_team_requires_is_not_disabled_by_its_user(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    refuses(removal.disable(alice.name, **world.needs, actor=alice.person()), "required of “alice” of everybody")
    team(world, "ops", VOLUNTARY)
    join(world, "ops", alice.name, "member")
    join(world, team(world, "lab"), alice.name, "member")
    refuses(removal.disable(alice.name, **world.needs, actor=alice.person()), "by team lab")
    teams.remove_member("lab", alice.name, **world.needs)
    assert isinstance(removal.disable(alice.name, **world.needs, actor=alice.person()), Removed)


# K5


def test_codes_are_not_seen_again_and_only_hashes_are_kept(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    join(world, team(world, "ops", REVEALING), alice.name, "member")
    join(world, team(world, "lab", VOLUNTARY), alice.name, "member")
    codes.regenerate(alice.name, None, **world.hashing_needs)
    refuses(codes.reveal(alice.name, None, **world.needs, actor=alice.person()), "can't be seen again")
    refuses(codes.reveal(alice.name, None, **world.needs), "can't be seen again")
    assert world.count(schema.backup_codes, sealed=None) == 3


def test_where_every_team_allows_it_unused_codes_are_seen_again_after_a_current_code(
    alice: Colleague, refuses: Refuses
) -> None:
    world = alice.world
    join(world, team(world, policy=REVEALING), alice.name, "member")
    refuses(codes.reveal(alice.name, None, **world.needs, actor=alice.person()), "only hashes are there")
    fresh = codes.regenerate(alice.name, None, **world.hashing_needs, actor=alice.person())
    assert isinstance(fresh, CodeSet)
    seen = codes.reveal(alice.name, None, **world.needs, actor=alice.person())
    assert isinstance(seen, Revealed)
    assert list(seen.shown) == fresh.shown
    assert not any(code in repr(seen) for code in seen.shown)
    world.clock.now += 1
    used = alice.prove(fresh.shown[1].encode())
    refuses(codes.reveal(alice.name, None, **world.needs, actor=used), "with a backup code")  # type: ignore[arg-type]
    seen = codes.reveal(alice.name, None, **world.needs, actor=alice.person())
    assert isinstance(seen, Revealed)
    assert list(seen.shown) == [fresh.shown[0], fresh.shown[2]]
    refuses(codes.reveal(alice.name, "123456", **world.needs), "not a current code")


def _sealed(world: World) -> int:
    with world.app.database.reading() as connection:
        return sum(row.sealed is not None for row in connection.execute(schema.backup_codes.select()))


@pytest.mark.parametrize("how", ["policy", "no policy", "another team", "no team", "team removed"])
def test_what_was_kept_to_be_seen_is_forgotten_when_a_team_stops_allowing_it(alice: Colleague, how: str) -> None:
    world = alice.world
    join(world, team(world, policy=REVEALING), alice.name, "member")
    codes.regenerate(alice.name, None, **world.hashing_needs)
    assert _sealed(world) == 3
    if how == "policy":
        policies.apply("ops", VOLUNTARY, **world.needs)
    elif how == "no policy":
        policies.remove("ops", **world.needs)
    elif how == "another team":
        join(world, team(world, "lab"), alice.name, "member")
    elif how == "no team":
        teams.remove_member("ops", alice.name, **world.needs)
    else:
        teams.remove("ops", **world.needs)
    assert _sealed(world) == 0
    assert world.count(schema.backup_codes, used_at=None) == 3


def test_who_is_in_teams_that_all_allow_it_keeps_what_another_member_loses(alice: Colleague) -> None:
    world, bob = alice.world, colleague(alice.world, "bob")
    for each in (alice, bob):
        join(world, team(world, policy=REVEALING) if each is alice else "ops", each.name, "member")
        codes.regenerate(each.name, None, **world.hashing_needs)
    join(world, team(world, "lab", REVEALING), alice.name, "member")
    join(world, "lab", bob.name, "member")
    join(world, team(world, "dev", REVEALING), bob.name, "member")
    assert _sealed(world) == 6
    policies.apply("dev", VOLUNTARY, **world.needs)
    assert _sealed(world) == 3
    assert isinstance(codes.reveal(alice.name, None, **world.needs), Revealed)


def _statements_to_apply(world: World, text: str) -> int:
    counted: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        counted.append(statement)

    event.listen(world.app.database.engine, "before_cursor_execute", note)
    try:
        assert not isinstance(policies.apply("ops", text, **world.needs), Refusal)
    finally:
        event.remove(world.app.database.engine, "before_cursor_execute", note)
    return len(counted)


def test_a_policy_for_many_members_takes_no_more_statements_than_for_few(alice: Colleague) -> None:
    world = alice.world
    join(world, team(world, policy=REVEALING), alice.name, "member")
    codes.regenerate(alice.name, None, **world.hashing_needs)
    few = _statements_to_apply(world, VOLUNTARY)
    policies.apply("ops", REVEALING, **world.needs)
    for number in range(12):
        user, _, _ = world.enrolled(f"user{number}")
        join(world, "ops", user, "member")
        codes.regenerate(user, None, **world.hashing_needs)
    codes.regenerate(alice.name, None, **world.hashing_needs)
    assert _sealed(world) == 39
    assert _statements_to_apply(world, VOLUNTARY) == few
    assert _sealed(world) == 0


def test_a_dump_of_the_database_holds_no_code_that_may_be_seen_again(alice: Colleague) -> None:
    world = alice.world
    join(world, team(world, policy=REVEALING), alice.name, "member")
    fresh = codes.regenerate(alice.name, None, **world.hashing_needs)
    assert isinstance(fresh, CodeSet)
    with world.app.database.reading() as connection:
        dumped = repr(connection.execute(schema.backup_codes.select()).fetchall())
    canonical = [code.canonical for code in map(tidy, fresh.shown) if code is not None]
    assert len(canonical) == 3
    assert not any(code in dumped for code in (*canonical, *fresh.shown))
