"""Who acts proves it by a sign-in that is stricter than one over RADIUS."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select

from radiusd_mfa.core.names import Username
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import acting, enrol, people
from radiusd_mfa.usecases.acting import NOBODY, Given
from radiusd_mfa.usecases.actors import Person
from radiusd_mfa.usecases.changes import Refusal
from tests.support.acting import PASSWORD, Colleague, colleague, join, team
from tests.support.administered import World


def _reasons(world: World) -> list[tuple[str, str, str]]:
    audit = schema.audit.c
    with world.app.database.reading() as connection:
        wanted = select(audit.nas_name, audit.outcome, audit.reason).where(audit.kind == "sign-in").order_by(audit.id)
        return [(row.nas_name, row.outcome, row.reason) for row in connection.execute(wanted)]


def _wrong(code: bytes) -> bytes:
    return str((int(code) + 500_000) % 1_000_000).zfill(6).encode()


def test_password_and_fresh_code_prove_who_it_is_and_are_a_sign_in(world: World) -> None:
    alice = colleague(world)
    assert alice.prove() == Person(world.user_id(alice.name), "alice")
    assert _reasons(world) == [("cli", "accept", "totp")]


def test_both_may_be_typed_as_one_text(world: World) -> None:
    alice = colleague(world)
    together = Given(alice.name, PASSWORD + alice.new_code())
    assert isinstance(acting.prove(together, door=world.app.door("cli")), Person)


Attempt = Callable[[Colleague], Person | acting.Texted | Refusal]
PROVE_NOTHING: dict[str, tuple[Attempt, str]] = {
    "wrong password": (lambda alice: alice.prove(password=b"correct hors"), "wrong-password"),
    "wrong code": (lambda alice: alice.prove(_wrong(alice.new_code())), "wrong-code"),
    "no code": (lambda alice: alice.prove(b""), "code-missing"),
    "empty password": (lambda alice: alice.prove(password=b""), "unreadable"),
    "no text": (lambda alice: alice.prove(password=b"\xff"), "unreadable"),
}


@pytest.mark.parametrize("how", PROVE_NOTHING)
def test_what_proves_nothing_is_refused_in_the_same_words_and_written_down(world: World, how: str) -> None:
    alice = colleague(world)
    attempt, reason = PROVE_NOTHING[how]
    assert attempt(alice) is NOBODY
    assert _reasons(world) == [("cli", "reject", reason)]


def test_nobody_acts_for_who_is_unknown_disabled_or_has_no_second_factor(world: World) -> None:
    alice, bob = colleague(world), world.user("bob")
    door = world.app.door("cli")
    assert acting.prove(Given(Username.parse("alcie"), PASSWORD, alice.new_code()), door=door) is NOBODY
    assert acting.prove(Given(bob, PASSWORD, b""), door=door) is NOBODY
    assert acting.prove(Given(bob, PASSWORD, b"123456"), door=door) is NOBODY
    people.disable(alice.name, **world.needs)
    assert alice.prove() is NOBODY


def test_a_code_proves_once(world: World) -> None:
    alice = colleague(world)
    code = alice.new_code()
    assert isinstance(alice.prove(code), Person)
    assert alice.prove(code) is NOBODY


def test_one_code_given_by_many_at_once_proves_one(world: World) -> None:
    alice = colleague(world)
    code = alice.new_code()
    with ThreadPoolExecutor(4) as threads:
        proved = list(threads.map(lambda _: alice.prove(code), range(4)))
    assert sum(isinstance(each, Person) for each in proved) == 1


@pytest.mark.parametrize(
    "policy", ['[[require]]\nevery = "12h"', "require = []", 'mode = "report"'], ids=["period", "voluntary", "report"]
)
def test_no_period_and_no_policy_lets_the_password_suffice(world: World, policy: str) -> None:
    alice = colleague(world)
    join(world, team(world, policy=policy), alice.name, "member")
    code = alice.new_code()
    assert isinstance(alice.prove(code), Person)
    assert alice.prove(b"") is NOBODY
    assert alice.prove(code) is NOBODY
    assert [outcome for _, outcome, _ in _reasons(world)] == ["accept", "reject", "reject"]


def test_whoever_has_no_second_factor_does_not_act_even_where_none_is_required(world: World) -> None:
    bob = world.user("bob")
    join(world, team(world, policy="require = []"), bob, "owner")
    assert acting.prove(Given(bob, PASSWORD, b""), door=world.app.door("cli")) is NOBODY
    assert _reasons(world) == [("cli", "reject", "code-missing")]


def test_guesses_at_codes_are_capped_and_shut_the_right_one_out_too(world: World) -> None:
    alice = colleague(world)
    for _ in range(5):
        assert alice.prove(_wrong(alice.new_code())) is NOBODY
    assert alice.prove() is NOBODY
    assert _reasons(world)[-1] == ("cli", "reject", "throttled")
    world.clock.now += 300
    assert isinstance(alice.prove(), Person)


def test_a_backup_code_proves_once(world: World) -> None:
    alice = colleague(world)
    alice.recovers(0)
    assert alice.prove(alice.backup_codes[0].encode()) is NOBODY


def test_the_password_alone_makes_a_claimant_and_spends_nothing(world: World) -> None:
    alice = colleague(world)
    code = alice.new_code()
    claimant = alice.claimant()
    assert (claimant.user_id, claimant.name) == (world.user_id(alice.name), "alice")
    assert "argon2" not in repr(claimant)
    assert isinstance(alice.prove(code), Person)


def test_a_password_with_a_code_behind_it_is_another_password(world: World) -> None:
    alice = colleague(world)
    assert alice.claims(PASSWORD + alice.new_code()) is NOBODY


def test_guesses_at_the_password_of_a_claimant_are_counted(world: World) -> None:
    alice = colleague(world)
    assert alice.claims(b"wrong") is NOBODY
    assert alice.claims() is NOBODY, "a second has not passed"
    assert [reason for _, _, reason in _reasons(world)] == ["wrong-password", "throttled"]


def test_a_claim_is_worth_nothing_once_the_password_has_changed(world: World) -> None:
    alice = colleague(world)
    claimant = alice.claimant()
    world.start(alice.name)
    people.set_password(alice.name, "another", **world.needs, hashing=world.app.hashing)
    refused = enrol.acknowledge(alice.name, **world.needs, actor=claimant)
    assert isinstance(refused, Refusal)
    assert "prove anew" in refused.sentence


def test_who_was_disabled_after_the_proof_does_nothing_any_more(world: World) -> None:
    alice = colleague(world)
    person = alice.person()
    people.disable(alice.name, **world.needs)
    refused = enrol.show(alice.name, **world.needs, actor=person)
    assert isinstance(refused, Refusal)


def test_somebody_with_the_same_name_is_another_person(world: World) -> None:
    alice = colleague(world)
    person = alice.person()
    people.remove(alice.name, **world.needs)
    world.user("alice")
    assert isinstance(enrol.show(alice.name, **world.needs, actor=person), Refusal)
    assert replace(person, name="operator").shown == "user operator"
