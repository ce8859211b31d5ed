"""A period lets in by its row: whatever ends it before the commit loses the claim (X5, ATTACKS 23)."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from radiusd_mfa.core.facts import Nas
from radiusd_mfa.core.verdict import Outcome, Reason
from radiusd_mfa.store import schema, sign_ins_postgresql
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.store.database import Database
from radiusd_mfa.store.sign_in_rows import row_of
from radiusd_mfa.usecases.ports import Settlement, StoreFault
from tests.support.attempts import Desk
from tests.support.world import TestUser, World

HOURS = 'mode = "enforce"\n[[require]]\nevery = "12h"\nremember = "{remember}"\n'


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world, world.sign_in_store(), Nas(world.nas(), "vpn", "vpn"))


@pytest.fixture
def alice(world: World) -> TestUser:
    return member(world, world.team(policy=HOURS.format(remember="user")))


def member(world: World, team: int, name: str = "alice") -> TestUser:
    user = world.user(name, codes=1)
    world.member(user, team)
    return user


def in_period(desk: Desk, user: TestUser, *, device: str = "phone") -> Settlement:
    """Give a code, then come back with the password alone, and get as far as the commit."""
    assert desk.signed_in(desk.attempt(user, user.typed(), device="phone")).outcome is Outcome.ACCEPT
    (settlement,) = desk.opened(desk.attempt(user, b"hunter2", device=device))
    assert (settlement.verdict.outcome, settlement.verdict.reason) == (Outcome.ACCEPT, Reason.PERIOD)
    return settlement


def verifications(world: World) -> list[Any]:
    with world.database.reading() as connection:
        return list(connection.execute(select(schema.verifications)).fetchall())


def periods_end(alice: TestUser) -> Any:
    return delete(schema.verifications).where(schema.verifications.c.user_id == alice.id)


def password_changes(alice: TestUser) -> Any:
    return update(schema.users).where(schema.users.c.id == alice.id).values(password_hash="another")


def user_is_disabled(alice: TestUser) -> Any:
    return update(schema.users).where(schema.users.c.id == alice.id).values(disabled=True)


def user_is_removed(alice: TestUser) -> Any:
    return delete(schema.users).where(schema.users.c.id == alice.id)


def clock_went_back(_alice: TestUser) -> Any:
    return update(schema.verifications).values(at=schema.verifications.c.at - 1)


def period_of_another_password(_alice: TestUser) -> Any:
    return update(schema.verifications).values(granted_to="another")


@pytest.mark.parametrize(
    "change",
    [
        periods_end,
        password_changes,
        user_is_disabled,
        user_is_removed,
        clock_went_back,
        period_of_another_password,
    ],
)
def test_a_period_that_ends_before_the_commit_lets_nobody_in(
    world: World, desk: Desk, alice: TestUser, change: Callable[[TestUser], Any]
) -> None:
    settlement = in_period(desk, alice)
    world.execute(change(alice))
    assert desk.store.settle([settlement]) == [None]
    assert world.audit() == [("accept", "totp")]


@pytest.mark.parametrize("change", [periods_end, password_changes, user_is_disabled])
def test_a_retry_within_the_grace_lets_nobody_in_after_what_it_repeats_has_ended(
    world: World, desk: Desk, alice: TestUser, change: Callable[[TestUser], Any]
) -> None:
    graceful, typed = replace(desk.nas, retry_grace=30.0), alice.typed()
    assert desk.signed_in(desk.attempt(alice, typed, nas=graceful)).reason is Reason.TOTP
    (settlement,) = desk.opened(desk.attempt(alice, typed, nas=graceful))
    assert settlement.verdict.reason is Reason.REPEAT
    world.execute(change(alice))
    assert desk.store.settle([settlement]) == [None]
    assert world.audit() == [("accept", "totp")]


def test_a_revoked_method_takes_its_periods_along(world: World, desk: Desk, alice: TestUser) -> None:
    settlement = in_period(desk, alice)
    assert AdministrationStore(world.database, world.keys).change(lambda books: books.methods.revoke(alice.id)) == 1
    assert desk.store.settle([settlement]) == [None]
    (facts,) = desk.store.reread([settlement.attempt])
    assert (facts.methods, facts.verification, facts.latest) == ((), None, None)


@pytest.mark.parametrize("device", ["phone", "laptop"])
def test_a_period_that_lasts_lets_in_and_does_not_begin_anew(
    world: World, desk: Desk, alice: TestUser, device: str
) -> None:
    """On the other device the period of the user rests on the row of the first."""
    settlement = in_period(desk, alice, device=device)
    before = verifications(world)
    assert desk.store.settle([settlement]) != [None]
    assert verifications(world) == before
    assert world.audit() == [("accept", "totp"), ("accept", "period")]


def test_a_period_that_began_anew_meanwhile_still_lets_in(world: World, desk: Desk, alice: TestUser) -> None:
    settlement = in_period(desk, alice)
    world.execute(update(schema.verifications).values(at=time.time() + 5))
    assert desk.store.settle([settlement]) != [None]


def test_each_of_a_batch_rests_on_its_own_period(world: World, desk: Desk, alice: TestUser) -> None:
    bob = member(world, world.team("dev", policy=HOURS.format(remember="device")), "bob")
    batch = [in_period(desk, alice), in_period(desk, bob)]
    world.execute(periods_end(alice))
    lost, settled = desk.store.settle(batch)
    assert lost is None
    assert settled is not None


def test_a_period_never_rests_on_the_row_of_another_team(desk: Desk, alice: TestUser) -> None:
    settlement = in_period(desk, alice)
    for facts in (replace(settlement.facts, team_id=77), replace(settlement.facts, team_id=1)):
        assert desk.store.settle([replace(settlement, facts=facts)]) == [None]
    assert desk.store.settle([settlement]) != [None]


def test_what_a_code_is_remembered_by_is_the_password_beside_it(world: World, desk: Desk, alice: TestUser) -> None:
    in_period(desk, alice)
    (row,) = verifications(world)
    with world.database.reading() as connection:
        stored = select(schema.users.c.password_hash).where(schema.users.c.id == alice.id)
        assert row.granted_to == connection.execute(stored).scalar_one()
    desk.signed_in(desk.attempt(alice, f"hunter2{alice.backup_codes[0].canonical}".encode(), device="phone"))
    (again,) = verifications(world)
    assert (again.granted_to, again.at > row.at) == (row.granted_to, True)


# Who ends a period, while it is being committed.


@pytest.mark.parametrize("dialect", ["postgresql"])  # SQLite lets nobody read between a write and its commit
def test_a_period_that_somebody_is_ending_lets_nobody_in_and_nobody_wait(
    world: World, desk: Desk, alice: TestUser
) -> None:
    bob = member(world, world.team("dev", policy=HOURS.format(remember="device")), "bob")
    batch = [in_period(desk, alice), in_period(desk, bob)]
    with world.database.writing() as ending:
        ending.execute(periods_end(alice))
        lost, settled = desk.store.settle(batch)
    assert lost is None
    assert settled is not None
    assert desk.store.settle(batch[:1]) == [None], "now it has ended"


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_period_that_somebody_is_renewing_lets_in_at_once(world: World, desk: Desk, alice: TestUser) -> None:
    """Another node may hold the row for the upsert of the next code."""
    settlement = in_period(desk, alice)
    with world.database.writing() as renewing:
        renewing.execute(update(schema.verifications).values(at=time.time() + 1))
        assert desk.store.settle([settlement]) != [None]


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_period_that_somebody_rests_on_is_renewed_at_once(world: World, desk: Desk, alice: TestUser) -> None:
    """Neither waits for the other, so that no two nodes wait for each other."""
    settlement = in_period(desk, alice)
    code = f"hunter2{alice.backup_codes[0].canonical}".encode()
    (renewal,) = desk.opened(desk.attempt(alice, code, device="phone"))
    with world.database.writing() as resting:
        row = row_of(0, settlement, charged=False)
        assert list(sign_ins_postgresql.settle(resting, [row])) == [0]
        with closing(Database(world.url, deadline=1, for_sign_ins=True)) as other, other.statement() as connection:
            assert list(sign_ins_postgresql.settle(connection, [row_of(0, renewal, charged=False)])) == [0]
    assert world.audit() == [("accept", "totp"), ("accept", "period"), ("accept", "backup-code")]


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_who_ends_a_period_that_somebody_rests_on_waits_for_that_commit(
    world: World, desk: Desk, alice: TestUser
) -> None:
    """Otherwise the end would be told first, and somebody let in after it."""
    row = row_of(0, in_period(desk, alice), charged=False)
    with world.database.writing() as resting:
        assert list(sign_ins_postgresql.settle(resting, [row])) == [0]
        with (
            closing(Database(world.url, deadline=0.3)) as other,
            pytest.raises(StoreFault, match="timeout"),
            other.writing() as ending,
        ):
            ending.execute(periods_end(alice))
