"""What administration finds in the books, and what two who write in them at once can't both do, on both databases."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import pytest
from sqlalchemy import insert, select, update

from radiusd_mfa.core.backup_codes import make_set
from radiusd_mfa.store import audit, schema
from radiusd_mfa.store.administration import AdministrationStore
from radiusd_mfa.store.database import Database
from radiusd_mfa.usecases.admin_ports import NewBackupCode, NewLink, NewMethod, Realm, Standing, StoredProfile
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.ports import StoreFault
from tests.support.world import TestUser, World

NOW = 1_800_000_000.0
SEED, OTHER_SEED = bytes(range(20)), bytes(range(20, 40))
T = TypeVar("T")
Change = Callable[[Callable[[Books], T]], T]


@pytest.fixture
def change(world: World) -> Any:
    return AdministrationStore(world.database, world.keys).change


@pytest.fixture
def alice(world: World) -> TestUser:
    return world.user(codes=2)


def at_once(world: World, *works: Callable[[Books], T]) -> list[T]:
    """Do each in a transaction and on a connection of its own, at the same moment."""
    start = Barrier(len(works))

    def do(work: Callable[[Books], T]) -> T:
        database = Database(world.url, deadline=10)
        try:
            start.wait(20)
            return AdministrationStore(database, world.keys).change(work)
        finally:
            database.close()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(do, works))


def one(world: World, statement: Any) -> Any:
    with world.database.reading() as connection:
        return connection.execute(statement).scalar_one()


def count(world: World, table: Any) -> int:
    with world.database.reading() as connection:
        return len(connection.execute(select(table)).fetchall())


# Policies.


def test_of_two_who_planned_on_the_same_policy_one_applies(world: World, change: Any) -> None:
    """Case 24: the other one's check was of a policy that is gone."""
    team = world.team()
    for version in range(5):
        expected = version

        def apply(text: str, team: int = team, expected: int = expected) -> Callable[[Books], int | None]:
            return lambda books: books.policies.replace(team, text, expected=expected, at=NOW, actor=text)

        outcomes = at_once(world, apply("one"), apply("two"), apply("three"))
        assert sorted(each is None for each in outcomes) == [False, True, True]
        winner = ("one", "two", "three")[next(n for n, each in enumerate(outcomes) if each is not None)]
        versions = change(lambda books: books.policies.versions(team))
        assert (versions[0].version, versions[0].text, versions[0].actor) == (version + 1, winner, winner)
        assert one(world, select(schema.teams.c.policy)) == winner


def test_a_policy_that_is_removed_is_a_version_too(world: World, change: Any) -> None:
    team = world.team()
    for expected, policy in enumerate(("first", None, "third")):
        change(
            lambda books, policy=policy, expected=expected: books.policies.replace(
                team, policy, expected=expected, at=NOW + expected, actor="operator"
            )
        )
    assert [(each.version, each.text) for each in change(lambda books: books.policies.versions(team))] == [
        (3, "third"),
        (2, None),
        (1, "first"),
    ]
    assert change(lambda books: books.policies.find(team, 2)).text is None
    assert change(lambda books: books.policies.find(team, 4)) is None
    assert change(lambda books: books.teams.find("ops")).policy_version == 3


# Realms and profiles.


def test_a_realm_goes_with_its_team_and_not_with_another(world: World, change: Any) -> None:
    ops, dev = world.team("ops"), world.team("dev")
    for name, team in (("ops", ops), ("dev", dev), ("corp", None)):
        assert change(lambda books, name=name, team=team: books.realms.add(name, team))
    assert not change(lambda books: books.realms.add("ops", dev))
    change(lambda books: books.teams.remove(ops))
    assert change(lambda books: books.realms.all()) == [Realm("corp", None), Realm("dev", "dev")]
    assert change(lambda books: books.realms.remove("corp"))
    assert not change(lambda books: books.realms.remove("corp"))


def test_a_profile_for_all_is_replaced_and_never_there_twice(world: World, change: Any) -> None:
    """The database takes two nulls for different."""
    team = world.team()
    at_once(world, *[lambda books, n=n: books.profiles.set(team, None, None, f"Class = {n}") for n in range(4)])
    change(lambda books: books.profiles.set(team, None, "vpn", "b"))
    change(lambda books: books.profiles.set(team, "owner", None, "a"))
    change(lambda books: books.profiles.set(team, None, None, "c"))
    assert change(lambda books: books.profiles.all()) == [
        StoredProfile("ops", None, None, "c"),
        StoredProfile("ops", None, "vpn", "b"),
        StoredProfile("ops", "owner", None, "a"),
    ]
    assert change(lambda books: books.profiles.remove(team, None, None))
    assert not change(lambda books: books.profiles.remove(team, None, None))
    assert len(change(lambda books: books.profiles.all(team))) == 2


# Members.


def test_permissions_are_told_beside_the_role_and_stay_when_it_changes(
    world: World, change: Any, alice: TestUser
) -> None:
    team = world.team()
    world.member(alice, team)
    assert not change(lambda books: books.teams.set_permissions(team, 77, ("mfa.reset",)))
    assert change(lambda books: books.teams.set_permissions(team, alice.id, ("policy.write", "mfa.reset", "mfa.reset")))
    change(lambda books: books.teams.set_role(team, alice.id, "admin"))
    (member,) = change(lambda books: books.teams.members(user_id=alice.id))
    assert (member.role, member.permissions) == ("admin", ("mfa.reset", "policy.write"))
    change(lambda books: books.teams.set_permissions(team, alice.id, ()))
    (member,) = change(lambda books: books.teams.members(user_id=alice.id))
    assert member.permissions == ()


def test_a_standing_counts_confirmed_methods_only(world: World, change: Any, alice: TestUser) -> None:
    team = world.team()
    bob, carol = world.user("bob", enrolled=False), world.user("carol", enrolled=False, enrolled_before=True)
    for user, role in ((carol, "member"), (bob, "owner"), (alice, "admin")):
        world.member(user, team, role)
    change(lambda books: books.methods.add(bob.id, NewMethod(SEED, ""), NOW))
    world.user("stranger")
    assert change(lambda books: books.teams.standings(team)) == [
        Standing(alice.id, "alice", "admin", False, frozenset({"totp"}), True),
        Standing(bob.id, "bob", "owner", False, frozenset(), False),
        Standing(carol.id, "carol", "member", False, frozenset(), True),
    ]


@pytest.mark.parametrize("dialect", ["postgresql"])  # SQLite has one writer
def test_nobody_changes_whoever_stands_locked(world: World, change: Any, alice: TestUser) -> None:
    """Between the check that every owner has MFA and the act one of them could lose it."""
    team = world.team()
    world.member(alice, team, "owner")

    def check_and_act(books: Books) -> None:
        books.teams.standings(team, locked=True)
        impatient = Database(world.url, deadline=0.3)
        try:
            with pytest.raises(StoreFault):
                AdministrationStore(impatient, world.keys).change(lambda other: other.people.lock("alice"))
        finally:
            impatient.close()

    change(check_and_act)
    assert change(lambda books: books.people.lock("alice")) is not None


# Links.


def link(user: TestUser, digest: bytes = b"digest", **given: Any) -> NewLink:
    values: dict[str, Any] = {"purpose": "reset", "created_at": NOW, "expires_at": NOW + 3600, "made_by": "operator"}
    return NewLink(digest, user_id=user.id, **values | given)


def test_a_link_is_used_once_however_many_use_it_at_once(world: World, change: Any, alice: TestUser) -> None:
    change(lambda books: books.links.add(link(alice)))
    used = at_once(world, *[lambda books: books.links.use(b"digest", NOW + 1)] * 6)
    assert sum(each is not None for each in used) == 1
    assert change(lambda books: books.links.find(b"digest")).used_at == NOW + 1
    assert change(lambda books: books.links.use(b"digest", NOW + 2)) is None


def test_a_link_that_expired_or_never_was_is_of_no_use(change: Any, alice: TestUser) -> None:
    change(lambda books: books.links.add(link(alice)))
    assert change(lambda books: books.links.use(b"digest", NOW + 3600)) is None
    assert change(lambda books: books.links.use(b"other", NOW)) is None
    assert change(lambda books: books.links.find(b"digest")).used_at is None
    assert change(lambda books: books.links.use(b"digest", NOW + 3599)) is not None


def test_a_new_link_makes_the_earlier_one_of_its_purpose_void(world: World, change: Any, alice: TestUser) -> None:
    bob = world.user("bob")
    for digest, given in ((b"1", {}), (b"2", {"purpose": "enrol"}), (b"3", {"created_at": NOW + 1})):
        change(lambda books, digest=digest, given=given: books.links.add(link(alice, digest, **given)))
    change(lambda books: books.links.add(link(bob, b"4")))
    assert change(lambda books: books.links.find(b"1")) is None
    found = change(lambda books: books.links.of(alice.id))
    assert [(each.purpose, each.created_at) for each in found] == [("reset", NOW + 1), ("enrol", NOW)]
    change(lambda books: books.links.void(alice.id))
    assert change(lambda books: books.links.of(alice.id)) == []
    assert change(lambda books: books.links.find(b"4")).user == "bob"


# Methods.


def left_by_a_sign_in(world: World, user: TestUser) -> None:
    nas_id = world.nas()
    values = {"user_id": user.id, "nas_id": nas_id, "granted_to": ""}
    world.execute(insert(schema.challenges).values(**values, state=b"s", kind="code", expires_at=NOW))
    row = {"device": "phone", "surface": "vpn", "at": NOW, "text": b"x"}
    world.execute(insert(schema.verifications).values(**values, **row))


def method_ids(change: Any, user: TestUser) -> list[int]:
    return [each.id for each in change(lambda books: books.methods.summaries(user.id))]


def test_one_seed_is_one_method(world: World, change: Any, alice: TestUser) -> None:
    """Otherwise a code would be good twice."""
    bob = world.user("bob", enrolled=False)
    new = NewMethod(SEED, "")
    assert change(lambda books: books.methods.add(alice.id, new, NOW)) is not None
    assert change(lambda books: books.methods.add(alice.id, new, NOW)) is None
    assert change(lambda books: books.methods.add(bob.id, new, NOW)) is not None
    ids = at_once(world, *[lambda books: books.methods.add(bob.id, NewMethod(OTHER_SEED, ""), NOW)] * 3)
    assert sum(each is not None for each in ids) == 1


@pytest.mark.parametrize("replaces", ["all", "that one"])
def test_what_is_replaced_goes_with_the_confirmation_and_not_before(
    world: World, change: Any, alice: TestUser, replaces: str
) -> None:
    assert alice.method_id is not None
    old = alice.method_id
    other = change(lambda books: books.methods.add(alice.id, NewMethod(OTHER_SEED, ""), NOW))
    change(lambda books: books.methods.confirm(other, 5, NOW))
    replaced = 0 if replaces == "all" else old
    new = change(lambda books: books.methods.add(alice.id, NewMethod(SEED, "", replaces=replaced), NOW))
    left_by_a_sign_in(world, alice)
    assert method_ids(change, alice) == [old, other, new]
    assert change(lambda books: books.methods.of(alice.id))[-1].replaces == replaced
    assert change(lambda books: books.methods.confirm(new, 5, NOW))
    assert method_ids(change, alice) == ([new] if replaces == "all" else [other, new])
    default = [each.id for each in change(lambda books: books.methods.summaries(alice.id)) if each.is_default]
    assert default == [new]
    assert (count(world, schema.challenges), count(world, schema.verifications)) == (0, 0)
    assert not change(lambda books: books.methods.confirm(new, 6, NOW))
    assert change(lambda books: books.codes.left(alice.id)) == 2


def test_what_another_user_has_is_never_replaced(world: World, change: Any, alice: TestUser) -> None:
    bob = world.user("bob")
    new = change(lambda books: books.methods.add(bob.id, NewMethod(SEED, "", replaces=alice.method_id), NOW))
    assert change(lambda books: books.methods.confirm(new, 5, NOW))
    assert method_ids(change, alice) == [alice.method_id]
    assert method_ids(change, bob) == [bob.method_id, new]


def test_a_revoked_user_has_nothing_left_to_come_in_with(world: World, change: Any, alice: TestUser) -> None:
    left_by_a_sign_in(world, alice)
    change(lambda books: books.methods.add(alice.id, NewMethod(SEED, ""), NOW))
    before = one(world, select(schema.users.c.backup_generation))
    assert change(lambda books: books.methods.revoke(alice.id)) == 2
    assert (count(world, schema.challenges), count(world, schema.verifications)) == (0, 0)
    assert change(lambda books: books.codes.left(alice.id)) == 0
    assert one(world, select(schema.users.c.backup_generation)) > before


def test_where_another_method_is_left_it_is_the_default_and_the_codes_stay(
    world: World, change: Any, alice: TestUser
) -> None:
    bob = world.user("bob")
    other = change(lambda books: books.methods.add(alice.id, NewMethod(OTHER_SEED, ""), NOW))
    change(lambda books: books.methods.confirm(other, 5, NOW))
    assert change(lambda books: books.methods.revoke(alice.id, bob.method_id)) == 0
    assert change(lambda books: books.methods.revoke(alice.id, alice.method_id)) == 1
    (left,) = change(lambda books: books.methods.summaries(alice.id))
    assert (left.id, left.is_default) == (other, True)
    assert change(lambda books: books.codes.left(alice.id)) == 2


def test_a_set_up_that_was_never_finished_was_no_enrolment(world: World, change: Any) -> None:
    """Who never had a method has the time that `enrol_by` gives, also when an unconfirmed one is taken away."""
    bob = world.user("bob", enrolled=False)
    change(lambda books: books.methods.add(bob.id, NewMethod(SEED, ""), NOW))
    assert change(lambda books: books.methods.revoke(bob.id)) == 1
    assert one(world, select(schema.users.c.backup_generation)) == 0


# The state after a backup code (K4).


def test_whoever_came_in_by_a_backup_code_is_recovered_until_a_method_is_used_or_set_up(
    world: World, change: Any, alice: TestUser
) -> None:
    now = time.time() + 10

    def recovered() -> bool:
        return bool(change(lambda books: books.methods.recovered(alice.id)))

    def code_used(at: float) -> None:
        codes = schema.backup_codes
        last = one(world, select(codes.c.id).where(codes.c.used_at.is_(None)).limit(1))
        world.execute(update(codes).where(codes.c.id == last).values(used_at=at))

    assert not recovered()
    code_used(now)
    assert recovered()
    fresh = [NewBackupCode(code, "hash") for code in make_set(2, os.urandom)]
    change(lambda books: books.codes.replace(alice.id, fresh))
    assert recovered(), "new codes are no new method"
    assert change(lambda books: books.codes.left(alice.id)) == 2
    world.execute(update(schema.methods).values(last_used_at=now + 1))
    assert not recovered()
    code_used(now + 2)
    assert recovered()
    new = change(lambda books: books.methods.add(alice.id, NewMethod(SEED, ""), now + 3))
    assert recovered(), "it is not confirmed yet"
    change(lambda books: books.methods.confirm(new, 5, now + 4))
    assert not recovered()


# What sign-ins left in the audit log.


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_CHUNK", 3)


@pytest.mark.usefixtures("small_chunks")
def test_sign_ins_are_replayed_each_once_from_a_time_on(world: World, change: Any) -> None:
    """Many at one moment, as a batch leaves them, and some that were written later than they came in."""
    times = [5.0, 1.0, 9.0] + [7.0] * 8 + [6.0, 7.0, 12.0, 5.5]
    rows = [{"at": at, "kind": "sign-in", "outcome": "accept", "reason": "totp", "facts": str(at)} for at in times]
    rows.insert(4, {"at": 7.0, "kind": "change", "outcome": "done", "reason": "nas-add", "facts": None})
    with world.database.writing() as connection:
        connection.execute(insert(schema.audit), rows)
    found = change(lambda books: list(books.audit.sign_ins(5.5)))
    assert [each.at for each in found] == sorted(at for at in times if at >= 5.5)
    assert len({each.id for each in found}) == len(found)
    assert all(each.facts == str(each.at) for each in found)


def test_one_row_comes_with_its_facts(world: World, change: Any) -> None:
    row = {"id": 7, "at": 1.0, "kind": "sign-in", "outcome": "accept", "reason": "totp", "facts": "{}"}
    world.execute(insert(schema.audit).values(**row))
    assert change(lambda books: books.audit.find(7)).facts == "{}"
    assert change(lambda books: books.audit.find(8)) is None
