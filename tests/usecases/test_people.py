from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from radiusd_mfa.core.names import PasswordProblem, Username
from radiusd_mfa.passwords.local import verify
from radiusd_mfa.store import schema
from radiusd_mfa.usecases import people
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.people import ContactProblem, Request, email_address, new_password, phone_number
from tests.support.administered import Refuses, World


def _found(world: World, name: str = "alice") -> Any:
    return world.app.administration.view(lambda books: books.people.find(name))


def test_one_person_has_one_name_however_it_is_written(world: World, refuses: Refuses) -> None:
    world.user("alice")
    again = Request(Username.parse("\uff21\uff2c\uff29\uff23\uff25"), "other password")
    refuses(people.add(again, **world.needs, hashing=world.app.hashing), "already")
    assert verify("correct horse", _found(world).password_hash)


def test_a_name_is_taken_once_however_many_ask_at_once(world: World) -> None:
    def add(number: int) -> object:
        return people.add(Request(Username.parse("bob"), f"pw {number}"), **world.needs, hashing=world.app.hashing)

    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(add, range(8)))
    assert sum(not isinstance(each, Refusal) for each in done) == 1
    assert sorted(outcome for outcome, _ in world.audit("user-add")) == ["done"] + ["refused"] * 7


@pytest.mark.parametrize("verb", [people.disable, people.enable, people.remove])
def test_a_name_that_nobody_has_is_refused_with_the_one_that_may_be_meant(
    world: World, refuses: Refuses, verb: Callable[..., object]
) -> None:
    world.user("alice")
    refuses(verb(Username.parse("alcie"), **world.needs), "is alice meant?")


def test_a_disabled_user_loses_running_periods_and_open_challenges_at_once(world: World) -> None:
    user = world.user()
    world.signed_in_before(user)
    people.disable(user, **world.needs)
    assert _found(world).disabled
    assert world.count(schema.verifications) == world.count(schema.challenges) == 0
    assert world.count(schema.throttles) == 1  # disabling and enabling buys no guesses
    people.enable(user, **world.needs)
    assert not _found(world).disabled


def test_with_a_new_password_the_old_one_its_periods_and_its_guesses_are_gone(world: World) -> None:
    user = world.user()
    world.signed_in_before(user)
    people.set_password(user, "new password", **world.needs, hashing=world.app.hashing)
    stored = _found(world).password_hash
    assert verify("new password", stored)
    assert not verify("correct horse", stored)
    for table in (schema.verifications, schema.challenges):
        assert world.count(table) == 0
    assert world.count(schema.throttles, history="") == 1


def test_a_new_password_buys_no_codes(world: World) -> None:
    """Who reads somebody's mail can have the password reset, again and again (ATTACKS 15)."""
    user = world.user()
    guessed = "1.000/c/77/d/t/r1;2.000/?/77/d/t/r3;"
    world.insert(schema.throttles, user_id=world.user_id(user), history="1.000/p/77/d/t/r0;" + guessed)
    people.set_password(user, "new password", **world.needs, hashing=world.app.hashing)
    assert world.count(schema.throttles, history=guessed) == 1


def test_of_a_removed_user_only_the_audit_log_is_left(world: World) -> None:
    user, _, _ = world.enrolled()
    world.signed_in_before(user)
    people.remove(user, **world.needs)
    with_users = [table for table in schema.metadata.tables.values() if "user_id" in table.c]
    assert len(with_users) >= 7
    assert [world.count(table) for table in [schema.users, *with_users]] == [0] * (len(with_users) + 1)
    assert world.count(schema.audit, user_name="alice") == 4


def test_no_password_stands_in_the_audit_log_or_in_a_repr(world: World) -> None:
    user = world.user("alice", "canary-password")
    people.set_password(user, "canary-password-2", **world.needs, hashing=world.app.hashing)
    request = Request(user, "canary-password")
    with world.app.database.reading() as connection:
        rows = connection.execute(schema.audit.select()).all()
    assert "canary" not in repr((rows, request, _found(world)))
    assert "$argon2" not in repr((rows, _found(world)))


def test_details_name_teams_methods_and_codes(world: World) -> None:
    user, _, _ = world.enrolled()
    details = people.show(user, **world.needs)
    assert not isinstance(details, Refusal)
    assert [method.kind for method in details.methods] == ["totp"]
    assert details.backup_codes_left == 10


@pytest.mark.parametrize("text", ["", "alice", "a@b@c", "alice@", "@example.org", "a b@c.org", "a@b.org\nBcc: c@d.org"])
def test_what_is_no_mail_address_is_refused(text: str) -> None:
    with pytest.raises(ContactProblem, match="mail address"):
        email_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0151 123",
        "+0151123456",
        "+49",
        "+49151123456789012",
        "+49x151",
        "+\u096a\u096f\u0967\u096b\u0967\u0967\u0968\u0969\u096a\u096b\u096c\u096d",
    ],
)
def test_what_is_no_phone_number_is_refused(text: str) -> None:
    with pytest.raises(ContactProblem, match="phone number"):
        phone_number(text)


def test_a_phone_number_has_one_spelling() -> None:
    assert phone_number("+49 (151) 123-456.78") == "+4915112345678"


@pytest.mark.parametrize("text", ["", "x" * 112, "a\0b", b"\xff"])
def test_a_password_that_no_sign_in_could_carry_is_not_set(text: str | bytes) -> None:
    with pytest.raises(PasswordProblem):
        new_password(text)
    assert new_password("x" * 111) == "x" * 111
