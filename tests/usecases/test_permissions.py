"""What a person may do, and that each refusal says what is missing and is written down (X3, X4, T4)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Barrier

import pytest
from sqlalchemy import select, text

from radiusd_mfa.core.names import Username
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import codes, enrol, nas, people, policies, removal, reset, teams
from radiusd_mfa.usecases.actors import Person
from radiusd_mfa.usecases.admin_ports import AuditFilter
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.changes import Change, Refusal, viewed
from radiusd_mfa.usecases.nas import Wanted
from radiusd_mfa.usecases.permissions import GIVEN_BY
from radiusd_mfa.usecases.removal import Removed
from radiusd_mfa.usecases.reset import Invitation
from tests.support.acting import VOLUNTARY, Colleague, colleague, join, team
from tests.support.administered import Refuses, World
from tests.support.taps import eventually


@dataclass(frozen=True)
class Office:
    """alice administers, bob is a member and has a second factor; both are in team ops."""

    world: World
    alice: Colleague
    bob: Colleague

    def promote(self, role: str, *permissions: str, who: Username | None = None, team: str = "ops") -> None:
        made = teams.set_member(team, who or self.alice.name, role=role, permissions=permissions, **self.world.needs)
        assert not isinstance(made, Refusal)

    def disables(self, actor: Person | None = None, whom: Username | None = None) -> Removed | Refusal:
        return removal.disable(whom or self.bob.name, **self.world.needs, actor=actor or self.alice.person())

    def invites(self) -> Invitation | Refusal:
        actor, entropy = self.alice.person(), self.world.app.entropy
        return reset.invite(self.bob.name, **self.world.needs, entropy=entropy, actor=actor)


@pytest.fixture
def office(world: World) -> Office:
    made = Office(world, colleague(world, "alice"), colleague(world, "bob"))
    team(world, "ops", VOLUNTARY)
    for each in (made.alice, made.bob):
        join(world, "ops", each.name, "member")
    return made


def _bobs_methods(office: Office) -> int:
    return office.world.count(schema.methods, user_id=office.world.user_id(office.bob.name))


@pytest.mark.parametrize(
    ("role", "permissions", "missing"),
    [
        ("member", (), "members.view, mfa.disable in team ops"),
        ("member", ("members.view",), "lacks mfa.disable in team ops"),
        ("member", ("mfa.disable",), "lacks members.view in team ops"),
        ("admin", (), "lacks mfa.disable in team ops"),
        ("admin", ("mfa.reset", "policy.write", "nas.write"), "lacks mfa.disable in team ops"),
    ],
)
def test_nobody_disables_anothers_second_factor_without_both_permissions(
    office: Office, refuses: Refuses, role: str, permissions: tuple[str, ...], missing: str
) -> None:
    office.promote(role, *permissions)
    refuses(office.disables(), missing)
    assert _bobs_methods(office) == 1
    ((outcome, detail),) = office.world.audit("mfa-disable")
    assert outcome == "refused"
    assert missing in detail["why"]


@pytest.mark.parametrize(("role", "permissions"), [("member", ("members.view", "mfa.disable")), ("owner", ())])
def test_with_both_permissions_anothers_second_factor_is_disabled_with_all_that_hangs_on_it(
    office: Office, role: str, permissions: tuple[str, ...]
) -> None:
    office.promote(role, *permissions)
    office.world.signed_in_before(office.bob.name)
    assert office.disables() == Removed("bob", 1, mandatory=False)
    bob = office.world.user_id(office.bob.name)
    for table in (schema.methods, schema.backup_codes, schema.verifications, schema.challenges):
        assert office.world.count(table, user_id=bob) == 0
    assert _actors(office.world, "mfa-disable") == ["alice"]


def _actors(world: World, verb: str) -> list[str | None]:
    rows = world.app.administration.view(lambda books: books.audit.list(AuditFilter(kind="change", limit=1000)))
    return [row.actor for row in rows if row.reason == verb]


def test_the_permission_must_be_there_in_every_team_of_the_other(office: Office, refuses: Refuses) -> None:
    office.promote("owner")
    join(office.world, team(office.world, "lab", VOLUNTARY), office.bob.name, "member")
    refuses(office.disables(), "lacks members.view, mfa.disable in team lab")
    join(office.world, "lab", office.alice.name, "member", "members.view", "mfa.disable")
    assert isinstance(office.disables(), Removed)


def test_nobody_but_an_owner_touches_the_second_factor_of_an_owner(office: Office, refuses: Refuses) -> None:
    office.promote("admin", "mfa.disable")
    office.promote("owner", who=office.bob.name)
    refuses(office.disables(), "“bob” is an owner of team ops")
    refuses(office.invites(), "“bob” is an owner of team ops")
    office.promote("owner")
    assert isinstance(office.disables(), Removed)


def test_an_owner_of_one_team_is_nobody_in_another(office: Office, refuses: Refuses) -> None:
    office.promote("owner")
    join(office.world, team(office.world, "lab", VOLUNTARY), office.bob.name, "owner")
    join(office.world, "lab", office.alice.name, "admin", "mfa.disable")
    refuses(office.disables(), "“bob” is an owner of team lab")


def test_who_is_in_no_team_is_the_operators(office: Office, refuses: Refuses) -> None:
    office.promote("owner")
    teams.remove_member("ops", office.bob.name, **office.world.needs)
    refuses(office.disables(), "only the operator")
    assert isinstance(removal.disable(office.bob.name, **office.world.needs), Removed)
    assert _actors(office.world, "mfa-disable") == ["operator", "alice"]


def test_without_an_own_second_factor_nobody_decides_about_that_of_others(office: Office, refuses: Refuses) -> None:
    office.promote("owner")
    alice = office.alice.person()
    removal.disable(office.alice.name, **office.world.needs)
    refuses(office.disables(alice), "“alice” has no second factor")
    assert _bobs_methods(office) == 1


@pytest.mark.parametrize(
    ("role", "permissions", "allowed"),
    [
        ("member", (), False),
        ("member", ("members.view",), False),
        ("member", ("members.view", "mfa.reset"), True),
        ("admin", (), True),
        ("owner", (), True),
    ],
)
def test_a_reset_link_is_made_by_who_may(
    office: Office, role: str, permissions: tuple[str, ...], allowed: bool
) -> None:
    office.promote(role, *permissions)
    assert isinstance(office.invites(), Invitation) is allowed
    assert office.world.count(schema.links) == allowed
    assert [outcome for outcome, _ in office.world.audit("mfa-reset-link")] == ["done" if allowed else "refused"]


def test_to_a_person_no_names_of_strangers_are_offered(office: Office) -> None:
    refused = office.disables(whom=Username.parse("bobb"))
    assert isinstance(refused, Refusal)
    assert "bob”" not in refused.sentence


def test_a_team_that_there_is_not_is_refused_to_a_person_like_one_of_others(office: Office) -> None:
    team(office.world, "secret-lab")
    needs = {**office.world.needs, "actor": office.alice.person()}
    for missing in ("secret-lab", "secret-lob"):
        expected = Refusal(f"“alice” lacks members.view in team {missing}. {GIVEN_BY}")
        assert teams.members(team=missing, **needs) == expected
        assert policies.show(missing, **needs) == expected
    refused = policies.apply("secret-lob", VOLUNTARY, **needs)
    assert refused == Refusal(f"“alice” lacks policy.write in team secret-lob. {GIVEN_BY}")


@pytest.mark.parametrize("subject", ["methods", "codes", "confirmation", "set-up"])
def test_nobody_sees_to_the_second_factor_of_another_as_if_it_were_the_own(
    office: Office, refuses: Refuses, subject: str
) -> None:
    office.promote("owner")
    world, bob, actor = office.world, office.bob.name, office.alice.person()
    ways: dict[str, Callable[[], object]] = {
        "methods": lambda: removal.delete(bob, None, **world.needs, actor=actor),
        "codes": lambda: codes.regenerate(bob, None, **world.hashing_needs, actor=actor),
        "confirmation": lambda: enrol.confirm(bob, "123456", **world.hashing_needs, actor=actor),
        "set-up": lambda: enrol.start(
            bob, label="", issuer="test", **world.needs, entropy=world.app.entropy, actor=actor
        ),
    }
    refuses(ways[subject](), "only for “alice”")
    assert _bobs_methods(office) == 1


def test_what_no_permission_is_about_is_the_operators_and_the_try_is_written_down(
    office: Office, refuses: Refuses
) -> None:
    office.promote("owner")
    refuses(people.disable(office.bob.name, **office.world.needs, actor=office.alice.person()), "Only the operator")
    assert [outcome for outcome, _ in office.world.audit("user-disable")] == ["refused"]
    refuses(
        teams.set_member("ops", office.bob.name, role="owner", **office.world.needs, actor=office.alice.person()),
        "Only the operator",
    )


def test_members_are_seen_by_who_may_and_oneself_by_everybody(office: Office, refuses: Refuses) -> None:
    needs = office.world.needs
    refuses(teams.members(team="ops", **needs, actor=office.alice.person()), "lacks members.view in team ops")
    refuses(people.show(office.bob.name, **needs, actor=office.alice.person()), "lacks members.view in team ops")
    refuses(enrol.show(office.bob.name, **needs, actor=office.alice.person()), "lacks members.view in team ops")
    assert not isinstance(enrol.show(office.alice.name, **needs, actor=office.alice.person()), Refusal)
    office.promote("admin")
    found = teams.members(team="ops", **needs, actor=office.alice.person())
    assert not isinstance(found, Refusal)
    assert [member.user for member in found] == ["alice", "bob"]
    refuses(teams.members(team=None, **needs, actor=office.alice.person()), "Only the operator")
    assert [outcome for outcome, _ in office.world.audit("member-list")] == ["refused", "refused"]


def test_who_looks_keeps_nobody_from_writing(office: Office) -> None:
    """SQLite has one writer: whoever looks at a month of sign-ins must not silence the server meanwhile."""
    world = office.world
    change = Change("member-list", actor=office.alice.person())

    def look(_books: Books) -> int:
        world.user("carol")  # on a connection of its own
        return 7

    assert viewed(change, look, **world.needs, permit=lambda _books: None) == 7
    assert isinstance(viewed(change, look, **world.needs), Refusal), "without a permit"


def _entry(name: str, address: str, team: str | None) -> Wanted:
    return Wanted(name, {"address": address, "surface": "vpn"}, team, b"a shared secret")


def test_nas_entries_are_written_by_who_may_in_their_team_and_not_over_others(office: Office, refuses: Refuses) -> None:
    world = office.world
    office.promote("admin")
    refuses(nas.add(_entry("a", "192.0.2.1/32", "ops"), **world.needs, actor=office.alice.person()), "lacks nas.write")
    office.promote("admin", "nas.write")
    needs = {**world.needs, "actor": office.alice.person()}
    refuses(nas.add(_entry("a", "192.0.2.1/32", None), **needs), "only the operator")
    assert not isinstance(nas.add(_entry("a", "192.0.2.1/32", "ops"), **needs), Refusal)
    team(world, "lab")
    refuses(nas.change(Wanted("a", {}, "lab"), **needs), "lacks nas.write in team lab")
    refuses(nas.change(Wanted("a", {}, ""), **needs), "only the operator")
    assert not isinstance(nas.add(_entry("b", "198.51.100.0/24", "lab"), **world.needs), Refusal)
    refuses(nas.add(_entry("c", "198.51.100.7/32", "ops"), **needs), "overlaps that of “b”")
    refuses(nas.change(Wanted("a", {"address": "198.51.100.7/32"}), **needs), "overlaps that of “b”")
    refuses(nas.remove("b", **needs), "lacks nas.write in team lab")
    refuses(nas.show("b", **needs), "lacks nas.write in team lab")
    assert not isinstance(nas.remove("a", **needs), Refusal)


# 24: the check and the act are one transaction.


def _at_once(*works: object) -> list[object]:
    barrier = Barrier(len(works))

    def run(work: object) -> object:
        barrier.wait()
        assert callable(work)
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))


def test_of_two_owners_who_disable_each_other_at_once_one_is_refused(office: Office) -> None:
    office.promote("owner")
    office.promote("owner", who=office.bob.name)
    alice, bob = office.alice.person(), office.bob.person()
    done = _at_once(lambda: office.disables(alice, office.bob.name), lambda: office.disables(bob, office.alice.name))
    assert sum(isinstance(each, Removed) for each in done) == 1
    assert sorted(outcome for outcome, _ in office.world.audit("mfa-disable")) == ["done", "refused"]
    ((why,),) = [[detail["why"]] for outcome, detail in office.world.audit("mfa-disable") if outcome == "refused"]
    assert "has no second factor" in why


def test_of_two_teams_that_take_one_range_at_once_one_is_refused(office: Office) -> None:
    world = office.world
    team(world, "lab", VOLUNTARY)
    office.promote("owner")
    join(world, "lab", office.bob.name, "owner")
    alice, bob = office.alice.person(), office.bob.person()
    for number in range(4):
        done = _at_once(
            partial(nas.add, _entry(f"a{number}", f"10.{number}.0.0/16", "ops"), **world.needs, actor=alice),
            partial(nas.add, _entry(f"b{number}", f"10.{number}.7.0/24", "lab"), **world.needs, actor=bob),
        )
        assert sum(isinstance(each, Refusal) for each in done) == 1, done


@pytest.mark.parametrize("dialect", ["postgresql"])  # SQLite has one writer
def test_whoever_changes_a_team_locks_it_before_anybody(office: Office) -> None:
    """The other way round a person who applies a policy and the operator would wait for each other."""
    world = office.world
    office.promote("owner")
    alice = office.alice.person()
    rows = select(schema.users).where(schema.users.c.name == "alice").with_for_update(nowait=True)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor(1) as threads, world.app.database.writing() as operator:
        operator.execute(select(schema.teams).where(schema.teams.c.name == "ops").with_for_update())
        applied = threads.submit(policies.apply, "ops", "[[require]]", **world.needs, actor=alice)
        eventually(lambda: operator.execute(waiting).scalar_one())
        operator.execute(rows)
        operator.commit()
    assert isinstance(applied.result(), policies.Applied)


def test_two_methods_of_which_one_is_mandatory_are_not_both_deleted_at_once(office: Office) -> None:
    world = office.world
    policies.apply("ops", "[[require]]", **world.needs)
    second = world.start(office.bob.name, "tablet")
    world.clock.now += 30
    world.confirm(office.bob.name, world.code(second))
    bob = office.bob.person()
    done = _at_once(
        lambda: removal.delete(office.bob.name, office.bob.made.method, **world.needs, actor=bob),
        lambda: removal.delete(office.bob.name, second.method, **world.needs, actor=bob),
    )
    assert sum(isinstance(each, Refusal) for each in done) == 1
    assert _bobs_methods(office) == 1
    assert sorted(outcome for outcome, _ in world.audit("mfa-delete")) == ["done", "refused"]


def test_a_policy_that_wants_all_owners_ready_never_meets_one_who_has_just_gone(office: Office) -> None:
    office.promote("owner")
    office.promote("owner", who=office.bob.name)
    alice, bob = office.alice.person(), office.bob.person()
    wanted = "require_all_owners = true\n[[require]]"
    done = _at_once(
        lambda: policies.apply("ops", wanted, **office.world.needs, actor=alice),
        lambda: removal.delete(office.bob.name, None, **office.world.needs, actor=bob),
    )
    assert sum(isinstance(each, Refusal) for each in done) == 1, done
    outcomes = [outcome for verb in ("policy-apply", "mfa-delete") for outcome, _ in office.world.audit(verb)]
    assert sorted(outcomes) == ["done", "done", "refused"]  # the first one: the policy that the fixture applied
