"""A method gives way to a new one (X1, X3, I5), goes (X2), or is revoked (X5); links that are good once (26)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from radiusd_mfa.core.totp import step_at
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import enrol, people, policies, removal, reset
from radiusd_mfa.usecases.actors import Claimant
from radiusd_mfa.usecases.admin_ports import NewMethod
from radiusd_mfa.usecases.books import Books
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.enrol import Confirmed, Enrolment
from radiusd_mfa.usecases.removal import Removed
from radiusd_mfa.usecases.reset import Invitation
from tests.support.acting import VOLUNTARY, Colleague, code_of, colleague, join, team
from tests.support.administered import Refuses, World


@pytest.fixture
def alice(world: World) -> Colleague:
    return colleague(world)


def _labels(world: World) -> list[tuple[str, bool]]:
    with world.app.database.reading() as connection:
        rows = connection.execute(schema.methods.select().order_by(schema.methods.c.id))
        return [(row.label, row.confirmed_at is not None) for row in rows]


def _reset(alice: Colleague, method: int | None = None) -> Enrolment:
    world = alice.world
    made = reset.own(
        alice.name,
        method,
        label="new",
        issuer="test",
        **world.needs,
        entropy=world.app.entropy,
        actor=alice.person(),
    )
    assert isinstance(made, Enrolment), made
    return made


def _invite(alice: Colleague) -> Invitation:
    made = reset.invite(alice.name, **alice.world.needs, entropy=alice.world.app.entropy)
    assert isinstance(made, Invitation), made
    return made


def _redeem(alice: Colleague, token: str, claimant: Claimant | None = None) -> Enrolment | Refusal:
    world = alice.world
    world.clock.now += 1
    return reset.redeem(
        claimant or alice.claimant(), token, label="new", issuer="test", **world.needs, entropy=world.app.entropy
    )


def _confirm(alice: Colleague, made: Enrolment) -> Confirmed:
    world = alice.world
    world.clock.now += 30
    done = enrol.confirm(alice.name, code_of(made.uri, world.clock.now), **world.hashing_needs)
    assert isinstance(done, Confirmed), done
    return done


# X1


def test_the_old_method_counts_until_the_new_one_is_confirmed_and_then_no_longer(alice: Colleague) -> None:
    world = alice.world
    made = _reset(alice)
    assert _labels(world) == [("", True), ("new", False)]
    alice.person()
    assert world.count(schema.verifications) == 1
    assert _confirm(alice, made).codes is None
    assert _labels(world) == [("new", True)]
    assert isinstance(alice.prove(), Refusal)
    assert world.count(schema.verifications) == 0


def test_after_an_own_reset_earlier_backup_codes_stay_good(alice: Colleague) -> None:
    _confirm(alice, _reset(alice))
    alice.recovers()


def test_of_several_methods_one_is_replaced_and_the_default_with_it(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    second = world.start(alice.name, "tablet")
    _confirm(alice, second)
    needs = {**world.needs, "entropy": world.app.entropy, "label": "", "issuer": "test"}
    refuses(reset.own(alice.name, None, **needs, actor=alice.person()), "--method ID")
    refuses(reset.own(alice.name, 999_999, **needs, actor=alice.person()), "no method 999999")
    _confirm(alice, _reset(alice, alice.made.method))
    assert _labels(world) == [("tablet", True), ("new", True)]
    with world.app.database.reading() as connection:
        rows = connection.execute(schema.methods.select().order_by(schema.methods.c.id))
        assert [row.is_default for row in rows].count(True) == 1


def test_a_wrong_code_for_the_new_method_leaves_the_old_one(alice: Colleague) -> None:
    world = alice.world
    _reset(alice)
    for _ in range(enrol.MOST_WRONG_CODES):
        assert isinstance(enrol.confirm(alice.name, "no code", **world.hashing_needs), Refusal)
    assert _labels(world) == [("", True)]
    alice.person()


def test_without_a_method_there_is_nothing_to_replace(world: World, refuses: Refuses) -> None:
    user = world.user("bob")
    needs = {**world.needs, "entropy": world.app.entropy, "label": "", "issuer": "test"}
    refuses(reset.own(user, None, **needs), "mfa enrol bob")


# X2


def test_the_last_method_is_not_deleted_where_one_is_mandatory(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    refuses(removal.delete(alice.name, None, **world.needs, actor=alice.person()), "no other method remains")
    join(world, team(world), alice.name, "member")
    refuses(removal.delete(alice.name, None, **world.needs, actor=alice.person()), "by team ops")
    assert _labels(world) == [("", True)]
    assert [outcome for outcome, _ in world.audit("mfa-delete")] == ["refused", "refused"]


def test_it_is_deleted_where_another_remains_or_none_is_mandatory(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    second = world.start(alice.name, "tablet")
    refuses(removal.delete(alice.name, alice.made.method, **world.needs, actor=alice.person()), "no other method")
    _confirm(alice, second)
    person = alice.person()
    assert not isinstance(removal.delete(alice.name, alice.made.method, **world.needs, actor=person), Refusal)
    refuses(removal.delete(alice.name, None, **world.needs, actor=person), "no other method remains")
    join(world, team(world, policy=VOLUNTARY), alice.name, "member")
    assert not isinstance(removal.delete(alice.name, None, **world.needs, actor=person), Refusal)


def test_a_method_of_a_kind_that_does_not_count_is_no_other_method(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    join(world, team(world, policy='[[require]]\n[methods]\nallow = ["totp"]'), alice.name, "member")
    world.insert(
        schema.methods,
        user_id=world.user_id(alice.name),
        kind="sms",
        phone="+4915112345678",
        created_at=0.0,
        confirmed_at=1.0,
    )
    refuses(
        removal.delete(alice.name, alice.made.method, **world.needs, actor=alice.person()), "no other method remains"
    )


@pytest.mark.parametrize("policy", ['mode = "report"', '[[require]]\nroles = ["owner"]'])
def test_a_rule_about_others_or_one_that_only_reports_makes_nothing_mandatory(alice: Colleague, policy: str) -> None:
    world = alice.world
    join(world, team(world, policy=policy), alice.name, "member")
    assert not isinstance(removal.delete(alice.name, None, **world.needs, actor=alice.person()), Refusal)


def test_a_policy_that_nobody_understands_makes_it_mandatory(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    join(world, team(world, policy=VOLUNTARY), alice.name, "member")
    with world.app.database.writing() as connection:
        connection.execute(schema.teams.update().values(policy="require = [] # and\nso on"))
    refuses(removal.delete(alice.name, None, **world.needs, actor=alice.person()), "by team ops")


# X3, 26


def test_a_link_changes_nothing_before_the_new_method_is_confirmed_and_then_everything(alice: Colleague) -> None:
    world = alice.world
    _confirm(alice, world.start(alice.name, "tablet"))
    link = _invite(alice)
    assert _labels(world) == [("", True), ("tablet", True)]
    made = _redeem(alice, link.token)
    assert isinstance(made, Enrolment)
    alice.person()
    alice.recovers()
    fresh = _confirm(alice, made).codes
    assert fresh is not None
    assert _labels(world) == [("new", True)]
    assert isinstance(alice.prove(), Refusal)
    assert isinstance(alice.prove(alice.backup_codes[5].encode()), Refusal)
    assert world.count(schema.backup_codes, used_at=None) == len(fresh.shown) == 10


def test_what_was_set_up_in_another_door_meanwhile_goes_with_the_rest(alice: Colleague) -> None:
    """A set-up by dialogue, or another program: none of them removes what a link has begun."""
    world = alice.world
    made = _redeem(alice, _invite(alice).token)
    assert isinstance(made, Enrolment)

    def set_up(books: Books) -> None:
        method_id = books.methods.add(world.user_id(alice.name), NewMethod(bytes(20), "smuggled"), world.clock.now)
        assert method_id is not None
        assert books.methods.confirm(method_id, 1, world.clock.now)

    world.app.administration.change(set_up)
    _confirm(alice, made)
    assert _labels(world) == [("new", True)]


def test_a_link_to_a_single_recovery_code_leaves_the_old_method_until_that_is_recorded(alice: Colleague) -> None:
    world = alice.world
    join(world, team(world, policy="[backup_codes]\ncount = 1"), alice.name, "member")
    made = _redeem(alice, _invite(alice).token)
    assert isinstance(made, Enrolment)
    assert not _confirm(alice, made).counts
    alice.person()
    alice.recovers()
    world.clock.now += 1
    assert not isinstance(enrol.acknowledge(alice.name, **world.needs), Refusal)
    assert _labels(world) == [("new", True)]
    assert isinstance(alice.prove(), Refusal)
    assert world.count(schema.backup_codes, used_at=None) == 1


def test_a_link_is_good_once(alice: Colleague, refuses: Refuses) -> None:
    link = _invite(alice)
    assert isinstance(_redeem(alice, link.token), Enrolment)
    refuses(_redeem(alice, link.token), "This link is not good")
    assert [outcome for outcome, _ in alice.world.audit("mfa-redeem")] == ["refused", "done"]


def test_of_many_who_redeem_a_link_at_once_one_does(alice: Colleague) -> None:
    link, claimant = _invite(alice), alice.claimant()
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: _redeem(alice, link.token, claimant), range(4)))
    assert sum(isinstance(each, Enrolment) for each in made) == 1
    assert _labels(alice.world) == [("", True), ("new", False)]


def test_a_link_is_good_for_an_hour(alice: Colleague, refuses: Refuses) -> None:
    link = _invite(alice)
    alice.world.clock.now += 3_599
    refuses(_redeem(alice, link.token), "This link is not good")
    link = _invite(alice)
    alice.world.clock.now += 3_598
    assert isinstance(_redeem(alice, link.token), Enrolment)


def test_anothers_link_is_refused_and_stays_good_for_its_owner(alice: Colleague, refuses: Refuses) -> None:
    bob = colleague(alice.world, "bob")
    link = _invite(alice)
    refuses(_redeem(bob, link.token), "This link is not good for “bob”")
    assert isinstance(_redeem(alice, link.token), Enrolment)


@pytest.mark.parametrize("token", ["", "x", "\udcff", "a" * 100_000])
def test_what_is_no_token_is_refused_without_an_exception(alice: Colleague, refuses: Refuses, token: str) -> None:
    _invite(alice)
    refuses(_redeem(alice, token), "This link is not good")


def test_a_link_without_the_right_password_does_nothing_and_guesses_are_counted(alice: Colleague) -> None:
    _invite(alice)
    assert isinstance(alice.claims(b"wrong"), Refusal)
    assert isinstance(alice.claims(), Refusal)
    assert _labels(alice.world) == [("", True)]


def test_a_new_link_makes_the_one_before_worthless(alice: Colleague, refuses: Refuses) -> None:
    first, second = _invite(alice), _invite(alice)
    refuses(_redeem(alice, first.token), "This link is not good")
    assert isinstance(_redeem(alice, second.token), Enrolment)


VOIDS: dict[str, Callable[[Colleague], object]] = {
    "own reset": lambda alice: _confirm(alice, _reset(alice)),
    "disabled": lambda alice: removal.disable(alice.name, **alice.world.needs),
    "revoked": lambda alice: removal.revoke(alice.name, **alice.world.needs),
}


@pytest.mark.parametrize("how", VOIDS)
def test_a_link_ends_with_what_it_was_to_replace(alice: Colleague, refuses: Refuses, how: str) -> None:
    link = _invite(alice)
    VOIDS[how](alice)
    refuses(_redeem(alice, link.token), "This link is not good")


def test_a_link_holds_256_bits_of_which_the_database_has_a_digest(alice: Colleague) -> None:
    link = _invite(alice)
    assert len(link.token) == 43
    assert link.token not in repr(link)
    with alice.world.app.database.reading() as connection:
        (row,) = connection.execute(schema.links.select()).fetchall()
    assert len(row.hash) == 32
    assert link.token.encode() not in row.hash
    assert row.made_by == "operator"
    assert link.link("https://mfa.example.org/") == f"https://mfa.example.org/reset/{link.token}"
    assert reset.token_in(f" https://mfa.example.org/reset/{link.token}\n") == link.token
    assert reset.token_in(link.token) == link.token


def test_a_changed_password_makes_a_claim_worthless_before_the_link_is_used(alice: Colleague, refuses: Refuses) -> None:
    link, claimant = _invite(alice), alice.claimant()
    people.set_password(alice.name, "another", **alice.world.needs, hashing=alice.world.app.hashing)
    refuses(_redeem(alice, link.token, claimant), "prove anew")
    assert alice.world.count(schema.links, used_at=None) == 1


# X5


def test_revoked_is_everything_at_once_also_where_it_is_mandatory(alice: Colleague) -> None:
    world = alice.world
    join(world, team(world), alice.name, "member")
    world.signed_in_before(alice.name)
    assert removal.revoke(alice.name, **world.needs, actor=alice.person()) == Removed("alice", 1, mandatory=True)
    for table in (schema.methods, schema.backup_codes, schema.verifications, schema.challenges):
        assert world.count(table) == 0


def test_with_one_of_two_methods_backup_codes_and_periods_are_revoked_too(alice: Colleague) -> None:
    world = alice.world
    _confirm(alice, world.start(alice.name, "tablet"))
    world.signed_in_before(alice.name)
    assert isinstance(removal.revoke(alice.name, alice.made.method, **world.needs), Removed)
    assert _labels(world) == [("tablet", True)]
    for table in (schema.backup_codes, schema.verifications, schema.challenges):
        assert world.count(table) == 0


def test_what_is_not_there_can_not_be_revoked(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    refuses(removal.revoke(alice.name, 999_999, **world.needs), "no method 999999")
    removal.revoke(alice.name, **world.needs)
    refuses(removal.revoke(alice.name, **world.needs), "nothing to take away")


def test_a_watermark_never_goes_down_by_a_reset(alice: Colleague) -> None:
    made = _reset(alice)
    _confirm(alice, made)
    world = alice.world
    (method,) = world.app.administration.view(lambda books: books.methods.of(world.user_id(alice.name)))
    assert method.watermark == step_at(world.clock.now, 30)


def test_where_the_plan_is_without_mfa_no_link_is_made(alice: Colleague, refuses: Refuses) -> None:
    world = alice.world
    join(world, team(world), alice.name, "member")
    policies.remove("ops", **world.needs)
    with world.app.database.writing() as connection:
        connection.execute(schema.teams.update().values(plan="no-mfa"))
    refuses(reset.invite(alice.name, **world.needs, entropy=world.app.entropy), "without MFA")
